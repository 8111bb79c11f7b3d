"""Trimming a local directory: when entries were last used, and removing those that are worth least."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hydra_cached.stores.base import LINK, Manifest, Stat
from hydra_cached.stores.eviction import Bounds, Item, evictions
from hydra_cached.stores.local import LocalStore

RESOLUTION = 3600.0  # seconds: uses of an entry that are closer than this are recorded as one


class Uses:
    """When entries were last used: the times of last write of empty files in a directory of their own.

    Not those of the entries: their times of last write are marks of integrity, and their times of last access are
    not kept on many file systems.

    Args:
        store: where the entries are.
    """

    def __init__(self, store: LocalStore) -> None:
        self._directory = store.root / "used"
        self._access = store.access
        self.seen: dict[str, float] = {}  # what was used here, and when that was recorded

    def record(self, key: str) -> None:
        """Note that an entry is used now, if that was not noted within the hour; failures are of no account."""
        now = time.monotonic()
        if now - self.seen.get(key, -RESOLUTION) < RESOLUTION:
            return
        self.seen[key] = now
        path = self._path(key)
        with contextlib.suppress(OSError):
            try:
                if abs(time.time() - path.stat().st_mtime) >= RESOLUTION:
                    os.utime(path)
            except FileNotFoundError:
                self._access.make_directories(path.parent)
                os.close(self._access.create(path))

    def times(self) -> dict[str, float]:
        """When each was last used, as far as it was noted; seconds since 1970."""
        times = {}
        for file in _files(self._directory):
            with contextlib.suppress(OSError):
                times[file.name] = file.stat().st_mtime
        return times

    def forget(self, key: str) -> None:
        """An entry is gone."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / key


@dataclass(frozen=True)
class Trimmed:
    """What became of a directory.

    Args:
        gone: keys of entries that were removed.
        freed: bytes that these took.
        size: bytes that are left.
        failed: keys of entries that could not be removed.
    """

    gone: tuple[str, ...] = ()
    freed: int = 0
    size: int = 0
    failed: tuple[str, ...] = ()


class Trimmable(Protocol):
    """A store that can be trimmed."""

    def stats(self) -> Iterator[Stat]:
        """What the store says of each entry, without opening any."""

    def manifests(self, keys: Sequence[str]) -> Iterator[tuple[str, Manifest | None]]:
        """The manifests of several entries; None for what cannot be read."""

    def delete(self, key: str) -> bool:
        """Remove an entry; says whether there was one."""


def trim(
    store: Trimmable,
    bounds: Bounds,
    *,
    goal: Bounds | None = None,
    started: float = math.inf,
    keep: Collection[str] = (),
    dry: bool = False,
) -> Trimmed:
    """Remove what does not fit the bounds, and links that lead nowhere.

    Args:
        store: the entries. When they were used is known of local directories only; of others, when stored.
        bounds: how much may stay.
        goal: for looking often: nothing but sizes and times is looked at unless the bounds are exceeded, and then
            so much is removed that these others are kept.
        started: when the run began that asks.
        keep: keys of what stays.
        dry: remove nothing, and say what would be.
    """
    now = time.time()
    uses = Uses(store) if isinstance(store, LocalStore) else None
    times = {} if uses is None else uses.times()
    stats = {each.key: each for each in store.stats()}
    total = sum(each.size for each in stats.values())
    if goal is not None and not _exceeded(bounds, stats.values(), times, total, now):
        return Trimmed(size=total)
    items = list(_items(store, stats, times))
    gone, failed = [], []
    for key in evictions(items, goal or bounds, now=now, started=started, keep=keep):
        try:
            if dry or store.delete(key):
                gone.append(key)
        except OSError:
            failed.append(key)
    if not dry and uses is not None:
        for key in (*gone, *(key for key in times if key not in stats)):
            uses.forget(key)
    freed = sum(stats[key].size for key in gone)
    return Trimmed(tuple(gone), freed, total - freed, tuple(failed))


def leased_keys(root: Path) -> frozenset[str]:
    """Keys that are under lease in a directory, whether or not their owner is alive."""
    return frozenset(file.name for file in _entries_of(root / "leases"))


def _exceeded(bounds: Bounds, stats: Iterable[Stat], times: dict[str, float], total: int, now: float) -> bool:
    if bounds.size is not None and total > bounds.size:
        return True
    age = bounds.age
    return age is not None and any(now - max(s.changed, times.get(s.key, 0)) > age for s in stats)


def _items(store: Trimmable, stats: Mapping[str, Stat], times: dict[str, float]) -> Iterator[Item]:
    """What is there, with what the manifests say; nothing that is damaged or foreign."""
    for key, manifest in store.manifests(list(stats)):
        if manifest is None:
            continue
        link = manifest.get(LINK)
        with contextlib.suppress(TypeError, ValueError):
            yield Item(
                key,
                stats[key].size,
                seconds=max(0.0, float(manifest.get("seconds", 0.0))),
                created=stats[key].changed,
                used=times.get(key, 0.0),
                link=None if link is None else str(link),
                note=link is None and "payload" not in manifest,
            )


def _files(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Files in the directories of a directory."""
    for shard in _entries_of(directory):
        for file in _entries_of(shard):
            if file.is_file(follow_symlinks=False):
                yield file


def _entries_of(directory: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
