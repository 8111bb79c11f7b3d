"""The canonical, typed encoding of values: equal bytes exactly for values that a target could not tell apart.

Every value is written as a tag, then, where its length varies, the length, then its content, so that the
encoding is injective: no two different values share their bytes, and no value's bytes are the beginning of
another's. It depends on nothing but the value: not on the process, the host, the hash seed, the order of a
dict or a set, or the memory layout of an array. Blobs over 4 KiB enter by their BLAKE3 digest.

``1``, ``1.0``, ``True`` and ``"1"`` differ, and so do ``0.0`` and ``-0.0``, a list and a tuple, a dataclass and
the dict of its fields. Every NaN equals every other. What has no canonical form raises ``NotCanonical``; it is
never approximated by ``repr``, ``id`` or pickle.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import re
import struct
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blake3 import blake3

from hydra_cached.errors import NotCanonical

Rule = Callable[[Any, "Encoder", str], bytes]
CodeOf = Callable[[str], str]

_BLOB = 4096
_NAN = struct.pack(">d", float("nan"))


def type_name(kind: type) -> str:
    """Dotted name of a type, ``package.module.Outer.Inner``."""
    return f"{kind.__module__}.{kind.__qualname__}"


def tagged(tag: bytes, *pieces: bytes) -> bytes:
    """A tag and pieces of any length, so that no other tag and pieces have the same bytes."""
    head = bytes((len(tag),)) + tag + len(pieces).to_bytes(4, "big")
    return b"".join((head, *(_sized(piece) for piece in pieces)))


def _sized(piece: bytes) -> bytes:
    return len(piece).to_bytes(8, "big") + piece


def blob(tag: bytes, data: bytes | memoryview) -> bytes:
    """Raw bytes under a tag; long ones by their digest (with a mark of its own, so that none can pose as one)."""
    view = memoryview(data)
    if view.nbytes <= _BLOB:
        return tagged(tag, b"=", bytes(view))
    return tagged(tag, b"#", view.nbytes.to_bytes(8, "big"), blake3(view).digest())


class Encoder:
    """Encodes values; holds what the encoding of callables needs.

    Args:
        code_of: gives the fingerprint of the code that a dotted name stands for; without it, functions and
            classes have no canonical form.
    """

    def __init__(self, code_of: CodeOf | None = None) -> None:
        self._code_of = code_of
        self._open: set[int] = set()

    def encode(self, value: Any, path: str = "") -> bytes:
        """The canonical bytes of a value.

        Args:
            value: what to encode.
            path: where it stands, for error messages (``model.weights[2]``).

        Raises:
            NotCanonical: if it, or something in it, has no canonical form; names the place.
        """
        rule = _RULES.get(type(value)) or self._find_rule(value)
        if rule is None:
            raise NotCanonical(path, type_name(type(value)))
        if type(value) in _ATOMS:
            return rule(value, self, path)
        if id(value) in self._open:
            raise NotCanonical(path, "structure that contains itself")
        self._open.add(id(value))
        try:
            return rule(value, self, path)
        except RecursionError:
            raise NotCanonical(path, "structure too deep to follow") from None
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
            raise NotCanonical(path, f"{type(value).__name__} whose code cannot be read ({error})") from error
        return tagged(b"code", name.encode(), fingerprint.encode())

    def _find_rule(self, value: Any) -> Rule | None:
        kind = type(value)
        for base in kind.__mro__:
            loader = _LAZY.pop(base.__module__.partition(".")[0], None)
            if loader is not None:
                loader()
        if kind in _RULES:
            return _RULES[kind]
        for base, rule in _FAMILIES:
            if isinstance(value, base):
                return rule
        if dataclasses.is_dataclass(kind):
            return _dataclass
        if hasattr(kind, "__attrs_attrs__"):
            return _attrs
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return _namedtuple
        return None


def encode(value: Any) -> bytes:
    """Canonical bytes of a value in which no callables stand."""
    return Encoder().encode(value)


def importable_name(value: Any) -> str | None:
    """Dotted name under which a function or class can be found again; None if it is not what stands there."""
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or "<" in qualname:
        return None
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return f"{module}.{qualname}" if found is value else None


def register(kind: type, rule: Rule, *, family: bool = False) -> None:
    """Give a type a canonical form.

    Args:
        kind: the type.
        rule: called with the value, the encoder (for what it contains) and the value's path; returns bytes,
            which should come from ``tagged`` with a tag of their own.
        family: whether the rule also holds for subclasses; it must then write the type's name.
    """
    if family:
        _FAMILIES.insert(0, (kind, rule))
    else:
        _RULES[kind] = rule


def register_lazily(package: str, loader: Callable[[], None]) -> None:
    """Call ``loader`` when a value of a type from this top-level package is met for the first time."""
    _LAZY[package] = loader


def _float(value: float, encoder: Encoder, path: str) -> bytes:
    return b"f" + (_NAN if value != value else struct.pack(">d", value))


def _int(value: int, encoder: Encoder, path: str) -> bytes:
    return tagged(b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _complex(value: complex, encoder: Encoder, path: str) -> bytes:
    return b"c" + _float(value.real, encoder, path) + _float(value.imag, encoder, path)


def _str(value: str, encoder: Encoder, path: str) -> bytes:
    return blob(b"s", value.encode("utf-8", "surrogatepass"))


def _sequence(tag: bytes) -> Rule:
    def rule(value: Any, encoder: Encoder, path: str) -> bytes:
        return tagged(tag, *(encoder.encode(item, f"{path}[{at}]") for at, item in enumerate(value)))

    return rule


def _set(tag: bytes) -> Rule:
    def rule(value: Any, encoder: Encoder, path: str) -> bytes:
        return tagged(tag, *sorted(encoder.encode(item, f"{path} (an element)") for item in value))

    return rule


def _dict(value: dict[Any, Any], encoder: Encoder, path: str) -> bytes:
    return tagged(b"d", *encoder.unordered(value, path))


def _counter(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"counter", *encoder.unordered(value, path))


def _ordered_dict(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"od", *encoder.pairs(value.items(), path))


def _defaultdict(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"dd", encoder.encode(value.default_factory, path), *encoder.unordered(value, path))


def _proxy(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"proxy", *encoder.unordered(value, path))


def _deque(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"deque", encoder.encode(value.maxlen), encoder.encode(list(value), path))


def _range(value: range, encoder: Encoder, path: str) -> bytes:
    return tagged(b"range", *(encoder.encode(n) for n in (value.start, value.stop, value.step)))


def _slice(value: slice, encoder: Encoder, path: str) -> bytes:
    return tagged(b"slice", *(encoder.encode(n, path) for n in (value.start, value.stop, value.step)))


def _enum(value: enum.Enum, encoder: Encoder, path: str) -> bytes:
    try:
        content = encoder.encode(value.value, path)
    except NotCanonical:
        content = b"-"
    # Combined flags have no name of their own before Python 3.11; their value tells them apart.
    return tagged(b"enum", type_name(type(value)).encode(), (value.name or "").encode(), content)


def _path(value: pathlib.PurePath, encoder: Encoder, path: str) -> bytes:
    return tagged(b"path", type_name(type(value)).encode(), str(value).encode("utf-8", "surrogateescape"))


def _text_of(tag: bytes) -> Rule:
    def rule(value: Any, encoder: Encoder, path: str) -> bytes:
        return tagged(tag, str(value).encode())

    return rule


def _decimal(value: decimal.Decimal, encoder: Encoder, path: str) -> bytes:
    return tagged(b"decimal", b"nan" if value.is_nan() else str(value).encode())


def _date(value: datetime.date, encoder: Encoder, path: str) -> bytes:
    return tagged(b"date", value.isoformat().encode())


def _moment(value: Any, encoder: Encoder, path: str) -> bytes:
    zone = value.tzinfo
    if zone is None:
        where = b""
    elif type(zone) is datetime.timezone:
        where = str(zone.utcoffset(None)).encode() + b" " + str(zone.tzname(None)).encode()
    elif getattr(zone, "key", None):
        where = str(zone.key).encode()
    else:
        raise NotCanonical(path, f"{type(value).__name__} in a time zone without a name")
    text = value.replace(tzinfo=None).isoformat().encode()
    return tagged(b"moment", type(value).__name__.encode(), text, where, bytes([value.fold]))


def _timedelta(value: datetime.timedelta, encoder: Encoder, path: str) -> bytes:
    return tagged(b"td", *(encoder.encode(n) for n in (value.days, value.seconds, value.microseconds)))


def _pattern(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"re", encoder.encode(value.pattern, path), encoder.encode(value.flags, path))


def _callable(value: Any, encoder: Encoder, path: str) -> bytes:
    return encoder.code(value, path)


def _method(value: Any, encoder: Encoder, path: str) -> bytes:
    owner = value.__self__
    name = str(getattr(value, "__name__", "")).encode()
    if owner is None or isinstance(owner, types.ModuleType):
        return encoder.code(value, path)
    return tagged(b"method", encoder.encode(owner, f"{path}.__self__"), name)


def _partial(value: Any, encoder: Encoder, path: str) -> bytes:
    parts = (value.func, value.args, value.keywords)
    return tagged(b"partial", *(encoder.encode(part, path) for part in parts))


def _namedtuple(value: Any, encoder: Encoder, path: str) -> bytes:
    name = type_name(type(value)).encode()
    return tagged(b"nt", name, *encoder.pairs(zip(value._fields, value, strict=True), path))


def _dataclass(value: Any, encoder: Encoder, path: str) -> bytes:
    if isinstance(value, (dict, list, tuple, set, frozenset, str, bytes, int, float)):
        raise NotCanonical(path, f"{type_name(type(value))}, a dataclass that is also a built-in type")
    names = [field.name for field in dataclasses.fields(value)]
    return tagged(b"dc", type_name(type(value)).encode(), *_attributes(value, names, encoder, path))


def _attrs(value: Any, encoder: Encoder, path: str) -> bytes:
    names = [attribute.name for attribute in type(value).__attrs_attrs__]
    return tagged(b"attrs", type_name(type(value)).encode(), *_attributes(value, names, encoder, path))


def _attributes(value: Any, names: list[str], encoder: Encoder, path: str) -> list[bytes]:
    """Fields and whatever else was set on the object; a memoised property is derived, so it does not count."""
    kind = type(value)
    extra = [name for name in getattr(value, "__dict__", {}) if name not in names]
    extra = [n for n in extra if not isinstance(getattr(kind, n, None), functools.cached_property)]
    missing = object()
    found = ((name, getattr(value, name, missing)) for name in [*names, *sorted(extra)])
    return encoder.pairs(((name, item) for name, item in found if item is not missing), path)


_RULES: dict[type, Rule] = {
    type(None): lambda value, encoder, path: b"N",
    type(...): lambda value, encoder, path: b"E",
    type(NotImplemented): lambda value, encoder, path: b"I",
    bool: lambda value, encoder, path: b"T" if value else b"F",
    int: _int,
    float: _float,
    complex: _complex,
    str: _str,
    bytes: lambda value, encoder, path: blob(b"b", value),
    bytearray: lambda value, encoder, path: blob(b"ba", value),
    list: _sequence(b"l"),
    tuple: _sequence(b"t"),
    set: _set(b"set"),
    frozenset: _set(b"fset"),
    dict: _dict,
    collections.OrderedDict: _ordered_dict,
    collections.defaultdict: _defaultdict,
    collections.Counter: _counter,
    collections.deque: _deque,
    types.MappingProxyType: _proxy,
    types.SimpleNamespace: lambda value, encoder, path: tagged(b"ns", *encoder.unordered(vars(value), path)),
    range: _range,
    slice: _slice,
    decimal.Decimal: _decimal,
    fractions.Fraction: _text_of(b"fraction"),
    uuid.UUID: _text_of(b"uuid"),
    datetime.date: _date,
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.timedelta: _timedelta,
    re.Pattern: _pattern,
    types.FunctionType: _callable,
    types.BuiltinFunctionType: _method,
    types.MethodType: _method,
    functools.partial: _partial,
}
_ATOMS = frozenset(
    (type(None), bool, int, float, complex, str, bytes, datetime.date, datetime.timedelta, uuid.UUID)
)
_FAMILIES: list[tuple[type, Rule]] = [(enum.Enum, _enum), (pathlib.PurePath, _path), (type, _callable)]
_LAZY: dict[str, Callable[[], None]] = {}
