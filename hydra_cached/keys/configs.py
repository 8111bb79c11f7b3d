"""Looking at config containers and at plain dicts and lists alike, by OmegaConf's public means."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_cached.config import CacheOptions
from hydra_cached.keys.canonical import importable_name, type_name

TARGET, CONVERT, RECURSIVE, PARTIAL, ARGS = "_target_", "_convert_", "_recursive_", "_partial_", "_args_"
_LOOKUPS = ("get_class", "get_method", "get_static_method", "get_object")


class Unreadable(Exception):
    """The config is such that Hydra will refuse it; it says so better than we could."""


class Overlay:
    """A mapping under keyword arguments: Hydra 1.4 keeps both apart while it builds.

    Args:
        node: a DictConfig or a dict.
        overrides: keyword arguments of the call.
    """

    def __init__(self, node: Any, overrides: Mapping[str, Any] | None = None) -> None:
        self._node = node
        self._overrides = overrides or {}

    def __iter__(self) -> Iterator[Any]:
        names = list(self._node.keys())
        return iter([*names, *(name for name in self._overrides if name not in names)])

    def __contains__(self, name: Any) -> bool:
        return name in self._overrides or name in self._node

    def __getitem__(self, name: Any) -> Any:
        # A mapping is merged into what the config has, and the node shows the outcome.
        if name in self._overrides and not (is_mapping(self._overrides[name]) and name in self._node):
            return self._overrides[name]
        return self._node[name]

    def merged(self) -> Iterator[tuple[str, Any]]:
        """Mappings of the call that the node shows merged; what is in them may be handed over as it is."""
        for name, value in self._overrides.items():
            if is_mapping(value) and name in self._node and TARGET not in value:
                yield name, value

    def get(self, name: str, default: Any) -> Any:
        """The value of a name, or a default."""
        return self[name] if name in self else default

    def is_missing(self, name: Any) -> bool:
        """Whether it is a mandatory value that was not given."""
        if name in self._overrides:
            return _is_missing_text(self._overrides[name])
        return item_missing(self._node, name)


def below(path: str, name: Any) -> str:
    """The path of what stands under a name."""
    return f"{path}.{name}" if path else str(name)


def is_target(node: Any, overrides: Mapping[str, Any] | None = None) -> bool:
    """Whether Hydra would call something for this node."""
    if not isinstance(node, DictConfig):
        return False
    try:
        return TARGET in node or bool(overrides and TARGET in overrides)
    except Exception:
        return bool(overrides and TARGET in overrides)


def is_mapping(value: Any) -> bool:
    """Whether it is a dict to Hydra."""
    return isinstance(value, DictConfig) or type(value) is dict


def is_container(value: Any) -> bool:
    """Whether it is a dict, list or tuple to Hydra."""
    return OmegaConf.is_config(value) or type(value) in (dict, list, tuple)


def is_sequence(value: Any) -> bool:
    """Whether it is a list or tuple to Hydra."""
    return is_container(value) and not is_mapping(value)


def item_missing(container: Any, key: Any) -> bool:
    """Whether a container's item is a mandatory value that was not given."""
    if OmegaConf.is_config(container):
        return OmegaConf.is_missing(container, key)
    return _is_missing_text(container[key])


def _is_missing_text(value: Any) -> bool:
    return isinstance(value, str) and value == "???"


def is_cache_node(parent: Any, name: Any) -> bool:
    """The cache's own options, in an app's whole config: what is in them must not change any key."""
    if not isinstance(parent, DictConfig) or name != "cache" or OmegaConf.is_missing(parent, name):
        return False
    return OmegaConf.is_dict(parent[name]) and OmegaConf.get_type(parent[name]) is CacheOptions


def sequence_kind(value: Any) -> bytes:
    """``list`` or ``tuple``; Hydra 1.4 has configs of both."""
    tuple_config = OmegaConf.is_config(value) and type(value).__name__ == "TupleConfig"
    return b"tuple" if type(value) is tuple or tuple_config else b"list"


def mapping_kind(value: Any, convert: Any) -> bytes:
    """``dict``, or the structured type of a config that the target gets to see."""
    kind: Any = OmegaConf.get_type(value) if OmegaConf.is_config(value) else None
    if kind in (None, dict) or mode_name(convert) == "all":
        return b"dict"
    if importable_name(kind) is None:
        # A hit would bring a class of that name along, which would not be the caller's.
        raise Unreadable(f"{type_name(kind)} is a class that cannot be found by name")
    return f"structured {type_name(kind)}".encode()


def mode_name(convert: Any) -> str:
    """The name of a conversion mode; Hydra takes enums and strings in any case."""
    return str(convert.value if isinstance(convert, enum.Enum) else convert).lower()


def target_name(target: Any) -> str:
    """The dotted name that a ``_target_`` gives.

    Raises:
        Unreadable: it is neither a string nor a callable that can be found by name.
    """
    if isinstance(target, str):
        return target
    name = importable_name(target) if callable(target) else None
    if name is None:
        raise Unreadable(f"its _target_ is a {type(target).__name__} that cannot be found by name")
    return name


def wrapped_names(target: str, node: Overlay) -> list[str]:
    """Code that a node names beside ``_target_``, the one that does the work first.

    These are ``_zen_target`` of hydra-zen and what wraps it, and the ``path`` of ``hydra.utils.get_method`` and
    its kin.
    """
    found: list[Any] = []
    if target.startswith("hydra.utils.") and target.rpartition(".")[2] in _LOOKUPS:
        found.append(node.get("path", None))
    if "_zen_target" in node:
        wrappers = node.get("_zen_wrappers", None) or []
        found.extend([node["_zen_target"], *([wrappers] if isinstance(wrappers, str) else wrappers)])
        found.append(node.get("_zen_target_wrapper", None))
    return [name for name in found if isinstance(name, str)]


def dropped_names(node: Overlay) -> frozenset[str]:
    """Parameters that hydra-zen keeps from the target: its meta fields."""
    if "_zen_target" not in node or "_zen_exclude" not in node:
        return frozenset()
    return frozenset(name for name in node["_zen_exclude"] or () if isinstance(name, str))
