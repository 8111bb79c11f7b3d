"""The canonical, typed encoding of values: equal bytes exactly for values that a target could not tell apart.

Every value is written as a tag, then, where its length varies, the length, then its content, so that the
encoding is injective: no two different values share their bytes, and no value's bytes are the beginning of
another's. It depends on nothing but the value: not on the process, the host, the hash seed, the order of a
dict or a set, or the memory layout of an array. Blobs over 4 KiB enter by their BLAKE3 digest.

``1``, ``1.0``, ``True`` and ``"1"`` differ, and so do ``0.0`` and ``-0.0``, a list and a tuple, a dataclass and
the dict of its fields. Every NaN equals every other. What has no canonical form raises ``NotCanonical``; it is
never approximated by ``repr``, ``id`` or pickle. How each type is written is said in ``forms`` and, for arrays,
tables and tensors, in ``content``.
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blake3 import blake3

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.forms import ATOMS, FAMILIES, FORMS, Rule, by_structure
from hydra_cached.keys.tags import blob, tagged, type_name

__all__ = [
    "CodeOf",
    "Encoder",
    "Rule",
    "blob",
    "encode",
    "importable_name",
    "register",
    "register_lazily",
    "tagged",
    "type_name",
]

CodeOf = Callable[[str], str]


class Encoder:
    """Encodes values; holds what the encoding of callables needs.

    Args:
        code_of: gives the fingerprint of the code that a dotted name stands for; without it, functions and
            classes have no canonical form.

    Attributes:
        kinds: classes whose instances were written by their attributes alone. What their methods do is not in
            the bytes; see ``codes``.
    """

    def __init__(self, code_of: CodeOf | None = None) -> None:
        self._code_of = code_of
        self._open: set[int] = set()
        self.kinds: set[type] = set()

    def encode(self, value: Any, path: str = "") -> bytes:
        """The canonical bytes of a value.

        Args:
            value: what to encode.
            path: where it stands, for error messages (``model.weights[2]``).

        Raises:
            NotCanonical: if it, or something in it, has no canonical form; names the place.
        """
        kind = type(value)
        if kind in ATOMS:
            return _RULES[kind](value, self, path)
        if id(value) in self._open:
            raise NotCanonical(path, "structure that contains itself")
        self._open.add(id(value))
        try:
            rule = _RULES.get(kind) or _find_rule(kind)
            if rule is None:
                raise NotCanonical(path, type_name(kind))
            return rule(value, self, path)
        except (NotCanonical, MemoryError):
            raise
        except RecursionError:
            raise NotCanonical(path, "structure too deep to follow") from None
        except Exception as error:
            # A property that raises, a broken array: what cannot be read has no form.
            raise NotCanonical(path, f"{type_name(kind)} that cannot be read ({_brief(error)})") from error
        finally:
            self._open.discard(id(value))

    def digest(self, value: Any, path: str = "") -> str:
        """BLAKE3 digest, in hex, of the canonical bytes."""
        return blake3(self.encode(value, path)).hexdigest()

    def pairs(self, items: Iterable[tuple[Any, Any]], path: str) -> list[bytes]:
        """Encoded key and value in turn, in the order given."""
        pieces = []
        for key, value in items:
            pieces.append(self.encode(key, f"{path} (a key)"))
            pieces.append(self.encode(value, f"{path}.{key}" if path else str(key)))
        return pieces

    def unordered(self, mapping: Mapping[Any, Any], path: str) -> list[bytes]:
        """Encoded pairs of a mapping whose order means nothing."""
        flat = self.pairs(mapping.items(), path)
        together = sorted(zip(flat[::2], flat[1::2], strict=True))
        return [piece for pair in together for piece in pair]

    def code(self, value: Any, path: str) -> bytes:
        """A function or class: its name and the fingerprint of its code."""
        name = importable_name(value)
        if name is None or self._code_of is None:
            raise NotCanonical(path, f"{type(value).__name__} that cannot be found by name")
        try:
            fingerprint = self._code_of(name)
        except Exception as error:
            problem = f"{type(value).__name__} whose code cannot be read ({_brief(error)})"
            raise NotCanonical(path, problem) from error
        return tagged(b"code", name.encode(), fingerprint.encode())

    def codes(self, path: str = "") -> bytes:
        """Names and code of the classes whose instances were encoded; they count where methods may be called.

        Raises:
            NotCanonical: the code of one cannot be known.
        """
        return tagged(b"kinds", *sorted(self.code(kind, path) for kind in self.kinds))


def encode(value: Any) -> bytes:
    """Canonical bytes of a value in which no callables stand."""
    return Encoder().encode(value)


def importable_name(value: Any) -> str | None:
    """Dotted name under which a function or class can be found again; None if it is not what stands there.

    The function of a class method is found under the class method's name.
    """
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or "<" in qualname:
        return None
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if isinstance(found, types.MethodType) and found is not value:
        found = found.__func__
    return f"{module}.{qualname}" if found is value else None


def register(kind: type, rule: Rule, *, family: bool = False, replace: bool = True) -> None:
    """Give a type a canonical form.

    Args:
        kind: the type.
        rule: called with the value, the encoder (for what it contains) and the value's path; returns bytes,
            which should come from ``tagged`` with a tag of their own.
        family: whether the rule also holds for subclasses; it must then write the type's name.
        replace: whether it goes before a rule that is there already.
    """
    if family:
        _FAMILIES.insert(0 if replace else len(_FAMILIES), (kind, rule))
    elif replace or kind not in _RULES:
        _RULES[kind] = rule


def register_lazily(package: str, loader: Callable[[], None]) -> None:
    """Call ``loader`` when a value of a type from this top-level package is met for the first time."""
    _LAZY[package] = loader


_RULES: dict[type, Rule] = dict(FORMS)
_FAMILIES: list[tuple[type, Rule]] = list(FAMILIES)
_LAZY: dict[str, Callable[[], None]] = {}
_loading = threading.RLock()


def _find_rule(kind: type) -> Rule | None:
    # The type is asked, never the value: proxies and mocks give themselves out as what they are not.
    with _loading:
        for package in [base.__module__.partition(".")[0] for base in kind.__mro__]:
            if loader := _LAZY.pop(package, None):
                loader()
    if kind in _RULES:
        return _RULES[kind]
    for base, rule in _FAMILIES:
        if issubclass(kind, base):
            return rule
    return by_structure(kind)


def _brief(error: BaseException) -> str:
    try:
        return (str(error).splitlines() or [""])[0] or type(error).__name__
    except Exception:
        return type(error).__name__
