"""Parsed modules, remembered for as long as their files stay the same."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass

from blake3 import blake3

from hydra_cached.keys.code.bindings import Module
from hydra_cached.keys.code.parsing import parse
from hydra_cached.keys.code.source import Located, ModuleFinder, Stamp, is_racy, stamp_of

_OWN = ("hydra_cached", "hydra_plugins.hydra_cached")


@dataclass
class File:
    """A source file as it was read.

    Attributes:
        stamp: its times and size before it was read.
        content: digest of what was read.
    """

    stamp: Stamp
    content: str

    def is_unchanged(self, path: str) -> bool:
        """Whether the file is still the same; its content is looked at where its times prove nothing."""
        if stamp_of(path) != self.stamp:
            return False
        if not is_racy(self.stamp):
            return True
        try:
            return blake3(read(path)).hexdigest() == self.content
        except OSError:
            return False


class ParsedFiles:
    """Parsed modules by name and path, kept from one state of the disk to the next."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, Module]] = {}

    def module(self, located: Located, data: bytes, content: str) -> Module:
        """The table of a module; parsed again only if the content differs."""
        key = (located.name, located.path or "")
        known = self._known.get(key)
        if known is None or known[0] != content:
            known = self._known[key] = content, _parsed(located, data, content)
        return known[1]


class Modules:
    """First-party modules by name, as of one state of the disk.

    Attributes:
        finder: says where modules are.
        files: every file that was read.
    """

    def __init__(self, parsed: ParsedFiles) -> None:
        self.finder = ModuleFinder()
        self.files: dict[str, File] = {}
        self.paths: dict[str, str] = {}
        self._parsed = parsed
        self._seen: dict[str, Module | None] = {}
        self._sources: dict[str, tuple[Located, bytes, str] | None] = {}
        self._first_party: dict[str, bool] = {}
        self._sys_path = tuple(sys.path)

    def still_hold(self) -> bool:
        """Whether a look at the disk now would give the same modules."""
        if self._sys_path != tuple(sys.path):
            return False
        if not all(file.is_unchanged(path) for path, file in self.files.items()):
            return False
        for name, path in self.paths.items():
            live = getattr(sys.modules.get(name), "__file__", None)
            if (
                isinstance(live, str)
                and live != path
                and os.path.abspath(live) != path
                and live[-4:] != ".pyc"
            ):
                return False
        return self.finder.still_holds()

    def locate(self, name: str) -> Located | None:
        """Where a module is."""
        return self.finder.locate(name)

    def is_first_party(self, name: str) -> bool:
        """Whether a module is the project's own; hydra-cached never is, wherever it is installed."""
        if name not in self._first_party:
            own = any(name == own or name.startswith(own + ".") for own in _OWN)
            located = None if own else self.finder.locate(name)
            self._first_party[name] = located is not None and located.owner == "first-party"
        return self._first_party[name]

    def get(self, name: str) -> Module | None:
        """The table of a first-party module; None for everything else, namespace packages too."""
        if name not in self._seen:
            self._seen[name] = self._load(name)
        return self._seen[name]

    def content(self, name: str) -> str | None:
        """Digest of a first-party module's file, which is not parsed for that; None for everything else."""
        source = self._source(name)
        return None if source is None else source[2]

    def _load(self, name: str) -> Module | None:
        source = self._source(name)
        if source is None:
            return None
        located, stored, content = source
        return self._parsed.module(located, stored if located.data is None else located.data, content)

    def _source(self, name: str) -> tuple[Located, bytes, str] | None:
        if name not in self._sources:
            self._sources[name] = self._read(name)
        return self._sources[name]

    def _read(self, name: str) -> tuple[Located, bytes, str] | None:
        located = self.finder.locate(name) if self.is_first_party(name) else None
        if located is None or located.path is None:
            return None
        stamp = stamp_of(located.path)
        if stamp is None:
            return None
        try:
            stored = read(located.path)
        except OSError:
            return None
        content = blake3(stored).hexdigest()
        self.files[located.path] = File(stamp, content)
        self.paths[name] = located.path
        return located, stored, content


def read(path: str) -> bytes:
    """A file's content.

    Raises:
        OSError: it cannot be read.
    """
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
