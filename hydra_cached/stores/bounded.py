"""A store that keeps the place where its entries are within bounds."""

from __future__ import annotations

import logging
import time

from hydra_cached.stores.base import Entry, Store, StoreAround
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.places import Place
from hydra_cached.stores.trim import trim

log = logging.getLogger("hydra_cached.stores")

SHARE = 0.05  # of the allowed size: who has written so much looks again at once
ROOM = 0.1  # of the allowed size: so much is made free, so that the next results fit


class BoundedStore(StoreAround):
    """Notes what is used of a place, and keeps it within bounds, now and then.

    Args:
        store: what is asked: the place's store, or one around it.
        place: where the entries are.
        bounds: how much may be kept.
    """

    def __init__(self, store: Store, place: Place, bounds: Bounds) -> None:
        super().__init__(store)
        self._place = place
        self._bounds = bounds
        self._written: set[str] = set()
        self._bytes = 0  # written since the last look
        self._pause = place.pause
        self._started = time.time()
        self._said: set[str] = set()

    def get(self, key: str) -> Entry | None:
        entry = self._store.get(key)
        if entry is not None and entry.payload is not None:
            self._place.note_use(key)
        return entry

    def put(self, key: str, entry: Entry) -> int:
        size = self._store.put(key, entry)
        self._written.add(key)
        self._bytes += size
        if self._place.at_once:
            self.look()
        return size

    def look(self) -> None:
        """Look at all of the place, if it is time to, and evict. Failures are logged."""
        if self._bounds and self._bytes:
            try:
                self._look()
            except OSError as error:
                self._warn("fails", "the cache cannot be kept within its bounds: %s", error)

    def _look(self) -> None:
        limit = self._bounds.size
        if limit is None or self._bytes < limit * SHARE:
            if time.time() - self._place.last_look() < self._pause:
                return
        self._bytes = 0
        self._place.note_look()
        begin = time.monotonic()
        keep = {*self._written, *self._place.used(), *self._place.leased()}
        goal = Bounds(None if limit is None else int(limit * (1 - ROOM)), self._bounds.age)
        done = trim(self._place.entries, self._bounds, goal=goal, started=self._started, keep=keep)
        self._pause = max(self._place.pause, 20 * (time.monotonic() - begin))
        if done.gone:
            log.info("%d results were evicted, which frees %d bytes", len(done.gone), done.freed)
        if limit is not None and done.size > limit:
            text = "the cache holds %d bytes that are in use or cannot be removed; cache.max_size is %d"
            self._warn("full", text, done.size, limit)

    def _warn(self, kind: str, text: str, *args: object) -> None:
        """Once of each kind, for a run puts often."""
        if kind not in self._said:
            self._said.add(kind)
            log.warning(text, *args)
