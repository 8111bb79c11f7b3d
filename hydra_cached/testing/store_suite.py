"""What every store must do, looked at from outside: whole entries, fresh copies, nothing that stays behind."""

from __future__ import annotations

import array
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hydra_cached.errors import DamagedEntry
from hydra_cached.stores.base import LINK, Entry, Payload, Store
from hydra_cached.stores.serializers import dump, load
from hydra_cached.testing.backend import Backend, is_whole, key_of, made, parts

KEY, OTHER = key_of(1), key_of(2)
LARGE = 3_000_000  # bytes, more than what is always read into memory
HUGE = 40_000_000
_DESCRIPTORS = Path("/proc/self/fd")


class StoreSuite:
    """For every store. Needs the fixture ``backend``."""

    @pytest.fixture
    def store(self, backend: Backend) -> Store:
        return backend.open()

    # What is put is there, until it is not wanted.

    @pytest.mark.parametrize("size", [0, 32, 70_400, LARGE])
    def test_entries_come_back_until_deleted(self, store: Store, size: int) -> None:
        """What was put is found, listed, replaced and deleted; what was not is None."""
        assert store.get(KEY) is None and list(store.keys()) == [] and store.delete(KEY) is False
        payload = made(1, size).payload
        assert payload is not None and store.put(KEY, made(1, size)) >= payload.size
        assert is_whole(store.get(KEY)) and list(store.keys()) == [KEY] and store.get(OTHER) is None
        store.put(KEY, made(2, size))
        assert found(store, KEY).manifest["seed"] == 2 and is_whole(store.get(KEY))
        assert list(store.keys()) == [KEY]
        assert store.delete(KEY) is True and store.get(KEY) is None and store.delete(KEY) is False
        assert list(store.keys()) == []

    def test_other_handles_see_what_was_done(self, backend: Backend, store: Store) -> None:
        """A handle that has looked before sees what another one puts, replaces and deletes."""
        other = backend.open()
        assert other.get(KEY) is None and list(other.keys()) == []
        store.put(KEY, made(1, 64))
        backend.settle()
        assert is_whole(other.get(KEY)) and list(other.keys()) == [KEY]
        store.put(KEY, made(2, 6400))
        store.put(OTHER, made(3, 0))
        backend.settle()
        assert found(other, KEY).manifest["seed"] == 2 and sorted(other.keys()) == sorted([KEY, OTHER])
        other.delete(KEY)
        backend.settle()
        assert store.get(KEY) is None and list(store.keys()) == [OTHER]
        store.put(KEY, made(4, 32))
        backend.settle()
        assert found(other, KEY).manifest["seed"] == 4 and is_whole(other.get(KEY))

    def test_links_come_back(self, store: Store) -> None:
        """An entry without payload comes back without one; a result can take its place, and the other way round."""
        store.put(KEY, Entry({LINK: OTHER}))
        assert store.get(KEY) == Entry({LINK: OTHER}, None)
        store.put(KEY, made(1, 32))
        assert is_whole(store.get(KEY))
        store.put(KEY, Entry({LINK: OTHER}))
        assert store.get(KEY) == Entry({LINK: OTHER}, None)

    def test_looking_makes_nothing(self, backend: Backend, store: Store) -> None:
        """Looking up, deleting and listing where nothing was stored leaves nothing."""
        store.get(KEY), store.delete(KEY), list(store.keys())
        other = backend.open()
        assert other.get(KEY) is None and list(other.keys()) == []

    def test_many_entries_are_listed(self, store: Store) -> None:
        """Of many keys, those that were not deleted are listed, each once."""
        keys = [key_of(number) for number in range(60)]
        for number, key in enumerate(keys):
            store.put(key, made(number, 0))
        for key in keys[:20]:
            assert store.delete(key)
        assert sorted(store.keys()) == sorted(keys[20:])
        assert [found(store, key).manifest["seed"] for key in keys[20:]] == [*range(20, 60)]

    def test_listing_goes_on_when_others_delete(self, backend: Backend, store: Store) -> None:
        """Who lists keys meets no error when entries go and come meanwhile, and misses none that stayed."""
        keys = {key_of(number) for number in range(40)}
        for key in keys:
            store.put(key, Entry())
        gone: set[str] = set()
        listed: set[str] = set()
        other = backend.open()
        for key in store.keys():
            listed.add(key)
            for victim in sorted(keys - listed - gone)[:2]:
                other.delete(victim)
                gone.add(victim)
        assert listed >= keys - gone and set(store.keys()) == keys - gone

    # Keys.

    @pytest.mark.parametrize("key", ["0" * 16, "0123456789abcdef", "ab" * 32, "f" * 128])
    def test_keys_of_any_length(self, store: Store, key: str) -> None:
        """Keys are 16 hex digits or more; those that begin alike are different keys."""
        for number, each in enumerate([key, key + "0", key + "00", key[:-1] + "e0"]):
            store.put(each, made(number, 0))
        wanted = [key, key + "0", key + "00", key[:-1] + "e0"]
        assert sorted(store.keys()) == sorted(wanted)
        assert [found(store, each).manifest["seed"] for each in wanted] == [0, 1, 2, 3]
        store.delete(key)
        assert sorted(store.keys()) == sorted(wanted[1:])

    @pytest.mark.parametrize(
        "key", ["", "..", "../" * 8 + "mine", "a/b", "/" + "ab" * 16, "AB" * 16, "x" * 64, "ab\0" * 20, "ab"]
    )
    def test_what_is_no_key_is_refused(self, store: Store, key: str) -> None:
        """What is no string of hex digits never becomes a path: a planted link could name anything."""
        store.put(KEY, made(1, 0))
        for use in (store.get, store.delete, lambda odd: store.put(odd, made(2, 0))):
            with pytest.raises(ValueError, match="key"):
                use(key)
        assert list(store.keys()) == [KEY] and is_whole(store.get(KEY))

    # What comes back is what went in.

    @pytest.mark.parametrize(
        "manifest",
        [
            {},
            {"text": "ünï \N{SNOWMAN} \N{PILE OF POO}", "\N{SNOWMAN}": "name", "line": "a\nb\r\0\u2028"},
            {"lone surrogate": "\ud800"},
            {"numbers": [0, -0.0, 1.5e300, 5e-324, 2**70, math.inf, -math.inf], "flags": [True, False, None]},
            {"nested": {"a": [[[{"b": [{}]}]], "", " "]}},
            {"long": "x" * 200_000},
            {"many": {f"name {number}": number for number in range(5000)}},
        ],
        ids=["empty", "unicode", "surrogate", "numbers", "nested", "long", "many"],
    )
    @pytest.mark.parametrize("payload", [None, Payload("f", b"stream", [b"buffer"])], ids=["link", "result"])
    def test_manifests_come_back_as_they_were(
        self, store: Store, manifest: dict[str, Any], payload: Payload | None
    ) -> None:
        """Whatever JSON can say comes back, with its types."""
        store.put(KEY, Entry(manifest, payload))
        back = found(store, KEY)
        assert json.dumps(back.manifest, sort_keys=True) == json.dumps(manifest, sort_keys=True)
        assert (back.payload is None) == (payload is None)

    def test_payloads_come_back_as_they_were(self, store: Store) -> None:
        """Empty streams, empty and typed buffers, many of them: the bytes and their order are kept."""
        doubles = array.array("d", [0.5, -1.0, 2.25])
        for payload in [
            Payload("f-1.2", b"", []),
            Payload("f-1.2", b"", [b"", b"x", b""]),
            Payload("f-1.2", b"s" * 63, [b"a" * n for n in range(70)]),
            Payload(
                "f-1.2", bytearray(b"s"), [memoryview(doubles), memoryview(b"abcdef")[1:4], bytearray(65)]
            ),
        ]:
            store.put(KEY, Entry({}, payload))
            assert parts(found(store, KEY)) == parts(Entry({}, payload))

    def test_a_large_result_comes_back(self, store: Store) -> None:
        """40 MB go in and come back."""
        store.put(KEY, made(1, HUGE))
        assert is_whole(store.get(KEY))

    def test_what_the_writer_changes_later_does_not_reach_the_store(self, store: Store) -> None:
        """Stream, buffers and manifest are taken as they are when they are put, and left as they are."""
        buffer, stream, manifest = bytearray(b"buffer"), bytearray(b"stream"), {"a": [1]}
        store.put(KEY, Entry(manifest, Payload("f", stream, [buffer, memoryview(buffer)[1:3]])))
        assert manifest == {"a": [1]}
        buffer[:], stream[:] = b"xxxxxx", b"yyyyyy"
        manifest["a"].append(2)
        back = found(store, KEY)
        assert back.manifest == {"a": [1]} and parts(back) == ("f", [b"stream", b"buffer", b"uf"])

    @pytest.mark.parametrize("size", [64, LARGE])
    def test_what_one_reader_changes_does_not_reach_another(self, store: Store, size: int) -> None:
        """Buffers come back writable, and each time anew: what one hit does to them, another never sees."""
        store.put(KEY, made(1, size))
        first, second = found(store, KEY), found(store, KEY)
        assert first.payload is not None
        for buffer in first.payload.buffers:
            view = memoryview(buffer)
            assert not view.readonly
            view[:] = bytes(view.nbytes)
        first.manifest["seed"] = 99
        assert is_whole(second) and is_whole(store.get(KEY))

    @pytest.mark.parametrize("size", [64, LARGE])
    def test_what_was_read_outlives_replacement_and_deletion(self, store: Store, size: int) -> None:
        """An entry that somebody has in hand stays what it was when it is replaced, deleted or evicted."""
        for replacement in (made(2, size), None):
            store.put(KEY, made(1, size))
            in_hand = found(store, KEY)
            if replacement is None:
                store.delete(KEY)
            else:
                store.put(KEY, replacement)
            assert is_whole(in_hand) and in_hand.manifest["seed"] == 1

    @pytest.mark.parametrize("number", [5, 400_000])
    def test_arrays_are_fresh_and_writable_at_every_hit(self, store: Store, number: int) -> None:
        """Two loads of one array give two arrays, and what is done to the first is not seen in the second."""
        np = pytest.importorskip("numpy")
        store.put(KEY, Entry({}, dump({"x": np.arange(number)})))
        for _ in range(2):
            one, two = (load(payload_of(store, KEY)) for _ in range(2))
            one["x"][:] = -1
            assert np.array_equal(two["x"], np.arange(number)) and two["x"].flags.writeable

    # What cannot be stored.

    @pytest.mark.parametrize("manifest", [{"x": object()}, {"x": {1, 2}}, {"x": b"bytes"}])
    def test_a_manifest_that_is_no_json_stores_nothing(self, store: Store, manifest: dict[str, Any]) -> None:
        """It is an error of the caller's; what was there stays."""
        store.put(KEY, made(1, 32))
        for key in (KEY, OTHER):
            with pytest.raises((TypeError, ValueError)):
                store.put(key, Entry(manifest, Payload("f", b"s")))
        assert is_whole(store.get(KEY)) and list(store.keys()) == [KEY]

    @pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt(), MemoryError()])
    def test_a_payload_that_fails_in_the_middle_stores_nothing(
        self, store: Store, error: BaseException
    ) -> None:
        """Where taking the bytes fails or is interrupted, what was there stays, and nothing else is seen."""
        store.put(KEY, made(1, 32))
        for key in (KEY, OTHER):
            with pytest.raises(type(error)):
                store.put(key, Entry({}, Payload("f", b"s", Failing([b"a" * 1000] * 3, error))))
        assert is_whole(store.get(KEY)) and list(store.keys()) == [KEY] and store.get(OTHER) is None

    # Many at once.

    def test_threads_that_use_one_key_never_mix(self, backend: Backend, store: Store) -> None:
        """Four threads put, two read and one deletes: every read is whole, or nothing; nobody meets an error."""
        stop, begin = threading.Event(), threading.Barrier(7)

        def write(number: int) -> None:
            handle = backend.open() if number % 2 else store
            begin.wait(60)
            for turn in range(12):
                handle.put(KEY, made(number * 100 + turn, [0, 3200, 96_000, 1_600_000][turn % 4]))

        def read() -> None:
            begin.wait(60)
            while not stop.is_set():
                entry = store.get(KEY)
                assert entry is None or is_whole(entry)

        def delete() -> None:
            begin.wait(60)
            while not stop.wait(0.01):
                store.delete(KEY)

        def writing() -> None:
            try:
                run_all([partial(write, number) for number in range(4)])
            finally:
                stop.set()

        run_all([writing, read, read, delete])
        store.put(KEY, made(1, 64))
        assert is_whole(store.get(KEY))

    def test_threads_that_begin_at_once_all_succeed(self, backend: Backend) -> None:
        """Making whatever a new place needs is no race."""
        barrier = threading.Barrier(8)

        def begin(number: int) -> None:
            handle = backend.open()
            barrier.wait()
            handle.put(key_of(number), made(number, 64))

        run_all([partial(begin, number) for number in range(8)])
        assert sorted(backend.open().keys()) == sorted(key_of(number) for number in range(8))

    def test_listing_while_others_write(self, backend: Backend, store: Store) -> None:
        """Nobody who lists or reads meets an error while threads put and delete."""
        stop = threading.Event()

        def write() -> None:
            try:
                for number in range(100):
                    store.put(key_of(number % 7), made(number, 32))
                    store.delete(key_of((number + 3) % 7))
            finally:
                stop.set()

        def look() -> None:
            handle = backend.open()
            while not stop.is_set():
                for key in handle.keys():
                    entry = handle.get(key)
                    assert entry is None or is_whole(entry)

        run_all([write, look, look])

    @pytest.mark.skipif(not _DESCRIPTORS.exists(), reason="this system does not list open files")
    def test_nothing_stays_open(self, store: Store) -> None:
        """Neither hits nor misses, puts nor lists leave descriptors behind."""

        def use() -> None:
            store.put(KEY, made(1, LARGE))
            for key in (KEY, OTHER):
                store.get(key)
            list(store.keys())

        use()
        before = len(os.listdir(_DESCRIPTORS))
        for _ in range(25):
            use()
        assert len(os.listdir(_DESCRIPTORS)) <= before + 12  # a client may keep some connections


