"""What every store that outlives its process must do about damage: notice it, report it, replace it."""

from __future__ import annotations

import struct

import pytest
from blake3 import blake3

from hydra_cached.errors import DamagedEntry, ForeignEntry
from hydra_cached.stores.base import LINK, Entry, Store
from hydra_cached.testing.backend import Backend, is_whole, key_of, made
from hydra_cached.testing.store_suite import LARGE, report_of

KEY, OTHER = key_of(1), key_of(2)


def foreign(version: int = 2, flags: int = 0) -> bytes:
    """An entry of another version that keeps to the rules for all versions."""
    head = struct.pack("<8sIIQQ", b"HYDCACHE", version, flags, 5, 3)
    return head + blake3(head + b"tomor").digest() + b"tomor" + b"row"


class DamageSuite:
    """For stores whose bytes others can reach. Needs the fixture ``backend``, with its ``raw_`` methods."""

    @pytest.fixture
    def store(self, backend: Backend) -> Store:
        return backend.open()

    def damaged(self, backend: Backend, store: Store, data: bytes) -> None:
        """Bytes in an entry's place are reported, never served, and the next result takes their place."""
        backend.raw_write(KEY, data)
        with pytest.raises(DamagedEntry) as caught:
            store.get(KEY)
        assert not isinstance(caught.value, ForeignEntry) and str(caught.value)
        report_of(store, KEY)
        store.put(KEY, made(5, 96))
        assert is_whole(store.get(KEY)) and list(store.keys()) == [KEY]

    def test_the_hooks_reach_entries(self, backend: Backend, store: Store) -> None:
        """What lies in an entry's place can be read, written back and named."""
        store.put(KEY, made(1, 96))
        data = backend.raw_read(KEY)
        assert data[:8] == b"HYDCACHE" and any(KEY in name for name in backend.raw_names())
        store.delete(KEY)
        backend.raw_write(KEY, data)
        assert is_whole(store.get(KEY))

    def test_every_truncation_is_noticed(self, backend: Backend, store: Store) -> None:
        """An entry cut off after any number of bytes is reported and replaced."""
        store.put(KEY, made(1, 128))
        data = backend.raw_read(KEY)
        for length in {*range(0, len(data), backend.step), len(data) - 1}:
            self.damaged(backend, store, data[:length])

    def test_every_flipped_byte_is_noticed(self, backend: Backend, store: Store) -> None:
        """An entry with any one byte changed is reported and replaced."""
        store.put(KEY, made(1, 128))
        data = backend.raw_read(KEY)
        for at in {*range(0, len(data), backend.step), len(data) - 1}:
            self.damaged(backend, store, data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])

    def test_damage_in_a_link_is_noticed(self, backend: Backend, store: Store) -> None:
        """Entries without payload are looked at as closely."""
        store.put(KEY, Entry({LINK: OTHER}))
        data = backend.raw_read(KEY)
        for at in range(0, len(data), 7 * backend.step):
            self.damaged(backend, store, data[:at])
            self.damaged(backend, store, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    def test_damage_in_a_large_entry_is_noticed(self, backend: Backend, store: Store) -> None:
        """Wherever bytes were changed, removed or added in a large payload."""
        store.put(KEY, made(1, LARGE))
        data = backend.raw_read(KEY)
        for at in [0, 40, 70, 200, 5000, len(data) // 2, len(data) - 1]:
            self.damaged(backend, store, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        for changed in (data[:-1], data + b"\0", data[: len(data) // 2], data + data):
            self.damaged(backend, store, changed)

    @pytest.mark.parametrize("content", [b"", b"HYD", b"HYDCACHE", bytes(100), b"HYDCACHE" + b"x" * LARGE])
    def test_what_a_crash_may_leave_is_replaced(self, backend: Backend, store: Store, content: bytes) -> None:
        """Nothing, zeros, or what only begins as an entry does, is damage."""
        store.put(KEY, made(1, 32))
        self.damaged(backend, store, content)

    @pytest.mark.parametrize("size", [0, 1024, LARGE])
    def test_an_entry_in_another_key_s_place_is_noticed(
        self, backend: Backend, store: Store, size: int
    ) -> None:
        """An entry says which key it belongs to: copied or renamed, it is not served for another."""
        store.put(KEY, made(0, 0))
        store.put(OTHER, made(1, size))
        data = backend.raw_read(OTHER)
        store.delete(OTHER)
        self.damaged(backend, store, data)

    def test_damage_is_seen_by_whoever_has_read_before(self, backend: Backend, store: Store) -> None:
        """No handle serves from a memory of its own what has been damaged since."""
        store.put(KEY, made(1, 96))
        other = backend.open()
        assert is_whole(other.get(KEY)) and is_whole(store.get(KEY))
        backend.raw_write(KEY, backend.raw_read(KEY)[:-3])
        assert report_of(other, KEY) is not None

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(foreign(), id="version 2"),
            pytest.param(foreign(0), id="version 0"),
            pytest.param(foreign(1, 4), id="flags"),
            pytest.param(foreign()[:-1], id="version 2, cut off"),
            pytest.param(b"somebody else's", id="text"),
            pytest.param(b"\x80\x05N.", id="pickle"),
            pytest.param(b"x" * LARGE, id="large"),
        ],
    )
    def test_foreign_things_are_left_alone(self, backend: Backend, store: Store, content: bytes) -> None:
        """Other versions and somebody's files are reported, then a miss; neither moved nor written over."""
        store.put(KEY, made(1, 32))
        backend.raw_write(KEY, content)
        with pytest.raises(ForeignEntry, match="left alone"):
            store.get(KEY)
        assert store.get(KEY) is None and store.get(KEY) is None
        with pytest.raises(FileExistsError, match="not written over"):
            store.put(KEY, made(2, 96))
        assert backend.raw_read(KEY) == content
        assert store.delete(KEY) and store.get(KEY) is None  # who asks for it by name may
        store.put(KEY, made(3, 32))
        assert is_whole(store.get(KEY))

    def test_a_foreign_version_is_reported_once_and_foreign_files_one_by_one(
        self, backend: Backend, store: Store
    ) -> None:
        """A place full of entries of the next version makes one report, not one for each."""
        for at in range(6):
            store.put(key_of(at), Entry())
            backend.raw_write(key_of(at), foreign() if at < 3 else b"mine")
        reports = [report_of(store, key_of(at)) for at in (*range(6), *range(6))]
        assert len([report for report in reports if report]) == 1 + 3

    def test_what_is_put_leaves_one_thing(self, backend: Backend, store: Store) -> None:
        """After puts of one key there is its entry, and nothing beside it."""
        for seed in range(3):
            store.put(KEY, made(seed, 320))
        assert [name for name in backend.raw_names() if KEY[:16] in name] == [
            name for name in backend.raw_names() if name.endswith(KEY)
        ]
        assert len([name for name in backend.raw_names() if KEY[:16] in name]) == 1
