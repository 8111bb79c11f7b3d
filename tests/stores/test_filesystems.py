"""Network file systems: what is not mapped there, and handles that went stale."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from hydra_cached.errors import DamagedEntry
from hydra_cached.stores import claims as claims_module
from hydra_cached.stores import filesystems, local, sweep
from hydra_cached.stores.claims import LocalClaims
from hydra_cached.stores.filesystems import keeps_open_files, kind_of, patiently
from hydra_cached.stores.local import LocalStore
from hydra_cached.testing import is_whole, key_of, made

KEY = key_of(1)
BIG = 3_000_000


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was learnt of devices is forgotten; waiting takes no time."""
    monkeypatch.setattr(filesystems, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(local, "DOUBTS", (0.0, 0.0, 0.0))
    keeps_open_files.cache_clear()
    yield
    keeps_open_files.cache_clear()


@pytest.mark.parametrize(
    ("kind", "keeps"),
    [
        ("ext4", True), ("xfs", True), ("btrfs", True), ("tmpfs", True), ("overlay", True), ("zfs", True),
        ("lustre", True), ("ceph", True), ("gpfs", True), ("fuseblk", True), ("", True),
        ("nfs", False), ("nfs4", False), ("cifs", False), ("smb3", False), ("9p", False),
        ("fuse.glusterfs", False), ("fuse.sshfs", False), ("fuse", False), ("virtiofs", False),
    ],
)  # fmt: skip
def test_large_entries_are_mapped_where_files_outlive_their_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, keeps: bool
) -> None:
    """Where a file that another host removes would end the process that has it mapped, it is read."""
    store = LocalStore(tmp_path / "cache")
    store.put(KEY, made(1, BIG))
    monkeypatch.setattr(filesystems, "kind_of", lambda device: kind)
    with mock.patch.object(local.mmap, "mmap", wraps=local.mmap.mmap) as mapped:
        assert is_whole(store.get(KEY))
    assert mapped.called is keeps


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="this system does not tell")
def test_the_kind_of_a_file_system_is_known() -> None:
    """By the device of a file, from what is mounted."""
    assert kind_of(os.stat("/proc").st_dev) == "proc"
    assert kind_of(os.makedev(4000, 7)) == ""


