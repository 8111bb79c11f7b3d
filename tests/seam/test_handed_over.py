"""What a target is handed and somebody else still holds: results refer to it, and do not hold copies of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import seam_targets as targets
from hydra.utils import instantiate
from omegaconf import OmegaConf
from seam_targets import HERE, OLD, box_of, calls

from hydra_cached import activate
from hydra_cached.events import Kind
from hydra_cached.session import Session

KEEPER = {"_target_": f"{HERE}.Keeper"}
lazy = pytest.mark.skipif(OLD, reason="Hydra 1.3 gives targets copies of the config")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A cache that stores whatever it can."""
    calls()
    with warnings.catch_warnings(), activate(tmp_path, min_seconds=0) as active:
        warnings.simplefilter("ignore")
        yield active


def test_a_hit_holds_the_callers_own_object(session: Session) -> None:
    """A scheduler that is served drives the optimizer that was passed, not a copy of it."""
    for _ in range(2):
        box = box_of(1)
        by_name, by_place = instantiate(KEEPER, box=box), instantiate(KEEPER, box)
        assert by_name.kwargs["box"] is box
        assert by_place.args[0] is box
    assert calls() == ["Keeper"] * 2


def test_a_hit_is_the_callers_own_object(session: Session) -> None:
    """A target that returns what it was passed returns it itself, also when it is served."""
    for _ in range(2):
        box = box_of(1)
        assert instantiate({"_target_": f"{HERE}.first"}, a=box) is box
    assert calls() == ["first"]


def test_deep_inside(session: Session) -> None:
    """The same holds for what is passed to a stage within, and for what stands deep in the result."""
    config = {**KEEPER, "inner": {"_target_": f"{HERE}.Keeper", "name": "inner"}}
    for _ in range(2):
        box = box_of(1)
        result = instantiate(config, inner={"boxes": [box]})
        assert result.kwargs["inner"].kwargs["boxes"][0] is box
    assert calls() == ["Keeper"] * 2


def test_one_object_twice_is_not_two(session: Session) -> None:
    """What a result got from one object that was passed twice is not served for two, nor the other way round."""
    one, other = box_of(1), box_of(1)
    for left, right in ((one, one), (one, other), (one, one), (one, other)):
        kept = instantiate(KEEPER, left=left, right=right).kwargs
        assert kept["left"] is left and kept["right"] is right
    assert Kind.DAMAGED not in {event.kind for event in session.events}


def test_what_is_passed_still_counts(session: Session) -> None:
    """Results that hold unequal objects are unequal to the stages that receive them."""
    config = {"_target_": f"{HERE}.first", "a": KEEPER}
    for value in (1, 2, 1, 2):
        box = box_of(value)
        assert instantiate(config, a={"box": box}).kwargs["box"] is box
    assert calls() == ["Keeper", "first"] * 2


def test_a_change_to_what_was_passed_is_not_stored(session: Session) -> None:
    """A target that trains the model that it is passed runs each time: a hit would leave it untrained."""
    for _ in range(2):
        box = box_of(1)
        assert instantiate({"_target_": f"{HERE}.fill"}, box=box) == 2
        assert box.value == 2
    assert calls() == ["fill"] * 2
    assert "its target changed box" in session.events[0].reason


def test_a_change_within_is_not_stored(session: Session) -> None:
    """Nor is what contains such a stage."""
    config = {"_target_": f"{HERE}.first", "a": {"_target_": f"{HERE}.fill"}}
    for _ in range(2):
        box = box_of(1)
        assert instantiate(config, a={"box": box}) == 2
        assert box.value == 2


@lazy
def test_the_apps_config_is_itself(session: Session) -> None:
    """What Hydra 1.4 hands over unbuilt is the app's own config, also in a result that is served."""
    for _ in range(2):
        app = OmegaConf.create(
            {"shared": {"x": 1}, "node": {**KEEPER, "_recursive_": False, "part": "${shared}"}}
        )
        app.node.own = {"deep": {"y": 2}}
        kept = instantiate(app.node).kwargs
        assert kept["part"] is app.shared
        assert kept["own"].deep is app.node.own.deep
    assert calls() == ["Keeper"]


