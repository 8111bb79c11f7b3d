"""Content digests of arrays, tables and tensors: by content and type, never by memory layout."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.canonical import Encoder
from hydra_cached.keys.content import content_digest

GOLDEN = Path(__file__).parents[1] / "golden" / "content.json"


def distinct(*values: Any) -> bool:
    """Whether all values have digests, and no two the same."""
    digests = [content_digest(value) for value in values]
    assert None not in digests, digests
    return len(set(digests)) == len(digests)


def equal(*values: Any) -> bool:
    """Whether all values have one digest."""
    digests = {content_digest(value) for value in values}
    assert None not in digests
    return len(digests) == 1


# In general.


def test_what_has_no_form_has_no_digest() -> None:
    """Arbitrary objects, generators, locks, cycles and values that raise give None, alone and inside of others."""

    class Broken:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError

    loop: list[Any] = []
    loop.append(loop)
    for value in (object(), (n for n in ()), threading.Lock(), loop, Broken(), lambda: 1, open):
        assert content_digest(value) is None
        assert content_digest({"a": [1, value]}) is None


def test_digests_are_those_of_the_canonical_form() -> None:
    """Scalars and containers have the digest of their canonical bytes: 64 hex digits."""
    found = content_digest({"a": [1, 2.0, None]})
    assert found == Encoder().digest({"a": [1, 2.0, None]})
    assert found is not None and len(found) == 64 and set(found) <= set("0123456789abcdef")


def test_functions_have_a_digest_where_code_can_be_read() -> None:
    """A function in a result counts by name and code."""
    assert content_digest([json.dumps]) is None
    one, two = (content_digest([json.dumps], lambda name, n=n: n) for n in ("1", "2"))
    assert one and two and one != two


class Way(enum.Enum):
    UP = 1


class Step(NamedTuple):
    x: int = 1


@dataclasses.dataclass
class Walk:
    x: Any = 1


def test_the_code_of_the_classes_of_instances_counts() -> None:
    """Where code can be read, a dataclass, enum member or named tuple counts with its class: it has methods."""
    for value in (Way.UP, Step(), Walk(), [Walk(Step(Way.UP))], {"a": {Way.UP: 1}}):
        one, two = (content_digest(value, lambda name, n=n: n) for n in ("1", "2"))
        assert one and two and one != two
        assert content_digest(value, lambda name: "1") == one
    seen: list[str] = []
    content_digest([Walk(Step(Way.UP)), Walk()], lambda name: seen.append(name) or "1")
    assert sorted(seen) == [f"{__name__}.{name}" for name in ("Step", "Walk", "Way")]


def test_instances_of_classes_whose_code_cannot_be_read_have_no_digest() -> None:
    """A class that cannot be found by name, or not be read: what its instances do cannot be known."""
    local = dataclasses.make_dataclass("Local", ["x"])
    assert content_digest(local(1)) and content_digest([local(1)], lambda name: "1") is None

    def broken(name: str) -> str:
        raise OSError("gone")

    assert content_digest(Walk(), broken) is None and content_digest([1, {"a": 2.0}], broken) is not None


STORY = """
    import hydra_cached
    from hydra.utils import instantiate

    with hydra_cached.activate(dir="cache", min_seconds=0):
        print("result", instantiate({CONFIG}))
