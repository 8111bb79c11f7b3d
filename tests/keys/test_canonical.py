"""The canonical encoding tells apart what a target could tell apart, and nothing else."""

from __future__ import annotations

import base64
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import functools
import itertools
import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any
from unittest import mock

import canonical_values as cv
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hydra_cached.errors import NotCanonical
from hydra_cached.keys import canonical
from hydra_cached.keys.canonical import Encoder, blob, encode, importable_name, tagged, type_name

GOLDEN = Path(__file__).parents[1] / "golden" / "canonical.json"
quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def code_of(name: str) -> str:
    """A stand-in for the fingerprints of code."""
    return f"code of {name}"


def digest(value: Any) -> str:
    return Encoder(code_of).digest(value)


def helper(x: int = 1) -> int:
    return x


class Worker:
    def work(self) -> int:
        return 1

    @classmethod
    def make(cls) -> Worker:
        return cls()

    @staticmethod
    def plain() -> int:
        return 2


@dataclasses.dataclass
class Tool:
    size: int = 1

    def use(self) -> int:
        return self.size

    def drop(self) -> int:
        return 0

    @functools.cached_property
    def heavy(self) -> int:
        return self.size * 2


# Injective.


def test_listed_values_all_differ() -> None:
    """Values that differ in type, sign, nesting, order, fold, zone or class never share their bytes."""
    seen: dict[bytes, Any] = {}
    for value in cv.DISTINCT:
        found = seen.setdefault(encode(value), value)
        assert found is value, f"{value!r} has the bytes of {found!r}"


def test_no_encoding_begins_another() -> None:
    """No value's bytes are the beginning of another value's bytes."""
    texts = sorted(encode(value) for value in cv.DISTINCT)
    for first, second in itertools.pairwise(texts):
        assert not second.startswith(first)


@quick
@given(cv.SMALL, cv.SMALL)
def test_small_values_have_equal_bytes_exactly_when_they_are_the_same(a: Any, b: Any) -> None:
    """Two values, often near misses of each other, have equal bytes if and only if nothing tells them apart."""
    assert (encode(a) == encode(b)) is cv.same(a, b)


@quick
@given(cv.VALUES, cv.VALUES)
def test_values_have_equal_bytes_exactly_when_they_are_the_same(a: Any, b: Any) -> None:
    """Any two values have equal bytes if and only if nothing tells them apart, and neither begins the other."""
    left, right = encode(a), encode(b)
    assert (left == right) is cv.same(a, b)
    assert left == right or not (left.startswith(right) or right.startswith(left))


@quick
@given(st.data())
def test_one_changed_leaf_changes_the_bytes(data: st.DataObject) -> None:
    """A structure in which one leaf is replaced by another value has other bytes."""
    a, b = data.draw(cv.ATOMS), data.draw(cv.ATOMS)
    assume(not cv.same(a, b))
    shape = data.draw(
        st.sampled_from([lambda v: [1, v], lambda v: {"k": {"l": v}}, lambda v: cv.Box(cv.Point(v))])
    )
    assert encode(shape(a)) != encode(shape(b))


@quick
@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_tagged_pieces_are_injective_in_their_borders(a: list[bytes], b: list[bytes]) -> None:
    """Where one piece ends and the next begins is in the bytes."""
    assert (tagged(b"x", *a) == tagged(b"x", *b)) is (a == b)
    assert tagged(b"x", *a) != tagged(b"y", *b)


def test_a_short_blob_cannot_pose_as_the_digest_of_a_long_one() -> None:
    """Bytes that spell out what a long blob's encoding holds are encoded otherwise."""
    long = bytes(5000)
    inside = blob(b"b", long)
    assert len(inside) < 100
    for start in range(len(inside)):
        assert encode(inside[start:]) != inside
    assert encode(long) == inside and encode(bytes(5001)) != inside


# Not more than injective.


