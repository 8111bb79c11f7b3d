"""Whether the code that is loaded is the code that the source says, so that a result is stored under what made it.

A module that was edited after it was imported runs as it was, while its fingerprint is already that of the new
source. There is no record of when a module was imported, so that is found out from what there is:

* a module that was not loaded when its source was looked at was imported from what the look saw;
* so was one whose file was last written before this process began;
* a file that changed after it was known to be what was imported, is it no more;
* for all others, what is loaded is compared with the source (``agreement``), and where that does not tell, the
  bytecode that Python wrote at the import does.

Code whose fingerprint is one that was found to be loaded, by the very modules that are loaded still, is loaded: of
what was edited since, nothing counts (a comment, a function that it does not reach).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import time
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra_cached.keys.code.agreement import agreement

Stamp = tuple[int, int]  # time of last write in ns, size in bytes

Sign = tuple[str, str, int]  # a module: its file, its name, the identity of its spec


@dataclass(frozen=True)
class Read:
    """Code whose fingerprint was made.

    Args:
        digest: the fingerprint.
        files: source files that it was made of, with the stamps that they had.
        loaded: names of the modules that were loaded by then.
    """

    digest: str
    files: Mapping[str, Stamp]
    loaded: frozenset[str]


class LoadedCode:
    """Looks at loaded modules; remembers which source each was known to be."""

    def __init__(self) -> None:
        # The specs are kept: a reload gives a module another one, and an id means nothing when its object is gone.
        self._known: dict[Sign, tuple[Any, Stamp]] = {}
        self._verified: dict[
            str, set[frozenset[Sign]]
        ] = {}  # by digest: the modules that had this code loaded

    def disagreement(self, code: Iterable[Read]) -> str | None:
        """Why a result must not be stored under these fingerprints; None if it may.

        Args:
            code: the fingerprints, and what was loaded when they were made.
        """
        code = list(code)
        modules = _modules_by_file({path for each in code for path in each.files})
        for each in code:
            signs: set[Sign] = set()
            problem = None
            for path, stamp in each.files.items():
                if _stamp(path) != stamp:
                    return f"{path} was changed while it ran"
                for name, module in modules.get(path, ()):
                    signs.add(_sign(path, name, module))
                    problem = problem or self._doubt(name, module, path, stamp, name not in each.loaded)
            verified = self._verified.setdefault(each.digest, set())
            if problem is None:
                verified.add(frozenset(signs))
            elif frozenset(signs) not in verified:
                return problem
        return None

    def _doubt(
        self, name: str, module: types.ModuleType, path: str, stamp: Stamp, imported_since: bool
    ) -> str | None:
        sign = _sign(path, name, module)
        _, known = self._known.get(sign, (None, None))
        if known is None:
            read_now = imported_since or _written_before_start(path)
            same = True if read_now and not _may_be_stale(module, path) else agreement(module, path)
            if same is None and not _compiled_from(module, path):
                return f"it cannot be told whether {path} was changed after it had been imported"
            if same is not False:
                known = stamp
                self._known[sign] = getattr(module, "__spec__", None), stamp
        if known != stamp:
            return f"{path} was changed after it had been imported, so that other code ran than it says"
        return None


def _sign(path: str, name: str, module: types.ModuleType) -> Sign:
    return path, name, id(getattr(module, "__spec__", None))


def loaded_names(before: frozenset[str] = frozenset()) -> frozenset[str]:
    """Names of all modules that are loaded; ``before`` itself if that is how it was before."""
    return before if len(before) == len(sys.modules) else frozenset(sys.modules)


def is_unchanged(code: Read) -> bool:
    """Whether no file has been written since a fingerprint was made of it."""
    return all(_stamp(path) == stamp for path, stamp in code.files.items())


def _modules_by_file(files: Collection[str]) -> dict[str, list[tuple[str, types.ModuleType]]]:
    found: dict[str, list[tuple[str, types.ModuleType]]] = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            path = path if os.path.isabs(path) else os.path.abspath(path)
            if path in files:
                found.setdefault(path, []).append((name, module))
    return found


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _written_before_start(path: str) -> bool:
    """Whether a file was last written before this process began."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    # Copies may bear the times of their originals; the time of the last change of the inode cannot be set.
    written = max(status.st_mtime_ns, status.st_ctime_ns)
    # Some file systems know no fractions of a second; and nothing is imported in a process's first moment.
    tick = 2.0 if written % 10**9 == 0 else -0.02
    return written / 1e9 + tick < _process_start()


def _may_be_stale(module: types.ModuleType, path: str) -> bool:
    """Whether Python may have taken older bytecode for that of a source: it only looks at its second and size."""
    ages = _ages(module, path)
    return ages is not None and ages[0] < ages[1]


def _compiled_from(module: types.ModuleType, path: str) -> bool:
    """Whether the bytecode beside a module, written at an import, was made of its source as it is."""
    ages = _ages(module, path)
    return ages is not None and ages[0] >= ages[1]


def _ages(module: types.ModuleType, path: str) -> tuple[int, int] | None:
    """When a module's bytecode was written and when its source; None unless the one says that it is the other's."""
    cached = getattr(module, "__cached__", None)
    if not isinstance(cached, str):
        return None
    try:
        source, bytecode = os.stat(path), os.stat(cached)
        with open(cached, "rb") as file:
            head = file.read(16)
    except OSError:
        return None
    mask = 0xFFFFFFFF
    written, size = int(source.st_mtime) & mask, source.st_size & mask
    stamp = bytes(4) + written.to_bytes(4, "little") + size.to_bytes(4, "little")
    if head != importlib.util.MAGIC_NUMBER + stamp:
        return None
    return bytecode.st_mtime_ns, source.st_mtime_ns


@functools.cache
def _process_start() -> float:
    """When this program began, in seconds since 1970; 0 where the system does not tell.

    A process that was forked has its modules from its parent, so that the parent's time counts.
    """
    try:
        process, command = os.getpid(), _command(os.getpid())
        while True:
            with open(f"/proc/{process}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            parent, ticks = int(fields[1]), int(fields[19])
            if parent <= 1 or _command(parent) != command:
                age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
                return time.time() - age if age >= 0 else 0.0
            process = parent
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0


def _command(process: int) -> bytes:
    with open(f"/proc/{process}/cmdline", "rb") as file:
        return file.read()