class Failing(Sequence[bytes]):
    """Buffers, of which asking for the last raises."""

    def __init__(self, buffers: list[bytes], error: BaseException) -> None:
        self._buffers = buffers
        self._error = error

    def __len__(self) -> int:
        return len(self._buffers)

    def __getitem__(self, at: Any) -> Any:
        if at == len(self._buffers) - 1:
            raise self._error
        return self._buffers[at]

    def __iter__(self) -> Iterator[bytes]:
        return (self[at] for at in range(len(self)))


def found(store: Store, key: str) -> Entry:
    """The entry, which must be there."""
    entry = store.get(key)
    assert entry is not None, f"{store!r} has nothing under {key}"
    return entry


def payload_of(store: Store, key: str) -> Payload:
    """The payload of an entry, which must be there."""
    payload = found(store, key).payload
    assert payload is not None
    return payload


def run_all(works: Sequence[Callable[[], object]], timeout: float = 120.0) -> None:
    """Do all at once, each in a thread, and raise what the first raises that fails."""
    errors: list[BaseException] = []

    def do(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=do, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a thread does not come to an end"
    if errors:
        raise errors[0]


def report_of(store: Store, key: str) -> DamagedEntry | None:
    """What a store says of a damaged entry; None if it takes it for a miss. A value is a failure."""
    try:
        entry = store.get(key)
    except DamagedEntry as damage:
        return damage
    assert entry is None, f"what is damaged was served: {entry.manifest}"
    return None
