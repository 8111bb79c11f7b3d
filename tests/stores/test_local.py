"""The local store: whole entries or none, also under kills, races, full disks and damage."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from mounting import needs_mount, tmpfs

from hydra_cached.errors import DamagedEntry, ForeignEntry
from hydra_cached.stores import local
from hydra_cached.stores.base import Entry, Payload
from hydra_cached.stores.entry import ALIGNMENT
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.serializers import dump, load
from hydra_cached.testing import is_whole, key_of, made

KEY, OTHER = key_of(1), key_of(2)
BIG = 3_000_000


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache")


def files(root: Path) -> list[Path]:
    """All files below a directory but the two that say what it is."""
    return sorted(p for p in root.rglob("*") if p.is_file() and p.name not in ("CACHEDIR.TAG", ".gitignore"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def whole(store: LocalStore, key: str) -> bool:
    entry = store.get(key)
    return entry is not None and is_whole(entry)


# Put, get, delete, keys.


def test_looking_makes_nothing(store: LocalStore) -> None:
    """Looking up, deleting and listing in a directory that is not there does not make it."""
    assert store.get(KEY) is None and store.delete(KEY) is False and list(store.keys()) == []
    assert not store.root.exists()


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store does not move when the process changes its directory."""
    monkeypatch.chdir(tmp_path)
    store = LocalStore("cache")
    store.put(KEY, made(1, 0))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert whole(store, KEY) and store.root == tmp_path / "cache"


def test_keys_lists_entries_and_nothing_else(store: LocalStore) -> None:
    """Temporary, damaged and foreign files, and foreign directories, are not keys and do not disturb."""
    keys = sorted(key_of(n) for n in range(40))
    for key in keys:
        store.put(key, Entry())
    shard = store.path(keys[0]).parent
    (shard / f".{keys[0][:16]}.host.1.abc.tmp").write_text("")
    (shard / f"{keys[0]}.damaged").write_text("")
    (shard / "README").write_text("")
    (store.root / "entries" / ".DS_Store").write_text("")
    (store.root / "entries" / "notes").mkdir()
    (store.root / "entries" / "notes" / "todo").write_text("")
    assert sorted(store.keys()) == keys


def test_keys_goes_on_when_others_delete(store: LocalStore) -> None:
    """A directory that vanishes while keys are listed takes only its own keys along."""
    keys = sorted(key_of(n) for n in range(40))
    for key in keys:
        store.put(key, Entry())
    found = []
    for key in store.keys():
        if not found:
            gone = next(k for k in keys if k[:2] != key[:2])
            shutil.rmtree(store.path(gone).parent)
        found.append(key)
    assert set(found) >= {key for key in keys if key[:2] != gone[:2]}


@pytest.mark.parametrize(
    "key", ["", "..", "../../../mine", "a/b", "{mine}", "AB" * 16, "x" * 64, "ab\0" * 20, "ab"]
)
def test_keys_that_are_no_keys_do_not_leave_the_directory(
    store: LocalStore, key: str, tmp_path: Path
) -> None:
    """What is no string of hex digits is refused before it becomes a path: a planted link could name any file."""
    mine = tmp_path / "mine"
    mine.write_text("not yours to set aside")
    store.put(KEY, Entry())
    for use in (store.get, store.delete, lambda k: store.put(k, Entry())):
        with pytest.raises(ValueError, match="key"):
            use(key.format(mine=mine))
    assert files(tmp_path) == sorted([mine, store.path(KEY)])


# What the store makes.


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000, 0o002])
def test_what_is_made_is_the_owner_s_alone(tmp_path: Path, mask: int) -> None:
    """Directories are 0700 and files 0600, whatever the umask."""
    store = LocalStore(tmp_path / "deep" / "cache")
    before = os.umask(mask)
    try:
        store.put(KEY, made(1, 0))
        store.put(OTHER, made(1, BIG))
    finally:
        os.umask(before)
    assert all(mode(path) == 0o600 for path in store.root.rglob("*") if path.is_file())
    assert all(mode(path) == 0o700 for path in [store.root, *store.root.rglob("*")] if path.is_dir())


