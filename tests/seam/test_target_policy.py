"""Hydra's target policy holds for hits: what Hydra would refuse to call, no entry gives back."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from seam_targets import HERE, OLD, POLICY, calls

from hydra_cached import activate

OVERRIDE = "HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE"
pytestmark = pytest.mark.skipif(not POLICY, reason="Hydra 1.3.2 has no target policy")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    calls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def allowed(*names: str) -> Iterator[dict[str, Any]]:
    """Trusted code allows targets, in the way of either generation; gives keyword arguments for the call."""
    if OLD:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(OVERRIDE, ":".join(names))
            yield {}
    else:
        from hydra._internal.execution_policy import UNSAFE_DISABLE_EXECUTION_CHECKS

        yield {"_execution_whitelist_": UNSAFE_DISABLE_EXECUTION_CHECKS}


def rename(tmp_path: Path, target: str = "os.rename") -> dict[str, Any]:
    (tmp_path / "a").write_text("x")
    return {"_target_": target, "_args_": [str(tmp_path / "a"), str(tmp_path / "b")]}


CASES = [
    "os.rename",
    "shutil.move",
    f"{HERE}.aliased_os.rename",
    f"{HERE}.os.rename",
    "hydra.utils.os.rename",
]


@pytest.mark.parametrize("target", CASES[:3])
def test_a_blocklisted_target_raises_though_there_is_an_entry(tmp_path: Path, target: str) -> None:
    """An entry that was stored while the target was allowed is not served when it is not."""
    node = rename(tmp_path, target)
    with activate(tmp_path / "cache", min_seconds=0) as session:
        with allowed("os.rename", "shutil.move", target) as permission:
            first = instantiate(node, **permission)
            assert [event.stored for event in session.events] == [True]
            assert instantiate(node, **permission) == first  # a hit: there is nothing to rename any more
        for _ in range(2):
            with pytest.raises(InstantiationException) as cached:
                instantiate(node)
    with pytest.raises(InstantiationException) as alone:
        instantiate(node)
    assert str(cached.value) == str(alone.value)


@pytest.mark.parametrize("target", CASES[:3])
@pytest.mark.parametrize("share", ["reference", "equal", "none"])
def test_nor_is_what_contains_it(tmp_path: Path, target: str, share: str) -> None:
    """The same for a stage above: serving its result would spare the call of the blocklisted one."""
    node = {
        "_target_": f"{HERE}.target",
        "a": {"deep": [{"_target_": f"{HERE}.target", "x": rename(tmp_path, target)}]},
    }
    with activate(tmp_path / "cache", min_seconds=0, share=share):
        with allowed("os.rename", "shutil.move", target) as permission:
            first = instantiate(node, **permission)
            calls()
            assert instantiate(node, **permission) == first and calls() == []
        with pytest.raises(InstantiationException) as cached:
            instantiate(node)
        assert calls() == []
    with pytest.raises(InstantiationException) as alone:
        instantiate(node)
    assert str(cached.value) == str(alone.value)


@pytest.mark.parametrize("target", CASES[:3])
def test_nor_what_a_target_instantiates_itself(tmp_path: Path, target: str) -> None:
    """With ``_recursive_: false`` the target would have met the refusal while it ran; so it has to run."""
    node = {"_target_": f"{HERE}.outer", "_recursive_": False, "config": rename(tmp_path, target)}
    with activate(tmp_path / "cache", min_seconds=0):
        with allowed("os.rename", "shutil.move", target) as permission:
            try:
                instantiate(node, **permission)
            except InstantiationException:
                pytest.skip("this Hydra does not pass the permission on to calls within targets")
        calls()
        with pytest.raises(InstantiationException):
            instantiate(node)
        assert calls() == ["outer"]


def test_functions_that_are_found_by_name(tmp_path: Path) -> None:
    """``hydra.utils.get_method`` of a blocklisted function is refused, entry or not; so is a result that is one."""
    found = {"_target_": "hydra.utils.get_method", "path": "os.rename"}
    computed = {"_target_": f"{HERE}.returns_function", "name": "rename"}
    for node in (found, computed):
        with activate(tmp_path / "cache", min_seconds=0):
            with allowed("os.rename", f"{HERE}.returns_function") as permission:
                for _ in range(2):
                    assert instantiate(node, **permission) is os.rename
            with pytest.raises(InstantiationException) as cached:
                instantiate(node)
        with pytest.raises(InstantiationException) as alone:
            instantiate(node)
        assert str(cached.value) == str(alone.value)


def test_an_entry_of_a_hydra_without_policy(tmp_path: Path) -> None:
    """Entries whose manifest names another policy do not serve targets of the standard library."""
    from hydra_cached.active import seam

    node = rename(tmp_path, "shutil.copy")
    with activate(tmp_path / "cache", min_seconds=0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(seam(), "policy_version", lambda: "none")
        instantiate(node)
    (tmp_path / "b").unlink()
    with activate(tmp_path / "cache", min_seconds=0):
        instantiate(node)
    assert (tmp_path / "b").exists()


@pytest.mark.skipif(OLD, reason="whitelists came with Hydra 1.4")
class TestWhitelists:
    """Hydra 1.4's ``_execution_whitelist_``."""

    NODE = {"_target_": f"{HERE}.target", "a": {"_target_": f"{HERE}.add", "a": 1}}

    def test_a_hit_needs_the_whitelist_that_a_call_needs(self, tmp_path: Path) -> None:
        """A target that the whitelist does not name is refused although its result is there."""
        with activate(tmp_path, min_seconds=0):
            first = instantiate(self.NODE)
            calls()
            assert instantiate(self.NODE, _execution_whitelist_=f"{HERE}.*") == first
            assert instantiate(self.NODE, _execution_whitelist_=[f"{HERE}.target", f"{HERE}.add"]) == first
            assert calls() == []
            for whitelist in ([f"{HERE}.target"], [f"{HERE}.add"], "other.*", []):
                with pytest.raises(InstantiationException) as cached:
                    instantiate(self.NODE, _execution_whitelist_=whitelist)
                assert "whitelist" in str(cached.value)
            assert calls() == []

    def test_the_error_is_hydras(self, tmp_path: Path) -> None:
        """Which target is refused, and what is said of it, is the same as without a cache."""
        messages = []
        for directory in (None, tmp_path):
            for whitelist in ([f"{HERE}.target"], [f"{HERE}.add"]):
                if directory is None:
                    with pytest.raises(InstantiationException) as caught:
                        instantiate(self.NODE, _execution_whitelist_=whitelist)
                else:
                    with activate(directory, min_seconds=0):
                        instantiate(self.NODE)
                        with pytest.raises(InstantiationException) as caught:
                            instantiate(self.NODE, _execution_whitelist_=whitelist)
                messages.append(str(caught.value))
        assert messages[:2] == messages[2:]

    def test_a_whitelist_in_a_config_is_refused(self, tmp_path: Path) -> None:
        """A config cannot allow itself anything, with or without an entry."""
        with activate(tmp_path, min_seconds=0):
            instantiate(self.NODE)
            for config in (
                {**self.NODE, "_execution_whitelist_": ["os.*"]},
                {**self.NODE, "a": {**self.NODE["a"], "_execution_whitelist_": ["os.*"]}},  # type: ignore[dict-item]
            ):
                for _ in range(2):
                    with pytest.raises(InstantiationException, match="_execution_whitelist_ must be passed"):
                        instantiate(config)

    def test_a_whitelist_of_the_context(self, tmp_path: Path) -> None:
        """``with execution_whitelist(...)`` counts for hits, too."""
        from hydra._internal.execution_policy import execution_whitelist

        with activate(tmp_path, min_seconds=0):
            first = instantiate(self.NODE)
            with execution_whitelist([f"{HERE}.*"]):
                assert instantiate(self.NODE) == first
            with execution_whitelist(["nothing.*"]), pytest.raises(InstantiationException):
                instantiate(self.NODE)