"""


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        pytest.param(
            "dataclass", '{"_target_": "use.use", "thing": {"_target_": "make.make"}}', id="dataclass"
        ),
        pytest.param(
            "plain",
            '{"_target_": "use.use", "thing": {"_target_": "make.make"}}',
            id="plain class",
        ),
        pytest.param(
            "enum",
            '{"_target_": "use.use", "thing": __import__("kinds").Thing.ONE}',
            id="enum in a config",
        ),
    ],
)
def test_an_edited_method_of_what_a_stage_receives_is_no_hit(project: Any, kind: str, config: str) -> None:
    """The stage that calls the method does not name its class; it runs again all the same."""
    head = {
        "dataclass": "import dataclasses\n\n@dataclasses.dataclass\nclass Thing:\n    n: int = 2\n",
        "plain": "class Thing:\n    def __init__(self): self.n = 2\n",
        "enum": "import enum\n\nclass Thing(enum.Enum):\n    ONE = 2\n    n = property(lambda self: self.value)\n",
    }[kind]
    project.write(
        make_py="from kinds import Thing\n\ndef make():\n    return Thing()\n",
        use_py="def use(thing):\n    return thing.method(10)\n",
        story_py=STORY.replace("{CONFIG}", config),
    )
    (project.root / "kinds.py").write_text(head + "    def method(self, x): return x * self.n\n")
    root = str(Path(__file__).parents[2])
    environment = {"PYTHONPATH": f"{root}{os.pathsep}{project.root}"}
    assert "result 20" in project.python("story.py", **environment)
    (project.root / "kinds.py").write_text(head + "    def method(self, x): return x + self.n\n")
    assert "result 12" in project.python("story.py", **environment)


def test_nothing_is_imported_for_digests() -> None:
    """Neither numpy nor pandas nor torch is imported to digest plain values."""
    script = (
        "import sys; from hydra_cached.keys.content import content_digest; import pathlib\n"
        "class A: pass\n"
        "content_digest([1, {'a': pathlib.Path('b')}, A()])\n"
        "print([m for m in ('numpy', 'pandas', 'torch', 'pyarrow', 'attr') if m in sys.modules])"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# numpy.


def layouts() -> list[Any]:
    """One array in every memory layout."""
    np = pytest.importorskip("numpy")
    plain = np.arange(24, dtype=np.int32).reshape(4, 6)
    wide = np.zeros((8, 18), np.int32)
    wide[::2, ::3] = plain
    frozen = plain.copy()
    frozen.setflags(write=False)
    unaligned = np.frombuffer(b"x" + plain.tobytes(), np.uint8)[1:].view(np.int32).reshape(4, 6)
    return [
        plain,
        np.asfortranarray(plain),
        plain.T.copy().T,
        wide[::2, ::3],
        plain[::-1, ::-1].copy()[::-1, ::-1],
        np.flip(np.flip(plain).copy()),
        frozen,
        unaligned,
        np.frombuffer(plain.tobytes(), np.int32).reshape(4, 6),
        np.lib.stride_tricks.as_strided(wide, (4, 6), (2 * wide.strides[0], 3 * wide.strides[1])),
        pickle.loads(pickle.dumps(np.asfortranarray(plain))),
        copy.deepcopy(wide[::2, ::3]),
    ]


def test_memory_layout_does_not_count() -> None:
    """C, Fortran, strided, reversed, read-only, unaligned and foreign-owned arrays of equal content are equal."""
    assert equal(*layouts())


def test_a_mapped_file_counts_as_an_array_of_its_own_type(tmp_path: Path) -> None:
    """A memmap has the digest of its content, by order or offset of the file notwithstanding."""
    np = pytest.importorskip("numpy")
    np.arange(10.0).tofile(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"12345678" + np.arange(10.0).tobytes())
    one = np.memmap(tmp_path / "a", np.float64, "r")
    two = np.memmap(tmp_path / "b", np.float64, "c", offset=8)
    assert equal(one, two, np.asarray(one))
    assert distinct(one, one[:5])


def test_broadcast_arrays_count_by_their_values() -> None:
    """A zero-stride view is its full copy."""
    np = pytest.importorskip("numpy")
    view = np.broadcast_to(np.float32(3), (2, 3))
    assert equal(view, np.full((2, 3), 3, np.float32))


def test_dtype_shape_and_byte_order_count() -> None:
    """Arrays with the same bytes differ by dtype, shape or byte order."""
    np = pytest.importorskip("numpy")
    same_bytes = [np.zeros(4, kind) for kind in ("i4", "f4", "u4", ">i4", ">f4", "S4", "V4", "U1")]
    same_bytes += [
        np.zeros(2, kind) for kind in ("i8", "c8", "M8[s]", "M8[ns]", "m8[s]", "m8[ms]", "M8", "U2")
    ]
    same_bytes += [
        np.zeros(8, "i2"),
        np.zeros(8, "f2"),
        np.zeros(16, "?"),
        np.zeros(16, "i1"),
        np.zeros(16, "u1"),
    ]
    same_bytes += [
        np.zeros((2, 2), "i4"),
        np.zeros((4, 1), "i4"),
        np.zeros((1, 4), "i4"),
        np.zeros((2, 2, 1), "i4"),
    ]
    assert distinct(*same_bytes)
    assert distinct(
        np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4").view(">i4")
    )


def test_empty_and_zero_dimensional_arrays_count_by_shape_and_dtype() -> None:
    """(0, 3), (3, 0), (0,), 0-d arrays and scalars all differ, and so do their dtypes."""
    np = pytest.importorskip("numpy")
    shapes = [(0,), (0, 3), (3, 0), (0, 0), (0, 3, 1)]
    empty = [np.zeros(shape, kind) for shape in shapes for kind in ("i4", "f4", "O", "U1", "M8[s]")]
    points = [np.array(1), np.array([1]), np.array([[1]]), np.int64(1), 1, np.array(1.0), np.array(1, "O")]
    assert distinct(*empty, *points)


def test_items_without_bytes_count_by_shape() -> None:
    """Arrays whose items have no bytes at all have digests, too."""
    np = pytest.importorskip("numpy")
    nothing = np.dtype([])
    assert distinct(np.zeros(2, "V0"), np.zeros(3, "V0"), np.zeros(2, nothing), np.zeros(3, nothing))


def test_every_value_counts() -> None:
    """One item, one bit, one sign changed anywhere, also in big arrays, changes the digest."""
    np = pytest.importorskip("numpy")
    big = np.zeros(300_000)
    changed = []
    for at in (0, 1, 131_071, 131_072, 299_999):
        other = big.copy()
        other[at] = -0.0
        changed.append(other)
    assert distinct(big, *changed)


def test_structured_arrays_count_by_fields_and_values() -> None:
    """Names, formats, offsets, titles and sub-arrays of fields count."""
    np = pytest.importorskip("numpy")
    kinds = [
        [("a", "i4"), ("b", "f4")],
        [("a", "f4"), ("b", "i4")],
        [("b", "i4"), ("a", "f4")],
        [("a", "i4", (2,))],
        [("a", "f4", (2,))],
        [("a", "i4", (1, 2))],
        [("a", [("b", "i4")]), ("c", "f4")],
        [(("title", "a"), "i4"), ("b", "f4")],
        {"names": ["a"], "formats": ["i4"], "offsets": [0], "itemsize": 8},
        {"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 8},
    ]
    assert distinct(*(np.zeros(3, np.dtype(kind)) for kind in kinds), np.zeros(3, "V8"))
    one = np.array([(1, 2.5), (3, 4.5)], kinds[0])
    two = one.copy()
    two["b"][1] = 4.25
    assert distinct(one, two, one[:1], one[::-1])
    assert equal(one, np.asfortranarray(one), np.repeat(one, 2)[::2])


def test_padding_does_not_count() -> None:
    """What lies between the fields of an aligned structure, or behind a long double, is nobody's value."""
    np = pytest.importorskip("numpy")
    aligned = np.dtype([("a", "i1"), ("b", "i8")], align=True)
    one, two = np.zeros(3, aligned), np.zeros(3, aligned)
    two.view("u1")[3] = 9
    assert equal(one, two)
    if np.finfo(np.longdouble).nmant == 63 and np.dtype(np.longdouble).itemsize == 16:
        raw = bytearray(np.array([1.5, -2.5], np.longdouble).tobytes())
        one = np.frombuffer(bytes(raw), np.longdouble)
        raw[12] = 7
        two = np.frombuffer(bytes(raw), np.longdouble)
        assert (
            equal(one, two)
            and equal(one[0], two[0])
            and equal(one.view("clongdouble"), two.view("clongdouble"))
        )
        assert distinct(one, one[::-1], one.view("clongdouble"), -one)


