"""Generated ``instantiate`` calls: a config, how it is handed over, and the arguments of the call."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from differential_targets import (
    CONSTANT,
    DOCILE,
    HERE,
    INSTANCE,
    LAMBDA,
    TARGETS,
    Color,
    Make,
    Record,
    record,
)
from hydra.types import ConvertMode
from hypothesis import strategies as st
from omegaconf import OmegaConf

LAZY = hasattr(OmegaConf, "is_tuple")  # the OmegaConf of Hydra 1.4

KEYS = ("a", "b", "c")
VALUES = [0, 1, 1.0, True, False, "1", "x", "", None, 0.0, -0.0, float("nan"), 2**70, b"x", Color.RED, "null"]
CALLABLES = [Record, Record.Nested, Record.make, record, LAMBDA, INSTANCE, CONSTANT]


@dataclass(frozen=True)
class Ref:
    """A place for an interpolation, which is filled when the paths of the whole tree are known."""

    number: int
    relative: bool = False
    inside: bool = False  # part of a longer string


@dataclass
class Scenario:
    """One call of ``instantiate``.

    Args:
        tree: the config as plain containers.
        form: how it is handed over: ``plain``, ``config``, ``struct``, ``readonly``, or, for a node below the
            root, ``child``.
        at: path of the node that is handed over with ``child``.
        args, kwargs: the arguments of the call.
    """

    tree: Any
    form: str = "plain"
    at: tuple[Any, ...] = ()
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def build(self) -> tuple[Any, list[Any], dict[str, Any]]:
        """Fresh objects for one run."""
        tree = made(copy.deepcopy(self.tree))
        args = [made(copy.deepcopy(arg)) for arg in self.args]
        kwargs = {name: made(copy.deepcopy(arg)) for name, arg in self.kwargs.items()}
        if self.form == "plain":
            return tree, args, kwargs
        config = OmegaConf.create(tree)
        if self.form == "struct":
            OmegaConf.set_struct(config, True)
        if self.form == "readonly":
            OmegaConf.set_readonly(config, True)
        for step in self.at:
            config = config._get_node(step)
        return config, args, kwargs


def made(data: Any) -> Any:
    """Data with its stand-ins replaced by objects."""
    if isinstance(data, Make):
        return data()
    if isinstance(data, dict):
        return {key: made(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(made(value) for value in data)
    return data


def mostly(usual: Any, rare: Any, odds: int = 12) -> Any:
    """Draw from ``rare`` once in ``odds`` times."""
    return st.integers(1, odds).flatmap(lambda n: rare if n == 1 else usual)


converts = st.sampled_from(["none", "partial", "object", "all", "ALL", *ConvertMode])
odd_modes = st.sampled_from([None, "yes", 1, "???", "nonsense"])
objects_in_configs = st.builds(
    Make,
    st.sampled_from(
        ["plain", "deep", "record_conf", "record_conf_deep", "partial_conf", "pipeline_conf", "modes_conf"]
    ),
    st.integers(0, 2),
)
objects_in_calls = st.builds(
    Make,
    st.sampled_from(
        [
            *("opaque", "not_copyable", "generator", "plain", "plain_class", "deep", "record_conf"),
            *("record_conf_deep", "partial_conf", "dict_config", "dict_config_target", "list_config"),
            *("none_config", "record", "class", "nested_class", "function", "method", "static", "lambda"),
            *("instance", "partial", "enum", "set", "complex", "pipeline_conf"),
        ]
    ),
    st.integers(0, 1),
)
refs = st.builds(Ref, st.integers(0, 30), st.booleans(), mostly(st.just(False), st.just(True), 6))


@dataclass(frozen=True)
class Taste:
    """What may stand in a generated config."""

    targets: tuple[str, ...] = tuple(TARGETS)
    odd: bool = True  # things that raise, cannot be cached, or come from outside
    links: bool = True
    recursive_false: bool = True


DOCILE_TASTE = Taste(tuple(DOCILE), odd=False)


PLAIN_TASTE = Taste(tuple(DOCILE), odd=False, recursive_false=False)


@st.composite
def values(draw: Any, taste: Taste) -> Any:
    kind = draw(st.integers(0, 9))
    if taste.links and kind <= 2:
        return draw(refs)
    if taste.odd and kind == 3:
        return draw(
            mostly(
                st.sampled_from(["???", "${nowhere}", "${.a}", "${", "${oc.env:NOWHERE,1}"]),
                st.just("???"),
                2,
            )
        )
    if kind == 4:
        return draw(objects_in_configs) if draw(st.booleans()) else draw(st.sampled_from(VALUES))
    return draw(st.sampled_from(VALUES))


@st.composite
def modes(draw: Any, taste: Taste, *, node: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draw(st.integers(0, 3)) == 0:
        found["_convert_"] = draw(converts)
    if draw(st.integers(0, 5)) == 0:
        found["_recursive_"] = draw(st.booleans()) or not taste.recursive_false
    if node and draw(st.integers(0, 7)) == 0:
        found["_partial_"] = draw(st.booleans())
    if taste.odd and draw(st.integers(0, 60)) == 0:
        found[draw(st.sampled_from(["_convert_", "_recursive_", "_partial_", "_args_"]))] = draw(odd_modes)
    return found


@st.composite
def target_nodes(draw: Any, taste: Taste, depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"_target_": f"{HERE}.{draw(st.sampled_from(taste.targets))}"}
    if taste.odd and draw(st.integers(0, 50)) == 0:
        node["_target_"] = draw(
            st.sampled_from(["", None, 3, "no_such_module.x", "???", Make("plain_class")])
        )
    node.update(draw(modes(taste, node=True)))
    names = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3))
    for name in names:
        node[name] = draw(trees(taste, depth - 1))
    if draw(st.integers(0, 4)) == 0:
        node["_args_"] = draw(st.lists(trees(taste, depth - 1), max_size=2))
    order = draw(st.permutations(list(node))) if draw(st.booleans()) else list(node)
    return {name: node[name] for name in order}


@st.composite
def plain_nodes(draw: Any, taste: Taste, depth: int) -> dict[Any, Any]:
    keys: Any = st.sampled_from([*KEYS, *KEYS, 1, "1", "x"]) if taste.odd else st.sampled_from([*KEYS, "x"])
    node: dict[Any, Any] = {
        name: draw(trees(taste, depth - 1)) for name in draw(st.lists(keys, unique=True, max_size=3))
    }
    if draw(st.integers(0, 4)) == 0:
        node.update(draw(modes(taste, node=False)))
    return node


@st.composite
def trees(draw: Any, taste: Taste, depth: int) -> Any:
    if depth <= 0:
        return draw(values(taste))
    kind = draw(st.integers(0, 9))
    if kind <= 4:
        return draw(target_nodes(taste, depth))
    if kind == 5:
        return draw(plain_nodes(taste, depth))
    if kind == 6:
        return draw(st.lists(trees(taste, depth - 1), max_size=3))
    if kind == 7 and LAZY:
        return tuple(draw(st.lists(trees(taste, depth - 1), max_size=2)))
    return draw(values(taste))


@st.composite
def wholes(draw: Any, taste: Taste) -> Any:
    """A whole config: a node, a dict with things to refer to and nodes, or a list."""
    kind = draw(st.integers(0, 9))
    if kind <= 2:
        return draw(target_nodes(taste, 3))
    if kind == 3:
        return draw(st.lists(trees(taste, 3), max_size=3))
    tree: dict[Any, Any] = {
        "one": draw(trees(taste, 2)),
        "two": draw(target_nodes(taste, 2)),
        "three": draw(trees(taste, 2)),
        "root": draw(target_nodes(taste, 3)),
    }
    if kind == 4:
        tree.update(draw(modes(taste, node=False)))
    return tree


def linked(tree: Any) -> Any:
    """Fill the places for interpolations with references to what stands earlier in the tree, so without cycles."""
    seen: list[tuple[tuple[Any, ...], bool]] = []

    def walk(value: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(value, Ref):
            # What a config looks like as part of a string depends on whether it is resolved yet.
            earlier = [at for at, simple in seen if path[: len(at)] != at and (simple or not value.inside)]
            text = _reference(path, earlier[value.number % len(earlier)], value) if earlier else 5
            seen.append((path, False))
            return text
        seen.append((path, not isinstance(value, (dict, list, tuple, Make))))
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(walk(item, (*path, at)) for at, item in enumerate(value))
        return value

    return walk(tree, ())


def _reference(path: tuple[Any, ...], other: tuple[Any, ...], ref: Ref) -> str:
    steps, dots = other, ""
    if ref.relative:
        common = 0
        while common < min(len(path) - 1, len(other) - 1) and path[common] == other[common]:
            common += 1
        steps, dots = other[common:], "." * (len(path) - common)
    text = "${" + dots + ".".join(str(step) for step in steps) + "}"
    return f"v-{text}" if ref.inside else text


@st.composite
def overrides(draw: Any, taste: Taste) -> dict[str, Any]:
    if draw(st.integers(0, 2)):
        return {}
    plain = replace(taste, odd=taste.odd and not LAZY, links=False)
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from([*KEYS, *KEYS, "root", "one"]), unique=True, max_size=2)):
        if taste.odd and draw(st.integers(0, 1)):
            found[name] = draw(objects_in_calls)
        else:
            found[name] = draw(trees(plain, 2))
    if draw(st.integers(0, 3)) == 0:
        found.update(draw(modes(taste, node=True)))
    if taste.odd and draw(st.integers(0, 9)) == 0:
        found["_target_"] = draw(st.sampled_from([f"{HERE}.record", f"{HERE}.fails", *CALLABLES]))
    if draw(st.integers(0, 9)) == 0:
        found["_args_"] = draw(st.lists(trees(plain, 1), max_size=2))
    return found


special_keys = st.lists(
    st.dictionaries(
        st.sampled_from(["_cache_result_", "_not_deterministic_", "_cache_version_", "_cache_ignore_"]),
        st.booleans(),
        max_size=2,
    ),
    min_size=1,
    max_size=3,
)


def with_special_keys(tree: Any, keys: list[dict[str, bool]]) -> Any:
    """The same config with special keys in its nodes, one after the other."""
    waiting = itertools.cycle(keys)

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            found = {name: walk(item) for name, item in value.items()}
            for key, yes in next(waiting).items() if "_target_" in value else ():
                # What is ignored must not matter: a parameter that is not there.
                found[key] = (["no_such_parameter"] if yes else []) if key == "_cache_ignore_" else yes
            return found
        return type(value)(walk(item) for item in value) if isinstance(value, (list, tuple)) else value

    return walk(tree)


@st.composite
def scenarios(draw: Any, taste: Taste | None = None) -> Scenario:
    """Any call of ``instantiate``."""
    taste = taste or Taste()
    if taste.odd and draw(st.integers(0, 14)) == 0:
        return Scenario(draw(objects_in_configs), kwargs=draw(overrides(taste)))
    tree = linked(draw(wholes(taste)))
    form = draw(st.sampled_from(["plain", "config", "config", "struct", "readonly"]))
    args: tuple[Any, ...] = ()
    if draw(st.integers(0, 5)) == 0:
        plain = replace(taste, odd=False, links=False)
        each = st.one_of(trees(plain, 1), objects_in_calls) if taste.odd else trees(plain, 1)
        args = tuple(draw(st.lists(each, max_size=2)))
    at: tuple[Any, ...] = ()
    if isinstance(tree, dict) and "root" in tree and form != "plain":
        at = draw(st.sampled_from([(), ("root",), ("root",), ("two",)]))
    elif taste.odd and isinstance(tree, dict) and form == "plain" and draw(st.integers(0, 3)) == 0:
        # Callables as targets, which only plain dicts can hold.
        tree = {**tree, "_target_": draw(st.sampled_from(CALLABLES))}
    return Scenario(tree, form, at, args, draw(overrides(taste)))