def failing(times: int, error: OSError, then: Any) -> Any:
    """Raises so many times, and then does what it should."""
    left = [error] * times

    def act(*args: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return then(*args, **options)

    return act


STALE = OSError(errno.ESTALE, "Stale file handle")


@pytest.mark.parametrize("at", ["open", "fstat"])
def test_a_stale_handle_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """An entry, or a claim, that another host has just replaced is read as it is now, and no error."""
    store, claims = LocalStore(tmp_path / "cache"), LocalClaims(tmp_path / "leases")
    store.put(KEY, made(1, 32))
    claims.create(KEY, "a")
    for look in (lambda: is_whole(store.get(KEY)), lambda: claims.read(KEY) is not None):
        with monkeypatch.context() as stale:
            stale.setattr(os, at, failing(2, STALE, getattr(os, at)))
            assert look()


def test_a_handle_that_stays_stale_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever; other errors are not waited for at all."""
    asked = []

    def stale() -> None:
        asked.append(1)
        raise STALE

    with pytest.raises(OSError, match="Stale"):
        patiently(stale)
    assert len(asked) == 4
    with pytest.raises(PermissionError):
        patiently(failing(1, PermissionError("no"), lambda: None))


def test_an_open_file_that_is_removed_elsewhere_is_a_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an open file can vanish, nothing is found, and nothing is raised, not even when it is closed."""
    store = LocalStore(tmp_path / "cache")
    store.put(KEY, made(1, 32))
    close = os.close

    def closed(descriptor: int) -> None:
        close(descriptor)
        raise FileNotFoundError

    monkeypatch.setattr(os, "fstat", failing(1, FileNotFoundError(), os.fstat))
    monkeypatch.setattr(os, "close", closed)
    assert store.get(KEY) is None
    assert is_whole(store.get(KEY))


def test_an_entry_that_looks_wrong_for_a_moment_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, a replaced file may look empty, or as long as the one before; what stays wrong is damage."""
    store = LocalStore(tmp_path / "cache")
    store.put(KEY, made(1, 32))
    monkeypatch.setattr(local, "keeps_open_files", lambda device: False)
    data = LocalStore._data
    with monkeypatch.context() as vanishing:
        short = iter([0, 10])
        vanishing.setattr(LocalStore, "_data", lambda self, *what: data(self, *what)[: next(short, None)])
        assert is_whole(store.get(KEY))
    assert is_whole(store.get(KEY))
    store.path(KEY).write_bytes(b"")
    with pytest.raises(DamagedEntry, match="set aside"):
        store.get(KEY)


def test_a_name_that_is_being_removed_elsewhere_is_renamed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that is told that something is not there is tried again as long as its source is."""
    store, claims = LocalStore(tmp_path / "cache"), LocalClaims(tmp_path / "leases")
    claims.create(KEY, "a")
    for act in (lambda: store.put(KEY, made(1, 32)), lambda: claims.swap(KEY, "a", "b")):
        with monkeypatch.context() as racing:
            racing.setattr(Path, "replace", failing(2, FileNotFoundError(), Path.replace))
            assert act()
    assert is_whole(store.get(KEY)) and claims.read(KEY)[0] == "b"  # type: ignore[index]


@pytest.mark.parametrize("links", [True, False])
def test_claims_appear_with_their_text_on_network_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """There, a claim is made elsewhere and linked into place, if links there are: no other host sees it empty."""
    monkeypatch.setattr(claims_module, "keeps_open_files", lambda device: False)
    made_by: list[str] = []
    link = os.link

    def linked(source: Any, target: Any) -> None:
        made_by.append(Path(source).read_text())
        if not links:
            raise PermissionError(errno.EPERM, "no links here")
        link(source, target)

    monkeypatch.setattr(os, "link", linked)
    claims = LocalClaims(tmp_path / "leases")
    assert claims.create(KEY, "a") and not claims.create(KEY, "b")
    assert claims.read(KEY)[0] == "a" and made_by == ["a", "b"]  # type: ignore[index]
    assert claims.swap(KEY, "a", "c") and claims.drop(KEY, "c")
    marks = os.listdir(tmp_path / "leases")
    assert all(sweep._LEFTOVER.fullmatch(name) for name in marks) and len(marks) == 1


def test_who_sees_an_old_claim_does_not_replace_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network file system, of all that have seen a claim one replaces it, even if locks and names deceive."""
    monkeypatch.setattr(claims_module, "keeps_open_files", lambda device: False)
    monkeypatch.setattr(claims_module.fcntl, "flock", mock.Mock())
    one, two = LocalClaims(tmp_path / "leases"), LocalClaims(tmp_path / "leases")
    one.create(KEY, "dead")
    with two._locked(tmp_path / "leases" / KEY, "dead") as mine:
        assert mine and one.swap(KEY, "dead", "one")
        monkeypatch.setattr(os.path, "samestat", lambda *stats: True)
        assert not two._first_to_replace(KEY, "dead")
    assert one.read(KEY)[0] == "one" and one.swap(KEY, "one", "three")  # type: ignore[index]
    monkeypatch.setattr(claims_module, "_MARK_KEEPS", -1.0)
    assert not two._first_to_replace(KEY, "dead") and two._first_to_replace(KEY, "dead")  # who marked it died


def test_a_lock_that_says_stale_is_not_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told that the file to lock is gone has seen an old claim, and does not replace the new one."""
    claims = LocalClaims(tmp_path / "leases")
    claims.create(KEY, "a")
    for number, mine in [(errno.ESTALE, False), (errno.EAGAIN, False), (errno.ENOLCK, True)]:
        with monkeypatch.context() as patched:
            patched.setattr(claims_module.fcntl, "flock", mock.Mock(side_effect=OSError(number, "no")))
            assert claims.swap(KEY, "a", "b") is mine
