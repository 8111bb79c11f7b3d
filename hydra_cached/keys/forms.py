"""The canonical forms of the types of Python and of its standard library: one small rule each.

A rule writes all of a value's state that a target could see, or refuses. Subclasses of built-in types are
refused, because what they add cannot be known; of dataclasses, attrs classes and named tuples all attributes
are written, also those that are no fields.
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
import types
import typing
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.tags import blob, tagged, type_name

if TYPE_CHECKING:
    from hydra_cached.keys.canonical import Encoder

Rule = Callable[[Any, "Encoder", str], bytes]

_NAN = struct.pack(">d", float("nan"))
_MISSING = object()
_PATHS = (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
# Python 3.12 wrote Generic in C; it holds no state.
_STATELESS: tuple[Any, ...] = (object, typing.Generic, typing.Protocol)


# Numbers and text.


def _float(value: float, encoder: Encoder, path: str) -> bytes:
    return b"f" + (_NAN if value != value else struct.pack(">d", value))


def _int(value: int, encoder: Encoder, path: str) -> bytes:
    return tagged(b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _complex(value: complex, encoder: Encoder, path: str) -> bytes:
    return b"c" + _float(value.real, encoder, path) + _float(value.imag, encoder, path)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text_of(tag: bytes) -> Rule:
    return lambda value, encoder, path: tagged(tag, _text(str(value)))


def _decimal(value: decimal.Decimal, encoder: Encoder, path: str) -> bytes:
    if value.is_nan():
        return tagged(b"decimal", b"nan")
    # Not its text, in which the thread's context has a say.
    sign, digits, exponent = value.as_tuple()
    return tagged(b"decimal", bytes((sign,)), bytes(digits), str(exponent).encode())


def _pattern(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"re", encoder.encode(value.pattern, path), encoder.encode(value.flags, path))


# Containers.


def _sequence(tag: bytes) -> Rule:
    def rule(value: Any, encoder: Encoder, path: str) -> bytes:
        return tagged(tag, *(encoder.encode(item, f"{path}[{at}]") for at, item in enumerate(value)))

    return rule


def _set(tag: bytes) -> Rule:
    def rule(value: Any, encoder: Encoder, path: str) -> bytes:
        return tagged(tag, *sorted(encoder.encode(item, f"{path} (an element)") for item in value))

    return rule


def _mapping(tag: bytes) -> Rule:
    return lambda value, encoder, path: tagged(tag, *encoder.unordered(value, path))


def _ordered_dict(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"od", *encoder.pairs(value.items(), path))


def _defaultdict(value: Any, encoder: Encoder, path: str) -> bytes:
    factory = encoder.encode(value.default_factory, f"{path}.default_factory")
    return tagged(b"dd", factory, *encoder.unordered(value, path))


def _proxy(value: Any, encoder: Encoder, path: str) -> bytes:
    # Its copy has the type of what it shows.
    return tagged(b"proxy", encoder.encode(value.copy(), path))


def _deque(value: Any, encoder: Encoder, path: str) -> bytes:
    return tagged(b"deque", encoder.encode(value.maxlen), encoder.encode(list(value), path))


def _range(value: Any, encoder: Encoder, path: str) -> bytes:
    tag = type(value).__name__.encode()
    return tagged(tag, *(encoder.encode(n, path) for n in (value.start, value.stop, value.step)))


# Names and moments.


def _enum(value: enum.Enum, encoder: Encoder, path: str) -> bytes:
    # Combined flags have no name of their own before Python 3.11; their value tells them apart.
    name = b"" if isinstance(value, enum.Flag) else _text(value.name)
    try:
        content = encoder.encode(value.value, path)
    except NotCanonical:
        content = encoder.code(type(value), path)
    encoder.kinds.add(type(value))
    return tagged(b"enum", type_name(type(value)).encode(), name, content)


def _path(value: pathlib.PurePath, encoder: Encoder, path: str) -> bytes:
    kind = type(value)
    if kind not in _PATHS:
        if any(_attributes(value, _PATHS)):
            raise NotCanonical(path, f"{type_name(kind)}, a path with attributes of its own")
        encoder.kinds.add(kind)
    # Python 3.13 keeps the classes in another module.
    name = kind.__name__ if kind in _PATHS else type_name(kind)
    return tagged(b"path", name.encode(), _text(str(value)))


def _date(value: datetime.date, encoder: Encoder, path: str) -> bytes:
    return tagged(b"date", value.isoformat().encode())


def _moment(value: Any, encoder: Encoder, path: str) -> bytes:
    zone = value.tzinfo
    if zone is None:
        where = b""
    elif type(zone) is datetime.timezone:
        where = tagged(b"offset", _timedelta(zone.utcoffset(None), encoder, path), _text(zone.tzname(None)))
    elif type_name(type(zone)) == "zoneinfo.ZoneInfo" and zone.key:
        where = tagged(b"zone", _text(zone.key))
    else:
        raise NotCanonical(path, f"{type(value).__name__} in a time zone without a name")
    text = value.replace(tzinfo=None).isoformat().encode()
    return tagged(b"moment", type(value).__name__.encode(), text, where, bytes([value.fold]))


def _timedelta(value: datetime.timedelta, encoder: Encoder, path: str) -> bytes:
    return tagged(b"td", *(encoder.encode(n) for n in (value.days, value.seconds, value.microseconds)))


# Callables.


def _callable(value: Any, encoder: Encoder, path: str) -> bytes:
    return encoder.code(value, path)


def _builtin(value: Any, encoder: Encoder, path: str) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return encoder.code(value, path)
    return tagged(b"builtin", encoder.encode(owner, f"{path}.__self__"), value.__name__.encode())


def _method(value: Any, encoder: Encoder, path: str) -> bytes:
    owner = encoder.encode(value.__self__, f"{path}.__self__")
    return tagged(b"method", owner, encoder.encode(value.__func__, f"{path}.__func__"))


def _partial(value: Any, encoder: Encoder, path: str) -> bytes:
    if vars(value):
        raise NotCanonical(path, "functools.partial with attributes")
    parts = (("func", value.func), ("args", value.args), ("keywords", value.keywords))
    return tagged(b"partial", *(encoder.encode(part, f"{path}.{name}") for name, part in parts))


# Classes by their structure.


def by_structure(kind: type) -> Rule | None:
    """The rule for dataclasses, attrs classes and named tuples; None for all others."""
    if dataclasses.is_dataclass(kind):
        return _dataclass
    if hasattr(kind, "__attrs_attrs__"):
        return _attrs
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _namedtuple
    return None


def _dataclass(value: Any, encoder: Encoder, path: str) -> bytes:
    names = [field.name for field in dataclasses.fields(value)]
    return tagged(b"dc", *_fields(value, names, (), encoder, path))


def _attrs(value: Any, encoder: Encoder, path: str) -> bytes:
    kind = type(value)
    names = [attribute.name for attribute in kind.__attrs_attrs__]
    # attrs keeps memoised properties of slotted classes in slots that it makes itself.
    own = [base for base in kind.__mro__ if "__attrs_attrs__" in vars(base)]
    return tagged(b"attrs", *_fields(value, names, own, encoder, path))


def _namedtuple(value: Any, encoder: Encoder, path: str) -> bytes:
    _refuse_foreign_state(type(value), (tuple,), path)
    encoder.kinds.add(type(value))
    fields = encoder.pairs(zip(value._fields, value, strict=True), path)
    # The fields are descriptors, so that only what else was set on the object is found here.
    more = encoder.pairs(((name, getattr(value, name)) for name in _attributes(value)), path)
    return tagged(b"nt", type_name(type(value)).encode(), tagged(b"f", *fields), tagged(b"a", *more))


def _fields(value: Any, names: list[str], but: Iterable[type], encoder: Encoder, path: str) -> list[bytes]:
    """The type's name, fields and whatever else was set on the object."""
    _refuse_foreign_state(type(value), (), path)
    encoder.kinds.add(type(value))
    names = [*names, *(name for name in _attributes(value, but) if name not in names)]
    found = ((name, getattr(value, name, _MISSING)) for name in names)
    pairs = encoder.pairs(((name, item) for name, item in found if item is not _MISSING), path)
    return [type_name(type(value)).encode(), *pairs]


