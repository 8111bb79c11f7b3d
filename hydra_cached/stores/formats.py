"""Serializers of single types: how their instances are written wherever they stand in a result."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from hydra_cached.stores.base import Buffer

log = logging.getLogger("hydra_cached.stores")
GROUP = "hydra_cached.serializers"


class Serializer(Protocol):
    """Writes and reads the instances of one type. Large buffers it gives are stored aligned, without a copy."""

    def dump(self, value: Any) -> Sequence[Buffer]:
        """The bytes of an instance, in one or several pieces, which nobody changes afterwards."""

    def load(self, pieces: Sequence[memoryview]) -> Any:
        """An equal instance, from as many pieces of the same bytes. It may keep them: they are its own."""


class Formats:
    """Serializers by the dotted name of the type.

    Those of installed packages stand in the entry-point group ``hydra_cached.serializers``, under the name
    of the type (``package.module.Type``), and are looked up when the first result is written or read.
    """

    def __init__(self) -> None:
        self._given: dict[str, Serializer] = {}
        self._by_type: dict[type, Serializer | None] = {}

    def register(self, kind: type | str, serializer: Serializer) -> None:
        """Write the instances of a type, not of its subclasses, in a way of their own.

        Args:
            kind: the type, or its dotted name, if it shall not be imported for that.
            serializer: writes and reads them.
        """
        self._given[kind if isinstance(kind, str) else name_of(kind)] = serializer
        self._by_type.clear()

    def of(self, kind: type) -> Serializer | None:
        """The serializer of a type; None if it has none."""
        try:
            return self._by_type[kind]
        except KeyError:
            found = self._by_type[kind] = self.find(name_of(kind))
            return found

    def find(self, name: str) -> Serializer | None:
        """The serializer of the type with this dotted name; None if there is none, or it cannot be loaded."""
        given = self._given.get(name)
        if given is None and (entry := _installed().get(name)) is not None:
            try:
                found = entry.load()
                given = self._given[name] = found() if isinstance(found, type) else found
            except Exception as error:
                log.warning("the serializer %s for %s cannot be loaded: %s", entry.value, name, error)
        return given


def name_of(kind: type) -> str:
    """The dotted name that a type's serializer is registered under."""
    return f"{kind.__module__}.{kind.__qualname__}"


def read(name: str, *pieces: Any) -> Any:
    """Called by the pickle of a result: an instance of the named type, by its serializer.

    Raises:
        LookupError: there is none here.
    """
    serializer = FORMATS.find(name)
    if serializer is None:
        raise LookupError(f"there is no serializer for {name} here")
    return serializer.load([memoryview(piece) for piece in pieces])


@functools.cache
def _installed() -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}


FORMATS = Formats()
register_serializer = FORMATS.register
