"""Results to bytes and back: as themselves, or refused with a reason."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import enum
import io
import itertools
import os
import pickle
import queue
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydra_cached.errors import DamagedEntry, NotStorable
from hydra_cached.stores.base import Payload
from hydra_cached.stores.serializers import CLOUDPICKLE, PICKLE, dump, load

ROOT = Path(__file__).parents[2]


def again(value: Any) -> Any:
    """A value that went through bytes."""
    payload = dump(value)
    kept = Payload(payload.format, bytes(payload.stream), [bytearray(buffer) for buffer in payload.buffers])
    return load(kept)


@dataclass
class Thing:
    name: str
    inner: Any = None


class Colour(enum.Enum):
    RED = 1


class Raises:
    """Its ``__reduce_ex__`` raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise self.error


def explode(error: BaseException) -> Any:
    raise error


class Explodes:
    """Can be pickled; loading it raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return explode, (self.error,)


# Round trips.


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)
def test_plain_values_come_back_by_standard_pickle(value: Any) -> None:
    """Plain data of any shape comes back equal, with its types, and by standard pickle."""
    assert dump(value).format == PICKLE
    found = again(value)
    assert found == value and repr(found) == repr(value)


def test_instances_of_importable_classes_come_back_as_themselves() -> None:
    """Their class is the class, not a copy of it; enum members are the members."""
    found = again(Thing("a", [Colour.RED, collections.OrderedDict(b=Thing("c"))]))
    assert type(found) is Thing and found.inner[0] is Colour.RED and type(found.inner[1]["b"]) is Thing


def test_a_payload_outlives_nothing_that_views_it() -> None:
    """A payload's stream is bytes: a view of a ``BytesIO`` that is collected in a cycle ends Python 3.12."""
    assert type(dump([1]).stream) is bytes


def test_shared_and_cyclic_references_stay() -> None:
    """What is one object in the result is one object in what comes back; cycles stay cycles."""
    inner: list[Any] = [1]
    loop: list[Any] = []
    loop.append(loop)
    one, two, cycle = again((inner, inner, loop))
    assert one is two and cycle[0] is cycle


def test_a_class_of_main_comes_back_as_itself(tmp_path: Path) -> None:
    """An instance of a class of the script itself is, in the next run of the script, an instance of that class."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import pickle, sys
from pathlib import Path
from hydra_cached.stores.base import Payload
from hydra_cached.stores.serializers import PICKLE, dump, load

class Model:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return isinstance(other, Model) and other.n == self.n

if __name__ == "__main__":
    file = Path(sys.argv[1])
    if not file.exists():
        payload = dump([Model(3)])
        assert payload.format == PICKLE, payload.format
        assert type(load(payload)[0]) is Model
        file.write_bytes(bytes(payload.stream))
    else:
        found, = load(Payload(PICKLE, file.read_bytes()))
        assert type(found) is Model and found == Model(3)
"""
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / "entry")],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_a_class_of_main_that_is_gone_is_a_damaged_entry(tmp_path: Path) -> None:
    """Another script, which has no such class, gets DamagedEntry, and so computes again."""
    code = "import sys; sys.modules['__main__'].Gone = type('Gone', (), {'__module__': '__main__'})\n"
    code += "import pickle; sys.stdout.buffer.write(pickle.dumps(Gone(), 5))"
    stream = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    with pytest.raises(DamagedEntry, match="Gone"):
        load(Payload(PICKLE, stream))


def test_lambdas_and_local_classes_come_back_by_cloudpickle() -> None:
    """What standard pickle refuses and cloudpickle can, works; the format names the Python version."""
    factor = 3

    class Local:
        def __init__(self, n: int) -> None:
            self.n = n

        def scaled(self) -> int:
            return self.n * factor

    payload = dump({"f": lambda x: x * factor, "o": Local(2)})
    assert payload.format == CLOUDPICKLE == f"cloudpickle-{sys.version_info[0]}.{sys.version_info[1]}"
    found = load(payload)
    assert found["f"](2) == 6 and found["o"].scaled() == 6


def test_cloudpickle_is_not_imported_for_what_pickle_can() -> None:
    """Storing plain results does not pay for the import of cloudpickle."""
    code = "import sys; from hydra_cached.stores.serializers import dump, load; load(dump([1, {'a': 2}]))\n"
    code += "assert 'cloudpickle' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


# Buffers and arrays.


LAYOUTS = (
    *("C", "F", "strided", "reversed", "transposed 3-d", "broadcast", "0-d", "empty", "byte-swapped"),
    *("structured", "field", "dates", "text", "objects", "booleans", "large"),
)