def test_overlapping_fields_have_a_digest() -> None:
    """Fields that share bytes, as unions do, are read like others."""
    np = pytest.importorskip("numpy")
    kind = np.dtype({"names": ["whole", "half"], "formats": ["i4", "i2"], "offsets": [0, 0]})
    assert distinct(np.zeros(2, kind), np.zeros(3, kind), np.ones(2, "i4").view(kind))


def test_object_arrays_count_by_their_items() -> None:
    """Types of items count, also inside of containers; without a form of every item there is no digest."""
    np = pytest.importorskip("numpy")

    def objects(*items: Any) -> Any:
        made = np.empty(len(items), object)
        made[:] = items
        return made

    assert distinct(
        *map(objects, (1,), (1.0,), (True,), ("1",), (None,), ([1],), ((1,),), (np.int64(1),), (1, 2))
    )
    assert distinct(
        objects(1, 2, 3, 4).reshape(2, 2), objects(1, 2, 3, 4), objects(1, 2, 3, 4).reshape(2, 2).T
    )
    both = objects(1, "a", None, 2.5).reshape(2, 2)
    assert equal(both, np.asfortranarray(both), both[::-1].copy()[::-1])
    assert content_digest(objects(1, object())) is None
    loop = objects(1, 2)
    loop[1] = loop
    assert content_digest(loop) is None
    fields = np.array([(1, "a"), (1.0, "a")], [("a", "O"), ("b", "O")])
    assert distinct(fields[:1], fields[1:], fields[0], fields[1])
    fields["b"][0] = object()
    assert content_digest(fields) is content_digest(fields[0]) is None


def test_strings_of_any_length_count_by_their_text() -> None:
    """StringDType arrays keep long strings elsewhere; what counts is the text, and what stands for missing."""
    np = pytest.importorskip("numpy")
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("numpy 1")
    kind = np.dtypes.StringDType()
    one, two = np.array(["x" * 100, "y"], kind), np.array(["z" * 100, "y"], kind)
    again = np.array(["long enough not to be kept inline" * 9, "x" * 100, "y"], kind)[1:]
    assert equal(one, again) and distinct(one, two, one.astype("U100"), one.astype(object))
    assert distinct(np.array(["a"], np.dtypes.StringDType(na_object=None)), np.array(["a"], kind))


def test_masked_arrays_count_with_mask_data_and_fill_value() -> None:
    """Mask, fill value and what is under the mask can all be seen by a target; a mask of zeros is no mask."""
    np = pytest.importorskip("numpy")
    make = np.ma.array
    one = make([1, 2], mask=[0, 1])
    others = [make([1, 3], mask=[0, 1]), make([1, 2], mask=[1, 0]), make([1, 2], mask=[0, 1], fill_value=2)]
    assert distinct(one, *others, make([1, 2]), make([1.0, 2.0], mask=[0, 1]), np.array([1, 2]))
    assert equal(one, make([1, 9, 2], mask=[0, 0, 1])[::2], pickle.loads(pickle.dumps(one)))
    assert equal(make([1, 2]), make([1, 2], mask=[0, 0]))