def _attributes(value: Any, but: Iterable[type] = ()) -> list[str]:
    """Names in an object's ``__dict__`` and slots, sorted; a memoised property is derived, so it does not count.

    Args:
        value: any object.
        but: classes whose slots are left out.
    """
    kind: Any = type(value)
    slots, memoised = _layout(kind, tuple(but))
    names = [name for name in getattr(value, "__dict__", ()) if name not in memoised]
    return sorted({*names, *(name for name in slots if getattr(value, name, _MISSING) is not _MISSING)})


@functools.lru_cache(maxsize=512)
def _layout(kind: Any, but: tuple[type, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of a class's slots, and of its memoised properties."""
    slots: set[str] = set()
    memoised: set[str] = set()
    for base in reversed(kind.__mro__):
        for name, item in vars(base).items():
            memoised.discard(name)
            if isinstance(item, functools.cached_property):
                memoised.add(name)
            elif type(item) is types.MemberDescriptorType and base not in but:
                slots.add(name)
    return frozenset(slots), frozenset(memoised)


def _refuse_foreign_state(kind: type, known: tuple[type, ...], path: str) -> None:
    """Refuse classes with a base that is written in C: what it holds is in no attribute."""
    base = _foreign_base(kind, known)
    if base is not None:
        raise NotCanonical(path, f"{type_name(kind)}, a subclass of {base.__name__}")


@functools.lru_cache(maxsize=512)
def _foreign_base(kind: Any, known: tuple[type, ...]) -> Any:
    bases = (base for base in kind.__mro__ if base not in known and base not in _STATELESS)
    return next((b for b in bases if isinstance(vars(b).get("__new__"), types.BuiltinFunctionType)), None)


FORMS: dict[type, Rule] = {
    type(None): lambda value, encoder, path: b"N",
    type(...): lambda value, encoder, path: b"E",
    type(NotImplemented): lambda value, encoder, path: b"I",
    bool: lambda value, encoder, path: b"T" if value else b"F",
    int: _int,
    float: _float,
    complex: _complex,
    str: lambda value, encoder, path: blob(b"s", _text(value)),
    bytes: lambda value, encoder, path: blob(b"b", value),
    bytearray: lambda value, encoder, path: blob(b"ba", value),
    list: _sequence(b"l"),
    tuple: _sequence(b"t"),
    set: _set(b"set"),
    frozenset: _set(b"fset"),
    dict: _mapping(b"d"),
    collections.OrderedDict: _ordered_dict,
    collections.defaultdict: _defaultdict,
    collections.Counter: _mapping(b"counter"),
    collections.deque: _deque,
    types.MappingProxyType: _proxy,
    types.SimpleNamespace: lambda value, encoder, path: tagged(b"ns", *encoder.unordered(vars(value), path)),
    range: _range,
    slice: _range,
    decimal.Decimal: _decimal,
    fractions.Fraction: _text_of(b"fraction"),
    uuid.UUID: _text_of(b"uuid"),
    datetime.date: _date,
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.timedelta: _timedelta,
    re.Pattern: _pattern,
    types.FunctionType: _callable,
    types.BuiltinFunctionType: _builtin,
    types.MethodType: _method,
    functools.partial: _partial,
}
# Values that hold no others, and whose rules cannot fail.
ATOMS = frozenset(
    (type(None), bool, int, float, complex, str, bytes, datetime.date, datetime.timedelta, uuid.UUID)
)
FAMILIES: list[tuple[type, Rule]] = [(enum.Enum, _enum), (pathlib.PurePath, _path), (type, _callable)]
