"""What Hydra's own tests say of values that are passed, through a cold and a warm cache."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra.types
import pytest
import seam_targets as targets
from hydra.types import ConvertMode
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from seam_targets import HERE, OLD, IncompatibleWithOmegaConf, Tree, Uncopyable, calls

import hydra_cached
from hydra_cached import activate

Twice = Callable[..., list[Any]]


@pytest.fixture
def twice(tmp_path: Path) -> Iterator[Twice]:
    """Gives the results of two equal calls, the second with a warm cache."""

    def run(*args: Any, **kwargs: Any) -> list[Any]:
        return [instantiate(*args, **kwargs) for _ in range(2)]

    calls()
    with warnings.catch_warnings(), activate(tmp_path, min_seconds=0):
        warnings.simplefilter("ignore")
        yield run


def test_none_is_none(twice: Twice) -> None:
    """``None`` and nodes of a config that are None are None."""
    assert twice(None) == [None, None]
    config = OmegaConf.create({"a": DictConfig(None), "b": ListConfig(None), "c": None})
    assert twice(config) == [{"a": None, "b": None, "c": None}] * 2
    if not OLD:
        assert twice(DictConfig(None)) == [None, None]


def test_none_nodes(twice: Twice) -> None:
    """A None in the place of a node is passed as None."""
    config = OmegaConf.create({"_target_": f"{HERE}.Tree", "value": 1, "left": None})
    assert twice(config) == [Tree(1), Tree(1)]
    config = OmegaConf.create(
        {"_target_": f"{HERE}.target", "a": [None, {"_target_": f"{HERE}.add", "a": 1}]}
    )
    assert [result[2]["a"] for result in twice(config)] == [[None, 2]] * 2


def test_a_list_at_the_top(twice: Twice) -> None:
    """A list of nodes gives a list of results, as Hydra types it."""
    config = [{"_target_": f"{HERE}.add", "a": 1}, {"_target_": f"{HERE}.add", "a": 2}, 7]
    for each in (config, OmegaConf.create(config)):
        for result in twice(each):
            assert isinstance(result, ListConfig) and result == [2, 3, 7]
        for result in twice(each, _convert_="all"):
            assert type(result) is list and result == [2, 3, 7]
    assert calls() == ["add"] * 4  # the conversion is in the key


def test_a_partial_list_is_refused(twice: Twice) -> None:
    """``_partial_`` at a list is Hydra's error."""
    with pytest.raises(Exception, match="not compatible with top-level list instantiation"):
        twice([{"_target_": f"{HERE}.add", "a": 1}], _partial_=True)


def test_a_dict_without_target(twice: Twice) -> None:
    """A dict of nodes is built node by node, and what is not a node stays."""
    config = OmegaConf.create({"a": {"b": {"_target_": f"{HERE}.add", "a": 1}, "c": "${a.d}", "d": 5}})
    for result in twice(config):
        assert isinstance(result, DictConfig) and result == {"a": {"b": 2, "c": 5, "d": 5}}
    assert calls() == ["add"]


def test_target_given_at_the_call(twice: Twice) -> None:
    """``instantiate(config, _target_=...)``: a class, a function or a name given at the call is what is called."""
    for target in (Tree, f"{HERE}.Tree"):
        assert twice({"value": 3}, _target_=target) == [Tree(3)] * 2
        assert twice({"_target_": f"{HERE}.fails", "value": 3}, _target_=target) == [Tree(3)] * 2
    assert calls().count("fails") == 0
    assert twice({"value": 3}, _target_=targets.target) == [("target", (), {"value": 3})] * 2


def test_positional_arguments_win_over_args(twice: Twice) -> None:
    """Arguments of the call replace ``_args_`` of the config, and count in the key."""
    config = {"_target_": f"{HERE}.target", "_args_": [1, 2]}
    assert [result[1] for result in twice(config)] == [(1, 2)] * 2
    assert [result[1] for result in twice(config, 3)] == [(3,)] * 2
    assert [result[1] for result in twice(config, 4, 5)] == [(4, 5)] * 2
    assert [result[1] for result in twice(config, True)] == [(True,)] * 2
    assert [type(result[1][0]) for result in twice(config, 1.0)] == [float] * 2
    assert calls() == ["target"] * 5