def test_scalars_count_by_type_and_value() -> None:
    """numpy scalars are neither Python's numbers nor arrays, nor each other; NaNs are one value."""
    np = pytest.importorskip("numpy")
    kinds = ["i1", "i2", "i4", "i8", "u1", "u8", "f2", "f4", "f8", "c8", "c16", "?", "M8[s]", "m8[s]"]
    assert distinct(
        *(np.dtype(kind).type(1) for kind in kinds if "8[" not in kind), 1, 1.0, True, np.array(1)
    )
    assert distinct(
        np.datetime64(1, "s"), np.datetime64(1, "ms"), np.timedelta64(1, "s"), np.datetime64("NaT", "s")
    )
    assert distinct(np.str_("a"), "a", np.bytes_(b"a"), b"a", np.float64(0), np.float64(-0.0), np.void(b"a"))
    nan = float("nan")
    assert equal(np.float64(nan), -np.float64(nan)) and distinct(np.float64(nan), np.float32(nan), nan)
    make = np.complex128
    assert distinct(
        make(complex(nan, 1)), make(complex(nan, 2)), make(complex(1, nan)), make(complex(nan, nan))
    )


def test_dtypes_count_whole() -> None:
    """Dtypes as values differ by byte order, unit, fields, sub-array and metadata."""
    np = pytest.importorskip("numpy")
    kinds = [
        "i4",
        ">i4",
        "f4",
        "M8[s]",
        "M8[ms]",
        "V8",
        ("i4", (2,)),
        ("f4", (2,)),
        ("i4", (1, 2)),
        [("a", "i4")],
    ]
    plain = [np.dtype(kind) for kind in kinds]
    marked = [np.dtype("i4", metadata={"a": 1}), np.dtype("i4", metadata={"a": 1.0})]
    assert distinct(*plain, *marked)
    assert equal(np.dtype("i4", metadata={"a": 1, "b": 2}), np.dtype("i4", metadata={"b": 2, "a": 1}))
    assert content_digest(np.dtype("i4", metadata={"a": object()})) is None


def test_dtypes_of_other_libraries_differ() -> None:
    """Eight-bit floats of different kinds have the same size and, for numpy, the same name: they differ."""
    np, ml = pytest.importorskip("numpy"), pytest.importorskip("ml_dtypes")
    kinds = [ml.float8_e5m2, ml.float8_e4m3fn, ml.float8_e4m3b11fnuz, ml.float8_e5m2fnuz, ml.int4, ml.uint4]
    assert distinct(
        *(np.ones(3, np.int8).view(np.dtype(kind)) for kind in kinds), np.ones(3, np.int8).view("V1")
    )


def test_random_generators_count_by_state_and_by_what_they_spawn() -> None:
    """Generators that will give other numbers, or spawn other generators, differ."""
    np = pytest.importorskip("numpy")
    fresh, drawn, spawned = (np.random.default_rng(0) for _ in range(3))
    drawn.random()
    values = [fresh, drawn, np.random.default_rng(1), np.random.RandomState(0), np.random.RandomState(1)]
    values.append(np.random.Generator(np.random.MT19937(0)))
    if hasattr(spawned, "spawn"):
        spawned.spawn(2)
        values.append(spawned)
    assert distinct(*values)
    assert equal(np.random.default_rng(0), fresh, copy.deepcopy(fresh), pickle.loads(pickle.dumps(fresh)))