@quick
@given(cv.VALUES)
def test_order_that_means_nothing_does_not_count(value: Any) -> None:
    """Dicts, sets, counters and namespaces built in another order, and other NaNs, have the same bytes."""
    turned = cv.reordered(value)
    assume(cv.same(value, turned))
    assert encode(turned) == encode(value)


@quick
@given(cv.VALUES)
def test_copies_have_the_same_bytes(value: Any) -> None:
    """A deep copy and a value that was pickled and loaded have the bytes of the original."""
    if not any(isinstance(value, kind) for kind in (types.MappingProxyType,)):
        try:
            deep, again = copy.deepcopy(value), pickle.loads(pickle.dumps(value))
        except TypeError:  # a mappingproxy somewhere inside
            return
        assert encode(deep) == encode(again) == encode(value)


def test_every_nan_equals_itself_and_every_other() -> None:
    """NaNs of any sign and payload are one value, also inside of complex numbers and as dict keys."""
    assert encode(cv.NAN) == encode(cv.OTHER_NAN) == encode(-cv.NAN)
    assert encode(complex(cv.NAN, 1)) == encode(complex(cv.OTHER_NAN, 1)) != encode(complex(1, cv.NAN))
    assert encode({cv.NAN: 1, cv.OTHER_NAN: 2}) == encode({cv.OTHER_NAN: 2, cv.NAN: 1})
    assert encode({cv.NAN: 1, cv.OTHER_NAN: 2}) != encode({cv.NAN: 2})
    assert encode(decimal.Decimal("sNaN")) == encode(decimal.Decimal("-NaN5"))


def test_decimals_do_not_depend_on_the_thread_s_context() -> None:
    """The context's way of writing exponents does not reach the key."""
    value = decimal.Decimal("1E+30")
    before = encode(value)
    with decimal.localcontext() as context:
        context.capitals = 0
        context.prec = 2
        assert encode(value) == before


def test_combined_flags_do_not_depend_on_how_python_names_them() -> None:
    """A combination of flags counts by its value: Python 3.10 gives it no name, later ones do."""
    both = cv.Flags.X | cv.Flags.Y
    with mock.patch.object(both, "_name_", None):
        nameless = encode(both)
    assert encode(both) == nameless != encode(cv.Flags.X)


def test_paths_do_not_depend_on_where_python_keeps_their_class() -> None:
    """Python 3.13 moved ``PosixPath`` to ``pathlib._local``; keys do not follow."""
    before = encode(pathlib.PurePosixPath("a"))
    with mock.patch.object(pathlib.PurePosixPath, "__module__", "pathlib._local"):
        assert encode(pathlib.PurePosixPath("a")) == before


# Stable.


def golden_values() -> dict[str, Any]:
    """Values by name; only of types whose names are the same wherever this file is imported from."""
    kept: dict[str, Any] = {}
    for at, value in enumerate(cv.DISTINCT):
        if type(value).__module__ != cv.__name__:
            if not isinstance(value, (cv.Box, cv.Crate, cv.Frozen, cv.Point, cv.Pair, enum.Enum)):
                shown = sorted(value) if isinstance(value, (set, frozenset)) else value
                text = ascii(shown)
                if isinstance(value, collections.OrderedDict) and value:
                    text = f"OrderedDict({list(value.items())})"  # as Python wrote them until 3.12
                kept[f"{at:03d} {type(value).__name__} {text[:40]}"] = value
    point = dataclasses.make_dataclass("Point", [("x", Any), ("y", Any)])
    point.__module__ = "golden"
    named = collections.namedtuple("Named", "x y")
    named.__module__ = "golden"
    tone = enum.Enum("Tone", {"HIGH": 1}, module="golden")
    kept |= {"dataclass": point(1, [2.0]), "namedtuple": named(1, 2), "enum": tone.HIGH}
    kept |= {"function": helper, "partial": functools.partial(dict, a=1), "pattern": re.compile("a+", re.I)}
    kept["deep"] = {"a": [1, {"b": (None, {3, 1, 2})}], "c": collections.deque([b"x" * 5000], 3)}
    return kept


