"""Two tiers: a local directory in front of a remote store.

What is read comes from the directory, or is fetched into it, once a host, checked as it is stored, and is mapped
from there. What is written goes to both. A directory that fails is done without.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Iterator
from typing import Any

from hydra_cached.errors import DamagedEntry, ForeignEntry, UntrustedRoot, brief
from hydra_cached.stores.base import LINK, Claims, Entry
from hydra_cached.stores.connection import RemoteError
from hydra_cached.stores.entry import CHECKED_ALWAYS, unpack
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.transfer import FIRST, Download, FileSink, MemorySink, Source
from hydra_cached.stores.uploads import UploadingStore

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None  # type: ignore[no-redef]

log = logging.getLogger("hydra_cached.stores")


class TieredStore:
    """A remote store behind a local directory.

    Args:
        local: the directory's store.
        remote: the remote store.
    """

    def __init__(self, local: LocalStore, remote: RemoteStore | UploadingStore) -> None:
        self._local = local
        self._remote = remote
        self._root = remote.remote if isinstance(remote, UploadingStore) else remote
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"TieredStore({self._local!r}, {self._remote!r})"

    def get(self, key: str) -> Entry | None:
        entry = self._here(key)
        source = None if entry is not None else self._remote.source(key)
        if source is not None and source.data is not None:
            return self._remote.get(key)  # it is on its way, and has gone from here
        for attempt in range(2):
            download = None if entry is not None else self._root.begin(key)
            if download is None:
                return entry
            try:
                return self._received(key, download)
            except _Unusable as problem:
                self._warn("local", "%s; the remote directory is used alone", problem)
                return self._root.get(key)
            except ForeignEntry as foreign:
                self._root.leave_alone(key, foreign)
                return None
            except DamagedEntry as damage:
                # It may have been damaged, or replaced, on the way.
                if attempt:
                    raise self._root.damaged(key, damage) from damage
        raise AssertionError("unreachable")

    def put(self, key: str, entry: Entry) -> int:
        if entry.payload is None and LINK not in entry.manifest:
            return self._remote.put(key, entry)  # a note, which others change, too
        try:
            size = self._local.put(key, entry)
        except (OSError, UntrustedRoot) as error:
            self._warn("local", "%s; the remote directory is used alone", _Unusable(self._local, error))
            return self._remote.put(key, entry)
        try:
            source = self._source(key, size)
        except OSError:
            return self._remote.put(key, entry)  # somebody has removed it at once
        try:
            self._remote.send(key, source)
        except FileNotFoundError:
            return self._remote.put(key, entry)  # it was removed here before it was read
        except BaseException:
            source.discard()
            raise
        if self._remote is self._root:
            source.discard()
        return size

    def _source(self, key: str, size: int) -> Source:
        """What was just stored here, for sending."""
        path = self._local.path(key)
        if size <= CHECKED_ALWAYS:
            data = path.read_bytes()
            return Source(len(data), data)
        # A second name, for somebody may replace or remove it meanwhile; that of a leftover.
        name = f".{key[:16]}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}.tmp"
        try:
            os.link(path, path.with_name(name))
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            return Source(size, file=path)
        file = path.with_name(name)
        return Source(file.stat().st_size, file=file, own=True)

    def delete(self, key: str) -> bool:
        with contextlib.suppress(OSError):
            self._local.delete(key)
        return self._remote.delete(key)

    def keys(self) -> Iterator[str]:
        return self._remote.keys()

    def claims(self) -> Claims | None:
        claims = self._remote.claims()
        # Then at least the processes of this host wait for each other.
        return self._local.claims() if claims is None else claims

    def _here(self, key: str) -> Entry | None:
        """What the local directory has."""
        try:
            return self._local.get(key)
        except ForeignEntry as foreign:
            self._warn(key, "%s", foreign)
        except DamagedEntry as damage:
            log.warning("%s; it is fetched again", damage)
        except (OSError, UntrustedRoot) as error:
            self._warn("local", "%s; the remote directory is used alone", _Unusable(self._local, error))
        return None

    def _received(self, key: str, download: Download) -> Entry | None:
        """Fetch an entry into the local directory, and get it from there.

        Raises:
            DamagedEntry: what was fetched is not what was stored.
            RemoteError: it cannot be fetched.
            _Unusable: it cannot be kept here.
        """
        if download.size <= FIRST:
            sink = MemorySink()
            download.into(sink)
            small = unpack(sink.data, key)
            if small.payload is not None or LINK in small.manifest:  # not notes, which others change, too
                try:
                    self._local.receive(key, lambda descriptor: FileSink(descriptor).write(0, sink.data))
                except (OSError, UntrustedRoot) as error:
                    self._warn("local", "%s", _Unusable(self._local, error))
            return small
        with self._alone(key) as waited:
            entry = self._here(key) if waited else None
            if entry is None:
                try:
                    self._local.receive(key, lambda descriptor: download.into(FileSink(descriptor)))
                except RemoteError:
                    raise
                except (OSError, UntrustedRoot) as error:
                    raise _Unusable(self._local, error) from error
                entry = self._here(key)
        if entry is None:
            raise _Unusable(self._local, OSError("what was just stored there is gone"))
        return entry

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[bool]:
        """While this lasts nobody else of this host fetches the entry; says whether somebody did just before."""
        descriptor = -1
        waited = False
        if fcntl is not None:
            # A leftover's name, so that it is swept up if nobody else removes it.
            path = self._local.path(key).with_name(f".{key[:16]}.fetch.{key[:32].ljust(32, '0')}.tmp")
            with contextlib.suppress(OSError, UntrustedRoot):
                self._local.access.make_directories(path.parent)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waited = True
                    log.info("another process fetches %s; waiting for it", key[:12])
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield waited
        finally:
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    path.unlink()
                os.close(descriptor)

    def _warn(self, kind: str, text: str, *args: object) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning(text, *args)


class _Unusable(Exception):
    """The local directory cannot be used."""

    def __init__(self, local: LocalStore, error: Exception) -> None:
        super().__init__(f"cache.local_dir cannot be used ({local.root}): {brief(error)}")