def test_subclasses_of_arrays_have_no_digest() -> None:
    """Matrices, record arrays and subclasses of somebody's may hold more than the array."""
    np = pytest.importorskip("numpy")

    class Signal(np.ndarray):
        rate = 1

    one = np.zeros(3).view(Signal)
    one.rate = 2
    assert content_digest(one) is None


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_arrays_are_equal_exactly_when_dtype_shape_and_bytes_are(data: st.DataObject) -> None:
    """Small arrays of any dtype have equal digests if and only if dtype, shape and bytes are equal."""
    np = pytest.importorskip("numpy")
    from hypothesis.extra import numpy as hnp

    kinds = st.sampled_from(["i1", "u1", "i2", ">i2", "?", "f2", "M8[s]", "S1"])

    def draw() -> Any:
        kind, shape = (
            np.dtype(data.draw(kinds)),
            data.draw(st.sampled_from([(), (1,), (2,), (1, 1), (0,), (0, 2)])),
        )
        array = data.draw(hnp.arrays(kind, shape))
        return np.asfortranarray(array) if data.draw(st.booleans()) and array.ndim else array

    a, b = draw(), draw()
    alike = (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    assert (content_digest(a) == content_digest(b)) is alike


# pandas.


def test_frames_count_by_values_dtypes_and_labels() -> None:
    """Values, dtypes, column names, their order and type, index, names, attributes and flags count."""
    pd = pytest.importorskip("pandas")
    make = pd.DataFrame
    plain = make({"a": [1, 2], "b": [3.0, 4.0]})
    named = plain.copy()
    named.columns.name = "columns"
    noted = plain.copy()
    noted.attrs["unit"] = "m"
    frames = [
        plain,
        make({"b": [3.0, 4.0], "a": [1, 2]}),
        make({"a": [1, 2], "b": [3, 4]}),
        make({"a": [1, 2], "b": [3.0, 4.5]}),
        make({"a": [1, 2], "c": [3.0, 4.0]}),
        plain.astype({"a": "int32"}),
        plain.astype(object),
        plain.set_index("a"),
        plain.rename_axis("row"),
        plain.set_axis([0, 1]),
        plain.set_axis([0, 1.5]),
        plain.set_axis(["x", "y"]),
        plain.set_axis([0, 1], axis=1),
        plain.set_axis(["0", "1"], axis=1),
        plain.iloc[:1],
        plain[["a"]],
        plain["a"],
        plain.set_flags(allows_duplicate_labels=False),
        named,
        noted,
    ]
    assert distinct(*frames)
    assert distinct(
        make(), make(index=[0, 1]), make(columns=["a"]), make({"a": []}), make({"a": []}, dtype="int64")
    )


def test_frames_do_not_count_how_they_were_put_together() -> None:
    """Blocks, views, column by column insertion and pickling leave the digest."""
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    whole = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"])
    by_column = pd.DataFrame(index=range(3))
    by_column["a"], by_column["b"] = [0.0, 2.0, 4.0], [1.0, 3.0, 5.0]
    by_column.columns = pd.Index(["a", "b"], dtype=whole.columns.dtype)
    sliced = pd.DataFrame(np.arange(12.0).reshape(6, 2), columns=["a", "b"]).iloc[:3]
    assert equal(whole, by_column, sliced, pickle.loads(pickle.dumps(whole)), whole.copy(deep=True))


def test_duplicate_column_names_all_count() -> None:
    """Every column counts, also when two have one name."""
    pd = pytest.importorskip("pandas")
    make = lambda rows: pd.DataFrame(rows, columns=["a", "a"])  # noqa: E731
    assert distinct(make([[1, 2]]), make([[1, 3]]), make([[2, 2]]), make([[2, 1]]))


def test_series_count_by_dtype_name_and_index() -> None:
    """All dtypes differ, as do names (0 and "0" and None), also where the values look alike."""
    pd = pytest.importorskip("pandas")
    kinds = [
        "int64",
        "int32",
        "Int64",
        "Int32",
        "UInt8",
        "float64",
        "Float64",
        "bool",
        "boolean",
        "object",
        "category",
    ]
    series = [pd.Series([1, 0], dtype=kind) for kind in kinds]
    series += [pd.Series(["1", "0"], dtype=kind) for kind in ("object", "category", "string[python]")]
    series += [pd.Series([1, 0], name=name) for name in (0, "0", "a", ("a", 0), 1.5)]
    series += [pd.Series([1, 0], dtype=pd.SparseDtype("int64", fill)) for fill in (0, 1)]
    series += [pd.Series([1, 0]).astype("datetime64[ns]"), pd.Series([1, 0]).astype("timedelta64[ns]")]
    assert distinct(*series)


def test_string_storage_counts() -> None:
    """Text kept by Python, by Arrow and with NaN for missing are three dtypes."""
    pd = pytest.importorskip("pandas", minversion="3")
    pytest.importorskip("pyarrow")
    np = pytest.importorskip("numpy")
    kinds = [pd.StringDtype(s, na_value=na) for s in ("python", "pyarrow") for na in (pd.NA, np.nan)]
    assert distinct(
        *(pd.Series(["a", None], dtype=kind) for kind in kinds), pd.Series(["a", None], dtype=object)
    )


def test_missing_values_count_by_what_they_are() -> None:
    """None, NaN, NaT and NA in object columns differ; in typed columns a missing value is no value."""
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    gone = [None, np.nan, pd.NaT, pd.NA, "nan", "None", float("nan")]
    objects = [pd.Series(["a", item], dtype=object) for item in gone[:6]]
    assert distinct(*objects)
    assert equal(pd.Series(["a", np.nan], dtype=object), pd.Series(["a", float("nan")], dtype=object))
    typed = [
        pd.Series([1, None], dtype=kind) for kind in ("Int64", "Float64", "float64", "boolean", "object")
    ]
    assert distinct(*typed, pd.Series([1, 0], dtype="Int64"), pd.Series([1, 1], dtype="Int64"))
    assert distinct(pd.Series([pd.NaT], dtype="datetime64[ns]"), pd.Series([pd.NaT], dtype="timedelta64[ns]"))
    masked = pd.array([1, 2], dtype="Int64")
    masked[1] = pd.NA  # the 2 is still in memory
    assert equal(pd.Series(masked), pd.Series([1, None], dtype="Int64"))


def test_categories_count_with_order_and_unused_ones() -> None:
    """Categories, their order, their dtype, whether they are ordered, and those that no value has."""
    pd = pytest.importorskip("pandas")
    make = pd.Categorical
    values = [
        make(["a", "b"]),
        make(["a", "b"], ordered=True),
        make(["a", "b"], ["b", "a"]),
        make(["a", "b"], ["a", "b", "c"]),
        make(["b", "a"]),
        make(["a", None]),
        make([0, 1]),
        make([0.0, 1.0]),
    ]
    assert distinct(*values, *map(pd.Series, values), *map(pd.CategoricalIndex, values))
    assert equal(make(["a", "b", "a"])[:2], make(["a", "b"]))


def test_indexes_count_by_kind_names_and_frequency() -> None:
    """Range, plain, datetime, period, interval and multi indexes of like values differ."""
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2026-01-01", periods=3)
    multi = pd.MultiIndex.from_product
    values = [
        pd.RangeIndex(3),
        pd.Index([0, 1, 2]),
        pd.Index([0.0, 1.0, 2.0]),
        pd.Index(["0", "1", "2"]),
        pd.Index([0, 1, 2], dtype=object),
        pd.Index([0, 1, 2], name="a"),
        pd.RangeIndex(0),
        pd.RangeIndex(5, 5),
        pd.RangeIndex(0, 3, 2),
        pd.RangeIndex(0, 4, 2),
        days,
        pd.DatetimeIndex(list(days)),
        days.tz_localize("UTC"),
        days.tz_localize("Europe/Berlin"),
        days.to_period(),
        days.to_period("M"),
        days - days[0],
        pd.interval_range(0, 3),
        pd.interval_range(0, 3, closed="both"),
        multi([[0, 1], ["a"]]),
        multi([[0, 1], ["a"]], names=["x", None]),
        multi([[0, 1], ["a"]], names=["x", "y"]),
        multi([[1, 0], ["a"]]),
        multi([[0.0, 1.0], ["a"]]),
        multi([["a"], [0, 1]]),
        multi([pd.Categorical([0, 1]), ["a"]]),
    ]
    assert distinct(*values, *(pd.Series(0, index=value) for value in values))
    assert equal(pd.MultiIndex.from_tuples([(0, "a"), (1, "a")]), multi([[0, 1], ["a"]]))


def test_huge_range_indexes_are_not_written_out() -> None:
    """A range of a million million labels has a digest at once."""
    pd = pytest.importorskip("pandas")
    assert distinct(pd.RangeIndex(10**12), pd.RangeIndex(10**12 + 1))


def test_moments_count_with_unit_zone_and_nanoseconds() -> None:
    """Timestamps, deltas, periods and intervals differ by nanosecond, unit, zone, frequency and closed side."""
    pd = pytest.importorskip("pandas")
    stamp, span = pd.Timestamp("2026-10-25 02:30"), pd.Timedelta(1, "s")
    values = [
        stamp.as_unit("s"),
        stamp.as_unit("ns"),
        stamp.as_unit("ns") + pd.Timedelta(1, "ns"),
        stamp.tz_localize("UTC").as_unit("ns"),
        stamp.tz_localize("Europe/Berlin", ambiguous=True).as_unit("ns"),
        stamp.tz_localize("Europe/Berlin", ambiguous=False).as_unit("ns"),
        stamp.to_pydatetime(),
        span.as_unit("s"),
        span.as_unit("ns"),
        span.to_pytimedelta(),
        pd.Period("2026-01", "M"),
        pd.Period("2026-01", "D"),
        pd.Period("2026-01", "2D"),
        pd.Interval(0, 1),
        pd.Interval(0.0, 1.0),
        pd.Interval(0, 1, closed="left"),
        pd.Interval(0.1, 1.0),
        pd.Interval(0.1 + 2e-17, 1.0),
        pd.NaT,
        pd.NA,
        None,
    ]
    assert distinct(*values)


def test_zoned_columns_count_by_instant_zone_and_unit() -> None:
    """Columns of the same instants in other zones or units differ; both hours of a changed clock do, too."""
    pd = pytest.importorskip("pandas")
    base = pd.Series(pd.to_datetime(["2026-10-25 00:30", "2026-10-25 01:30", None], utc=True))
    berlin = base.dt.tz_convert("Europe/Berlin")
    values = [base, berlin, base.dt.tz_convert("+01:00"), base.dt.tz_localize(None), berlin.dt.as_unit("s")]
    values += [berlin.iloc[[1, 1, 2]], berlin.iloc[[0, 0, 2]]]
    assert distinct(*values)


def test_extension_arrays_of_every_kind_have_digests() -> None:
    """Periods, intervals, sparse, Arrow-backed and nested columns are told apart."""
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    arrow = pd.ArrowDtype
    values = [
        pd.Series(pd.period_range("2026", periods=2, freq="M")),
        pd.Series(pd.period_range("2026", periods=2, freq="D")),
        pd.Series(pd.interval_range(0, 2)),
        pd.Series([0, 0, 1], dtype="Sparse[int]"),
        pd.Series([1, 2], dtype=arrow(pa.int64())),
        pd.Series([1, 2], dtype=arrow(pa.int32())),
        pd.Series([1, None], dtype=arrow(pa.int64())),
        pd.Series([[1], [2, 3]], dtype=arrow(pa.list_(pa.int64()))),
        pd.Series([[1], [2, 4]], dtype=arrow(pa.list_(pa.int64()))),
        pd.Series([{"a": 1}], dtype=arrow(pa.struct([("a", pa.int64())]))),
    ]
    assert distinct(*values)


def test_frames_with_objects_without_a_form_have_no_digest() -> None:
    """An object column with one arbitrary object: none, and the refusal names the column."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"good": [1, 2], "bad": [1, object()]})
    assert content_digest(frame) is None
    with pytest.raises(NotCanonical, match=r"frame\['bad'\]\[1\]"):
        Encoder().encode(frame, "frame")

    class Frame(pd.DataFrame):
        pass

    assert content_digest(Frame({"a": [1]})) is None


# pyarrow.


def test_arrow_slices_and_chunks_do_not_count() -> None:
    """Offset, chunking, and what lies in memory beside or under the values leave the digest."""
    pa = pytest.importorskip("pyarrow")
    np = pytest.importorskip("numpy")
    for items in (
        [1, 2, 3],
        [1, None, 3],
        ["a", None, "c"],
        [True, False, None],
        [[1], None, [2, 3]],
        [b"a", b""] * 5,
    ):
        whole = pa.array(items)
        padded = pa.array([*items[:1] * 9, *items, *items[-1:]])[9 : 9 + len(items)]
        assert equal(whole, padded, pickle.loads(pickle.dumps(padded)))
        chunks = pa.chunked_array([whole[:1], whole[1:1], whole[1:]])
        assert equal(pa.chunked_array([whole]), chunks)
        assert equal(pa.table({"x": whole}), pa.table({"x": chunks}), pa.table({"x": padded}))
    bits, numbers = pa.py_buffer(bytes([0b11111101])), pa.py_buffer(np.array([1, 99, 3]).tobytes())
    assert equal(pa.array([1, None, 3]), pa.Array.from_buffers(pa.int64(), 3, [bits, numbers]))
    full = pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\xff"), numbers])
    assert equal(pa.array([1, 99, 3]), full)


def test_arrow_types_values_and_schemas_count() -> None:
    """Types, values, nulls, names, order, metadata, nullability and the number of rows count."""
    pa = pytest.importorskip("pyarrow")
    kinds = [pa.int32(), pa.int64(), pa.float64(), pa.date32(), pa.timestamp("s"), pa.timestamp("s", "UTC")]
    arrays = [pa.array([1, None], kind) for kind in kinds]
    arrays += [pa.array(["a"], kind) for kind in (pa.string(), pa.large_string(), pa.binary())]
    arrays += [
        pa.array([1, 2]),
        pa.array([1, 3]),
        pa.array([1]),
        pa.array([], pa.int64()),
        pa.array([], pa.int32()),
    ]
    arrays += [pa.array(["a", "b"]).dictionary_encode(), pa.nulls(2), pa.chunked_array([[1, 2]])]
    assert distinct(*arrays)
    make = pa.table
    tables = [
        make({"a": [1], "b": [2]}),
        make({"b": [2], "a": [1]}),
        make({"a": [1], "b": [3]}),
        make({"a": [1]}),
        make({"a": [1]}).replace_schema_metadata({"k": "v"}),
        make({"a": [1]}, pa.schema([pa.field("a", pa.int64(), False)])),
        make([[1], [2]], ["a", "a"]),
        make({"a": [1]}).to_batches()[0],
        make({"a": [1, 2]}).select([]),
        make({"a": [1, 2, 3]}).select([]),
        make({}),
    ]
    assert distinct(*tables)


# torch.


def test_tensor_views_count_by_their_values() -> None:
    """Views, transposes, expansions and channels-last tensors have the digest of their contiguous copy."""
    torch = pytest.importorskip("torch")
    plain = torch.arange(24.0).reshape(2, 3, 4)
    wide = torch.zeros(4, 6, 8)
    wide[::2, ::2, ::2] = plain
    assert equal(
        plain, plain.transpose(0, 2).contiguous().transpose(0, 2), wide[::2, ::2, ::2], plain.clone()
    )
    assert equal(torch.ones(3), torch.ones(1).expand(3), pickle.loads(pickle.dumps(torch.ones(3))))
    image = torch.rand(1, 3, 4, 5)
    assert equal(image, image.to(memory_format=torch.channels_last))
    number = torch.tensor([1 + 2j])
    assert equal(number.conj(), torch.tensor([1 - 2j])) and distinct(number, number.conj())
    assert equal(number.conj().imag, torch.tensor([-2.0]))
    assert equal(torch.arange(8.0)[::8], torch.zeros(1)) and equal(
        torch.arange(8.0)[4::8], torch.full((1,), 4.0)
    )


def test_tensors_count_by_dtype_shape_and_gradient() -> None:
    """Tensors of the same bytes differ by dtype, shape, type, and whether and what gradient they hold."""
    torch = pytest.importorskip("torch")
    names = (
        "int8 uint8 bool int16 float16 bfloat16 int32 float32 int64 float64 complex64 complex128 float8_e5m2"
    )
    kinds = [getattr(torch, name) for name in [*names.split(), "float8_e4m3fn"]]
    values = [torch.zeros(16 // kind.itemsize, dtype=kind) for kind in kinds]
    values += [
        torch.zeros(0),
        torch.zeros(0, 3),
        torch.zeros(3, 0),
        torch.zeros(()),
        torch.zeros(1),
        torch.zeros(1, 1),
    ]
    values += [torch.zeros(1, requires_grad=True), torch.nn.Parameter(torch.zeros(1))]
    values += [
        torch.nn.Parameter(torch.zeros(1), requires_grad=False),
        torch.full((1,), -0.0),
        torch.zeros(4, 1),
    ]
    with_gradient = torch.zeros(1, requires_grad=True)
    (with_gradient * 3).backward()
    values += [with_gradient, torch.Size([1]), (1,), torch.float32, torch.float64, torch.device("cpu")]
    assert distinct(*values)


def test_attributes_of_tensors_count_or_are_refused() -> None:
    """What somebody hung on a tensor is not lost."""
    torch = pytest.importorskip("torch")
    one = torch.zeros(1)
    one.scale = 2
    assert content_digest(one) not in (content_digest(torch.zeros(1)),)


def test_tensors_that_are_not_plain_have_no_digest() -> None:
    """Sparse, quantized and meta tensors, and modules, are not digested."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized, csr = (
            torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            torch.eye(2).to_sparse_csr(),
        )
    values = [torch.eye(2).to_sparse(), csr, quantized, torch.zeros(2, device="meta"), torch.nn.ReLU()]
    for value in values:
        assert content_digest(value) is None
        assert content_digest([value]) is None


