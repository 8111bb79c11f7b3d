"""Parsed modules, remembered for as long as their files stay the same."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass

from blake3 import blake3

from hydra_cached.keys.bindings import Module, parse
from hydra_cached.keys.source import Located, ModuleFinder, Stamp, is_racy, stamp_of

_OWN = ("hydra_cached", "hydra_plugins.hydra_cached")


@dataclass
class _Remembered:
    stamp: Stamp
    content: str
    module: Module


class Modules:
    """First-party modules by name, as of the current look.

    Attributes:
        finder: says where modules are.
        files: every file read in this look -> its stamp before it was read.
    """

    def __init__(self) -> None:
        self.finder = ModuleFinder()
        self.files: dict[str, Stamp] = {}
        self._memo: dict[tuple[str, str], _Remembered] = {}
        self._seen: dict[str, Module | None] = {}

    def begin(self) -> None:
        """Start a new look at the disk."""
        self.finder.begin()
        self.files = {}
        self._seen.clear()

    def locate(self, name: str) -> Located | None:
        """Where a module is; hydra-cached itself is never followed, wherever it is installed."""
        return self.finder.locate(name)

    def is_first_party(self, name: str) -> bool:
        """Whether a module exists and its source is part of the project."""
        if name.startswith(_OWN) and any(name == own or name.startswith(own + ".") for own in _OWN):
            return False
        located = self.finder.locate(name)
        return located is not None and located.owner == "first-party"

    def get(self, name: str) -> Module | None:
        """The table of a first-party module; None for everything else, namespace packages too."""
        if name not in self._seen:
            self._seen[name] = self._load(name)
        return self._seen[name]

    def _load(self, name: str) -> Module | None:
        located = self.finder.locate(name) if self.is_first_party(name) else None
        if located is None or located.path is None:
            return None
        key = (name, located.path)
        stamp = stamp_of(located.path)
        if stamp is None:
            return None
        self.files[located.path] = stamp
        known = self._memo.get(key)
        if known is not None and known.stamp == stamp and not is_racy(stamp):
            return known.module
        try:
            data = located.data if located.data is not None else _read(located.path)
        except OSError:
            return None
        content = blake3(data).hexdigest()
        if known is not None and known.content == content:
            known.stamp = stamp
            return known.module
        module = _parsed(located, data, content)
        self._memo[key] = _Remembered(stamp, content, module)
        return module


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _parsed(located: Located, data: bytes, content: str) -> Module:
    path = located.path or ""
    package = located.name if located.is_package else located.name.rpartition(".")[0]
    if located.name == "__main__":
        package = getattr(sys.modules.get("__main__"), "__package__", None) or ""
    if located.is_source:
        try:
            return parse(located.name, package, path, data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    return Module(located.name, package, path, ast.Module([], []), opaque=content)