def test_backups_and_git_leave_the_directory_out(store: LocalStore) -> None:
    """CACHEDIR.TAG has the standard's signature, and .gitignore ignores all."""
    store.put(KEY, made(1, 0))
    tag = (store.root / "CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert (store.root / ".gitignore").read_text() == "*\n"


def test_a_directory_with_other_things_in_it_is_not_declared_a_cache(tmp_path: Path) -> None:
    """With ``cache.dir=.`` the user's own files stay in git and in backups."""
    (tmp_path / "thesis.tex").write_text("years of work")
    os.chmod(tmp_path, 0o755)
    store = LocalStore(tmp_path)
    store.put(KEY, made(1, 0))
    assert whole(store, KEY)
    assert not (tmp_path / "CACHEDIR.TAG").exists() and not (tmp_path / ".gitignore").exists()
    assert mode(tmp_path) == 0o755 and mode(tmp_path / "entries") == 0o700


def test_an_empty_directory_is_declared_a_cache_and_keeps_what_it_says(tmp_path: Path) -> None:
    """A directory that was made for the cache is marked; what somebody wrote into the marks stays."""
    root = tmp_path / "cache"
    root.mkdir()
    (root / ".gitignore").write_text("mine\n")
    LocalStore(root).put(KEY, made(1, 0))
    assert (root / "CACHEDIR.TAG").exists() and (root / ".gitignore").read_text() == "mine\n"


def test_a_put_leaves_one_file(store: LocalStore) -> None:
    """After a put there is the entry and nothing beside it."""
    store.put(KEY, made(1, 1000))
    store.put(KEY, made(2, 1000))
    assert files(store.root) == [store.path(KEY)]


def test_temporary_names_are_unique_across_hosts_and_processes(store: LocalStore) -> None:
    """Two writers with equal host and process number do not use one name; the name is no key."""
    seen: list[str] = []
    real = os.open

    def spy(path: Any, *args: Any, **named: Any) -> int:
        if str(path).endswith(".tmp"):
            seen.append(Path(path).name)
            assert Path(path).parent == store.path(KEY).parent  # on the same filesystem as the entry
        return real(path, *args, **named)

    with mock.patch("os.open", spy):
        for _ in range(5):
            store.put(KEY, made(1, 0))
    assert len(set(seen)) == 5
    assert not any(re.fullmatch(r"[0-9a-f]{16,}", name) for name in seen)


# Mapping.


def test_large_entries_are_mapped_copy_on_write(store: LocalStore) -> None:
    """An array of a large entry can be written to; the file and the next reader do not see it."""
    np = pytest.importorskip("numpy")
    array = np.arange(BIG, dtype=np.uint8)
    store.put(KEY, Entry({}, dump(array)))
    before = store.path(KEY).read_bytes()
    first, second = (load(store.get(KEY).payload) for _ in range(2))  # type: ignore[union-attr,arg-type]
    first[:] = 7
    assert first.flags.writeable and np.array_equal(second, array)
    assert store.path(KEY).read_bytes() == before
    assert np.array_equal(load(store.get(KEY).payload), array)  # type: ignore[union-attr,arg-type]


def test_mapped_arrays_are_aligned(store: LocalStore) -> None:
    """Arrays of a large entry begin at multiples of 64 bytes in memory, too."""
    np = pytest.importorskip("numpy")
    arrays = [np.zeros(n) for n in (1, 3, 200_000, 5)]
    store.put(KEY, Entry({"odd": "length"}, dump(arrays)))
    found = load(store.get(KEY).payload)  # type: ignore[union-attr,arg-type]
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in found)


@pytest.mark.parametrize("size", [1000, BIG])
def test_an_entry_outlives_its_replacement_and_deletion(store: LocalStore, size: int) -> None:
    """What was read stays readable when the entry is replaced, deleted, or the whole cache removed."""
    np = pytest.importorskip("numpy")
    array = np.arange(size, dtype=np.int64) % 251
    for undo in (
        lambda: store.put(KEY, made(1, size)),
        lambda: store.delete(KEY),
        lambda: shutil.rmtree(store.root),
    ):
        store.put(KEY, Entry({}, dump(array)))
        entry = store.get(KEY)
        assert entry is not None and entry.payload is not None
        undo()
        assert np.array_equal(load(entry.payload), array)