def golden_digest(value: Any) -> str:
    if value is helper:
        return digest([type_name(type(value))])
    return digest(value)


def test_golden_digests() -> None:
    """Digests are those that were recorded: keys cannot change by accident.

    To change them on purpose, delete the file, run this test twice and raise ``FORMAT`` in keys/key.py.
    """
    now = {name: golden_digest(value) for name, value in golden_values().items()}
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        pytest.fail(f"{GOLDEN} was not there and has been written")
    assert now == json.loads(GOLDEN.read_text())


SCRIPT = """
import base64, json, pickle, sys
import canonical_values as cv
from hydra_cached.keys.canonical import encode
from blake3 import blake3
values = pickle.loads(base64.b64decode(sys.stdin.read()))
print(json.dumps([blake3(encode(v)).hexdigest() for v in values]))
"""


def elsewhere(values: list[Any], seed: str) -> list[str]:
    """Digests of values as another process with another hash seed computes them."""
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{root}{os.pathsep}{Path(__file__).parent}"}
    data = base64.b64encode(pickle.dumps(values)).decode()
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=data, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_other_processes_and_hash_seeds_give_the_same_digests(seed: str) -> None:
    """Another process with another PYTHONHASHSEED computes the digests that this one does."""
    values = [v for v in cv.DISTINCT if not isinstance(v, types.MappingProxyType)]
    values += [
        {f"k{n}" for n in range(50)},
        frozenset(range(-9, 99)),
        {cv.Colour.RED: {"a", b"b", None, 1.5}},
    ]
    values += [collections.Counter("mississippi"), {(1, "x"): {"b", "a"}, "z": 1}]
    values = [v for v in values if type(v).__module__ == cv.__name__ or type(v).__module__ != __name__]
    here = [Encoder().digest(value) for value in values]
    assert elsewhere(values, seed) == here


def test_encoding_reads_and_leaves_the_value_alone() -> None:
    """Encoding twice with one encoder gives the same bytes, and a default dict gets no new keys."""
    encoder = Encoder(code_of)
    value = collections.defaultdict(list, a=[1])
    assert encoder.encode(value) == encoder.encode(value)
    assert dict(value) == {"a": [1]}


# No canonical form: never a partial one.


class Arbitrary:
    """Has a repr and a hash that could tempt."""

    def __repr__(self) -> str:
        return "Arbitrary()"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class StringLike(str):
    pass


class IntLike(int):
    pass


class DictLike(dict):
    pass


class ListLike(list):
    pass


class MomentLike(datetime.datetime):
    pass


NOT_CANONICAL = {
    "object": object(),
    "instance": Arbitrary(),
    "lambda": lambda: 1,
    "local function": (lambda: lambda: 1)(),
    "generator": (n for n in ()),
    "iterator": iter([1]),
    "map": map(str, [1]),
    "memoryview": memoryview(b"a"),
    "module": os,
    "lock": threading.Lock(),
    "exception": ValueError("a"),
    "str subclass": StringLike("a"),
    "int subclass": IntLike(1),
    "dict subclass": DictLike(a=1),
    "list subclass": ListLike([1]),
    "datetime subclass": MomentLike(2026, 1, 1),
    "lru_cache": functools.lru_cache(maxsize=None)(lambda: 1),
    "bound method of an arbitrary object": Arbitrary().__repr__,
    "random": __import__("random").Random(0),
    "generic alias": list[int],
    "userdict": collections.UserDict(a=1),
    "weak": mock.Mock(),
}


