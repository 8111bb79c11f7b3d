"""Tiers: what was fetched once is here, whatever becomes of the line; a bad directory is done without."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bad_line import Faults, FlakyFileSystem

from hydra_cached.errors import DamagedEntry
from hydra_cached.stores import connection as connection_module
from hydra_cached.stores import tiers as tiers_module
from hydra_cached.stores import transfer
from hydra_cached.stores.base import LINK, Entry
from hydra_cached.stores.bounded import BoundedStore
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.places import LocalPlace
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.signing import SignedStore
from hydra_cached.stores.tiers import TieredStore
from hydra_cached.stores.uploads import UploadingStore
from hydra_cached.testing import is_whole, key_of, made

KEY, OTHER = key_of(1), key_of(2)
SMALL, BIG = 1000, 3_000_000


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    faults = Faults()
    monkeypatch.setattr(FlakyFileSystem, "faults", faults)
    monkeypatch.setattr(connection_module, "PAUSE", 0.01)
    # So that an entry of some MB is a large one.
    monkeypatch.setattr(transfer, "FIRST", 1 << 20)
    monkeypatch.setattr(tiers_module, "FIRST", 1 << 20)
    monkeypatch.setattr(transfer, "RANGE", 1 << 20)
    yield faults


@pytest.fixture
def url(faults: Faults) -> str:
    return f"flaky://{uuid.uuid4().hex}/cache"


@pytest.fixture
def remote(url: str) -> RemoteStore:
    return RemoteStore(url)


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "tier")


@pytest.fixture
def tiered(local: LocalStore, url: str) -> TieredStore:
    return TieredStore(local, RemoteStore(url))


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_what_was_fetched_once_needs_no_network(
    tiered: TieredStore, remote: RemoteStore, faults: Faults, size: int
) -> None:
    """The first hit fetches; the second asks nobody, and works with the line cut."""
    remote.put(KEY, made(1, size))
    remote.put(OTHER, Entry({LINK: KEY}))
    assert is_whole(tiered.get(KEY)) and tiered.get(OTHER) == Entry({LINK: KEY})
    faults.fail(10**6)
    faults.calls.clear()
    assert is_whole(tiered.get(KEY)) and tiered.get(OTHER) == Entry({LINK: KEY})
    assert faults.calls == []


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_what_is_written_goes_to_both(
    tiered: TieredStore, local: LocalStore, remote: RemoteStore, size: int
) -> None:
    """A put is found in the directory and in the remote store."""
    tiered.put(KEY, made(1, size))
    assert is_whole(local.get(KEY)) and is_whole(remote.get(KEY)) and list(tiered.keys()) == [KEY]
    assert tiered.delete(KEY) and local.get(KEY) is None and remote.get(KEY) is None


def test_the_bytes_are_the_same(
    tiered: TieredStore, local: LocalStore, remote: RemoteStore, url: str
) -> None:
    """What was fetched is byte for byte what was stored."""
    remote.put(KEY, made(1, BIG))
    assert is_whole(tiered.get(KEY))
    there = RemoteStore(url).connection.call(lambda fs, path: fs.cat_file(path), "entries", KEY[:2], KEY)
    assert local.path(KEY).read_bytes() == there


def test_misses_leave_nothing_in_the_directory(tiered: TieredStore, local: LocalStore) -> None:
    """Looking for what is nowhere makes no files, nor the directory."""
    assert tiered.get(KEY) is None
    assert not local.root.exists()


def test_notes_are_not_kept_here(tiered: TieredStore, local: LocalStore, remote: RemoteStore) -> None:
    """Notes, which every host changes, are read from the remote store each time."""
    tiered.put(KEY, Entry({"recent": ["a"]}))
    assert tiered.get(KEY) == Entry({"recent": ["a"]})
    remote.put(KEY, Entry({"recent": ["b"]}))
    assert tiered.get(KEY) == Entry({"recent": ["b"]}) and local.get(KEY) is None


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_a_damaged_copy_is_fetched_again(
    tiered: TieredStore, local: LocalStore, remote: RemoteStore, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy that was changed here is said to be, and fetched anew."""
    remote.put(KEY, made(1, size))
    assert is_whole(tiered.get(KEY))
    data = bytearray(local.path(KEY).read_bytes())
    data[-5] ^= 1
    local.path(KEY).write_bytes(data)
    assert is_whole(tiered.get(KEY)) and "fetched again" in caplog.text
    assert is_whole(local.get(KEY))


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_damage_there_is_damage_and_never_kept_here(
    tiered: TieredStore, local: LocalStore, remote: RemoteStore, size: int
) -> None:
    """What is damaged in the remote store is reported, and no copy of it stays here."""
    remote.put(KEY, made(1, size))
    names = ("entries", KEY[:2], KEY)
    data = bytearray(remote.connection.call(lambda fs, path: fs.cat_file(path), *names))
    data[-5] ^= 1
    remote.connection.call(lambda fs, path: fs.pipe_file(path, bytes(data)), *names)
    with pytest.raises(DamagedEntry, match="flaky://"):
        tiered.get(KEY)
    assert local.get(KEY) is None
    assert [path for path in local.root.rglob("*") if path.is_file() and ".tmp" in path.name] == []
    tiered.put(KEY, made(1, size))
    assert is_whole(remote.get(KEY))


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_damage_on_the_way_is_fetched_again(
    tiered: TieredStore, remote: RemoteStore, faults: Faults, size: int
) -> None:
    """What was damaged on the way only is fetched again."""
    remote.put(KEY, made(1, size))
    times = iter(range(100))
    faults.change = lambda data: bytes(len(data)) if next(times) == 0 else data
    assert is_whole(tiered.get(KEY))


