"""Whether the code that is loaded is the code that the source says, so that a result is stored under what made it.

A module that was edited after it was imported runs as it was, while its fingerprint is already that of the new
source. There is no record of when a module was imported, so that is found out from what there is: a file that was
last written before this process began is what was imported; a file that changed since a look at it is not; for
one written in between, the loaded functions and constants are compared with the source.
"""

from __future__ import annotations

import ast
import functools
import os
import sys
import time
import types
from collections.abc import Iterator, Mapping
from typing import Any

Stamp = tuple[int, int]  # time of last write in ns, size in bytes


class LoadedCode:
    """Looks at loaded modules; remembers which source each was known to be."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Stamp] = {}

    def disagreement(self, files: Mapping[str, Stamp]) -> str | None:
        """Why a result must not be stored under the fingerprint of these files; None if it may.

        Args:
            files: source files with the stamps that they had when the fingerprint was made.
        """
        modules = _modules_by_file(files)
        for path, stamp in files.items():
            module = modules.get(path)
            # A reload gives a module another spec; then it is another program.
            sign = (path, id(getattr(module, "__spec__", None)))
            now = _stamp(path)
            if now != stamp:
                if module is not None:
                    self._known.setdefault(sign, stamp)
                return f"{path} was changed while it ran"
            if module is None:
                continue
            if sign not in self._known and _settled_before_start(now):
                self._known[sign] = now
            known = self._known.get(sign)
            if known == now:
                continue
            if known is not None or not _says_the_same(module, path):
                return f"{path} was changed after it had been imported, so that other code ran than it says"
            self._known[sign] = now
        return None


def _modules_by_file(files: Mapping[str, Stamp]) -> dict[str, types.ModuleType]:
    found = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and (path in files or os.path.abspath(path) in files):
            found[path if path in files else os.path.abspath(path)] = module
    return found


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _settled_before_start(stamp: Stamp) -> bool:
    return stamp[0] / 1e9 + 1.0 < _process_start()


@functools.cache
def _process_start() -> float:
    """When this process began, in seconds since 1970; 0 where the system does not tell."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/uptime", "rb") as file:
            up = float(file.read().split()[0])
        return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _says_the_same(module: types.ModuleType, path: str) -> bool:
    """Whether the functions and constants of a loaded module are those of its source."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        tree = ast.parse(source, path)
        compiled = compile(source, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False
    said = {_essence(code) for code in _codes_in(compiled)}
    if any(_essence(function.__code__) not in said for function in _functions_of(module, path)):
        return False
    missing = object()
    for name, value in _constants(tree).items():
        loaded = getattr(module, name, missing)
        if loaded is not missing and (type(loaded) is not type(value) or loaded != value):
            return False
    return True


def _codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_in(constant)


def _essence(code: types.CodeType) -> Any:
    """What a code object does, without where it stands."""
    constants = tuple(
        _essence(each) if isinstance(each, types.CodeType) else (type(each).__name__, repr(each))
        for each in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return code.co_name, code.co_code, constants, names, counts


def _functions_of(module: types.ModuleType, path: str) -> Iterator[types.FunctionType]:
    pending: list[Any] = list(vars(module).values())
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            if value.__code__.co_filename == path:
                yield value
            pending.append(getattr(value, "__wrapped__", None))
        elif isinstance(value, type) and value.__module__ == module.__name__:
            pending.extend(vars(value).values())
        elif isinstance(value, (staticmethod, classmethod)):
            pending.append(value.__func__)
        elif isinstance(value, property):
            pending.extend((value.fget, value.fset, value.fdel))


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Names that a module binds once, at its top, to a literal."""
    bound: dict[str, list[Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            bound.setdefault(node.id, [])
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else ()
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(statement, ast.Assign):
                try:
                    bound[target.id].append(ast.literal_eval(statement.value))
                except (ValueError, TypeError, SyntaxError, MemoryError):
                    bound[target.id].extend([None, None])
    stores = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return {name: values[0] for name, values in bound.items() if len(values) == 1 and stores.count(name) == 1}