@pytest.mark.parametrize("name", NOT_CANONICAL)
@pytest.mark.parametrize("wrap", ["plain", "list", "dict", "key", "dataclass", "partial", "set"])
def test_what_has_no_canonical_form_is_refused_wherever_it_stands(name: str, wrap: str) -> None:
    """Objects, lambdas, generators, subclasses of built-in types: refused, never left out."""
    value = NOT_CANONICAL[name]
    try:
        whole = {
            "plain": lambda: value,
            "list": lambda: [1, value],
            "dict": lambda: {"a": {"b": value}},
            "key": lambda: {value: 1},
            "dataclass": lambda: cv.Box(1, value),
            "partial": lambda: functools.partial(helper, value),
            "set": lambda: {value},
        }[wrap]()
    except TypeError:
        pytest.skip("cannot be hashed")
    with pytest.raises(NotCanonical):
        Encoder(code_of).encode(whole)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"model": {"weights": [1, object()]}}, "model.weights[1]"),
        (cv.Box(1, (2, object())), "b[1]"),
        (cv.Point({"k": object()}), "x.k"),
        ({1: {object(): 1}}, "1 (a key)"),
        ([{object()}], "[0] (an element)"),
    ],
)
def test_the_place_is_named(value: Any, place: str) -> None:
    """The refusal names the path of what has no canonical form, below the path that was given."""
    with pytest.raises(NotCanonical) as caught:
        encode(value)
    assert caught.value.path == place
    with pytest.raises(NotCanonical) as caught:
        Encoder().encode(value, "top")
    assert caught.value.path.startswith("top") and place in caught.value.path
    assert str(caught.value).startswith(caught.value.path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path, again.kind) == (str(caught.value), caught.value.path, caught.value.kind)


def test_structures_that_contain_themselves_are_refused() -> None:
    """Cycles through lists, dicts, dataclasses, deques and default factories end in a refusal, not in a crash."""
    loop: list[Any] = []
    loop.append(loop)
    mapping: dict[str, Any] = {}
    mapping["self"] = [mapping]
    box = cv.Box(1)
    box.b = (box,)
    queue: collections.deque[Any] = collections.deque()
    queue.append(queue)
    space = types.SimpleNamespace()
    space.me = space
    for value in (loop, mapping, box, queue, space):
        with pytest.raises(NotCanonical, match="contains itself"):
            encode(value)


def test_a_value_that_stands_twice_is_no_cycle() -> None:
    """The same list in two places is encoded twice, and like two equal lists."""
    inner = [1]
    assert encode([inner, inner]) == encode([[1], [1]])
    encoder = Encoder()
    with pytest.raises(NotCanonical):
        encoder.encode([inner, object()])
    assert encoder.encode([inner, inner]) == encode([[1], [1]])  # a failure leaves no trace in the encoder


def test_very_deep_structures_are_refused_or_encoded_but_never_crash() -> None:
    """A structure deeper than the stack gives NotCanonical."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotCanonical):
        encode(deep)


def test_errors_of_the_value_become_refusals() -> None:
    """A property, iterator, ``__str__`` or zone that raises gives NotCanonical with the path, not its own error."""

    class Key:
        def __str__(self) -> str:
            raise ValueError("no")

    @dataclasses.dataclass
    class Bad:
        x: int = 1

        def __getattribute__(self, name: str) -> Any:
            if name == "x":
                raise OSError("gone")
            return object.__getattribute__(self, name)

    class BadZone(datetime.tzinfo):
        key = "x"

        def utcoffset(self, when: Any) -> Any:
            raise ValueError

    when = datetime.datetime(2026, 1, 1, tzinfo=BadZone())
    strange = cv.Box(1)
    vars(strange)[1] = vars(strange)["z"] = 1  # attribute names that cannot be sorted
    for value in ([Bad()], [{Key(): 1}], [when], [strange]):
        with pytest.raises(NotCanonical) as caught:
            encode(value)
        assert caught.value.path.startswith("[0]")


def test_interrupts_pass_through() -> None:
    """KeyboardInterrupt while a value is read is not taken for a refusal."""

    @dataclasses.dataclass
    class Stop:
        x: int = 1

        def __getattribute__(self, name: str) -> Any:
            if name == "x":
                raise KeyboardInterrupt
            return object.__getattribute__(self, name)

    with pytest.raises(KeyboardInterrupt):
        encode(Stop())


# State that is easy to overlook.


class Slotted:
    __slots__ = ("hidden",)


@dataclasses.dataclass
class WithSlots(Slotted):
    x: int = 1


@dataclasses.dataclass
class Failure(Exception):
    x: int = 1


@dataclasses.dataclass(init=False)
class Queue(collections.deque):
    """Over a C type. (Without a docstring, dataclasses of Python 3.10 asks for a signature that there is not.)"""

    x: int = 1


@dataclasses.dataclass(init=False)
class Numbers(list):
    x: int = 1


class Named(cv.Point):
    pass


class Tagged(type(pathlib.Path())):
    pass


def test_attributes_beside_the_fields_count() -> None:
    """What was set on a dataclass, or lies in a slot of its base, is part of the value."""
    plain, more = cv.Box(1), cv.Box(1)
    more.extra = 2
    assert encode(plain) != encode(more)
    first, second = WithSlots(), WithSlots()
    first.hidden, second.hidden = 1, 2
    assert encode(first) != encode(second) != encode(WithSlots())


def test_attributes_of_named_tuples_count_or_are_refused() -> None:
    """A named tuple's subclass may carry more than its fields."""
    first, second = Named(1), Named(1)
    first.extra, second.extra = 1, 2
    assert len({encode(first), encode(second), encode(Named(1))}) == 3


