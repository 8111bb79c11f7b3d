"""Entries as files in a local (or mounted) directory, by straight ``os`` calls.

``<root>/entries/<first two digits of the key>/<key>`` is an entry. A write goes to a temporary name in the same
directory, unique across hosts, is flushed to the disk and then renamed, so a reader sees all of it or nothing.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra_cached.errors import DamagedEntry, ForeignEntry, UntrustedEntry
from hydra_cached.stores.base import KEY, Entry, Manifest, Stat, check_key
from hydra_cached.stores.claims import LocalClaims
from hydra_cached.stores.entry import CHECKED_ALWAYS, HEADER, manifest_end, pack, read_manifest, unpack
from hydra_cached.stores.filesystems import DOUBTS, InDoubt, keeps_open_files, patiently, rename
from hydra_cached.stores.sweep import sweep_if_due
from hydra_cached.stores.trust import PRIVATE, Access, check_root, foreign_hand

_SHARD = re.compile(r"[0-9a-f]{2}")
_OURS = {"CACHEDIR.TAG", ".gitignore", "entries", "leases", "trimmed", "used"}
_CACHEDIR_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This directory holds results that hydra-cached can compute again. See https://bford.info/cachedir/
"""
_READ = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)  # a planted pipe must not hang us


class LocalStore:
    """A directory of entries; made at the first write.

    Args:
        root: the directory.
        access: whose entries are read, and the modes of what is made. By default a root that others can write to
            raises ``UntrustedRoot`` when it is first read from or written to.
        mapped: map large entries instead of reading them, where the file system allows. What is mapped changes
            when its file is written to.
        thorough: check all of every entry at every read.
        repairs: set damaged entries aside.
        once: report a foreign version, or a foreign file, once, and take it for a miss afterwards.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        access: Access = PRIVATE,
        *,
        mapped: bool = True,
        thorough: bool = False,
        repairs: bool = True,
        once: bool = True,
    ) -> None:
        self.root = Path(root).absolute()
        self.access = access
        self._mapped = mapped
        self._thorough = thorough
        self._repairs = repairs
        self._once = once
        self._admitted = False
        self._said: set[str] = set()
        self._swept = False

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def path(self, key: str) -> Path:
        """Where the entry of a key lies; raises ``ValueError`` if it is none."""
        return self.root / "entries" / check_key(key)[:2] / key

    def admit(self) -> None:
        """Make sure that the directory, or where it would be made, can be trusted as far as it must be.

        Raises:
            UntrustedRoot: others can write to it.
        """
        if not self.access.others:
            check_root(self.root)

    def get(self, key: str) -> Entry | None:
        path = self.path(key)
        for pause in DOUBTS:
            try:
                return patiently(lambda: self._get(key, path))
            except InDoubt:
                time.sleep(pause)
        return patiently(lambda: self._get(key, path, sure=True))

    def _get(self, key: str, path: Path, sure: bool = False) -> Entry | None:
        try:
            descriptor = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            status = os.fstat(descriptor)
            self._admit(status)
            data = self._data(descriptor, status)
            # The time of the last write is set when an entry is published; any later write changes it.
            touched = status.st_mtime_ns != _published_time(status.st_size)
            return unpack(data, key, check=touched or self._thorough)
        except ForeignEntry as foreign:
            self._leave_alone(path, foreign)
            return None
        except UntrustedEntry as problem:
            raise UntrustedEntry(f"{path}: {problem}") from None
        except DamagedEntry as damage:
            if not sure and not keeps_open_files(status.st_dev):
                raise InDoubt from damage
            done = "; it was set aside" if self._set_aside(path, status) else ""
            raise DamagedEntry(f"{path}: {damage}{done}") from damage
        except FileNotFoundError:
            return None  # removed meanwhile, on another host
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def put(self, key: str, entry: Entry) -> int:
        def write(descriptor: int) -> None:
            with open(descriptor, "wb", buffering=0, closefd=False) as file:
                for piece in pack(entry, key):
                    view = memoryview(piece)
                    while view.nbytes:
                        view = view[file.write(view) :]

        size = patiently(lambda: self._publish(key, write))
        if not self._swept:
            self._swept = True
            sweep_if_due(self.root)
        return size

    def receive(self, key: str, write: Callable[[int], None]) -> int:
        """Store the bytes of an entry that was packed elsewhere; returns its size.

        Args:
            key: the entry's key.
            write: writes them to a descriptor.

        Raises:
            DamagedEntry: they are not what was packed.
            OSError: they cannot be stored.
        """

        def write_and_check(descriptor: int) -> None:
            write(descriptor)
            # What came from elsewhere is checked as a whole, once: later reads go by the time of last write.
            size = os.fstat(descriptor).st_size
            unpack(memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) if size else b""), key)

        return self._publish(key, write_and_check)

    def _publish(self, key: str, write: Callable[[int], None]) -> int:
        """Have a new file written, and give it the entry's name when all of it is on the disk."""
        path = self.path(key)
        self._make_room(path.parent)
        self._make_way(key)
        temporary = path.parent / f".{key[:16]}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}.tmp"
        try:
            descriptor = self.access.create(temporary)
            try:
                write(descriptor)
                size = os.fstat(descriptor).st_size
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            # Cleaners of scratch space go by the time of last access: that is now.
            os.utime(temporary, ns=(time.time_ns(), _published_time(size)))
            rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        return size

    def delete(self, key: str) -> bool:
        try:
            self.path(key).unlink()
        except FileNotFoundError:
            return False
        return True

    def claims(self) -> LocalClaims:
        return LocalClaims(self.root / "leases", self.access, self._make_room)

    def keys(self) -> Iterator[str]:
        for shard in self._shards():
            for name in _names(shard):
                if _is_entry(shard.name, name):
                    yield name

    def stats(self) -> Iterator[Stat]:
        """What the directory says of each entry, without opening any."""
        for shard in self._shards():
            for name in _names(shard):
                if _is_entry(shard.name, name):
                    with contextlib.suppress(FileNotFoundError):
                        status = os.stat(shard / name)
                        yield Stat(name, status.st_size, status.st_ctime)

    def _shards(self) -> list[Path]:
        return [
            self.root / "entries" / name for name in _names(self.root / "entries") if _SHARD.fullmatch(name)
        ]

    def manifest(self, key: str) -> Manifest | None:
        """An entry's manifest, read without its payload and without repairing anything; None if it is gone.

        Raises:
            DamagedEntry: it cannot be read.
        """
        try:
            descriptor = os.open(self.path(key), _READ)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ForeignEntry("it is not a file")
            with open(descriptor, "rb", closefd=False) as file:
                head = file.read(HEADER)
                wanted = min(manifest_end(memoryview(head)), status.st_size) - len(head)
                head += file.read(max(0, wanted))
            return read_manifest(memoryview(head), status.st_size)[0]
        finally:
            os.close(descriptor)

    def manifests(self, keys: Sequence[str]) -> Iterator[tuple[str, Manifest | None]]:
        """The manifests of several entries; None for what cannot be read."""
        for key in keys:
            try:
                yield key, self.manifest(key)
            except (DamagedEntry, OSError):
                yield key, None

    def _admit(self, status: os.stat_result) -> None:
        """Refuse what is no file of an entry's, and, where this cache is one user's own, what others made."""
        if not self._admitted:
            self.admit()
            self._admitted = True
        if not stat.S_ISREG(status.st_mode):
            raise ForeignEntry("it is not a file")
        if not self.access.others and (problem := foreign_hand(status)):
            raise UntrustedEntry(f"{problem}, and this cache is not shared")

    def _data(self, descriptor: int, status: os.stat_result) -> memoryview:
        if self._mapped and status.st_size > CHECKED_ALWAYS and keeps_open_files(status.st_dev):
            return memoryview(mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_COPY))
        # A bytearray, because arrays that come back must be writable as they were.
        data = memoryview(bytearray(status.st_size))
        length = 0
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            while count := file.readinto(data[length:]):
                length += count
        return data[:length]

    def _leave_alone(self, path: Path, foreign: ForeignEntry) -> None:
        """Say once of each foreign version, and of each foreign file, that it is there."""
        about = str(foreign) if str(foreign).startswith("it has") else str(path)
        if about not in self._said or not self._once:
            self._said.add(about)
            raise ForeignEntry(f"{path}: {foreign}; it was left alone") from foreign

    def _set_aside(self, path: Path, status: os.stat_result) -> bool:
        """Move a damaged file away, unless another one has taken its place meanwhile."""
        with contextlib.suppress(OSError):
            if self._repairs and os.path.samestat(path.stat(), status):
                path.replace(path.with_name(f"{path.name}.damaged"))
                return True
        return False

    def _make_way(self, key: str) -> None:
        """Refuse to write over what is not ours."""
        try:
            self.manifest(key)
        except ForeignEntry as foreign:
            path = str(self.path(key))
            raise FileExistsError(errno.EEXIST, f"not written over, because {foreign}", path) from None
        except (DamagedEntry, OSError):
            pass

    def _make_room(self, directory: Path) -> None:
        if not directory.is_dir():
            self.access.make_directories(self.root)
            # Where there are other things, backups and git must not be told to leave them out.
            if _OURS.issuperset(os.listdir(self.root)):
                for name, text in (("CACHEDIR.TAG", _CACHEDIR_TAG), (".gitignore", "*\n")):
                    with contextlib.suppress(FileExistsError), open(self._new(name), "w") as file:
                        file.write(text)
        if not self._admitted:
            self.admit()
            self._admitted = True
        self.access.make_directories(directory)

    def _new(self, name: str) -> int:
        return self.access.create(self.root / name)


def _is_entry(shard: str, name: str) -> bool:
    return KEY.fullmatch(name) is not None and name[:2] == shard


def _names(directory: Path) -> list[str]:
    """Names in a directory, sorted; none if it is not there, or has just been removed, or is no directory."""
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _published_time(size: int) -> int:
    """A time of last write, in ns since 1970, that nothing but this store gives to a file of this size."""
    return 946_684_800_000_000_000 + size * 1_000_000 % 86_400_000_000_000