def test_what_cannot_be_copied_is_passed_through(twice: Twice) -> None:
    """An object that can be neither copied nor pickled arrives itself, every time; the call is never cached."""
    passed = Uncopyable()
    for result in twice({"_target_": f"{HERE}.Keeper"}, passed):
        assert result.args[0] is passed
    if not OLD:
        for result in twice({"_target_": f"{HERE}.Keeper"}, x=passed):
            assert result.kwargs["x"] is passed


def test_generators_are_passed_through(twice: Twice) -> None:
    """A generator that is passed arrives unread."""
    for read in (False, True):
        passed = (number for number in range(3))
        result = twice({"_target_": f"{HERE}.Keeper"}, passed)[0]
        assert result.args[0] is passed
        if read:
            assert list(result.args[0]) == [0, 1, 2]
    assert calls() == ["Keeper"] * 4


def test_objects_that_omegaconf_does_not_know(twice: Twice) -> None:
    """Objects of other types are passed through, at the call and in a config that allows objects."""
    passed = IncompatibleWithOmegaConf(7)
    for result in twice({"_target_": f"{HERE}.Keeper"}, x=passed):
        assert result.kwargs["x"] == passed
    config = OmegaConf.create({"_target_": f"{HERE}.Keeper", "x": passed}, flags={"allow_objects": True})
    for result in twice(config):
        assert result.kwargs["x"] == passed


def test_another_object_is_another_result(twice: Twice) -> None:
    """Two objects of one type are never taken for each other, even at one address."""
    for value in range(20):
        for result in twice({"_target_": f"{HERE}.Keeper"}, IncompatibleWithOmegaConf(value)):
            assert result.args[0].value == value


def test_dataclass_instances(twice: Twice) -> None:
    """A dataclass instance at the call is whatever it is to Hydra: config in 1.3, an object in 1.4."""
    passed = targets.Point(1, 2)
    calls()
    kinds = [type(result[2]["x"]) for result in twice({"_target_": f"{HERE}.target"}, x=passed)]
    assert kinds == [DictConfig if OLD else targets.Point] * 2
    converted = [
        result[2]["x"] for result in twice({"_target_": f"{HERE}.target", "_convert_": "object"}, x=passed)
    ]
    assert converted == [passed] * 2 and all(type(each) is targets.Point for each in converted)


@pytest.mark.parametrize("convert", ["none", "partial", "object", "all"])
@pytest.mark.parametrize("given", [str, ConvertMode], ids=["str", "enum"])
def test_conversion_is_part_of_the_key(twice: Twice, convert: str, given: Any) -> None:
    """Each ``_convert_`` has its own result, given as a string or as an enum, in the node or above."""
    point = OmegaConf.structured(targets.Point(1, 2))
    calls()
    node = {"_target_": f"{HERE}.target", "p": point, "d": {"x": [1]}}
    mode = given(convert)
    point_type = {"none": DictConfig, "partial": DictConfig, "object": targets.Point, "all": dict}[convert]
    other_type = DictConfig if convert == "none" else dict
    for config in ({**node, "_convert_": mode}, OmegaConf.create({**node, "_convert_": mode})):
        for result in twice(config):
            assert (type(result[2]["p"]), type(result[2]["d"])) == (point_type, other_type)
    for result in twice(node, _convert_=mode):
        assert (type(result[2]["p"]), type(result[2]["d"])) == (point_type, other_type)
    for result in twice({"_target_": f"{HERE}.target", "a": node, "_convert_": mode}):
        assert (type(result[2]["a"][2]["p"]), type(result[2]["a"][2]["d"])) == (point_type, other_type)


def test_conversions_do_not_mix(twice: Twice) -> None:
    """In one store, four conversions of one node have four results."""
    node = {"_target_": f"{HERE}.target", "d": {"x": [1]}, "p": OmegaConf.structured(targets.Point(1, 2))}
    kinds = set()
    for convert in ("none", "partial", "object", "all", "none", "partial", "object", "all"):
        result = twice(node, _convert_=convert)[1][2]
        kinds.add((convert, type(result["d"]), type(result["p"])))
    assert len(kinds) == 4