def test_attributes_of_paths_count_or_are_refused() -> None:
    """A path of somebody's class that holds more than its parts does not lose it."""
    first, second = Tagged("a"), Tagged("a")
    first.options, second.options = {"key": 1}, {"key": 2}
    assert encode_or_none(first) is None or encode(first) != encode(second)
    assert encode_or_none(Tagged("a")) != encode(pathlib.Path("a"))


def encode_or_none(value: Any) -> bytes | None:
    try:
        return encode(value)
    except NotCanonical:
        return None


def test_dataclasses_on_top_of_built_in_types_are_refused() -> None:
    """The contents of an exception, deque or list below a dataclass are not in its fields."""
    queue, numbers = Queue([1]), Numbers([1])
    for value in (Failure(1), queue, numbers):
        with pytest.raises(NotCanonical):
            encode(value)


def test_attrs_on_top_of_built_in_types_are_refused() -> None:
    """The same holds for attrs classes."""
    attrs = pytest.importorskip("attrs")
    kind = attrs.define(slots=False, init=False)(
        type("Kind", (list,), {"__annotations__": {"x": int}, "x": 1})
    )
    with pytest.raises(NotCanonical):
        encode(kind([1]))


def test_attrs_objects_count_by_type_and_fields() -> None:
    """attrs classes, slotted, frozen or not, are told apart by type, field values and field types."""
    attrs = pytest.importorskip("attrs")

    def make(name: str, **options: Any) -> Any:
        return attrs.make_class(name, {"x": attrs.field(), "y": attrs.field(default=0)}, **options)

    one, two = make("One"), make("Two", slots=True, frozen=True)
    values = [one(1), one(1.0), one(1, 2), one(2), two(1), two(1.0), two((1,)), two([1])]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(one(1)) == encode(one(1, 0))
    with pytest.raises(NotCanonical) as caught:
        encode({"a": two(1, object())})
    assert caught.value.path == "a.y"


def test_memoised_properties_do_not_count() -> None:
    """A cached property that was read does not change the key (a key must not change after first use)."""
    fresh, used = Tool(), Tool()
    assert used.heavy == 2
    assert encode(fresh) == encode(used)


