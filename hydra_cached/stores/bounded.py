"""A store that keeps its local directory within bounds."""

from __future__ import annotations

import contextlib
import logging
import os
import time

from hydra_cached.stores.base import Entry, Store, StoreAround
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.trim import Uses, leased_keys, trim

log = logging.getLogger("hydra_cached.stores")

PAUSE = 60.0  # seconds between two looks at all of a directory, whoever looks
SHARE = 0.05  # of the allowed size: who has written so much looks again at once
ROOM = 0.1  # of the allowed size: so much is made free, so that the next results fit


class BoundedStore(StoreAround):
    """Notes what is used of a local directory, and keeps the directory within bounds, now and then.

    Args:
        store: what is asked: the directory's store, or one around it.
        directory: the directory's store.
        bounds: how much may be kept.
    """

    def __init__(self, store: Store, directory: LocalStore, bounds: Bounds) -> None:
        super().__init__(store)
        self._directory = directory
        self._bounds = bounds
        self._uses = Uses(directory)
        self._mark = directory.root / "trimmed"
        self._written: set[str] = set()
        self._bytes = 0  # written since the last look
        self._pause = PAUSE
        self._started = time.time()
        self._said: set[str] = set()

    def get(self, key: str) -> Entry | None:
        entry = self._store.get(key)
        if entry is not None and entry.payload is not None:
            self._uses.record(key)
        return entry

    def put(self, key: str, entry: Entry) -> int:
        size = self._store.put(key, entry)
        self._written.add(key)
        self._bytes += size
        if self._bounds:
            try:
                self._look()
            except OSError as error:
                self._warn("fails", "the cache cannot be kept within its bounds: %s", error)
        return size

    def _look(self) -> None:
        """Look at all of the directory, if it is time to, and evict."""
        limit = self._bounds.size
        if limit is None or self._bytes < limit * SHARE:
            if time.time() - self._last_look() < self._pause:
                return
        self._bytes = 0
        self._note_look()
        begin = time.monotonic()
        keep = {*self._written, *self._uses.seen, *leased_keys(self._directory.root)}
        goal = Bounds(None if limit is None else int(limit * (1 - ROOM)), self._bounds.age)
        done = trim(self._directory, self._bounds, goal=goal, started=self._started, keep=keep)
        self._pause = max(PAUSE, 20 * (time.monotonic() - begin))
        if done.gone:
            log.info("%d results were evicted, which frees %d bytes", len(done.gone), done.freed)
        if limit is not None and done.size > limit:
            text = "the cache holds %d bytes that are in use or cannot be removed; cache.max_size is %d"
            self._warn("full", text, done.size, limit)

    def _last_look(self) -> float:
        """When somebody last looked at all of the directory, seconds since 1970."""
        try:
            return self._mark.stat().st_mtime
        except OSError:
            return 0.0

    def _note_look(self) -> None:
        """Tell others not to look, too."""
        try:
            os.utime(self._mark)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.close(self._directory.access.create(self._mark))

    def _warn(self, kind: str, text: str, *args: object) -> None:
        """Once of each kind, for a run puts often."""
        if kind not in self._said:
            self._said.add(kind)
            log.warning(text, *args)
