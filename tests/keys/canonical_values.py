"""Values for the tests of the canonical encoding: types, strategies, and a strict comparison to judge by."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import struct
import types
import uuid
import zoneinfo
from typing import Any, NamedTuple

from hypothesis import strategies as st

NAN, OTHER_NAN = struct.unpack(">dd", bytes.fromhex("7ff8000000000000fff8000000000123"))


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Word(str, enum.Enum):
    A = "a"


class Flags(enum.Flag):
    X = 1
    Y = 2


class Point(NamedTuple):
    x: Any
    y: Any = 0


class Pair(NamedTuple):
    x: Any
    y: Any = 0


@dataclasses.dataclass
class Box:
    a: Any
    b: Any = None


@dataclasses.dataclass
class Crate:
    a: Any
    b: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any



BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HOUR = datetime.timedelta(hours=1)
NOON = datetime.datetime(2026, 10, 25, 2, 30)

# Each of these differs from all others, if only by its type or its sign.
DISTINCT: list[Any] = [
    *(None, ..., NotImplemented, True, False, 0, 1, -1, 255, 256, -128, 127, 128, 2**63, -(2**63), 2**64, 10**40),
    *(0.0, -0.0, 1.0, -1.0, 0.1, 5e-324, float("inf"), -float("inf"), NAN, 1e308, 255.0),
    *(0j, complex(-0.0, 0), complex(0, -0.0), 1 + 0j, 1j, complex(NAN, 0), complex(0, NAN), complex(NAN, NAN)),
    *("", "0", "1", "1.0", "True", "None", "a", "b", "ab", "ä", "a\u0308", "\ud800", "\0", "a\0", "[]", "N"),
    *("\ud83d\ude00", "\U0001f600", "x" * 4096, "x" * 4097, "x" * 4098),
    *(b"", b"0", b"1", b"a", b"\0", b"x" * 4096, b"x" * 4097, bytearray(), bytearray(b"a"), bytearray(b"x" * 4097)),
    *((), [], {}, set(), frozenset(), (0,), [0], {0}, frozenset({0}), {0: 0}, (0, 0), [0, 0], (0.0,), [False]),
    *([[]], [()], ((),), ([],), [[], []], [[[]]], [[0], 1], [[0, 1]], [0, [1]], [None], ["a", "b"], ["ab"]),
    *(["a", ""], ["", "a"], [b"a"], [["a"], "b"], ("a", "b"), {"a", "b"}, frozenset("ab"), {"ab"}),
    *({"a": "b"}, {"b": "a"}, {"a": None}, {1: 0}, {1.0: 0}, {True: 0}, {"1": 0}, {b"1": 0}, {(): 0}, {None: 0}),
    *({"a": {"b": 1}}, {"a": {"b": 1.0}}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": {}, "b": 1}, {"a": {"b": {}}}),
    *(collections.OrderedDict(), collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    *(collections.Counter(), collections.Counter(a=1)),
    *(collections.defaultdict(None), collections.defaultdict(None, a=1)),
    *(collections.deque(), collections.deque([0]), collections.deque([0], 1), collections.deque([0], 2)),
    *(types.MappingProxyType({}), types.MappingProxyType({"a": 1})),
    types.MappingProxyType(collections.Counter(a=1)),
    *(types.SimpleNamespace(), types.SimpleNamespace(a=1), types.SimpleNamespace(a=1.0)),
    *(range(0), range(1), range(0, 1, 2), range(3), range(2, -1, -1), slice(None), slice(0), slice(0, None)),
    *(slice(0, 1, 1), slice(0.0), decimal.Decimal(0), decimal.Decimal("-0"), decimal.Decimal("0.0")),
    *(decimal.Decimal("1"), decimal.Decimal("1.0"), decimal.Decimal("1E+3"), decimal.Decimal(1000)),
    *(decimal.Decimal("inf"), decimal.Decimal("-inf"), decimal.Decimal("nan")),
    *(fractions.Fraction(0), fractions.Fraction(1), fractions.Fraction(1, 2), fractions.Fraction(-1, 2)),
    *(uuid.UUID(int=0), uuid.UUID(int=1), datetime.date(2026, 10, 25), datetime.datetime(2026, 10, 25)),
    *(NOON, NOON.replace(fold=1), NOON.replace(microsecond=1), NOON.replace(tzinfo=BERLIN)),
    *(NOON.replace(tzinfo=BERLIN, fold=1), NOON.replace(tzinfo=datetime.timezone.utc)),
    *(NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")), NOON.replace(tzinfo=datetime.timezone(HOUR))),
    *(NOON.replace(tzinfo=datetime.timezone(HOUR, "CET")), NOON.replace(tzinfo=datetime.timezone(-HOUR))),
    *(NOON.time(), NOON.time().replace(fold=1), NOON.time().replace(tzinfo=datetime.timezone.utc), datetime.time()),
    *(datetime.timedelta(), datetime.timedelta(1), datetime.timedelta(seconds=1), datetime.timedelta(0, 0, 1)),
    *(pathlib.PurePosixPath("a"), pathlib.PosixPath("a"), pathlib.PureWindowsPath("a"), pathlib.PurePosixPath(".")),
    *(pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a/b"), pathlib.PurePosixPath("/a")),
    pathlib.Path("ä"),
    *(pathlib.Path("\udcc3\udca4"), pathlib.Path("\ud800")),
    *(Colour.RED, Colour.BLUE, Shade.RED, Level.LOW, Word.A, Flags.X, Flags.Y, Flags.X | Flags.Y, Flags(0)),
    *(Point(0), Point(0, 1), Pair(0), Point((0, 0))),
    *(Box(0), Box(0, 0), Crate(0), Frozen(0), Box(Box(0)), Box(None)),
]

ATOMS = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, NAN, OTHER_NAN, "", "0", "1", "a", b"", b"a"]),
    st.sampled_from([*Colour, *Shade, Level.LOW, Word.A, *Flags, Flags.X | Flags.Y, pathlib.Path("a"), ...]),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.text(st.characters(), max_size=3),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.decimals().filter(lambda number: not number.is_snan()),  # signalling ones cannot be hashed
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(BERLIN) | st.just(datetime.timezone.utc), allow_imaginary=True),
    st.times(),
    st.timedeltas(),
    st.builds(pathlib.PurePosixPath, st.text("ab/.", max_size=3)),
    st.builds(range, st.integers(-2, 2), st.integers(-2, 2), st.sampled_from([1, 2, -1])),
)
HASHABLE = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner), st.tuples(inner), st.frozensets(inner, max_size=3), st.builds(Point, inner, inner)
    ),
    max_leaves=4,
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    dicts = st.dictionaries(HASHABLE, inner, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        dicts,
        dicts.map(collections.OrderedDict),
        dicts.map(lambda items: collections.defaultdict(None, items)),
        dicts.map(types.MappingProxyType),
        st.sets(HASHABLE, max_size=3),
        st.frozensets(HASHABLE, max_size=3),
        st.lists(HASHABLE, max_size=3).map(collections.Counter),
        st.builds(collections.deque, st.lists(inner, max_size=2), st.none() | st.integers(2, 3)),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(Box, inner, inner),
        st.builds(Crate, inner, inner),
        st.builds(Frozen, HASHABLE),
        st.dictionaries(st.sampled_from("ab"), inner).map(lambda items: types.SimpleNamespace(**items)),
    )


VALUES = st.recursive(ATOMS, _containers, max_leaves=8)
SMALL = st.recursive(
    st.sampled_from([0, 1, 0.0, -0.0, True, False, "", "a", None, NAN, OTHER_NAN, Colour.RED, b""]),
    _containers,
    max_leaves=3,
)


def same(a: Any, b: Any) -> bool:
    """Whether no target could tell two values apart, by rules written without a look at the encoding."""
    if type(a) is not type(b):
        return False
    if isinstance(a, enum.Enum):
        return a is b
    if isinstance(a, float):
        return (a != a and b != b) or struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, decimal.Decimal):
        return (a.is_nan() and b.is_nan()) or a.as_tuple() == b.as_tuple()
    if isinstance(a, (datetime.datetime, datetime.time)):
        naive = a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold
        return naive and same_zone(a.tzinfo, b.tzinfo)
    if isinstance(a, range):
        return (a.start, a.stop, a.step) == (b.start, b.stop, b.step)
    if isinstance(a, collections.OrderedDict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, collections.deque):
        return a.maxlen == b.maxlen and same(list(a), list(b))
    if isinstance(a, types.MappingProxyType):
        return same(a.copy(), b.copy())
    if isinstance(a, dict):
        return matched(list(a.items()), list(b.items()))
    if isinstance(a, (set, frozenset)):
        return matched(list(a), list(b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if dataclasses.is_dataclass(a) or isinstance(a, types.SimpleNamespace):
        return same(vars(a), vars(b))
    return bool(a == b)


def same_zone(a: Any, b: Any) -> bool:
    """Time zones of the same kind with the same name and offset."""
    if type(a) is not type(b):
        return False
    if type(a) is datetime.timezone:
        return a.utcoffset(None) == b.utcoffset(None) and a.tzname(None) == b.tzname(None)
    return a is b


def matched(left: list[Any], right: list[Any]) -> bool:
    """Whether the items of one list are those of the other in some order."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for item in left:
        at = next((at for at, other in enumerate(rest) if same(item, other)), None)
        if at is None:
            return False
        rest.pop(at)
    return True


def reordered(value: Any) -> Any:
    """A copy, built anew, with everything that has no order the other way round, and the other NaN."""
    kind = type(value)
    if kind is float and value != value:
        return OTHER_NAN if struct.pack("d", value) == struct.pack("d", NAN) else NAN
    if kind in (list, tuple):
        return kind(reordered(item) for item in value)
    if kind in (set, frozenset):
        return kind(reordered(item) for item in reversed(list(value)))
    if kind is collections.OrderedDict:
        return kind((reordered(k), reordered(v)) for k, v in value.items())
    if kind in (dict, collections.Counter, types.MappingProxyType, collections.defaultdict):
        turned = {reordered(k): reordered(v) for k, v in reversed(list(value.items()))}
        return kind(None, turned) if kind is collections.defaultdict else kind(turned)
    if kind is collections.deque:
        return kind([reordered(item) for item in value], value.maxlen)
    if kind in (Point, Pair):
        return kind(*(reordered(item) for item in value))
    if kind is types.SimpleNamespace:
        return kind(**{k: reordered(v) for k, v in reversed(list(vars(value).items()))})
    if kind in (Box, Crate, Frozen):
        return kind(**{field.name: reordered(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return value