def layouts() -> dict[str, Any]:
    """Arrays of every memory layout."""
    np = pytest.importorskip("numpy")
    plain = np.arange(24, dtype=np.int32).reshape(4, 6)
    fields = np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", "f8")])
    return {
        "C": plain,
        "F": np.asfortranarray(plain),
        "strided": plain[::2, ::3],
        "reversed": plain[::-1, ::-1],
        "transposed 3-d": np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0),
        "broadcast": np.broadcast_to(np.float32(3), (2, 3)),
        "0-d": np.array(3.5),
        "empty": np.zeros((0, 3)),
        "byte-swapped": plain.astype(">i4"),
        "structured": fields,
        "field": fields["b"],
        "dates": np.array(["2026-01-01", "NaT"], "M8[s]"),
        "text": np.array(["a", "bcd"]),
        "objects": np.array([1, "a", None, [2]], object),
        "booleans": np.array([True, False]),
        "large": np.zeros(200_000),
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_all_layouts_come_back_writable(name: str) -> None:
    """Dtype, shape, values and order of axes come back, alone and inside of others, and can be written to."""
    np = pytest.importorskip("numpy")
    array = layouts()[name]
    assert set(layouts()) == set(LAYOUTS)
    for found in (again(array), again({"x": [array]})["x"][0]):
        assert found.dtype == array.dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, array)
        if array.flags.writeable:
            assert found.flags.writeable
            found[...] = found.copy()
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            assert found.flags.f_contiguous


def test_contiguous_arrays_go_out_of_band() -> None:
    """The stream of a large array is small; the array's own memory is the buffer, without a copy."""
    np = pytest.importorskip("numpy")
    array = np.arange(100_000)
    payload = dump([array, array.T, np.asfortranarray(array.reshape(100, 1000))])
    assert memoryview(payload.stream).nbytes < 2000
    assert [memoryview(buffer).nbytes for buffer in payload.buffers].count(800_000) >= 2
    assert np.shares_memory(np.frombuffer(payload.buffers[0], array.dtype), array)


def test_loaded_arrays_use_the_buffers_without_a_copy() -> None:
    """An array that is loaded is a view of the buffer that was given."""
    np = pytest.importorskip("numpy")
    payload = dump(np.arange(1000))
    buffer = bytearray(payload.buffers[0])
    found = load(Payload(payload.format, bytes(payload.stream), [buffer]))
    found[0] = 77
    assert np.frombuffer(buffer, found.dtype)[0] == 77


def test_readonly_arrays_come_back_readonly() -> None:
    """An array that nobody could write to is one that nobody can write to."""
    np = pytest.importorskip("numpy")
    frozen = np.arange(5)
    frozen.setflags(write=False)
    found = again(frozen)
    assert not found.flags.writeable and found.tolist() == [0, 1, 2, 3, 4]


def test_frames_and_tensors_come_back() -> None:
    """pandas and torch objects come back equal, and can be written to."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])}, index=["r", "s"])
    found = again(frame)
    pd.testing.assert_frame_equal(found, frame)
    found.loc["r", "a"] = 9
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6.0).reshape(2, 3).T
    found = again({"t": tensor, "m": torch.nn.Linear(2, 2)})
    assert torch.equal(found["t"], tensor)
    found["t"][0, 0] = 5.0


class Buffered:
    """Hands out a buffer of its own making."""

    def __init__(self, view: Any) -> None:
        self.view = view

    def __reduce_ex__(self, protocol: Any) -> Any:
        return bytes, (pickle.PickleBuffer(self.view),)


class InBandIfAsked:
    """Hands out a buffer that is not contiguous, but can do otherwise."""

    asked = 0

    def __reduce_ex__(self, protocol: Any) -> Any:
        type(self).asked += 1
        view = memoryview(b"abcdef")[::2] if type(self).asked < 2 else memoryview(b"ace")
        return bytes, (pickle.PickleBuffer(view),)


def test_buffers_that_are_not_contiguous_go_in_band_or_are_refused() -> None:
    """A strided buffer, which has no raw bytes, never lets an error of pickle's out."""
    assert again(Buffered(b"abc")) == b"abc"
    InBandIfAsked.asked = 0
    assert again(InBandIfAsked()) == b"ace"
    for view in (memoryview(b"abcdef")[::2], memoryview(b"abcdef")[::-1]):
        with pytest.raises(NotStorable):
            dump(Buffered(view))
        with pytest.raises(NotStorable):
            dump([lambda: 1, Buffered(view)])


# Refusals.


def unstorable() -> dict[str, Any]:
    """Values that live only in this process."""
    sock = socket.socket()
    sock.close()
    loop = threading.Thread()
    return {
        "generator": (n for n in (1,)),
        "lock": threading.Lock(),
        "rlock": threading.RLock(),
        "condition": threading.Condition(),
        "event": threading.Event(),
        "queue": queue.Queue(),
        "thread": loop,
        "socket": sock,
        "frame": sys._getframe(),
        "raw file": open(__file__, "rb", buffering=0),
        "binary file": open(__file__, "rb"),
        "text file": open(__file__),
        "read and write": open(os.devnull, "r+"),
        "written file": open(os.devnull, "w"),
        "standard output": sys.__stdout__,
        "memoryview": memoryview(b"abc"),
        "coroutine": asyncio.Future(loop=asyncio.new_event_loop()),
        "process": subprocess.Popen([sys.executable, "-c", ""]),
    }


