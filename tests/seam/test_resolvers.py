"""Custom resolvers: what they say is in the key, and what they say anew each time is never a wrong hit."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from seam_targets import HERE, OLD, calls

from hydra_cached import activate


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    calls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    for name in ("count", "often", "fails", "env", "now"):
        OmegaConf.clear_resolver(name)


def test_a_counter_is_never_a_wrong_hit(tmp_path: Path) -> None:
    """A resolver that counts: no result is that of another number, cold, warm or in a second store."""
    counter = itertools.count()
    OmegaConf.register_new_resolver("count", lambda: next(counter))
    config = OmegaConf.create(
        {
            "_target_": f"{HERE}.target",
            "n": "${count:}",
            "d": {"m": ["${count:}"]},
            "c": {"_target_": f"{HERE}.add", "a": "${count:}"},
        }
    )
    for _ in range(2):
        with activate(tmp_path, min_seconds=0):
            seen: list[Any] = []
            for _ in range(8):
                result = OmegaConf.to_container(OmegaConf.create(instantiate(config, _convert_="all")[2]))
                assert isinstance(result, dict)
                seen.extend([result["n"], result["d"]["m"][0], result["c"]])
            assert len(set(seen[0::3])) == len(set(seen[1::3])) == len(set(seen[2::3])) == 8


def test_a_resolver_that_repeats_itself_now_and_then(tmp_path: Path) -> None:
    """A resolver with few answers: a hit is the result of the very answer that was read, as a call's would be."""
    answers = itertools.cycle([0, 0, 1, 0, 1, 1, 1])
    given: list[int] = []

    def often() -> int:
        given.append(next(answers))
        return given[-1]

    OmegaConf.register_new_resolver("often", often)
    config = OmegaConf.create({"_target_": f"{HERE}.target", "n": "${often:}"})
    with activate(tmp_path, min_seconds=0):
        for _ in range(60):
            given.clear()
            assert instantiate(config)[2]["n"] in given


def test_a_resolver_that_repeats_itself_in_nested_nodes(tmp_path: Path) -> None:
    """The same through a child: what the parent received is what its entry says it received."""
    state = itertools.cycle([0, 1, 1, 0, 0, 0, 1])
    OmegaConf.register_new_resolver("often", lambda: next(state))
    config = OmegaConf.create(
        {
            "_target_": f"{HERE}.target",
            "n": "${often:}",
            "c": {"_target_": f"{HERE}.add", "a": "${often:}", "b": 0},
        }
    )
    store = tmp_path / "cache"
    with activate(store, min_seconds=0):
        for _ in range(60):
            instantiate(config)
    OmegaConf.clear_resolver("often")
    for number in (0, 1):
        OmegaConf.register_new_resolver("often", lambda number=number: number, replace=True)
        with activate(store, min_seconds=0):
            assert instantiate(config)[2] == {"n": number, "c": number}


def test_resolvers_are_called_as_often_as_by_hydra(tmp_path: Path) -> None:
    """On Hydra 1.3 looking costs no evaluation: a resolver is called exactly as often as without a cache."""
    if not OLD:
        pytest.skip("Hydra 1.4 evaluates while it builds, so a key costs one evaluation more")
    seen: list[str] = []
    OmegaConf.register_new_resolver("count", lambda: seen.append("x") or "y")  # type: ignore[func-returns-value]
    config = OmegaConf.create(
        {
            "_target_": f"{HERE}.target",
            "a": "${count:}",
            "b": {"_target_": f"{HERE}.target", "c": "${count:}"},
        }
    )
    instantiate(config)
    alone = len(seen)
    for _ in range(2):
        seen.clear()
        with activate(tmp_path, min_seconds=0):
            instantiate(config)
        assert len(seen) == alone


def test_failing_resolvers(tmp_path: Path) -> None:
    """What a resolver raises is what Hydra makes of it."""

    def fails() -> Any:
        raise ZeroDivisionError("in the resolver")

    OmegaConf.register_new_resolver("fails", fails)
    for text in ("${fails:}", "${nowhere}", "${no_such:1}", "${oc.env:NO_SUCH_VARIABLE}", "a ${fails:} b"):
        config = OmegaConf.create({"x": {"_target_": f"{HERE}.target", "a": {"b": [text]}}})
        with pytest.raises(Exception) as alone:
            instantiate(config)
        with activate(tmp_path, min_seconds=0):
            for _ in range(2):
                with pytest.raises(type(alone.value)) as cached:
                    instantiate(config)
                assert str(cached.value) == str(alone.value)
    assert calls() == []


def test_environment_variables_are_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a variable counts, not its name."""
    config = OmegaConf.create({"_target_": f"{HERE}.target", "a": "${oc.env:SEAM_TEST}"})
    with activate(tmp_path, min_seconds=0):
        for value in ("1", "2", "1"):
            monkeypatch.setitem(os.environ, "SEAM_TEST", value)
            assert instantiate(config)[2] == {"a": value}
    assert calls() == ["target", "target"]