def test_partial_objects_count_whole() -> None:
    """Function, arguments and keywords of a partial count; their order does not; attributes are refused."""
    make = functools.partial
    values = [
        make(helper),
        make(helper, 1),
        make(helper, 1.0),
        make(helper, x=1),
        make(dict, 1),
        make(helper, (1,)),
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(make(dict, a=1, b=2)) == digest(make(dict, b=2, a=1))
    marked = make(helper)
    marked.mark = 1
    with pytest.raises(NotCanonical):
        digest(marked)


def test_proxies_count_by_what_they_show() -> None:
    """A read-only view of an ordered dict is not one of a dict, for its copies are not."""
    proxy = types.MappingProxyType
    ordered = [proxy(collections.OrderedDict(a=1, b=2)), proxy(collections.OrderedDict(b=2, a=1))]
    assert len({encode(v) for v in [*ordered, proxy({"a": 1, "b": 2})]}) == 3


# Things that pretend to be others.


def test_objects_that_claim_another_class_are_refused() -> None:
    """A mock with ``spec=Path`` passes ``isinstance``, and its text holds its address: no key."""
    for spec in (pathlib.PurePosixPath("a"), cv.Colour.RED, 1, "a", cv.Point(1)):
        with pytest.raises(NotCanonical):
            Encoder(code_of).encode(mock.NonCallableMagicMock(spec=spec))


def test_time_zones_of_unknown_classes_are_refused() -> None:
    """A zone class of somebody's that has the name of a real zone is not that zone."""

    class Fake(datetime.tzinfo):
        key = "Europe/Berlin"

        def utcoffset(self, when: Any) -> datetime.timedelta:
            return datetime.timedelta(0)

        def tzname(self, when: Any) -> str:
            return "CET"

        def dst(self, when: Any) -> None:
            return None

    with pytest.raises(NotCanonical):
        encode(cv.NOON.replace(tzinfo=Fake()))


def test_zones_read_from_files_without_a_name_are_refused() -> None:
    """A ZoneInfo without a key has nothing canonical."""
    import io
    import zoneinfo

    data = (
        b"TZif"
        + b"\0" * 16
        + (0).to_bytes(4, "big") * 4
        + (1).to_bytes(4, "big") * 2
        + b"\0\0\0\0\0\0"
        + b"\0"
    )
    try:
        zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(data))
    except Exception:
        pytest.skip("this Python does not read the file")
    with pytest.raises(NotCanonical):
        encode(cv.NOON.replace(tzinfo=zone))


def test_enums_whose_values_have_no_form_count_by_their_code() -> None:
    """An enum of functions is told apart by member, and counts with the code of its class, or is refused."""

    member: Any = getattr(enum, "member", lambda value: value)  # of Python 3.11, and wanted from 3.13 on

    class Op(enum.Enum):
        ADD = member(functools.partial(lambda a, b: a + b))
        SUB = member(functools.partial(lambda a, b: a - b))

    with pytest.raises(NotCanonical):
        encode(Op.ADD)
    Op.__qualname__ = "Op"
    module = sys.modules[__name__]
    with mock.patch.object(module, "Op", Op, create=True):
        one = Encoder(lambda name: "1")
        two = Encoder(lambda name: "2")
        assert one.encode(Op.ADD) != one.encode(Op.SUB)
        assert one.encode(Op.ADD) != two.encode(Op.ADD)


# Functions and classes.


def test_functions_and_classes_count_by_name_and_code() -> None:
    """A changed fingerprint changes the bytes; so does another name with the same code."""
    for value in (helper, Worker, Worker.work, Worker.plain, len, dict, Worker.make):
        one = Encoder(lambda name: "1").encode(value)
        assert one != Encoder(lambda name: "2").encode(value)
        assert one == Encoder(lambda name: "1").encode(value)
    names = [helper, Worker, Worker.work, Worker.plain, Worker.make, len, dict, dict.fromkeys]
    assert len({Encoder(lambda name: "1").encode(value) for value in names}) == len(names)


def test_without_fingerprints_functions_have_no_form() -> None:
    """Where no code can be looked up, functions and classes are refused."""
    for value in (helper, Worker, len, functools.partial(helper)):
        with pytest.raises(NotCanonical):
            encode(value)


def test_code_that_cannot_be_read_is_a_refusal() -> None:
    """An error of the code reader is reported as the value's, with its message."""

    def broken(name: str) -> str:
        raise SyntaxError("line 3")

    with pytest.raises(NotCanonical, match="line 3"):
        Encoder(broken).encode([helper])