@pytest.fixture
def live() -> Any:
    """Values that live only in this process, closed afterwards."""
    values = unstorable()
    yield values
    values["process"].wait()
    values["coroutine"].get_loop().close()
    for name, value in values.items():
        if "file" in name or "write" in name:
            value.close()


def test_what_lives_only_in_this_process_is_refused_wherever_it_stands(live: dict[str, Any]) -> None:
    """Generators, locks, files, sockets and their kin are NotStorable, also deep inside, and beside lambdas.

    cloudpickle makes text files into text buffers and views into bytes: a hit would not be what was computed.
    """
    for name, value in live.items():
        for whole in (
            value,
            [value],
            {"a": Thing("b", (value,))},
            [lambda: 1, value],
            (lambda inner=value: inner),
        ):
            with pytest.raises(NotStorable) as caught:
                dump(whole)
            assert "pickle says" in str(caught.value), name


class HasLambda:
    def __init__(self) -> None:
        self.f = lambda: io.StringIO


@pytest.mark.parametrize(
    "error",
    [
        TypeError("no"),
        OSError(5, "disk"),
        ZeroDivisionError(),
        RecursionError(),
        StopIteration(),
        AttributeError("x"),
        pickle.PicklingError(),
        AssertionError("a\nb"),
        UnicodeDecodeError("utf-8", b"a", 0, 1, "why"),
        Warning("w"),
        EOFError(),
    ],
)
def test_any_error_of_an_object_that_is_pickled_is_a_refusal(error: Exception) -> None:
    """Whatever ``__reduce_ex__`` raises becomes NotStorable, in one line that names it."""
    with pytest.raises(NotStorable) as caught:
        dump([Raises(error)])
    assert type(error).__name__ in str(caught.value) and "\n" not in str(caught.value)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_errors_that_cannot_be_shown_are_refusals_too() -> None:
    """An error whose text raises, or is endless, does not get out."""
    with pytest.raises(NotStorable, match="Unspeakable"):
        dump(Raises(Unspeakable()))
    with pytest.raises(NotStorable) as caught:
        dump(Raises(ValueError("x" * 10_000)))
    assert len(str(caught.value)) < 500
    with pytest.raises(DamagedEntry, match="Unspeakable"):
        load(dump(Explodes(Unspeakable())))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_interrupts_pass_through(error: BaseException) -> None:
    """KeyboardInterrupt and SystemExit while pickling or loading are the user's."""
    with pytest.raises(type(error)):
        dump(Raises(error))
    with pytest.raises(type(error)):
        load(dump(Explodes(error)))


def test_structures_deeper_than_the_stack_are_refused() -> None:
    """A list nested a hundred thousand times is NotStorable, and no crash."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotStorable):
        dump(deep)


# Loading.


@pytest.mark.parametrize(
    "error",
    [ValueError("a"), OSError("b"), ImportError("c"), AttributeError("d"), RecursionError(), StopIteration()],
)
def test_any_error_while_loading_is_a_damaged_entry(error: Exception) -> None:
    """Whatever unpickling raises becomes DamagedEntry, which is a miss."""
    with pytest.raises(DamagedEntry, match=type(error).__name__):
        load(dump([Explodes(error)]))


def test_lack_of_memory_is_not_damage() -> None:
    """An entry that does not fit into memory now is not damaged."""
    with pytest.raises(MemoryError):
        load(dump(Explodes(MemoryError())))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_damaged_or_a_value_but_nothing_else(stream: bytes) -> None:
    """A stream of arbitrary bytes raises nothing but DamagedEntry."""
    with contextlib.suppress(DamagedEntry, MemoryError):
        load(Payload(PICKLE, b"\x80\x05" + stream))


@pytest.mark.parametrize("kind", ["", "pickle4", "cloudpickle-2.7", "cloudpickle-3.99", "arrow", "PICKLE5"])
def test_unknown_formats_are_damaged(kind: str) -> None:
    """A format of another version or of nobody is not tried, and named."""
    with pytest.raises(DamagedEntry, match=f"format is {kind}"):
        load(Payload(kind, bytes(dump([1]).stream)))


def test_missing_buffers_are_damage() -> None:
    """A payload with fewer buffers than its stream asks for is damaged."""
    np = pytest.importorskip("numpy")
    payload = dump([np.arange(3), np.arange(4)])
    for buffers in ((), payload.buffers[:1]):
        with pytest.raises(DamagedEntry):
            load(Payload(payload.format, payload.stream, buffers))


def test_loads_are_independent() -> None:
    """Each load is a new object."""
    payload = dump({"a": [1]})
    first, second = load(payload), load(payload)
    first["a"].append(2)
    assert second == {"a": [1]} == load(payload)


def test_partly_read_iterators_of_containers_come_back_where_they_stood() -> None:
    """An iterator over a list inside a result continues where it was; the original is not moved on."""
    inner = iter([1, 2, 3])
    next(inner)
    found = again(Thing("a", inner))
    assert list(found.inner) == [2, 3] == list(inner)
    assert list(itertools.islice(again([iter("abc")])[0], 2)) == ["a", "b"]
