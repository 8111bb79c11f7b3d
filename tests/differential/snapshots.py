"""Snapshots: nested tuples that are equal exactly for values that a program could not tell apart.

Types count, also those of configs and of the nodes in them; the order of dicts does not, as it does not in keys.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import functools
import pathlib
import types
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.base import Container
from omegaconf.nodes import InterpolationResultNode

SIMPLE = (int, float, complex, str, bytes, bool, type(None), pathlib.PurePath)


def snapshot(value: Any) -> Any:
    """A value as nested tuples; generators and iterators are read to their end."""
    return _Snapshots(raw=False).of(value)


def raw_snapshot(value: Any) -> Any:
    """The same, leaving generators unread and interpolations as they stand."""
    return _Snapshots(raw=True).of(value)


def error_snapshot(error: BaseException) -> Any:
    """Type, message, notes and causes of an error."""
    cause = error.__cause__
    notes = tuple(getattr(error, "__notes__", ()))
    below = error_snapshot(cause) if cause is not None else None
    return (_name(type(error)), str(error), notes, below)


def sharing(value: Any) -> list[int]:
    """Which of the mutable objects in a value are one object: numbers by first appearance."""
    numbers: dict[int, int] = {}
    found: list[int] = []
    keep: list[Any] = []

    def walk(item: Any) -> None:
        if isinstance(item, (*SIMPLE, type, types.FunctionType, enum.Enum)) or OmegaConf.is_config(item):
            return
        if not isinstance(item, tuple):
            keep.append(item)
            new = id(item) not in numbers
            found.append(numbers.setdefault(id(item), len(numbers)))
            if not new:
                return
        if isinstance(item, dict):
            for key in sorted(item, key=repr):
                walk(item[key])
        elif isinstance(item, (list, tuple)):
            for each in item:
                walk(each)
        elif hasattr(item, "__dict__"):
            for key in sorted(vars(item)):
                walk(vars(item)[key])

    walk(value)
    return found


def _name(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '?')}.{getattr(kind, '__qualname__', kind)}"


class _Snapshots:
    def __init__(self, raw: bool) -> None:
        self._raw = raw
        self._inside = 0
        self._open: set[int] = set()

    def of(self, value: Any) -> Any:
        if isinstance(value, (SIMPLE, enum.Enum)):
            return (_name(type(value)), repr(value))
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return (type(value).__name__, _name(value))
        if id(value) in self._open:
            return ("itself",)
        self._open.add(id(value))
        try:
            return (_name(type(value)), *self._content(value))
        finally:
            self._open.discard(id(value))

    def _content(self, value: Any) -> tuple[Any, ...]:
        if isinstance(value, Container):
            return self._config(value)
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return (*(self.of(part) for part in parts), getattr(value, "_hydra_resolved_from", None))
        if isinstance(value, types.MethodType):
            return (value.__name__, self.of(value.__self__))
        if isinstance(value, dict):
            return tuple(sorted(((self.of(k), self.of(v)) for k, v in value.items()), key=repr))
        if isinstance(value, (list, tuple)):
            return tuple(self.of(item) for item in value)
        if isinstance(value, (set, frozenset)):
            return tuple(sorted((self.of(item) for item in value), key=repr))
        if isinstance(value, collections.abc.Iterator):
            return tuple(self.of(item) for item in value) if not self._raw else ()
        if dataclasses.is_dataclass(value):
            return tuple(
                (f.name, self.of(getattr(value, f.name, "<none>"))) for f in dataclasses.fields(value)
            )
        slots = [name for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
        held = {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}
        return tuple((name, self.of(held[name])) for name in sorted(held))

    def _config(self, value: Any) -> tuple[Any, ...]:
        meta = value._metadata
        about: tuple[Any, ...] = (
            _name(meta.object_type),
            repr(meta.ref_type),
            value._get_node_flag("readonly"),
        )
        if not self._inside:
            # Below, these are inherited; where an interpolation leads out of the tree, from somewhere else.
            about += (bool(OmegaConf.is_struct(value)), bool(value._get_flag("allow_objects")))
        if value._is_none() or value._is_missing() or value._is_interpolation():
            return (*about, repr(value._value()))
        names = list(value.keys()) if isinstance(value, DictConfig) else list(range(len(value)))
        self._inside += 1
        items = [(self.of(name), self._node(value._get_node(name))) for name in names]
        self._inside -= 1
        return (*about, *sorted(items, key=repr))

    def _node(self, node: Any) -> Any:
        if self._raw and not isinstance(node._value(), (dict, list, tuple)):
            return (type(node).__name__, repr(node._metadata.ref_type), self.of(node._value()))
        try:
            meant = node._dereference_node() if node._is_interpolation() else node
        except Exception as error:
            return error_snapshot(error)
        if isinstance(meant, Container):
            return self.of(meant)
        # What an interpolation gives is a node of a kind of its own; in a stored copy its value stands.
        typed = type(node).__name__ if type(node) is not InterpolationResultNode else "AnyNode"
        return (typed, node._metadata.optional, self.of(meant._value()))
