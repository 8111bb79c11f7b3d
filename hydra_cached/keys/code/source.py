"""Where a module's source is and whose it is, found out without importing anything.

The lookup is the import system's own (``sys.modules``, ``sys.meta_path``, package search locations,
namespace packages), except that no parent package is imported and that directories are listed afresh
in each look: importlib's finders trust a directory's modification time, which is too coarse for a file
that was written a moment ago.
"""

from __future__ import annotations

import importlib.machinery as machinery
import os
import sys
import sysconfig
import time
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hydra_cached.keys.code.distributions import Distributions

Owner = Literal["stdlib", "third-party", "first-party"]
Stamp = tuple[int, int, int]

# Timestamps of a file that was written this recently may be shared by a later write (some
# filesystems count in two-second steps), so they prove nothing.
RACY_NS = 2_100_000_000

_SUFFIXES = (*machinery.EXTENSION_SUFFIXES, *machinery.SOURCE_SUFFIXES, *machinery.BYTECODE_SUFFIXES)
_STDLIB = tuple(
    {os.path.realpath(sysconfig.get_paths()[name]) + os.sep for name in ("stdlib", "platstdlib")}
    | {sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib")}
)
_SITE_PARTS = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@dataclass(frozen=True)
class Located:
    """A module as the import system would find it.

    Attributes:
        name: dotted name.
        path: the file it comes from (source, bytecode or extension); None for namespace packages,
            built-in modules and modules that exist in memory only.
        search: where its submodules are; empty for a plain module.
        owner: who wrote it.
        distribution: (name, version) when a distribution installed it.
        data: the source itself, where it is not in a file of its own (a zip archive).
    """

    name: str
    path: str | None
    search: tuple[str, ...]
    owner: Owner
    distribution: tuple[str, str] | None = None
    data: bytes | None = None

    @property
    def is_package(self) -> bool:
        return bool(self.search)

    @property
    def is_source(self) -> bool:
        return self.data is not None or (self.path or "").endswith(tuple(machinery.SOURCE_SUFFIXES))


def stamp_of(path: str) -> Stamp | None:
    """Modification time (ns), size and change time (ns) of a file, or None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ctime_ns


def is_racy(stamp: Stamp) -> bool:
    """Whether a file with this stamp was touched so recently that the stamp proves nothing."""
    return time.time_ns() - max(stamp[0], stamp[2]) < RACY_NS


class ModuleFinder:
    """Locates modules, and remembers where they are; :meth:`still_holds` tells for how long that is right."""

    def __init__(self) -> None:
        self._distributions = Distributions()
        self._located: dict[str, Located | None] = {}
        # Every directory that was consulted: when it was, and what an import could find in it.
        self._directories: dict[str, tuple[int, frozenset[str]]] = {}
        self._submodules: dict[str, list[str]] = {}

    def still_holds(self) -> bool:
        """Whether the directories that were consulted still hold the same modules."""
        now = time.time_ns()
        for path, (modified, names) in self._directories.items():
            current = _modified(path)
            if current != modified or now - current < RACY_NS:
                if listing(path) != names:
                    return False
                self._directories[path] = current, names
        return True

    def locate(self, name: str) -> Located | None:
        """Find a module by its dotted name; None if there is no such module."""
        if name not in self._located:
            self._located[name] = None  # a cycle can only mean: not found
            self._located[name] = self._locate(name)
        return self._located[name]

    def located(self) -> Mapping[str, Located | None]:
        """All modules that were looked for so far, by name."""
        return self._located

    def listed(self) -> Mapping[str, list[str]]:
        """All packages whose modules were asked for so far, with these."""
        return self._submodules

    def submodules(self, located: Located) -> list[str]:
        """Full names of the modules directly inside a package, sorted."""
        if located.name not in self._submodules:
            self._submodules[located.name] = self._inside(located)
        return self._submodules[located.name]

    def _inside(self, located: Located) -> list[str]:
        names: set[str] = set()
        for directory in located.search:
            for entry in self._listing(directory):
                stem = entry.split(".", 1)[0]
                if entry.endswith(_SUFFIXES) or "." not in entry:
                    names.add(stem)
        names -= {"__init__", "__main__", "__pycache__"}
        return sorted(f"{located.name}.{stem}" for stem in names if stem.isidentifier())

    # Where it is.

    def _locate(self, name: str) -> Located | None:
        live = sys.modules.get(name)
        if isinstance(live, types.ModuleType):
            located = self._from_live(name, live)
            if located is not None or not name.partition(".")[2]:
                return located  # what is in memory is what will be called, so no file of that name counts
        parent = name.rpartition(".")[0]
        if not parent:
            return self._top_level(name)
        package = self.locate(parent)
        if package is None or not package.search:
            return None
        return self._on_path(name, package.search) or self._by_other_finders(name, package.search)

    def _from_live(self, name: str, module: types.ModuleType) -> Located | None:
        path = _text(module, "__file__")
        try:
            search = tuple(str(entry) for entry in getattr(module, "__path__", ()))
        except Exception:  # a lazy module may do anything here
            search = ()
        if path is None and not search:
            if name.partition(".")[0] in sys.builtin_module_names:
                return Located(name, None, (), "stdlib")
            spec = getattr(module, "__spec__", None)
            if getattr(spec, "origin", None) in ("frozen", "built-in"):
                return Located(name, None, (), "stdlib")
            return None
        if path is not None and path.endswith(".pyc"):
            path = _source_of_bytecode(path)
        if path is not None and not os.path.exists(path):
            return self._from_loader(name, getattr(module, "__loader__", None), path, search)
        return self._classified(name, path and os.path.abspath(path), search)

    def _top_level(self, name: str) -> Located | None:
        if name in sys.builtin_module_names:
            return Located(name, None, (), "stdlib")
        for finder in sys.meta_path:
            if finder is machinery.FrozenImporter and name in sys.stdlib_module_names:
                spec = _ask(finder, name, None)
                if spec is not None and spec.origin == "frozen":
                    return Located(name, None, (), "stdlib")
        return self._on_path(name, sys.path) or self._by_other_finders(name, None)

    def _on_path(self, name: str, entries: Iterable[str]) -> Located | None:
        """The path-based finder of importlib, over fresh listings (see importlib's FileFinder.find_spec)."""
        tail = name.rpartition(".")[2]
        portions: list[str] = []
        for entry in entries:
            directory = os.path.abspath(entry or os.curdir)
            listing = self._listing(directory)
            if not listing and not os.path.isdir(directory):
                found = self._by_path_hook(name, entry)
                if found is not None:
                    if found.path is not None or found.data is not None:
                        return found
                    portions.extend(found.search)
                continue
            base = os.path.join(directory, tail)
            if tail in listing:
                inside = self._listing(base)
                for suffix in _SUFFIXES:
                    if "__init__" + suffix in inside:
                        return self._classified(name, os.path.join(base, "__init__" + suffix), (base,))
            for suffix in _SUFFIXES:
                if tail + suffix in listing:
                    return self._classified(name, base + suffix, ())
            if tail in listing and os.path.isdir(base):
                portions.append(base)
        return self._classified(name, None, tuple(portions)) if portions else None

    def _by_path_hook(self, name: str, entry: str) -> Located | None:
        spec = _ask(machinery.PathFinder, name, [entry])
        return self._from_spec(name, spec) if spec is not None else None

    def _by_other_finders(self, name: str, path: Iterable[str] | None) -> Located | None:
        # Editable installs come first; other finders may build things when asked, so they come last.
        known = (machinery.BuiltinImporter, machinery.FrozenImporter, machinery.PathFinder)
        finders = [finder for finder in sys.meta_path if finder not in known]
        finders.sort(key=lambda finder: not _module_of(finder).startswith("__editable__"))
        for finder in finders:
            spec = _ask(finder, name, None if path is None else list(path))
            if spec is not None and (found := self._from_spec(name, spec)) is not None:
                return found
        return None

    def _from_spec(self, name: str, spec: machinery.ModuleSpec) -> Located | None:
        search = tuple(spec.submodule_search_locations or ())
        origin = spec.origin if spec.has_location else None
        if origin is None and not search:
            return None
        if origin is not None and not os.path.exists(origin):
            return self._from_loader(name, spec.loader, origin, search)
        return self._classified(name, origin, search)

    def _from_loader(self, name: str, loader: Any, path: str, search: tuple[str, ...]) -> Located | None:
        try:
            source = loader.get_source(name)
        except Exception:  # whatever a foreign loader raises means: no source from here
            source = None
        archive = getattr(loader, "archive", None)
        if source is None:
            return None
        where = archive if isinstance(archive, str) else path
        located = self._classified(name, where, search, inside=path)
        return Located(name, where, search, located.owner, located.distribution, source.encode("utf-8"))

    def _listing(self, directory: str) -> frozenset[str]:
        found = self._directories.get(directory)
        if found is None:
            found = self._directories[directory] = _modified(directory), listing(directory)
        return found[1]

    # Whose it is.

    def _classified(
        self, name: str, path: str | None, search: tuple[str, ...], inside: str | None = None
    ) -> Located:
        where = inside or path or search[0]
        in_site = any(part in where for part in _SITE_PARTS)
        if not in_site and (where.startswith(_STDLIB) or os.path.realpath(where).startswith(_STDLIB)):
            if not any(part in os.path.realpath(where) for part in _SITE_PARTS):
                return Located(name, path, search, "stdlib")
        root = _root(name, where, bool(search) and path is not None)
        if root is None or not (in_site or any(n.endswith(".dist-info") for n in self._listing(root))):
            return Located(name, path, search, "first-party")
        top = name.partition(".")[0]
        whole = next((s for s in _SUFFIXES if os.path.exists(os.path.join(root, top, "__init__" + s))), None)
        single = not os.path.isdir(os.path.join(root, top))
        relative = None if whole or single else os.path.relpath(where, root).replace(os.sep, "/")
        owner = self._distributions.owner(root, top, relative) if path is not None else None
        if owner is None:
            # Nobody's distribution: no version tells when it changes, so its source has to.
            return Located(name, path, search, "first-party")
        return Located(name, path, search, "third-party", owner)


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


def listing(directory: str) -> frozenset[str]:
    """Names in a directory that an import could find; empty when it cannot be read."""
    try:
        names = os.listdir(directory)
    except OSError:
        return frozenset()
    return frozenset(
        name
        for name in names
        if name.endswith((*_SUFFIXES, ".dist-info")) or ("." not in name and name != "__pycache__")
    )


def parents(name: str) -> Iterator[str]:
    """The packages that are imported before a module, outermost first: a.b.c -> a, a.b."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        yield ".".join(parts[:count])


def _root(name: str, where: str, is_package: bool) -> str | None:
    """The search path entry below which a module's file lies, by taking its own name off the end."""
    root = os.path.dirname(where) if is_package else where
    for _ in name.split("."):
        root = os.path.dirname(root)
    return root or None


def _ask(finder: Any, name: str, path: list[str] | None) -> machinery.ModuleSpec | None:
    try:
        spec = finder.find_spec(name, path)
    except Exception:  # a foreign finder's failure must not become ours: the module is not found there
        return None
    return spec if isinstance(spec, machinery.ModuleSpec) else None


def _module_of(finder: Any) -> str:
    return getattr(finder, "__module__", None) or type(finder).__module__ or ""


def _text(module: types.ModuleType, name: str) -> str | None:
    try:
        value = getattr(module, name, None)
    except Exception:  # a lazy module may do anything here
        return None
    return value if isinstance(value, str) else None


def _source_of_bytecode(path: str) -> str:
    try:
        from importlib.util import source_from_cache

        source = source_from_cache(path)
    except (ValueError, NotImplementedError):
        return path
    return source if os.path.exists(source) else path
