"""Digests of code that has no source on disk, from the loaded objects: notebooks, ``exec``, ``<stdin>``.

Bytecode differs between Python versions, so the minor version is among the parts. Comments, docstrings
of the outermost function and positions are not in it. What a function names globally is followed as long
as it lives in memory only; what has source is handed back to the reader of sources.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blake3 import blake3

from hydra_cached.keys.code.syntax import words
from hydra_cached.keys.content import content_digest
from hydra_cached.marks import MARK

_SIMPLE = (type(None), bool, int, float, complex, str, bytes, type(...), range)
_SKIPPED = words(
    "__dict__ __weakref__ __doc__ __module__ __qualname__ __name__ __annotations__ __firstlineno__ "
    "__static_attributes__ __abstractmethods__ _abc_impl __orig_bases__ __parameters__"
)


class Opaque(Exception):
    """A value in memory takes part and cannot be digested."""


def find(target: str) -> Any:
    """The object that a dotted name means among the modules that are loaded by now.

    Raises:
        LookupError: there is none.
    """
    names = target.split(".")
    for count in range(len(names) - 1, 0, -1):
        module = sys.modules.get(".".join(names[:count]))
        if module is None:
            continue
        found: Any = module
        for name in names[count:]:
            try:
                found = getattr(found, name)
            except AttributeError:
                raise LookupError(f"{'.'.join(names[:count])} is loaded and has no {name}") from None
        return found
    raise LookupError(f"no module {names[0]}")


def is_marked(found: Any) -> bool:
    """Whether a loaded object carries the mark of ``not_deterministic``."""
    return bool(getattr(found, "__dict__", {}).get(MARK, False))


class Loaded:
    """Digests of loaded objects and all that they name.

    Args:
        static: parts by name for a dotted name that has source or a distribution; None if it has neither.
        deep: follow what the code names; else only the object itself counts.

    Attributes:
        parts: the outcome, name -> digest or version.
    """

    def __init__(self, static: Callable[[str], Mapping[str, str] | None], deep: bool = True) -> None:
        self._static = static
        self._deep = deep
        self._seen: dict[int, Any] = {}
        self.parts: dict[str, str] = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}

    def add(self, found: Any, name: str) -> None:
        """Add an object under a name.

        Raises:
            Opaque: it is, or names, a value that has no digest.
        """
        self.parts[name] = blake3(self._text(found, name).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _text(self, value: Any, name: str) -> str:
        """A text that stands for a value; functions and classes it names become parts of their own."""
        if type(value) in _SIMPLE:
            return f"{type(value).__name__}:{value!a}"
        if type(value) is tuple:
            return f"tuple[{','.join(self._text(item, name) for item in value)}]"
        if id(value) in self._seen:
            return f"again {name}" if callable(value) else "again"
        self._seen[id(value)] = value  # kept alive, for an id means something only that long
        if type(value) is list:
            return f"list[{','.join(self._text(item, name) for item in value)}]"
        if type(value) in (set, frozenset):
            return f"{type(value).__name__}{{{','.join(sorted(self._text(item, name) for item in value))}}}"
        if type(value) is dict:
            pairs = (f"{self._text(key, name)}={self._text(item, name)}" for key, item in value.items())
            return f"dict{{{','.join(pairs)}}}"
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, types.CodeType):
            return self._code(value, None)
        if isinstance(value, (logging.Logger, logging.Handler)):
            return "logger"
        if isinstance(value, re.Pattern):
            return f"pattern:{value.pattern!a}:{value.flags}"
        if isinstance(value, functools.partial):
            return f"partial[{self._text([value.func, value.args, value.keywords], name)}]"
        return self._callable(value, name)

    def _callable(self, value: Any, name: str) -> str:
        if isinstance(value, (staticmethod, classmethod, types.MethodType)):
            return f"{type(value).__name__}[{self._text(value.__func__, name)}]"
        if isinstance(value, property):
            return f"property[{self._text([value.fget, value.fset, value.fdel], name)}]"
        elsewhere = self._elsewhere(value)
        if elsewhere is not None:
            return elsewhere
        if isinstance(value, types.FunctionType):
            return self._function(value, name)
        if isinstance(value, type):
            return self._class(value, name)
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None:
            return f"wrapped[{self._text(wrapped, name)}]"
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is dict and self._elsewhere(type(value)) is None:
            return f"{self._text(type(value), name)}({self._text(attributes, name)})"
        digest = content_digest(value)
        if digest is not None:
            return f"value {digest}"
        raise Opaque(f"{name} depends on a {type(value).__qualname__} in memory, whose value has no digest")

    def _elsewhere(self, value: Any) -> str | None:
        """Follow what is defined in a source file or an installed distribution."""
        module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(qualified, str) or "<locals>" in qualified:
            return None
        found = self._static(f"{module}.{qualified}")
        if found is None:
            return None
        if self._deep:
            self.parts.update(found)
        return f"{module}.{qualified}"

    def _module(self, module: types.ModuleType) -> str:
        found = self._static(module.__name__)
        if found is None:
            # Its functions are followed where they are named; it has no body of its own any more.
            return f"module {module.__name__}"
        self.parts.update(found)
        return f"module {module.__name__}"

    def _function(self, function: types.FunctionType, name: str) -> str:
        code = self._code(function.__code__, function.__doc__)
        names = sorted(set(_global_names(function.__code__))) if self._deep else []
        for global_name in names:
            if global_name not in function.__globals__:
                continue
            value = function.__globals__[global_name]
            where = f"{function.__module__}.{global_name}"
            if isinstance(value, types.ModuleType):
                self._attributes(value, function.__code__)
            elif where not in self.parts:
                self.parts[where] = ""
                self.add(value, where)
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        extra = self._text([function.__defaults__, function.__kwdefaults__, cells], name)
        return f"function {code} {extra}"

    def _attributes(self, module: types.ModuleType, code: types.CodeType) -> None:
        """Take what a function may use of a module: the attributes whose names its code contains."""
        for attribute in sorted(set(_global_names(code))):
            if attribute in vars(module):
                found = self._static(f"{module.__name__}.{attribute}")
                if found is not None:
                    self.parts.update(found)
                elif f"{module.__name__}.{attribute}" not in self.parts:
                    self.add(vars(module)[attribute], f"{module.__name__}.{attribute}")

    def _class(self, kind: type, name: str) -> str:
        members = {key: value for key, value in vars(kind).items() if key not in _SKIPPED}
        slots = {key for key, value in members.items() if isinstance(value, types.MemberDescriptorType)}
        texts = [f"{key}={self._text(members[key], name)}" for key in sorted(members.keys() - slots)]
        bases = [self._text(base, f"{base.__module__}.{base.__qualname__}") for base in kind.__bases__]
        return f"class {kind.__qualname__} {bases} {sorted(slots)} {texts} {self._text(type(kind), name)}"

    def _code(self, code: types.CodeType, doc: str | None) -> str:
        constants = list(code.co_consts)
        if doc is not None and constants and constants[0] == doc:
            constants[0] = None
        pieces = [
            code.co_name,
            code.co_code.hex(),
            getattr(code, "co_exceptiontable", b"").hex(),
            f"{code.co_argcount},{code.co_posonlyargcount},{code.co_kwonlyargcount},{code.co_flags}",
            ascii((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
        ]
        for constant in constants:
            nested = isinstance(constant, types.CodeType)
            pieces.append(self._code(constant, None) if nested else _constant_text(constant))
        return "code(" + " ".join(pieces) + ")"


def _constant_text(value: Any) -> str:
    if isinstance(value, (tuple, frozenset)):
        texts = [_constant_text(item) for item in value]
        return f"{type(value).__name__}({','.join(sorted(texts) if isinstance(value, frozenset) else texts)})"
    return f"{type(value).__name__}:{value!a}"


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
