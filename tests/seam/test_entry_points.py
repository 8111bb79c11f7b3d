"""Whichever way a program reaches Hydra's ``instantiate``, it is the cached one, and only while a session lasts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra.utils
import hydra_zen
import pytest
import seam_targets as targets
from hydra._internal.instantiate import _instantiate2 as internals
from hydra.utils import call as call_bound_early
from hydra.utils import instantiate as instantiate_bound_early
from omegaconf import OmegaConf
from seam_targets import HERE, calls

import hydra_cached
from hydra_cached import activate
from hydra_cached.events import Kind

NODE = {"_target_": f"{HERE}.add", "a": 1, "b": 2}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    calls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    "function",
    [
        instantiate_bound_early,
        call_bound_early,
        targets.bound_early,
        hydra_zen.instantiate,
        hydra_cached.instantiate,
        lambda config: hydra.utils.instantiate(config),
        lambda config: internals.instantiate(config),
    ],
    ids=["instantiate", "call", "another module's", "hydra_zen", "hydra_cached", "hydra.utils", "internal"],
)
@pytest.mark.parametrize("make", [dict, OmegaConf.create], ids=["dict", "DictConfig"])
def test_every_name_for_instantiate_is_cached(tmp_path: Path, function: Any, make: Any) -> None:
    """Functions that were imported by name before the session began are cached all the same."""
    with activate(tmp_path, min_seconds=0):
        assert function(make(NODE)) == 3
        assert function(make(NODE)) == 3
    assert calls() == ["add"]


def test_nothing_of_ours_stays_in_hydra(tmp_path: Path) -> None:
    """Inactive, the cache costs nothing: Hydra's module holds Hydra's own functions, before and after."""
    names = ("instantiate_node", "_call_target", "OmegaConf")
    originals = [getattr(internals, name) for name in names]
    with activate(tmp_path, min_seconds=0):
        assert internals.instantiate_node is not originals[0]
        with activate(None):
            pass
        assert internals.instantiate_node is not originals[0]
    assert [getattr(internals, name) for name in names] == originals
    assert instantiate_bound_early(NODE) == instantiate_bound_early(NODE) == 3
    assert calls() == ["add", "add"]


def test_nothing_of_ours_stays_after_an_error(tmp_path: Path) -> None:
    """A block that ends with an error leaves Hydra as it was, too."""
    original = internals.instantiate_node
    with pytest.raises(ZeroDivisionError), activate(tmp_path, min_seconds=0):
        raise ZeroDivisionError
    assert internals.instantiate_node is original


def test_mode_off_runs_everything(tmp_path: Path) -> None:
    """``mode: off`` caches nothing; it only keeps the special keys away from the targets."""
    special = {**NODE, "_cache_version_": 1, "_cache_result_": False, "_cache_ignore_": ["b"]}
    with activate(tmp_path, min_seconds=0, mode="off"):
        assert instantiate_bound_early(special) == instantiate_bound_early(special) == 3
    assert calls() == ["add", "add"]
    assert not list(tmp_path.rglob("*"))


def test_builds(tmp_path: Path) -> None:
    """Configs that hydra-zen makes are cached like those written by hand."""
    conf = hydra_zen.builds(targets.Tree, value=hydra_zen.builds(targets.add, a=1, b=2), left=None)
    with activate(tmp_path, min_seconds=0):
        first = hydra_zen.instantiate(conf, right=5)
        assert sorted(calls()) == ["Tree", "add"]
        second = instantiate_bound_early(conf, right=5)
    assert calls() == []
    assert first == second == targets.Tree(3, None, 5)
    assert second is not first


def test_builds_of_another_function_is_another_result(tmp_path: Path) -> None:
    """hydra-zen's wrapper is one target for many functions; the function that it wraps is in the key."""
    one = hydra_zen.builds(targets.add, 1, zen_meta={"note": "x"})
    two = hydra_zen.builds(targets.target, 1, zen_meta={"note": "x"})
    with activate(tmp_path, min_seconds=0) as session:
        for _ in range(2):
            assert hydra_zen.instantiate(one) == 2
            assert hydra_zen.instantiate(two) == ("target", (1,), {})
        assert calls() == ["add", "target"]
        assert {event.target for event in session.events} == {f"{HERE}.add", f"{HERE}.target"}


def test_zen_meta_never_reaches_the_target(tmp_path: Path) -> None:
    """Meta fields are not passed on, neither on a miss nor on a hit."""
    conf = hydra_zen.builds(targets.target, a="${.note}", zen_meta={"note": "x"})
    with activate(tmp_path, min_seconds=0):
        assert [hydra_zen.instantiate(conf) for _ in range(2)] == [("target", (), {"a": "x"})] * 2
    assert calls() == ["target"]


def test_zen_partial(tmp_path: Path) -> None:
    """A partial object is made each time, never stored, and what it computes is not cached."""
    conf = hydra_zen.builds(targets.add, a=1, zen_partial=True)
    wrapped = hydra_zen.builds(targets.add, a=1, zen_partial=True, zen_meta={"note": "x"})
    with activate(tmp_path, min_seconds=0) as session:
        for each in (conf, conf, wrapped, wrapped):
            assert hydra_zen.instantiate(each)(b=5) == 6
        assert calls() == ["add"] * 4
        assert not any(event.stored or event.kind is Kind.HIT for event in session.events)


def test_zen_wrappers(tmp_path: Path) -> None:
    """A wrapped target is served as a whole, and another wrapper is another result."""
    conf = hydra_zen.builds(targets.target, 1, zen_wrappers=targets.doubled)
    plain = hydra_zen.builds(targets.target, 1)
    with activate(tmp_path, min_seconds=0):
        results = [hydra_zen.instantiate(each) for each in (conf, plain, conf, plain)]
    once = ("target", (1,), {})
    assert results == [[once, once], once, [once, once], once]
    assert calls() == ["target", "target"]


def test_just(tmp_path: Path) -> None:
    """``just`` gives the function itself, on hits too."""
    with activate(tmp_path, min_seconds=0):
        for _ in range(2):
            assert hydra_zen.instantiate(hydra_zen.just(targets.add)) is targets.add
            assert (
                hydra_zen.instantiate({"_target_": "hydra.utils.get_method", "path": f"{HERE}.add"})
                is targets.add
            )
            assert (
                hydra_zen.instantiate({"_target_": "hydra.utils.get_class", "path": f"{HERE}.Tree"})
                is targets.Tree
            )


def test_config_of_a_cached_call_may_be_of_any_kind(tmp_path: Path) -> None:
    """A structured config, its class, a DictConfig and a dict of equal content are one node."""
    conf = hydra_zen.builds(targets.add, a=1, b=2)
    with activate(tmp_path, min_seconds=0):
        kinds = [conf, conf(), OmegaConf.structured(conf), NODE, OmegaConf.create(NODE)]
        assert [instantiate_bound_early(each) for each in kinds] == [3] * 5
    assert calls() == ["add"]
