"""Uploads in the background: the next stage need not wait for them, and the job does not end before them.

What is to be uploaded is bytes that nobody changes: a snapshot in memory, or a file of the local tier. Threads are
started when there is something to do and end when there is not; the interpreter does not exit before they have.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from hydra_cached.errors import brief
from hydra_cached.stores.base import Claims, Entry, check_key
from hydra_cached.stores.connection import StoreAway
from hydra_cached.stores.entry import pack, unpack
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.transfer import Source

log = logging.getLogger("hydra_cached.stores")

LANES = 4  # uploads at a time
ROOM = 512 << 20  # bytes of snapshots that may wait
LENGTH = 1000  # uploads that may wait
_SAID_AFTER = 2.0  # seconds of waiting after which it is said what is waited for
_SAID_AGAIN = 30.0


class Uploads:
    """A queue of uploads, of which one key's go one after the other.

    Args:
        send: uploads one; may raise anything.
        where: where to, for people.
        room: bytes of snapshots that may wait; who adds more waits.
        words: puts an error into words.
    """

    def __init__(
        self,
        send: Callable[[str, Source], None],
        where: str = "the store",
        room: int = ROOM,
        words: Callable[[BaseException], str] = brief,
    ) -> None:
        self._send = send
        self._where = where
        self._room = room
        self._words = words
        self._failed: dict[str, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._sources: dict[str, Source] = {}  # by key, the latest; until it is uploaded
        self._queue: deque[str] = deque()
        self._after: dict[str, list[Callable[[], None]]] = {}
        self._threads = 0

    def add(self, key: str, source: Source) -> None:
        """Have something uploaded; it takes the place of what waits under the same key."""
        with self._mine():
            while self._sources and (
                self._held() + _weight(source) > self._room or len(self._sources) >= LENGTH
            ):
                self._changed.wait(1.0)
            if key not in self._sources:
                self._queue.append(key)
            elif key in self._queue:
                self._sources[key].discard()  # it was not begun
            self._sources[key] = source
            if self._threads < min(LANES, len(self._sources)):
                self._threads += 1
                try:
                    # No daemon: the interpreter waits for it when it exits.
                    threading.Thread(target=self._work, name="hydra-cached upload", daemon=False).start()
                except RuntimeError:  # no more threads, or the interpreter is about to exit
                    self._work()

    def source(self, key: str) -> Source | None:
        """What waits under a key, or is just being uploaded."""
        with self._mine():
            return self._sources.get(key)

    def keys(self) -> list[str]:
        """The keys of all that waits."""
        with self._mine():
            return list(self._sources)

    def after(self, key: str, action: Callable[[], None]) -> None:
        """Do something once nothing waits under a key any more: now, or in the thread that uploads it."""
        with self._mine():
            if key in self._sources:
                self._after.setdefault(key, []).append(action)
                return
        action()

    def wait(self, key: str | None = None) -> None:
        """Wait until nothing waits any more, under one key or at all; says so if it takes long."""
        say_at = time.monotonic() + _SAID_AFTER
        with self._mine():
            while self._sources if key is None else key in self._sources:
                self._changed.wait(0.5)
                if time.monotonic() >= say_at and self._sources:
                    say_at = time.monotonic() + _SAID_AGAIN
                    size = sum(source.size for source in self._sources.values()) / 1e6
                    log.info("waiting for %d uploads to %s (%.1f MB)", len(self._sources), self._where, size)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            key, source = task
            try:
                self._send(key, source)
            except Exception as error:
                self._note(error)
            finally:
                source.discard()
                actions = self._done(key, source)
            for action in actions:
                try:
                    action()
                except Exception as error:
                    log.debug("what follows an upload failed: %s", self._words(error))

    def _next(self) -> tuple[str, Source] | None:
        """What is to be done next; if there is nothing, this thread ends."""
        with self._mine():
            if not self._queue:
                self._threads -= 1
                return None
            key = self._queue.popleft()
            return key, self._sources[key]

    def _done(self, key: str, source: Source) -> list[Callable[[], None]]:
        """An upload has ended; returns what is to follow it."""
        with self._mine():
            self._changed.notify_all()
            if self._sources[key] is not source:
                self._queue.append(key)  # another came meanwhile
                return []
            del self._sources[key]
            return self._after.pop(key, [])

    def _note(self, error: Exception) -> None:
        """Say it once of each kind; that a store is left alone has been said."""
        kind = type(error).__name__
        self._failed[kind] = self._failed.get(kind, 0) + 1
        if self._failed[kind] == 1 and not isinstance(error, StoreAway):
            log.error("a result could not be uploaded to %s: %s", self._where, self._words(error))

    def _held(self) -> int:
        return sum(_weight(source) for source in self._sources.values())

    def _mine(self) -> threading.Condition:
        """The lock; a process that was forked has nothing to upload."""
        if self._process != os.getpid():
            self._reset()
        return self._changed


class UploadingStore:
    """A remote store that is written to in the background.

    What it has been given is found in it at once. Claims are those of the store itself: leases must be released
    only when what they are for is there (``Uploads.after``).

    Args:
        remote: the store.
        room: see ``Uploads``.
    """

    def __init__(self, remote: RemoteStore, room: int = ROOM) -> None:
        self.remote = remote
        self.connection = remote.connection
        self.uploads = Uploads(remote.send, remote.connection.shown, room, remote.connection.words)

    def __repr__(self) -> str:
        return f"UploadingStore({self.remote!r})"

    def get(self, key: str) -> Entry | None:
        source = self.source(check_key(key))
        if source is not None and source.data is not None:
            # A copy that may be written to.
            return unpack(memoryview(bytearray(source.data)), key)
        return self.remote.get(key)

    def put(self, key: str, entry: Entry) -> int:
        data = b"".join(pack(entry, check_key(key)))
        self.send(key, Source(len(data), data))
        return len(data)

    def send(self, key: str, source: Source) -> None:
        """Have the bytes of an entry uploaded.

        Raises:
            StoreAway: the store is left alone.
        """
        if self.connection.away:
            raise StoreAway(f"{self.connection.shown} does not answer, and is left alone for now")
        self.uploads.add(key, source)

    def source(self, key: str) -> Source | None:
        """What is on its way under a key."""
        return self.uploads.source(key)

    def delete(self, key: str) -> bool:
        self.uploads.wait(key)
        return self.remote.delete(key)

    def keys(self) -> Iterator[str]:
        pending = self.uploads.keys()
        yield from pending
        seen = set(pending)
        for key in self.remote.keys():
            if key not in seen:
                yield key

    def claims(self) -> Claims | None:
        return self.remote.claims()


def _weight(source: Source) -> int:
    return source.size if source.data is not None else 0