# omegaconf.


@dataclasses.dataclass
class Part:
    x: int = 1


@dataclasses.dataclass
class Other:
    x: int = 1


def test_configs_count_by_values_and_by_the_types_at_every_depth() -> None:
    """Configs are neither dicts nor each other: structured types count wherever they stand."""
    from omegaconf import OmegaConf

    make = OmegaConf.create
    values = [
        make({"a": {"x": 1}}),
        make({"a": Part()}),
        make({"a": Other()}),
        make([{"x": 1}]),
        make([Part()]),
        OmegaConf.structured(Part),
        OmegaConf.structured(Other),
        make({"x": 1}),
        make({"x": 1.0}),
        make({"x": True}),
        make({"x": "1"}),
        make({"x": None}),
        make({"x": "???"}),
        make({}),
        make([]),
        make({1: 1}),
        make({"1": 1}),
        make(["???"]),
        make({"x": []}),
        make({"x": {}}),
        {"x": 1},
        [],
        {},
    ]
    assert distinct(*values)
    assert equal(make({"a": 1, "b": "${a}"}), make({"b": 1, "a": 1}))
    assert equal(make({"a": {"x": 1}, "b": "${a}"}), make({"b": {"x": 1}, "a": {"x": 1}}))
    assert content_digest(make({"a": "${nowhere}"})) is None


