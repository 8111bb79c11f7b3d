"""Entries in a remote store, through a file system of fsspec: one entry is one object.

``<root>/entries/<first two digits of the key>/<key>`` is an entry, as in a local directory. It is written in one
put, or, where a put can be seen half done, under another name that is then moved. What came over a network is
checked byte for byte.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hydra_cached.errors import DamagedEntry, ForeignEntry
from hydra_cached.stores.base import KEY, Claims, Entry, Manifest, Stat, check_key
from hydra_cached.stores.capabilities import Exclusive, abilities, changed_at
from hydra_cached.stores.connection import Connection, StoreAway
from hydra_cached.stores.entry import manifest_end, pack, read_manifest, unpack
from hydra_cached.stores.remote_claims import DIRECTORY as LEASES
from hydra_cached.stores.remote_claims import RemoteClaims
from hydra_cached.stores.transfer import Download, MemorySink, Source, upload

log = logging.getLogger("hydra_cached.stores")
T = TypeVar("T")
LANES = 16  # manifests that are read at a time
_HEAD = 64 << 10  # bytes that nearly every manifest fits into
_UNIQUE = r"[0-9a-f]{32}"
# Entries that were begun and not finished, marks of takeovers, probes, and looks at the clock.
_LEFTOVER = re.compile(rf"\.[0-9a-f]{{16}}\.(.*\.)?{_UNIQUE}\.tmp|\.{_UNIQUE}\.(tmp|now)")


class RemoteStore:
    """Entries at a URL of fsspec's.

    Args:
        url: where they are.
        options: what fsspec hands to the file system.
        once: report a foreign version, or a foreign object, once, and take it for a miss afterwards.

    Raises:
        OptionError: there is no such protocol, or its package is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, *, once: bool = True) -> None:
        self.connection = Connection(url, options)
        self.abilities = abilities(self.connection.protocol, self.connection.options)
        self._once = once
        self._said: set[str] = set()
        self._ours: set[str] = set()  # keys under which nothing foreign lies, as far as we know

    def __repr__(self) -> str:
        return f"RemoteStore({self.connection.shown!r})"

    def get(self, key: str) -> Entry | None:
        for attempt in range(2):
            download = self.begin(key)
            if download is None:
                return None
            sink = MemorySink()
            download.into(sink)
            try:
                return unpack(sink.data, key)
            except ForeignEntry as foreign:
                self.leave_alone(key, foreign)
                return None
            except DamagedEntry as damage:
                # It may have been damaged, or replaced, on the way.
                if attempt:
                    raise self.damaged(key, damage) from damage
        raise AssertionError("unreachable")

    def begin(self, key: str) -> Download | None:
        """Begin to fetch the bytes of an entry; None if there is none.

        Raises:
            OSError: the store cannot be read.
        """
        try:
            return Download(self.connection, _names(key), key[:12])
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._ours.add(key)
        except StoreAway:
            pass  # that it is left alone has been said
        except PermissionError as error:
            self._warn(
                "forbidden",
                "%s does not let entries be read; or not say that there is none, which in S3 needs the right "
                "s3:ListBucket: %s",
                self.connection.shown,
                self.connection.words(error),
            )
        return None

    def damaged(self, key: str, damage: DamagedEntry) -> DamagedEntry:
        """What is to be said of a damaged entry."""
        self._ours.add(key)
        return DamagedEntry(f"{self.where(key)}: {damage}; the next result for it replaces it")

    def leave_alone(self, key: str, foreign: ForeignEntry) -> None:
        """Say once of each foreign version, and of each foreign object, that it is there."""
        self._ours.discard(key)
        about = str(foreign) if str(foreign).startswith("it has") else key
        if about not in self._said or not self._once:
            self._said.add(about)
            raise ForeignEntry(f"{self.where(key)}: {foreign}; it was left alone") from foreign

    def where(self, key: str) -> str:
        """The URL of an entry, for people."""
        return "/".join((self.connection.shown.rstrip("/"), *_names(key)))

    def put(self, key: str, entry: Entry) -> int:
        data = b"".join(pack(entry, check_key(key)))
        self.send(key, Source(len(data), data))
        return len(data)

    def send(self, key: str, source: Source) -> None:
        """Write the bytes of an entry.

        Raises:
            OSError: they cannot be written, or something foreign is in the entry's place.
        """
        self._make_way(key)
        try:
            upload(self.connection, _names(key), source, key[:12], whole=self.abilities.whole)
        except FileNotFoundError as error:
            text = f"{self.connection.shown} is not there, or something is missing: {error}"
            raise FileNotFoundError(errno.ENOENT, text) from error

    def source(self, key: str) -> Source | None:
        """What is on its way under a key: nothing, for here what is sent has arrived."""
        return None

    def delete(self, key: str) -> bool:
        def remove(file_system: Any, path: str) -> bool:
            if not file_system.exists(path):
                return False
            file_system.rm_file(path)
            return True

        try:
            return self.connection.call(remove, *_names(key))
        except FileNotFoundError:
            return False

    def keys(self) -> Iterator[str]:
        for stat in self.stats():
            yield stat.key

    def stats(self) -> Iterator[Stat]:
        """What the store says of each entry, without opening any; what it has no time for is of now."""
        for path, info in self._list("entries"):
            shard, _, name = path.rpartition("/")
            if KEY.fullmatch(name) and shard.rpartition("/")[2] == name[:2]:
                yield Stat(name, int(info.get("size") or 0), changed_at(info) or time.time())

    def manifest(self, key: str) -> Manifest | None:
        """An entry's manifest, read without its payload; None if it is gone.

        Raises:
            DamagedEntry: it cannot be read.
        """

        def head(file_system: Any, path: str) -> tuple[bytes, int]:
            data = file_system.cat_file(path, start=0, end=_HEAD)
            if len(data) != _HEAD:
                return data, len(data)
            wanted = manifest_end(memoryview(data))
            size = int(file_system.info(path)["size"])
            if _HEAD < wanted <= size:
                data = file_system.cat_file(path, start=0, end=wanted)
            return data, size

        try:
            data, size = self.connection.call(head, *_names(key))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return read_manifest(memoryview(data), size)[0]

    def manifests(self, keys: Sequence[str]) -> Iterator[tuple[str, Manifest | None]]:
        """The manifests of several entries, fetched side by side; None for what cannot be read."""

        def read(key: str) -> tuple[str, Manifest | None]:
            try:
                return key, self.manifest(key)
            except (DamagedEntry, OSError):
                return key, None

        yield from self.side_by_side(read, keys)

    def side_by_side(self, action: Callable[[str], T], keys: Sequence[str]) -> Iterator[T]:
        """Do something for several keys, some at a time; what comes of it, in order."""
        if not self.connection.parallel:
            yield from map(action, keys)
            return
        with ThreadPoolExecutor(LANES) as pool:
            yield from pool.map(action, keys)

    def claims(self) -> Claims | None:
        if self.abilities.exclusive is Exclusive.NO:
            return None
        return RemoteClaims(self.connection, self.abilities.exclusive, whole=self.abilities.whole)

    def leased(self) -> frozenset[str]:
        """Keys that are under lease, whether or not their owner is alive."""
        return frozenset(
            name for path, _ in self._list(LEASES) if KEY.fullmatch(name := path.rpartition("/")[2])
        )

    def sweep(self, age: float) -> int:
        """Remove what processes that were killed have left; returns how many files.

        Args:
            age: seconds since something was written last. Claims of owners that live are much younger.
        """
        count = 0
        for directory in ("entries", LEASES):
            for path, info in self._list(directory):
                name, changed = path.rpartition("/")[2], changed_at(info)
                ours = _LEFTOVER.fullmatch(name) or (directory == LEASES and KEY.fullmatch(name))
                if ours and changed is not None and time.time() - changed > age:
                    below = path.rpartition(f"/{directory}/")[2].split("/")
                    self.connection.call(lambda fs, path: fs.rm_file(path), directory, *below)
                    count += 1
        return count

    def _list(self, directory: str) -> list[tuple[str, Mapping[str, Any]]]:
        def find(file_system: Any, path: str) -> list[tuple[str, Mapping[str, Any]]]:
            file_system.invalidate_cache()
            return sorted(file_system.find(path, detail=True).items())

        try:
            return self.connection.call(find, directory)
        except FileNotFoundError:
            return []

    def _make_way(self, key: str) -> None:
        """Refuse to write over what is not ours."""
        if key in self._ours:
            return
        try:
            self.manifest(key)
        except ForeignEntry as foreign:
            raise FileExistsError(
                errno.EEXIST, f"not written over, because {foreign}", self.where(key)
            ) from None
        except DamagedEntry:
            pass
        self._ours.add(key)

    def _warn(self, kind: str, text: str, *args: object) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning(text, *args)


def _names(key: str) -> tuple[str, str, str]:
    """Where the entry of a key lies; raises ``ValueError`` if it is none."""
    return "entries", check_key(key)[:2], key