@lazy
def test_a_config_that_is_passed_is_itself(session: Session) -> None:
    """So is a config that is passed at the call, whether the node has a parameter of that name or not."""
    for node in ({**KEEPER, "_recursive_": False}, {**KEEPER, "_recursive_": False, "cfg": {"x": 0}}):
        for _ in range(2):
            passed = OmegaConf.create({"x": 1, "y": {"z": "${x}"}})
            kept = instantiate(node, cfg=passed).kwargs["cfg"]
            assert kept is passed
    assert calls() == ["Keeper"]


@lazy
@pytest.mark.parametrize("change", ["set_deep", "add_key"])
def test_a_change_to_the_apps_config_is_not_stored(session: Session, change: str) -> None:
    """A target that writes to the app's config runs each time."""
    for _ in range(2):
        node = {"_target_": f"{HERE}.{change}", "_recursive_": False, "part": {"deep": {"x": 1}}}
        app = OmegaConf.create({"node": node})
        instantiate(app.node)
        assert app.node.part == ({"deep": {"x": 2}} if change == "set_deep" else {"deep": {"x": 1, "y": 1}})


@lazy
def test_whether_config_can_be_changed_counts(session: Session) -> None:
    """Hydra 1.4 guards an app's config and not a dict's copy, and a target can tell."""
    node = {"_target_": f"{HERE}.guarded", "_recursive_": False, "part": {"x": 1}}
    for _ in range(2):
        assert instantiate(OmegaConf.create(node)) is True
        assert instantiate(node) is False
    assert calls() == ["guarded"] * 2


@lazy
def test_objects_in_what_is_merged(session: Session) -> None:
    """An object in a dict that is merged into a structured config is the caller's own."""
    node = OmegaConf.create({**KEEPER, "settings": OmegaConf.structured(Settings)})
    for _ in range(2):
        point = targets.Point(1, 2)
        assert instantiate(node, settings={"point": point}).kwargs["settings"].point is point
    assert calls().count("Keeper") == 1


@dataclass
class Settings:
    point: targets.Point = field(default_factory=targets.Point)


def test_a_class_that_only_the_caller_has(session: Session) -> None:
    """A structured config of a local class keeps that class: a hit would bring another of its name."""

    @dataclass
    class Local:
        x: int = 1

    for _ in range(2):
        kept = instantiate({**KEEPER, "part": Local()}).kwargs["part"]
        assert OmegaConf.get_type(kept) is Local


def test_resolvers_that_a_target_registers(session: Session) -> None:
    """A target that registers a resolver runs each time, and so does what contains it."""
    node = {"_target_": f"{HERE}.register", "name": "handed_over"}
    for config in (node, {"_target_": f"{HERE}.first", "a": node}):
        for _ in range(2):
            OmegaConf.clear_resolver("handed_over")
            instantiate(config)
            assert OmegaConf.has_resolver("handed_over")
    OmegaConf.clear_resolver("handed_over")
    assert calls().count("register") == 4
    assert "registered the resolver handed_over" in session.events[0].reason


def test_targets_that_hydra_zen_wraps(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """``_target_wrapper_`` makes other results: neither are they stored, nor what is stored served for them."""
    from hydra_zen import instantiate as zen_instantiate

    config = {"_target_": f"{HERE}.add", "a": 1, "_cache_version_": 3}
    for _ in range(2):
        assert zen_instantiate(config) == 2
        assert zen_instantiate(config, _target_wrapper_=targets.doubled) == [2, 2]
    assert calls() == ["add"] * 3
    assert "not cached: hydra_zen calls the targets" in caplog.text


def test_a_session_that_begins_while_targets_are_wrapped(tmp_path: Path) -> None:
    """A session that a wrapped target begins leaves the wrapper where it is, and a later one caches."""
    from hydra_zen import instantiate as zen_instantiate

    calls()
    config = {"_target_": f"{HERE}.begins_a_session", "directory": str(tmp_path)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert zen_instantiate(config, _target_wrapper_=targets.doubled) == [[[2, 2], [2, 2]]] * 2
        assert instantiate(config) == [2, 2]
    assert calls() == ["add"] * 3
