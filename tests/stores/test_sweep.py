"""Leftovers of killed writers are swept up: when they are old, and nothing but them."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest

from hydra_cached.stores.claims import LocalClaims
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.owners import Here, Owner
from hydra_cached.stores.sweep import sweep, sweep_if_due
from hydra_cached.testing import key_of, made

KEY = key_of(1)
UNIQUE = "0123456789abcdef" * 2


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "cache")
    store.put(KEY, made(1, 0))
    return store


def leave(store: LocalStore) -> dict[str, Path]:
    """What writers leave that are killed at the wrong moment."""
    shard, claims = store.path(KEY).parent, store.root / "leases"
    claims.mkdir(exist_ok=True)
    dead = dataclasses.replace(Owner.me(Here.now()), started=1)
    left = {
        "begun": shard / f".{KEY[:16]}.host.example.1.{UNIQUE}.tmp",
        "damaged": shard / f"{KEY}.damaged",
        "text": claims / f".{UNIQUE}.tmp",
        "clock": claims / f".{UNIQUE}.now",
        "claim": claims / KEY,
        "empty": claims / key_of(2),
    }
    for path in left.values():
        path.write_text("")
    left["claim"].write_text(dead.to_text())
    return left


def test_leftovers_go_when_they_are_old(store: LocalStore) -> None:
    """Begun entries, damaged ones, claims of dead owners and what claims are made with go; entries stay."""
    left = leave(store)
    assert sweep(store.root, time.time() - 3600) == 0 and all(path.exists() for path in left.values())
    time.sleep(0.05)
    assert sweep(store.root, time.time()) == len(left) and not any(path.exists() for path in left.values())
    assert list(store.keys()) == [KEY] and store.get(KEY) is not None


def test_what_has_another_name_is_somebody_elses(store: LocalStore) -> None:
    """Foreign files, directories and links stay, whatever they are called; nothing is removed through a link."""
    elsewhere = store.root.parent / "elsewhere"
    elsewhere.mkdir()
    names = [f".{KEY[:16]}.h.1.{UNIQUE}.tmp", f"{KEY}.damaged", f".{UNIQUE}.now", KEY]
    for name in names:
        (elsewhere / name).write_text("precious")
    shard, claims = store.path(KEY).parent, store.root / "leases"
    for name in ("notes.tmp", ".tmp", "x.damaged", f"{UNIQUE}.tmp", ".now", f".{KEY[:16]}.tmp"):
        (shard / name).write_text("")
    (shard / f"{key_of(3)}.damaged").mkdir()
    (shard / f"{key_of(4)}.damaged").symlink_to(elsewhere / names[0])
    claims.symlink_to(elsewhere)
    (store.root / "entries" / "ee").symlink_to(elsewhere)
    (store.root / "entries" / "notes").mkdir()
    (store.root / "entries" / "notes" / names[0]).write_text("")
    (store.root / names[0]).write_text("")
    before = sorted(store.root.rglob("*"))
    time.sleep(0.05)
    assert sweep(store.root, time.time() + 10) == 0
    assert sorted(store.root.rglob("*")) == before and sorted(os.listdir(elsewhere)) == sorted(names)


def test_claims_of_the_living_stay(store: LocalStore) -> None:
    """A claim of a process that runs stays, however old; an old one of another machine goes."""
    claims = LocalClaims(store.root / "leases")
    here = Here.now()
    claims.create(KEY, Owner.me(here).to_text())
    claims.create(key_of(2), Owner.me(dataclasses.replace(here, machine="another")).to_text())
    time.sleep(0.05)
    assert sweep(store.root, time.time()) == 1
    assert os.listdir(store.root / "leases") == [KEY]


def test_a_put_sweeps_now_and_then(store: LocalStore) -> None:
    """The first put of a session sweeps, unless one did within the hour; the second does not look."""
    left = leave(store)
    marker = store.root / "entries" / ".swept"
    assert marker.is_dir()
    LocalStore(store.root).put(KEY, made(1, 0))
    assert all(path.exists() for path in left.values())
    os.utime(marker, (0, time.time() - 4000))
    before = marker.stat().st_mtime
    store.put(KEY, made(1, 0))
    assert marker.stat().st_mtime == before  # this session did already
    LocalStore(store.root).put(KEY, made(1, 0))
    assert marker.stat().st_mtime > before + 3600
    assert all(path.exists() for path in left.values())  # they are not an hour old
    time.sleep(0.1)
    assert sweep_if_due(store.root, 0.05) == len(left)


def test_a_writer_that_is_at_work_is_not_disturbed(store: LocalStore) -> None:
    """What is just being written stays, though its time of last write is set to long ago before it is published."""
    begun = leave(store)["begun"]
    os.utime(begun, (0, 0))
    assert sweep_if_due(store.root, 0.0) >= 0
    leave(store)
    os.utime(begun, (0, 0))
    assert sweep(store.root, time.time() - 60) == 0 and begun.exists()


def test_a_directory_that_cannot_be_swept_is_no_problem(tmp_path: Path) -> None:
    """Sweeping what is not there, or is no directory, does nothing."""
    assert sweep_if_due(tmp_path / "missing") == 0
    (tmp_path / "file").write_text("")
    assert sweep_if_due(tmp_path / "file") == 0


def test_sweeping_many_entries_is_quick(store: LocalStore) -> None:
    """A directory of 5,000 entries is swept in well under a second: files of other names are not even looked at."""
    for number in range(5000):
        path = store.path(key_of(number))
        path.parent.mkdir(exist_ok=True)
        path.touch()
    begin = time.monotonic()
    assert sweep(store.root, time.time()) == 0
    assert time.monotonic() - begin < 0.5
