"""A remote store as a place that is kept within bounds."""

from __future__ import annotations

import time
from collections.abc import Collection

from hydra_cached.stores.capabilities import changed_at
from hydra_cached.stores.places import MARK
from hydra_cached.stores.remote import RemoteStore


class RemotePlace:
    """A remote store. To look at all of it takes a request for each thousand entries, so that jobs do it seldom.

    Args:
        remote: the store.
    """

    at_once, pause = False, 600.0

    def __init__(self, remote: RemoteStore) -> None:
        self.entries = remote
        self._used: set[str] = set()

    def note_use(self, key: str) -> None:
        self._used.add(key)

    def used(self) -> Collection[str]:
        return self._used

    def leased(self) -> Collection[str]:
        return self.entries.leased()

    def last_look(self) -> float:
        try:
            mark = self.entries.connection.call(lambda fs, path: fs.info(path), MARK)
        except FileNotFoundError:
            return 0.0
        # Where nothing has a time, nothing can be told to be old, either.
        return changed_at(mark) or time.time()

    def note_look(self) -> None:
        self.entries.connection.call(lambda fs, path: fs.pipe_file(path, b""), MARK)
