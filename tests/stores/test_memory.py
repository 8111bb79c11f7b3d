"""The memory store keeps bytes, not objects: every hit is fresh."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hydra_cached.stores.base import Entry, Payload
from hydra_cached.stores.memory import MemoryStore
from hydra_cached.stores.serializers import dump, load

KEY, OTHER = "ab" * 32, "cd" * 32


def entry(text: bytes = b"stream", *buffers: Any, **manifest: Any) -> Entry:
    return Entry(manifest, Payload("f", text, buffers))


def test_entries_come_back_until_deleted() -> None:
    """What was put is found, listed, replaced and deleted; what was not is None."""
    store = MemoryStore()
    assert store.get(KEY) is None and list(store.keys()) == [] and store.delete(KEY) is False
    assert store.put(KEY, entry(b"one", b"two", n=1)) == 6
    found = store.get(KEY)
    assert found is not None and found.payload is not None
    assert (found.manifest, found.payload.format, bytes(found.payload.stream)) == ({"n": 1}, "f", b"one")
    assert [bytes(buffer) for buffer in found.payload.buffers] == [b"two"]
    store.put(KEY, entry(b"three"))
    assert bytes(store.get(KEY).payload.stream) == b"three"  # type: ignore[union-attr]
    assert list(store.keys()) == [KEY]
    assert store.delete(KEY) is True and store.get(KEY) is None and store.delete(KEY) is False


def test_links_come_back() -> None:
    """An entry without payload has size 0 and none when it comes back."""
    store = MemoryStore()
    assert store.put(KEY, Entry({"link": OTHER})) == 0
    assert store.get(KEY) == Entry({"link": OTHER}, None)


def test_what_the_writer_changes_later_does_not_reach_the_store() -> None:
    """Stream, buffers and manifest are copied when they are put."""
    store, buffer, stream, manifest = MemoryStore(), bytearray(b"buffer"), bytearray(b"stream"), {"a": [1]}
    store.put(KEY, Entry(manifest, Payload("f", stream, [buffer, memoryview(buffer)[1:3]])))
    buffer[:] = b"xxxxxx"
    stream[:] = b"yyyyyy"
    manifest["a"].append(2)
    found = store.get(KEY)
    assert found is not None and found.payload is not None
    assert found.manifest == {"a": [1]} and bytes(found.payload.stream) == b"stream"
    assert [bytes(b) for b in found.payload.buffers] == [b"buffer", b"uf"]


def test_what_one_reader_changes_does_not_reach_another() -> None:
    """Buffers and manifests that come out are writable copies."""
    store = MemoryStore()
    store.put(KEY, entry(b"stream", b"buffer", a=[1]))
    first = store.get(KEY)
    assert first is not None and first.payload is not None
    first.payload.buffers[0][:] = b"xxxxxx"  # type: ignore[index]
    first.manifest["a"].append(2)
    second = store.get(KEY)
    assert second is not None and second.payload is not None
    assert bytes(second.payload.buffers[0]) == b"buffer" and second.manifest == {"a": [1]}


def test_arrays_are_fresh_and_writable_at_every_hit() -> None:
    """Two loads of one array give two arrays, and what is done to the first is not seen in the second."""
    np = pytest.importorskip("numpy")
    store = MemoryStore()
    store.put(KEY, Entry({}, dump({"x": np.arange(5)})))
    first, second = (load(store.get(KEY).payload) for _ in range(2))  # type: ignore[union-attr,arg-type]
    first["x"][:] = -1
    assert second["x"].tolist() == [0, 1, 2, 3, 4] and second["x"].flags.writeable
    assert load(store.get(KEY).payload)["x"].tolist() == [0, 1, 2, 3, 4]  # type: ignore[union-attr,arg-type]


def test_a_manifest_that_is_no_json_is_an_error_when_put_and_nothing_is_stored() -> None:
    """A failed put leaves what was there."""
    store = MemoryStore()
    store.put(KEY, entry(b"old"))
    with pytest.raises(TypeError):
        store.put(KEY, entry(b"new", x=object()))
    assert bytes(store.get(KEY).payload.stream) == b"old"  # type: ignore[union-attr]


def test_keys_may_be_listed_while_others_write() -> None:
    """Listing does not fail when threads put and delete at the same time."""
    store, stop, errors = MemoryStore(), threading.Event(), []

    def write() -> None:
        for n in range(3000):
            store.put(f"{n % 97:064x}", entry())
            store.delete(f"{(n + 50) % 97:064x}")
        stop.set()

    def look() -> None:
        try:
            while not stop.is_set():
                for key in store.keys():
                    store.get(key)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (write, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
