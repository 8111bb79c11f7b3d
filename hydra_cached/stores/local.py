"""Entries as files in a local (or mounted) directory, by straight ``os`` calls.

``<root>/entries/<first two digits of the key>/<key>`` is an entry. A write goes to a temporary name in the same
directory, unique across hosts, is flushed to the disk and then renamed, so a reader sees all of it or nothing.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from hydra_cached.errors import DamagedEntry
from hydra_cached.stores.base import Entry
from hydra_cached.stores.entry import CHECKED_ALWAYS, pack, unpack

_KEY = re.compile(r"[0-9a-f]{16,}")
_OURS = {"CACHEDIR.TAG", ".gitignore", "entries"}
_CACHEDIR_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This directory holds results that hydra-cached can compute again. See https://bford.info/cachedir/
"""


class LocalStore:
    """A directory of entries; made at the first write.

    Args:
        root: the directory.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def path(self, key: str) -> Path:
        """Where the entry of a key lies.

        Raises:
            ValueError: it is no key. Links name keys, and none may lead out of the directory.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a key: a key is a string of hex digits")
        return self.root / "entries" / key[:2] / key

    def get(self, key: str) -> Entry | None:
        path = self.path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            status = os.fstat(descriptor)
            if status.st_size <= CHECKED_ALWAYS:
                with open(descriptor, "rb", closefd=False) as file:
                    # A bytearray, because arrays that come back must be writable as they were.
                    data = memoryview(bytearray(file.read()))
            else:
                data = memoryview(mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_COPY))
            # The time of the last write is set when an entry is published; any later write changes it.
            return unpack(data, check=status.st_mtime_ns != _published_time(status.st_size))
        except DamagedEntry as damage:
            done = "; it was set aside" if self._set_aside(path, status) else ""
            raise DamagedEntry(f"{path}: {damage}{done}") from damage
        finally:
            os.close(descriptor)

    def put(self, key: str, entry: Entry) -> int:
        path = self.path(key)
        self._make_room(path.parent)
        temporary = path.parent / f".{key[:16]}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}.tmp"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb", buffering=0) as file:
                for piece in pack(entry):
                    view = memoryview(piece)
                    while view.nbytes:
                        view = view[file.write(view) :]
                size = os.fstat(descriptor).st_size
                os.fsync(descriptor)
            os.utime(temporary, ns=(_published_time(size), _published_time(size)))
            temporary.replace(path)
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

    def keys(self) -> Iterator[str]:
        for shard in _names(self.root / "entries"):
            for name in _names(self.root / "entries" / shard):
                if _KEY.fullmatch(name) and name[:2] == shard:
                    yield name

    def _set_aside(self, path: Path, status: os.stat_result) -> bool:
        """Move a damaged file away, unless another one has taken its place meanwhile."""
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), status):
                path.replace(path.with_name(f"{path.name}.damaged"))
                return True
        return False

    def _make_room(self, directory: Path) -> None:
        if directory.is_dir():
            return
        if not self.root.is_dir():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where there are other things, backups and git must not be told to leave them out.
        if _OURS.issuperset(os.listdir(self.root)):
            for name, text in (("CACHEDIR.TAG", _CACHEDIR_TAG), (".gitignore", "*\n")):
                with (
                    contextlib.suppress(FileExistsError),
                    open(self.root / name, "x", opener=_private) as file,
                ):
                    file.write(text)
        for each in (directory.parent, directory):
            each.mkdir(mode=0o700, exist_ok=True)


def _names(directory: Path) -> list[str]:
    """Names in a directory, sorted; none if it is not there, or has just been removed, or is no directory."""
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _published_time(size: int) -> int:
    """A time of last write, in ns since 1970, that nothing but this store gives to a file of this size."""
    return 946_684_800_000_000_000 + size * 1_000_000 % 86_400_000_000_000