# Golden.


def golden_values() -> dict[str, Any]:
    """Values of numpy, pandas and torch whose digests are recorded."""
    np, pd, torch = (pytest.importorskip(name) for name in ("numpy", "pandas", "torch"))
    grid = np.arange(6).reshape(2, 3)
    values: dict[str, Any] = {
        f"array {kind}": grid.astype(kind) for kind in ("?", "i1", ">i4", "f8", "c16", "U2")
    }
    values |= {
        "big array": np.zeros(300_000),
        "array M8": grid.astype("M8[ns]"),
        "array O": grid.astype(object),
    }
    values |= {
        "structured": np.array([(1, 2.5)], [("a", "i4"), ("b", "f8", (1,))]),
        "scalar": np.float32(1.5),
    }
    values |= {"masked": np.ma.array([1, 2], mask=[0, 1]), "dtype": np.dtype("i4")}
    index = pd.Index([1, 2], name="row")
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, None]}, index).set_axis(
        pd.Index(["a", "b"], dtype=object), axis=1
    )
    values |= {"frame": frame, "series": frame["a"], "nullable": pd.Series([1, None], dtype="Int64")}
    zoned = pd.Series(pd.to_datetime(["2026-01-01"], utc=True)).dt.as_unit("ns")
    values |= {"categorical": pd.Categorical([1, 2, 1]), "zoned": zoned, "range": pd.RangeIndex(3)}
    values |= {"tensor": torch.arange(3), "bfloat16": torch.ones(2, 2).bfloat16(), "size": torch.Size([1, 2])}
    return values


def test_golden_digests() -> None:
    """Digests are those that were recorded, in this and in other versions of the libraries."""
    now = {name: content_digest(value) for name, value in golden_values().items()}
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        pytest.fail(f"{GOLDEN} was not there and has been written")
    assert now == json.loads(GOLDEN.read_text())
