"""Claims in a remote store: small files that only one can create.

Only that is asked of a store. Taking a claim over is made of it: who wants to, creates a mark that is named after
the claim's present text, which only one can, and then writes the claim. So of many that find an owner gone one
succeeds, and nobody sees the claim missing meanwhile. What fsspec has no conditional form of, touching and
dropping, looks first and acts then; if somebody takes the claim over within that moment, two may compute the same.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from blake3 import blake3

from hydra_cached.stores.capabilities import Exclusive, changed_at, create, probe
from hydra_cached.stores.claims import NAME, check_name
from hydra_cached.stores.connection import Connection, RemoteError
from hydra_cached.stores.transfer import Source, upload

DIRECTORY = "leases"
_CLOCK_KEEPS = 120.0  # seconds for which a reading of the store's clock is gone by
_MARK_KEEPS = 60.0  # seconds after which a mark is one of somebody who was killed
_LONGEST = 4096


class NoClaims(RemoteError):
    """The store has no way to create something that only one can create."""


class RemoteClaims:
    """Claims below a directory of a remote store.

    Args:
        connection: the store.
        way: how something is created exclusively there; ``ASK`` finds out when it is needed.
        whole: see ``transfer.upload``.
    """

    def __init__(self, connection: Connection, way: Exclusive, *, whole: bool) -> None:
        self._connection = connection
        self._way = way
        self._whole = whole
        self._made = whole
        self._clock = (-_CLOCK_KEEPS, 0.0)
        self._guard = (os.getpid(), threading.RLock())

    def __repr__(self) -> str:
        return f"RemoteClaims({self._connection.shown!r})"

    def create(self, name: str, text: str) -> bool:
        path = check_name(name)
        if self._create(path, text):
            return True
        # A request that was tried again, here or in the client, finds what it has itself created.
        return self._text(path) == text

    def read(self, name: str) -> tuple[str, float] | None:
        path = check_name(name)
        # In this order: with an old text, a new time does no harm.
        text = self._text(path)
        age = None if text is None else self._age(path)
        return None if text is None or age is None else (text, age)

    def touch(self, name: str) -> None:
        path = check_name(name)
        with self._lock:
            text = self._text(path)
            if text is not None:
                self._write(path, text)

    def swap(self, name: str, old: str, new: str) -> bool:
        path = check_name(name)
        if self._text(path) != old:
            return False
        mark = f".{path[:16]}.{blake3(old.encode()).hexdigest()[:32]}.tmp"
        if not self._create(mark, new):
            age = self._age(mark)
            if age is not None and age > _MARK_KEEPS:
                self._remove(mark)
            return False
        try:
            with self._lock:
                # Somebody may have been faster, and be done with the mark.
                mine = self._text(path) == old
                if mine:
                    self._write(path, new)
            return mine
        finally:
            self._remove(mark)

    def drop(self, name: str, text: str) -> bool:
        path = check_name(name)
        with self._lock:
            return self._text(path) == text and self._remove(path)

    def names(self) -> Iterator[str]:
        """The names of all claims."""
        try:
            paths = self._connection.call(lambda fs, path: fs.find(path), DIRECTORY)
        except FileNotFoundError:
            return
        for path in paths:
            name = str(path).rpartition("/")[2]
            if NAME.fullmatch(name):
                yield name

    def _create(self, name: str, text: str) -> bool:
        self._make_room()
        if self._way is Exclusive.ASK:
            self._way = probe(self._connection, DIRECTORY)
        if self._way is Exclusive.NO:
            raise NoClaims(f"{self._connection.shown} has no way to create what only one can create")
        try:
            self._connection.call(
                lambda fs, path: create(fs, path, _stored(text), self._way), DIRECTORY, name
            )
        except FileExistsError:
            return False
        return True

    def _text(self, name: str) -> str | None:
        try:
            data = self._connection.call(
                lambda fs, path: fs.cat_file(path, start=0, end=_LONGEST), DIRECTORY, name
            )
        except FileNotFoundError:
            return None
        return bytes(data).decode(errors="replace").removesuffix("\n")

    def _age(self, name: str) -> float | None:
        changed = self._changed(name)
        return None if changed is None else max(0.0, self._now() - changed)

    def _changed(self, name: str) -> float | None:
        def look(file_system: object, path: str) -> float | None:
            system: Any = file_system
            system.invalidate_cache(path)
            return changed_at(system.info(path))

        try:
            changed = self._connection.call(look, DIRECTORY, name)
        except FileNotFoundError:
            return None
        if changed is None:
            raise NoClaims(f"{self._connection.shown} does not tell when something was written")
        return changed

    def _write(self, name: str, text: str) -> None:
        data = _stored(text)
        upload(self._connection, (DIRECTORY, name), Source(len(data), data), "a lease", whole=self._whole)

    def _remove(self, name: str) -> bool:
        try:
            self._connection.call(lambda fs, path: fs.rm_file(path), DIRECTORY, name)
        except FileNotFoundError:
            return False
        return True

    def _make_room(self) -> None:
        if not self._made:
            self._connection.call(lambda fs, path: fs.makedirs(path, exist_ok=True), DIRECTORY)
            self._made = True

    def _now(self) -> float:
        """The store's time, which need not be this machine's."""
        read, ahead = self._clock
        now = time.monotonic()
        if now - read >= _CLOCK_KEEPS:
            name = f".{uuid.uuid4().hex}.now"
            self._write(name, "now")
            try:
                ahead = (self._changed(name) or 0.0) - time.monotonic()
            finally:
                with contextlib.suppress(OSError):
                    self._remove(name)
            self._clock = (now, ahead)
        return time.monotonic() + ahead

    @property
    def _lock(self) -> threading.RLock:
        """Keeps a heartbeat from writing again what its own process is just removing."""
        if self._guard[0] != os.getpid():
            self._guard = (os.getpid(), threading.RLock())
        return self._guard[1]


def _stored(text: str) -> bytes:
    """A claim's bytes; never none, of which servers cannot give a range."""
    return f"{text}\n".encode()