def test_reading_leaves_no_open_files(store: LocalStore) -> None:
    """Neither hits nor misses nor damage leave descriptors behind."""
    store.put(KEY, made(1, 1000))
    store.put(OTHER, made(1, BIG))
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    for _ in range(20):
        for key in (KEY, OTHER, key_of(3)):
            store.get(key)
        store.put(key_of(4), made(1, 0))
        store.path(key_of(4)).write_bytes(b"HYDCACHE")
        with pytest.raises(DamagedEntry):
            store.get(key_of(4))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 1


# Damage.


def damaged_once(store: LocalStore, key: str) -> None:
    """Damage is reported once, set aside, and then a miss that can be stored again."""
    with pytest.raises(DamagedEntry) as caught:
        store.get(key)
    assert str(store.path(key)) in str(caught.value) and "set aside" in str(caught.value)
    assert store.get(key) is None and list(store.keys()) == []
    assert [p.name for p in files(store.root)] == [f"{key}.damaged"]
    store.put(key, made(5, 100))
    assert whole(store, key) and list(store.keys()) == [key]
    store.path(key).with_name(f"{key}.damaged").unlink()


def test_bytes_changed_in_place_in_a_large_entry_are_noticed(store: LocalStore) -> None:
    """A large payload that was written to after it was published is checked: its time of last write tells."""
    store.put(KEY, made(1, BIG))
    length = store.path(KEY).stat().st_size
    for at in [0, 40, 70, 200, 5000, length // 2, length - 1]:
        store.put(KEY, made(1, BIG))
        with open(store.path(KEY), "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
        damaged_once(store, KEY)


def test_large_entries_that_were_copied_are_checked_and_good(store: LocalStore, tmp_path: Path) -> None:
    """A copy without the original's times is read in full, and is as good; so is one with another time set."""
    store.put(KEY, made(1, BIG))
    other = LocalStore(tmp_path / "other")
    other.put(OTHER, Entry())
    other.path(KEY).parent.mkdir(exist_ok=True)
    shutil.copyfile(store.path(KEY), other.path(KEY))
    assert whole(other, KEY)
    os.utime(store.path(KEY), (1, 1))
    assert whole(store, KEY)


@pytest.mark.parametrize("size", [0, 1000, BIG])
def test_truncation_and_garbage_at_the_end_are_noticed_though_the_time_is_right(
    store: LocalStore, size: int
) -> None:
    """Length is always checked, also when somebody has put the time of last write back."""
    for change in (
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:70],
        lambda data: b"",
    ):
        store.put(KEY, made(1, size))
        times = store.path(KEY).stat()
        store.path(KEY).write_bytes(change(store.path(KEY).read_bytes()))
        os.utime(store.path(KEY), ns=(times.st_atime_ns, times.st_mtime_ns))
        damaged_once(store, KEY)


def test_what_is_no_file_is_left_alone_and_hangs_nobody(store: LocalStore) -> None:
    """A directory or a named pipe in an entry's place is foreign; reading a pipe would wait for a writer."""
    for make in (os.mkdir, os.mkfifo):
        store.put(KEY, Entry())
        store.delete(KEY)
        make(store.path(KEY))
        with pytest.raises(ForeignEntry, match="it is not a file"):
            store.get(KEY)
        with pytest.raises(OSError):
            store.put(KEY, made(1, 0))
        assert store.get(KEY) is None
        (os.rmdir if store.path(KEY).is_dir() else os.unlink)(store.path(KEY))
        store = LocalStore(store.root)


def test_damage_that_is_not_to_be_repaired_stays_where_it_is(store: LocalStore) -> None:
    """A reader that repairs nothing reports damage, and sets nothing aside."""
    store.put(KEY, made(1, 100))
    store.path(KEY).write_bytes(b"HYDCACHE broken")
    reader = LocalStore(store.root, repairs=False)
    for _ in range(2):
        with pytest.raises(DamagedEntry):
            reader.get(KEY)
    assert files(store.root) == [store.path(KEY)]


def flipped(path: Path, at: int) -> None:
    """Flip a bit, and put the times back as they were."""
    times = path.stat()
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_change_that_hides_itself_is_seen_by_a_thorough_reader(store: LocalStore) -> None:
    """A large payload whose time of last write was put back is not seen at a hit; a thorough reader sees it."""
    store.put(KEY, made(1, BIG))
    flipped(store.path(KEY), store.path(KEY).stat().st_size - 1)
    assert store.get(KEY) is not None
    with pytest.raises(DamagedEntry):
        LocalStore(store.root, thorough=True).get(KEY)


def test_published_entries_look_used_now(store: LocalStore) -> None:
    """The time of last access is the present, for cleaners of scratch space go by it; it is no mark of ours."""
    store.put(KEY, made(1, 0))
    status = store.path(KEY).stat()
    assert abs(status.st_atime - time.time()) < 60 and status.st_mtime < time.time() - 10**8


def test_manifests_are_read_without_payloads(store: LocalStore) -> None:
    """The manifest alone can be had, of long ones too; damage is reported and stays where it is."""
    store.put(KEY, Entry({"long": "x" * 10_000}, Payload("f", b"s", [b"x" * BIG])))
    found = store.manifest(KEY)
    assert found is not None and (found["key"], len(found["long"])) == (KEY, 10_000)
    assert store.manifest(OTHER) is None
    store.path(KEY).write_bytes(store.path(KEY).read_bytes()[:-1])
    with pytest.raises(DamagedEntry):
        store.manifest(KEY)
    assert store.path(KEY).exists()


def test_a_good_entry_that_replaced_a_damaged_one_is_not_set_aside(store: LocalStore) -> None:
    """When another process has replaced the damaged entry while this one read it, its entry stays."""
    store.put(KEY, made(1, 100))
    store.path(KEY).write_bytes(b"HYDCACHE broken")
    real = local.unpack

    def slow(*args: Any, **options: Any) -> Entry:
        try:
            return real(*args, **options)
        finally:
            LocalStore(store.root).put(KEY, made(2, 100))  # meanwhile, elsewhere

    with mock.patch.object(local, "unpack", slow), pytest.raises(DamagedEntry):
        store.get(KEY)
    assert whole(store, KEY) and list(store.keys()) == [KEY]


def test_damage_that_cannot_be_set_aside_is_still_reported(store: LocalStore) -> None:
    """In a read-only cache a damaged entry is reported each time, without another error."""
    store.put(KEY, made(1, 100))
    store.path(KEY).write_bytes(b"HYDCACHE broken")
    with (
        mock.patch.object(Path, "replace", side_effect=PermissionError),
        mock.patch("os.replace", side_effect=PermissionError),
        mock.patch("os.rename", side_effect=PermissionError),
    ):
        for _ in range(2):
            with pytest.raises(DamagedEntry):
                store.get(KEY)


# Errors of the system.


@needs_mount
def test_a_full_disk_is_an_oserror_and_loses_nothing() -> None:
    """When the disk is full, put raises OSError, no part of the entry is there, and what was stored stays."""
    with tmpfs("3m") as where:
        store = LocalStore(where / "cache")
        store.put(KEY, made(1, 1_000_000))
        for key in (KEY, OTHER):
            with pytest.raises(OSError) as caught:
                store.put(key, made(2, 4_000_000))
            assert caught.value.errno == errno.ENOSPC
        assert whole(store, KEY) and store.get(KEY).manifest["seed"] == 1  # type: ignore[union-attr]
        assert store.get(OTHER) is None and list(store.keys()) == [KEY]
        assert files(where) == [store.path(KEY)]
        store.put(OTHER, made(3, 1_000_000))
        assert whole(store, OTHER)


@needs_mount
def test_a_disk_that_is_full_from_the_start_is_an_oserror() -> None:
    """A cache that cannot even be begun raises OSError, and can be begun when there is room."""
    with tmpfs("1m") as where:
        filler = where / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        store = LocalStore(where / "cache")
        with pytest.raises(OSError):
            store.put(KEY, made(1, 32_000))
        assert store.get(KEY) is None and list(store.keys()) == []
        filler.unlink()
        store.put(KEY, made(1, 32_000))
        assert whole(store, KEY)


@needs_mount
def test_a_read_only_filesystem_is_an_oserror_and_can_be_read() -> None:
    """Puts and deletes raise OSError; what is there is served, and what is damaged reported."""
    with tmpfs("3m") as where:
        store = LocalStore(where / "cache")
        store.put(KEY, made(1, 1000))
        store.put(key_of(3), made(1, 1000))
        store.path(key_of(3)).write_bytes(b"HYDCACHE broken")
        subprocess.run(["mount", "-o", "remount,ro", where], check=True)
        for key in (KEY, OTHER):
            with pytest.raises(OSError):
                store.put(key, made(2, 0))
        with pytest.raises(OSError):
            store.delete(KEY)
        with pytest.raises(DamagedEntry):
            store.get(key_of(3))
        with pytest.raises(OSError):
            LocalStore(where / "other").put(KEY, made(1, 0))
        assert whole(store, KEY) and store.get(OTHER) is None


@contextlib.contextmanager
def nobody() -> Iterator[Path]:
    """A directory of the tests' user, seen by a user without rights; where that can be had."""
    where = Path(tempfile.mkdtemp())
    os.chmod(where, 0o755)
    user = os.geteuid()
    try:
        yield where
    finally:
        os.seteuid(user)
        shutil.rmtree(where)


def test_a_directory_without_rights_is_an_oserror() -> None:
    """A cache that may not be written, or not be read, gives OSError, and no entry of another's is lost."""
    with nobody() as where:
        store = LocalStore(where / "cache")
        store.put(KEY, made(1, 0))
        if os.geteuid() == 0:
            os.seteuid(65534)
        else:
            os.chmod(store.root, 0)
        try:
            for use in (
                lambda: store.get(KEY),
                lambda: store.put(KEY, made(2, 0)),
                lambda: store.delete(KEY),
            ):
                with pytest.raises(OSError):
                    use()
            with pytest.raises(OSError):
                list(store.keys())
        finally:
            if os.geteuid() == 65534:
                os.seteuid(0)
            os.chmod(store.root, 0o700)
        assert whole(store, KEY)


@pytest.mark.parametrize("call", ["fsync", "utime", "write", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_a_step_that_fails_leaves_what_was_there(
    store: LocalStore, call: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step of a put fails or is interrupted: the old entry is there, and no temporary file."""
    store.put(KEY, made(1, 0))

    def fail(*args: Any, **options: Any) -> Any:
        raise error

    if call == "write":
        pieces = local.pack
        monkeypatch.setattr(
            local, "pack", lambda *what: (p if n < 2 else fail() for n, p in enumerate(pieces(*what)))
        )
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
        monkeypatch.setattr(os, "replace", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        store.put(KEY, made(2, 100))
    monkeypatch.undo()
    assert store.get(KEY).manifest["seed"] == 1 and files(store.root) == [store.path(KEY)]  # type: ignore[union-attr]


def test_roots_that_cannot_be_are_oserrors(tmp_path: Path) -> None:
    """A root that is a file, or lies below one, is a miss to read and an OSError to write."""
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        store = LocalStore(root)
        assert store.get(KEY) is None and list(store.keys()) == []
        with pytest.raises(OSError):
            store.put(KEY, made(1, 0))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_cache_that_was_removed_is_made_again(store: LocalStore) -> None:
    """``rm -rf`` of the cache in mid-run costs the entries and nothing else."""
    store.put(KEY, made(1, 0))
    shutil.rmtree(store.root)
    assert store.get(KEY) is None
    store.put(KEY, made(2, 0))
    assert whole(store, KEY) and (store.root / "CACHEDIR.TAG").exists()


# Many at once.
