"""Bytes to a remote store and from there, in ranges that are fetched side by side; what takes long is shown."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra_cached.stores.base import Buffer
from hydra_cached.stores.connection import Connection, RemoteError, is_answer

log = logging.getLogger("hydra_cached.stores")

FIRST = 4 << 20  # bytes of the first request, which most entries fit into
RANGE = 16 << 20  # bytes of each further one
LANES = 4  # ranges that are fetched at a time
PATIENCE = 2.0  # seconds after which a transfer is shown


@dataclass(frozen=True)
class Source:
    """Bytes on their way to a store.

    Args:
        size: how many.
        data: the bytes; None if they are in a file.
        file: the file.
        own: whether the file is there for this alone, and goes when it is done.
    """

    size: int
    data: bytes | None = None
    file: Path | None = None
    own: bool = False

    def discard(self) -> None:
        """It is done with."""
        if self.own and self.file is not None:
            with contextlib.suppress(OSError):
                self.file.unlink()


class Sink(Protocol):
    """Where the bytes of a download go, in any order, from several threads."""

    def resize(self, size: int) -> None:
        """Said before the first write: so many bytes will come."""

    def write(self, offset: int, data: Buffer) -> None:
        """Take a piece."""


class MemorySink:
    """Collects a download in memory that can be written to."""

    def __init__(self) -> None:
        self.data = memoryview(bytearray())

    def resize(self, size: int) -> None:
        self.data = memoryview(bytearray(size))

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        self.data[offset : offset + view.nbytes] = view


class FileSink:
    """Writes a download to an open file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def resize(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data)
        while view.nbytes:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written


class Download:
    """A file that is being fetched: its first bytes are here, and the rest comes when it is asked for.

    Args:
        connection: the store.
        names: lead to the file.
        what: the file in words.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be fetched.
    """

    def __init__(self, connection: Connection, names: tuple[str, ...], what: str) -> None:
        self._connection = connection
        self._names = names
        self._what = what
        self._head = self._first()
        self.size = len(self._head)  # bytes of the whole
        # Otherwise this is all of it; or more than was asked for, by a client that does not know ranges.
        if self.size == FIRST:
            self.size = int(self._info()["size"])

    def _first(self) -> bytes:
        try:
            return self._piece(0, FIRST)
        except RemoteError as error:
            # Servers cannot give a range of nothing.
            if error.__cause__ is not None and is_answer(error.__cause__) and self._info()["size"] == 0:
                return b""
            raise

    def _info(self) -> Any:
        return self._connection.call(_fresh_info, *self._names)

    def into(self, sink: Sink) -> None:
        """Fetch what is missing, and give everything to a sink.

        Raises:
            OSError: it cannot be fetched.
        """
        sink.resize(self.size)
        sink.write(0, self._head[: self.size])
        starts = range(len(self._head), self.size, RANGE)
        if not starts:
            return
        with shown(f"fetching {self._what} from {self._connection.shown}", self.size) as tick:
            tick(len(self._head))

            def fetch(start: int) -> None:
                end = min(start + RANGE, self.size)
                data = self._piece(start, end)
                if len(data) != end - start:
                    text = f"{len(data)} bytes came where {end - start} were asked for"
                    raise RemoteError(f"{self._connection.shown}: {text}")
                sink.write(start, data)
                tick(len(data))

            if self._connection.parallel and len(starts) > 1:
                with ThreadPoolExecutor(LANES, thread_name_prefix="hydra-cached download") as pool:
                    for _ in pool.map(fetch, starts):
                        pass
            else:
                for start in starts:
                    fetch(start)

    def _piece(self, start: int, end: int) -> bytes:
        data: bytes = self._connection.call(
            lambda fs, path: fs.cat_file(path, start=start, end=end), *self._names
        )
        return data


def upload(connection: Connection, names: tuple[str, ...], source: Source, what: str, *, whole: bool) -> None:
    """Write a file, so that nobody sees a part of it.

    Args:
        connection: the store.
        names: lead to the file.
        source: its bytes.
        what: the file in words.
        whole: whether what the store is given is seen as a whole or not at all; if not, the file gets a temporary
            name, unique across hosts, and is moved.

    Raises:
        OSError: it cannot be written; nothing of it is visible then.
    """
    *parents, name = names
    heavy = source.size > RANGE
    with shown(f"storing {what} in {connection.shown}", source.size) as tick:
        if whole:
            connection.call(lambda fs, path: _written(fs, path, source, tick), *names, heavy=heavy)
            return
        temporary = f".{name[:16]}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}.tmp"
        connection.call(lambda fs, path: fs.makedirs(path, exist_ok=True), *parents)
        try:
            connection.call(
                lambda fs, path: _written(fs, path, source, tick), *parents, temporary, heavy=heavy
            )
            connection.call(lambda fs, path: _moved(fs, f"{path}/{temporary}", f"{path}/{name}"), *parents)
        except BaseException:
            with contextlib.suppress(OSError):
                connection.call(lambda fs, path: fs.rm_file(path), *parents, temporary)
            raise


def _fresh_info(file_system: Any, path: str) -> Any:
    file_system.invalidate_cache(path)
    return file_system.info(path)


def _written(file_system: Any, path: str, source: Source, tick: Callable[[int], None]) -> None:
    if source.data is not None:
        file_system.pipe_file(path, source.data)
        return
    from fsspec.callbacks import Callback

    class Ticks(Callback):  # type: ignore[misc]
        """Tells how many bytes are done."""

        done = 0

        def call(self, *args: Any, **kwargs: Any) -> None:
            tick(self.value - self.done)
            self.done = self.value

    file_system.put_file(str(source.file), path, callback=Ticks())


def _moved(file_system: Any, old: str, new: str) -> None:
    try:
        file_system.mv(old, new)
    except FileExistsError:
        # Some servers do not move onto what is there.
        file_system.rm_file(new)
        file_system.mv(old, new)
    except FileNotFoundError:
        # Tried again after a connection broke: it may have been done.
        if not file_system.exists(new):
            raise


@contextlib.contextmanager
def shown(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show a transfer that takes long: a bar where somebody looks and ``tqdm`` is installed, a log line elsewhere.

    Args:
        what: what is done, in words.
        size: how many bytes there are.

    Returns:
        What is to be called with the number of bytes that came to those done.
    """
    begin = time.monotonic()
    guard = threading.Lock()
    done = 0
    bar: Any = None
    said = False

    def tick(count: int) -> None:
        nonlocal done, bar, said
        with guard:
            done += count
            if not said and time.monotonic() - begin >= PATIENCE and done < size:
                said = True
                bar = _bar(what, size)
                if bar is None:
                    log.info("%s (%.1f MB)", what, size / 1e6)
                else:
                    count = done
            if bar is not None:
                bar.update(count)

    try:
        yield tick
    finally:
        if bar is not None:
            bar.close()
    seconds = time.monotonic() - begin
    if seconds >= PATIENCE and bar is None:
        log.info("%s took %.1f s (%.1f MB/s)", what, seconds, size / 1e6 / seconds)


def _bar(what: str, size: int) -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(desc=what, total=size, unit="B", unit_scale=True, leave=False)