def test_partials_are_equal(twice: Twice) -> None:
    """A partial object has its function and arguments each time, and is another object each time."""
    config = {"_target_": f"{HERE}.add", "_partial_": True, "a": {"_target_": f"{HERE}.add", "a": 1}}
    first, second = twice(config)
    assert isinstance(first, functools.partial) and first is not second
    for made in (first, second):
        assert (made.func, made.args, made.keywords) == (targets.add, (), {"a": 2})
        assert made(b=3) == 5
    assert calls() == ["add"] * 3


def test_a_partial_above_a_node(twice: Twice) -> None:
    """What a partial object holds is served; the object itself is made."""
    config = {"_target_": f"{HERE}.target", "f": {"_target_": f"{HERE}.add", "_partial_": True, "a": 1}}
    for result in twice(config):
        assert result[2]["f"](b=1) == 2


def test_partial_with_missing_values(twice: Twice) -> None:
    """A mandatory value that is missing is left out of a partial object, and is an error of a call."""
    config = OmegaConf.create({"_target_": f"{HERE}.add", "_partial_": True, "a": "???"})
    assert [made(a=4) for made in twice(config)] == [5, 5]
    config._partial_ = False
    for _ in range(2):
        with pytest.raises(Exception, match="Missing mandatory value"):
            twice(config)


def test_interpolation_of_the_parents(twice: Twice) -> None:
    """A node below the root sees the whole config: what it refers to outside of itself is in its key."""
    root = OmegaConf.create(
        {"here": {"_target_": f"{HERE}.target", "a": "${x}", "b": "${..x}", "c": "${y.z}"}}
    )
    for number in (1, 2, 1):
        root.x, root.y = number, {"z": [number]}
        for result in twice(root.here):
            assert result[2] == {"a": number, "b": number, "c": [number]}
    assert calls() == ["target"] * 2


def test_interpolations_of_nodes(twice: Twice) -> None:
    """``${node}`` builds that node, wherever it stands."""
    config = OmegaConf.create(
        {"one": {"_target_": f"{HERE}.add", "a": 1}, "two": {"_target_": f"{HERE}.add", "a": "${one}"}}
    )
    assert twice(config.two) == [3, 3]
    for result in twice(config):
        assert result == {"one": 2, "two": 3}


def test_overrides_merge_into_nested_nodes(twice: Twice) -> None:
    """A dict at the call merges into a nested node, and is in that node's key."""
    config = {"_target_": f"{HERE}.Tree", "value": 1, "left": {"_target_": f"{HERE}.Tree", "value": 2}}
    for value in (3, 4, 3):
        for result in twice(config, left={"value": value}):
            assert result == Tree(1, Tree(value))
    for result in twice(config, right={"_target_": f"{HERE}.Tree", "value": 5}):
        assert result == Tree(1, Tree(2), Tree(5))


def test_recursive_false_hands_over_configs(twice: Twice) -> None:
    """With ``_recursive_: false`` the nested node arrives as config, on a hit as on a miss."""
    node = {"_target_": f"{HERE}.target", "a": {"_target_": f"{HERE}.add", "a": 1}}
    for result in (*twice({**node, "_recursive_": False}), *twice(node, _recursive_=False)):
        assert result[2]["a"] == {"_target_": f"{HERE}.add", "a": 1}
    for result in twice(node):
        assert result[2]["a"] == 2


def test_missing_target_of_a_target_conf(twice: Twice) -> None:
    """A ``TargetConf`` without ``_target_`` gets Hydra's explanation."""
    if not OLD:
        pytest.skip("Hydra 1.4 has no TargetConf")
    with pytest.raises(Exception, match="Config has missing value for key `_target_`, cannot instantiate"):
        twice(hydra.types.TargetConf())