def test_functions_that_are_not_what_their_name_says_are_refused() -> None:
    """Lambdas, closures and functions replaced in their module cannot be found by name."""

    def outer() -> Any:
        def helper() -> int:
            return 2

        return helper

    impostor = outer()
    impostor.__qualname__ = "helper"
    for value in (lambda: 1, outer(), impostor):
        assert importable_name(value) is None
        with pytest.raises(NotCanonical):
            digest(value)
    assert importable_name(helper) == f"{__name__}.helper"
    assert importable_name(Worker.work) == f"{__name__}.Worker.work"


def test_bound_methods_count_by_owner_and_code() -> None:
    """Owner, method and the method's code are in the bytes of a bound method."""
    values = [Tool(1).use, Tool(2).use, Tool(1).drop, "a".upper, "b".upper, "a".lower, [1].count]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(Tool(1).use) == digest(Tool(1).use)
    one, two = (Encoder(lambda name, n=n: n).encode(Tool(1).use) for n in ("1", "2"))
    assert one != two


def test_functions_bound_by_hand_are_not_taken_for_one_another() -> None:
    """Two lambdas bound to equal owners have one name, and different code: refused."""
    for code in (lambda self: 1, lambda self: 2):
        with pytest.raises(NotCanonical):
            digest(types.MethodType(code, 5))


# Registration.


@pytest.fixture
def registry() -> Any:
    """The registered rules, put back afterwards."""
    rules, families, lazy = dict(canonical._RULES), list(canonical._FAMILIES), dict(canonical._LAZY)
    yield
    canonical._RULES.clear()
    canonical._RULES.update(rules)
    canonical._FAMILIES[:] = families
    canonical._LAZY.clear()
    canonical._LAZY.update(lazy)


def test_registered_types_have_a_form(registry: Any) -> None:
    """A registered rule holds for its type; as a family for subclasses, too."""
    canonical.register(Arbitrary, lambda value, encoder, path: tagged(b"mine", encoder.encode(1, path)))
    assert encode(Arbitrary()) == tagged(b"mine", encode(1))

    class Sub(Arbitrary):
        pass

    with pytest.raises(NotCanonical):
        encode(Sub())
    canonical.register(Arbitrary, lambda value, encoder, path: tagged(b"family"), family=True)
    assert encode(Sub()) == tagged(b"family")


def test_what_a_user_registered_is_not_replaced_when_the_library_s_own_rules_are_loaded(
    registry: Any,
) -> None:
    """A rule for ndarray stays in force after numpy's rules came in: a key must not change after first use."""
    script = """
import numpy as np
from hydra_cached.keys import canonical
import hydra_cached.keys.content
canonical.register(np.ndarray, lambda v, e, p: canonical.tagged(b"mine"))
canonical.register(np.floating, lambda v, e, p: canonical.tagged(b"my scalar"), family=True)
first = canonical.encode(np.zeros(2))
canonical.encode(np.int64(1))
assert canonical.encode(np.zeros(2)) == first == canonical.tagged(b"mine")
assert canonical.encode(np.float64(1)) == canonical.tagged(b"my scalar")
"""
    pytest.importorskip("numpy")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_two_threads_that_meet_a_library_at_once_both_find_its_rules(registry: Any) -> None:
    """While one thread loads a library's rules, another waits for them instead of refusing."""
    started, go = threading.Event(), threading.Event()

    def loader() -> None:
        started.set()
        go.wait(5)
        canonical.register(Arbitrary, lambda value, encoder, path: tagged(b"late"))

    canonical.register_lazily(Arbitrary.__module__.partition(".")[0], loader)
    found: list[Any] = []

    def look() -> None:
        found.append(encode_or_none(Arbitrary()))

    first, second = threading.Thread(target=look), threading.Thread(target=look)
    first.start()
    assert started.wait(5)
    second.start()
    second.join(0.2)
    go.set()
    first.join()
    second.join()
    assert found == [tagged(b"late")] * 2