def test_a_line_that_breaks_in_mid_download_is_borne(
    tiered: TieredStore, remote: RemoteStore, faults: Faults
) -> None:
    """Ranges that fail are asked for again, alone."""
    remote.put(KEY, made(1, BIG))
    seen = [0]

    def before(name: str, path: str) -> None:
        if name == "cat":
            seen[0] += 1
            if seen[0] % 2 == 0:
                raise TimeoutError("too slow")

    faults.before = before
    assert is_whole(tiered.get(KEY))


def test_many_that_want_a_large_entry_fetch_it_once(
    url: str, tmp_path: Path, remote: RemoteStore, faults: Faults
) -> None:
    """Of several stores of a host that miss a large entry at once, one fetches all of it."""
    remote.put(KEY, made(1, BIG))
    begun = threading.Barrier(6)
    ranges: list[str] = []

    def before(name: str, path: str) -> None:
        if name == "info":  # after the first range: the size
            begun.wait(60)
        if name == "cat":
            ranges.append(path)

    def get(_: int) -> bool:
        return is_whole(TieredStore(LocalStore(tmp_path / "tier"), RemoteStore(url)).get(KEY))

    faults.before = before
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(get, range(6)))
    # Each asked for the first range, one for the others.
    assert len(ranges) == 6 + 2


@pytest.mark.parametrize("size", [SMALL, BIG])
@pytest.mark.parametrize("fault", ["a file", "no permission to trust", "not writable"])
def test_a_bad_directory_is_done_without(
    remote: RemoteStore, url: str, tmp_path: Path, size: int, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A local directory that cannot be used is said to be, once, and the remote store is used alone."""
    root = tmp_path / "tier"
    if fault == "a file":
        root.write_text("not a directory")
    elif fault == "no permission to trust":
        root.mkdir()
        root.chmod(0o777)
    else:
        (root / "entries").mkdir(parents=True, mode=0o700)
        root.chmod(0o700)
        for key in (KEY, OTHER):
            (root / "entries" / key[:2]).write_text("a file in the way")
    tiered = TieredStore(LocalStore(root), RemoteStore(url))
    remote.put(KEY, made(1, size))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert is_whole(tiered.get(KEY))
        tiered.put(OTHER, made(2, size))
    assert is_whole(remote.get(OTHER)) and is_whole(tiered.get(OTHER))
    assert caplog.text.count("local_dir cannot be used") == 1


def test_signatures_cover_both_tiers(local: LocalStore, remote: RemoteStore, tiered: TieredStore) -> None:
    """With a key, what is unsigned is not served from either tier."""
    signed = SignedStore(tiered, ["a key of some length"])
    signed.put(KEY, made(1, SMALL))
    assert is_whole(signed.get(KEY))
    local.put(KEY, made(2, SMALL))
    with pytest.raises(DamagedEntry, match="not signed"):
        signed.get(KEY)
    remote.put(OTHER, made(2, SMALL))
    with pytest.raises(DamagedEntry, match="not signed"):
        signed.get(OTHER)


def test_bounds_hold_for_the_directory_alone(
    local: LocalStore, remote: RemoteStore, tiered: TieredStore
) -> None:
    """What does not fit goes from the directory; the remote store keeps it, and it is fetched again."""
    for number in range(8):
        remote.put(key_of(number), made(number, 100_000))
        assert is_whole(tiered.get(key_of(number)))
    os.utime(local.root / "entries")
    from hydra_cached.stores.trim import trim

    done = trim(local, Bounds(size=350_000))
    assert len(done.gone) >= 4 and len(list(remote.keys())) == 8
    assert all(is_whole(tiered.get(key_of(number))) for number in range(8))


def test_a_bounded_tier_counts_what_it_is_given(local: LocalStore, tiered: TieredStore) -> None:
    """A bounded store around the tiers keeps the directory within its size."""
    bounded = BoundedStore(tiered, LocalPlace(local), Bounds(size=500_000))
    for number in range(8):
        bounded.put(key_of(number), made(number, 100_000))
        assert is_whole(bounded.get(key_of(number)))


def test_what_is_on_its_way_is_found_if_it_has_gone_from_here(
    local: LocalStore, url: str, faults: Faults
) -> None:
    """A result that is being uploaded, and was removed from the directory meanwhile, is still a hit."""
    gate = threading.Event()
    faults.before = lambda name, path: gate.wait(60) and None if name == "pipe" else None
    back = UploadingStore(RemoteStore(url))
    tiered = TieredStore(local, back)
    tiered.put(KEY, made(1, SMALL))
    local.delete(KEY)
    assert is_whole(tiered.get(KEY))
    gate.set()
    back.uploads.wait()
    assert is_whole(back.remote.get(KEY))


def test_large_uploads_are_read_from_the_directory(local: LocalStore, url: str, faults: Faults) -> None:
    """A large result is not held in memory while it waits: its file is uploaded."""
    gate = threading.Event()
    faults.before = lambda name, path: gate.wait(60) and None if name == "put" else None
    back = UploadingStore(RemoteStore(url))
    tiered = TieredStore(local, back)
    entry: Any = made(1, BIG)
    tiered.put(KEY, entry)
    source = back.uploads.source(KEY)
    assert source is not None and source.data is None and source.file is not None
    assert source.file.samefile(local.path(KEY))
    # Whatever becomes of the file here.
    local.delete(KEY)
    gate.set()
    back.uploads.wait()
    assert is_whole(back.remote.get(KEY)) and list(local.path(KEY).parent.iterdir()) == []