@pytest.mark.parametrize("config", ["a string", 5, object, {1, 2}])
def test_configs_of_wrong_types(twice: Twice, config: Any) -> None:
    """What is not a config is Hydra's error."""
    with pytest.raises(Exception, match="Cannot instantiate config of type"):
        twice(config)


def test_inputs_stay_as_they_were(twice: Twice) -> None:
    """Neither a miss nor a hit changes the config that was passed, its flags or its parents."""
    root = OmegaConf.create({"x": 1, "node": {"_target_": f"{HERE}.Keeper", "a": "${x}", "b": {"c": [1]}}})
    OmegaConf.set_readonly(root, True)
    before = OmegaConf.to_yaml(root)
    twice(root.node, d=5)
    twice(root)
    assert OmegaConf.to_yaml(root) == before
    assert OmegaConf.is_readonly(root.node.b) and not OmegaConf.is_struct(root)
    assert root.node._get_parent() is root and root.node.b._get_parent() is root.node


def test_results_can_be_changed(twice: Twice) -> None:
    """A result is the caller's own: changing it changes no other, and what came from a config is not read-only."""
    config = OmegaConf.create({"_target_": f"{HERE}.Keeper", "a": {"b": [1]}})
    for _ in range(2):
        for result in twice(config, x=1):
            assert result.kwargs["a"].b == [1]
            result.kwargs["a"].b.append(2)
    assert config.a.b == [1]


def test_nodes_of_the_call_are_told_apart(twice: Twice) -> None:
    """Nodes that are passed at the call live for one visit; none is taken for another that stood at its address."""
    nodes = [{"_target_": f"{HERE}.{name}", "a": at} for at in range(12) for name in ("add", "first")]
    expected = [value for at in range(12) for value in (at + 1, at)]
    for result in twice({"_target_": f"{HERE}.target"}, items=nodes):
        assert list(result[2]["items"]) == expected
    for result in twice({"deep": {}}, deep={"items": nodes}):
        assert list(result["deep"]["items"]) == expected


def test_interpolations_are_not_resolved_in_place(twice: Twice) -> None:
    """Keeping a result that holds part of a config leaves its interpolations as Hydra alone does: 1.4 all of them,
    1.3 those that are not reached by another interpolation."""
    shared = {"b": 1, "c": "${.b}"}
    node = {"_target_": f"{HERE}.Keeper", "_recursive_": False, "a": {"x": "${one}", "y": 1}}
    for one in (shared, [shared], [[shared]], (shared,), [(shared,)]):
        configs = [OmegaConf.create({"one": one, "node": node}) for _ in range(2)]
        hydra_cached.instantiate(configs[0].node, cache="DISABLED")
        plain = [OmegaConf.to_container(r.kwargs["a"], resolve=True) for r in twice(configs[1].node)]
        assert plain[0] == plain[1]
        alone, cached = (OmegaConf.to_container(config, resolve=False) for config in configs)
        assert cached == alone
        assert OLD or alone == OmegaConf.to_container(
            OmegaConf.create({"one": one, "node": node}), resolve=False
        )


def test_configs_in_results_keep_their_rules(twice: Twice) -> None:
    """A struct config in a result stays one, and takes objects if it took them."""
    config = OmegaConf.create(
        {"_target_": f"{HERE}.Keeper", "a": {"x": 1, "d": {"_target_": f"{HERE}.first", "a": []}}}
    )
    for struct in (True, False):
        OmegaConf.set_struct(config, struct)
        found = set()
        for result in twice(config):
            passed = result.kwargs["a"]
            passed.x = IncompatibleWithOmegaConf(1)
            found.add((bool(OmegaConf.is_struct(passed)), passed.x.value))
        assert len(found) == 1


def test_partials_keep_their_own_place(twice: Twice) -> None:
    """What fails in a partial object that is called later names the place where it stood, each time."""
    partial = {"_target_": f"{HERE}.returns_function", "_partial_": True, "name": "rename"}
    for made in twice({"here": partial, "there": {"below": partial}}):
        if OLD and not targets.POLICY:
            continue
        for function, key in ((made.here, "here"), (made.there.below, "there.below")):
            with pytest.raises(Exception, match=f"full_key: {key}$"):
                function()
