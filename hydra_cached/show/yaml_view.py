"""A config as YAML for a person: shared sub-configs once, callables by name."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml
from omegaconf import OmegaConf

from hydra_cached.module_config import convert_target_to_string

SEPARATOR = "."


class _Dumper(yaml.SafeDumper):
    """Names anchors after the shortest path to what they stand for, and never anchors scalars."""

    def anchor_node(self, node: yaml.Node) -> None:
        self.anchors.update(_anchors(node))

    def prepare_anchor(self, anchor: str) -> str:
        return anchor  # PyYAML's own check knows no dots; YAML 1.2 allows them

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def config_to_yaml(config: Any) -> str:
    """A config as YAML.

    Args:
        config: dicts and lists (an object that stands in several places is shown once, under an anchor named
            after its shortest path), OmegaConf containers, or a dataclass.
    """
    shown = _plain(config, {})
    return str(
        yaml.dump(shown, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True)
    )


def _plain(value: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """Only dicts, lists and scalars, in which what was one object still is."""
    if id(value) in known:
        return known[id(value)][1]
    shown: Any
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if callable(value) and hasattr(value, "__qualname__") and not OmegaConf.is_config(value):
        return convert_target_to_string(value)
    if OmegaConf.is_config(value) or hasattr(type(value), "__dataclass_fields__"):
        plain = value if OmegaConf.is_config(value) else OmegaConf.structured(value)
        shown = _plain(OmegaConf.to_container(plain, resolve=False), known)
    elif isinstance(value, Mapping):
        shown = {}
        known[id(value)] = (value, shown)
        shown.update((_plain(name, known), _plain(item, known)) for name, item in value.items())
    elif isinstance(value, (list, tuple)):
        shown = []
        known[id(value)] = (value, shown)
        shown.extend(_plain(item, known) for item in value)
    else:
        return f"<{type(value).__module__}.{type(value).__qualname__}>"
    known[id(value)] = (value, shown)
    return shown


def _anchors(root: yaml.Node) -> dict[yaml.Node, str | None]:
    """For every node an anchor, or None if there is only one way to it."""
    anchors: dict[yaml.Node, str | None] = {}
    level: list[tuple[yaml.Node, tuple[str, ...]]] = [(root, ())]
    paths: dict[yaml.Node, tuple[str, ...]] = {}
    while level:  # breadth first, so that the first path found is a shortest one
        below: list[tuple[yaml.Node, tuple[str, ...]]] = []
        for node, path in level:
            if node in paths:
                anchors[node] = SEPARATOR.join(paths[node]) or "root"
                continue
            paths[node] = path
            anchors[node] = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    anchors[key] = None
                    below.append((value, (*path, str(key.value))))
            elif isinstance(node, yaml.SequenceNode):
                below.extend((item, (*path, str(at))) for at, item in enumerate(node.value))
        level = below
    return anchors
