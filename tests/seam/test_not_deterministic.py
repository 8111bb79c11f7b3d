"""Targets that must run each time: each node gets its own result, and a dependant's key says which it got."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import seam_targets as targets
from hydra.utils import instantiate
from omegaconf import OmegaConf
from seam_targets import HERE, calls

from hydra_cached import activate

TICK = {"_target_": f"{HERE}.tick"}
TARGET = {"_target_": f"{HERE}.target"}
CONFIGS: dict[str, Any] = {
    "twice": {**TARGET, "a": TICK, "b": TICK},
    "in a list": {**TARGET, "a": [TICK, {"x": TICK}]},
    "deeper": {**TARGET, "a": TICK, "b": {"_target_": f"{HERE}.first", "a": TICK}},
    "deeper first": {**TARGET, "a": {"_target_": f"{HERE}.first", "a": TICK}, "b": TICK},
    "by reference": {**TARGET, "a": TICK, "b": "${.a}"},
    "in a partial": {**TARGET, "a": {"_target_": f"{HERE}.first", "_partial_": True, "a": TICK}, "b": TICK},
    "beside a stable one": {**TARGET, "a": TICK, "b": {"_target_": f"{HERE}.add", "a": 1}, "c": TICK},
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    calls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    targets.TICKS.clear()


def numbers(result: Any) -> list[int]:
    """What the clock said, in the order of the parameters."""
    found: list[int] = []
    for value in result[2].values():
        if callable(value):
            value = value()
        items = value if isinstance(value, list) or OmegaConf.is_list(value) else [value]
        found.extend(item["x"] if OmegaConf.is_dict(item) else item for item in items)
    return found


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_each_node_gets_its_own(tmp_path: Path, config: Any) -> None:
    """Equal nodes run each for themselves with ``share: none``, in Hydra's order, and no result of other ticks is
    ever served, whatever the order in which the ticks come."""
    seen: list[list[int]] = []
    expected: list[list[int]] = []
    with activate(tmp_path, min_seconds=0, share="none"):
        for pair in itertools.product((1, 2), (1, 2), (1, 2)):
            targets.TICKS[:] = pair[:2]
            seen.append([number for number in numbers(instantiate(config)) if number < 10])
            expected.append(list(pair[:2]))
            assert calls().count("tick") == 2
    if "b" in config and config["b"] == {"_target_": f"{HERE}.add", "a": 1}:
        seen = [[each[0], each[2]] for each in seen]
    assert seen == expected


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("share", ["reference", "equal"])
def test_what_is_shared_runs_once(tmp_path: Path, config: Any, share: str) -> None:
    """Nodes that share an object run once, and all of them get it."""
    with activate(tmp_path, min_seconds=0, share=share):
        for ticks in ((1, 2), (2, 1), (1, 2), (1, 1), (2, 2)):
            targets.TICKS[:] = ticks
            found = numbers(instantiate(config))
            if share == "equal" or "${.a}" in config.values():
                assert set(found) - {2} <= {ticks[0]} and calls().count("tick") == 1
            else:
                assert calls().count("tick") == 2
                assert [found[0], found[-1]] == list(ticks)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_equal_ticks_make_the_rest_hit(tmp_path: Path, config: Any) -> None:
    """When the clock says what it said before, only the clock is asked."""
    with activate(tmp_path, min_seconds=0, share="none"):
        targets.TICKS[:] = (1, 2)
        first = numbers(instantiate(config))
        calls()
        targets.TICKS[:] = (1, 2)
        assert numbers(instantiate(config)) == first
        again = calls()
    if "_partial_" not in str(config):
        assert again == ["tick", "tick"]


def test_errors_of_unstable_children_come_in_their_turn(tmp_path: Path) -> None:
    """A clock that fails does so where Hydra would have asked it, after what comes before, and only once."""
    early = {"_target_": f"{HERE}.first", "_partial_": True, "a": {"_target_": f"{HERE}.add", "a": 1}}
    config = {**TARGET, "a": early, "b": {"_target_": f"{HERE}.failing_tick"}, "c": TICK}
    targets.TICKS[:] = (1, 1)
    with activate(tmp_path, min_seconds=0) as session:
        for _ in range(2):
            with pytest.raises(Exception, match="no clock") as caught:
                instantiate(config)
            notes = "".join(getattr(caught.value, "__notes__", ()))
            said = hasattr(BaseException, "add_note") or "full_key" in str(
                caught.value
            )  # Hydra 1.4, Python 3.10
            assert (str(caught.value) + notes).count("full_key: b") == said
            assert [name for name in calls() if name != "add"] == ["failing_tick"]
        assert [event.path for event in session.events if event.kind.value == "failed"] == ["b", ""] * 2


def test_an_error_before_it_wins(tmp_path: Path) -> None:
    """A stage that cannot be called at all is reported as Hydra reports it, not the failure of its clock."""
    for target in (f"{HERE}.HERE", "seam_targets.nowhere"):
        config = {"_target_": target, "a": {"_target_": f"{HERE}.failing_tick"}}
        with pytest.raises(Exception) as alone:
            instantiate(config)
        with activate(tmp_path, min_seconds=0), pytest.raises(type(alone.value)) as cached:
            instantiate(config)
        assert str(cached.value) == str(alone.value)


def test_what_hydra_does_not_build_does_not_run(tmp_path: Path) -> None:
    """In a dict with ``_recursive_: false`` Hydra 1.3 builds nodes and 1.4 does not; looking for keys neither."""
    for config in (
        {**TARGET, "a": {"_recursive_": False, "b": TICK}},
        {"a": {"_recursive_": False, "b": TICK, "c": [TICK]}},
        {**TARGET, "a": [TICK], "_recursive_": False},
    ):
        targets.TICKS[:] = (1, 2)
        instantiate(config)
        alone = calls()
        with activate(tmp_path, min_seconds=0, share="none") as session:
            for _ in range(2):
                targets.TICKS[:] = (1, 2)
                instantiate(config)
                assert calls() == [name for name in alone if name == "tick" or not session.summary().hits]
            assert not session.summary().refused
