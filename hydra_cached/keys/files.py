"""Digests of the contents of files and directories that a node declares with ``_cache_files_``."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from hydra_cached.keys.canonical import tagged

ABSENT = "absent"
_REMEMBERED_FROM = 1 << 20  # bytes; a smaller file is read faster than remembered
_PIECE = 1 << 22  # bytes that are read at once
_SETTLED = 2.0  # seconds; a file written more recently may be written again within its clock's tick


class FileDigests:
    """Digests of files by name, through fsspec where the name is a URL.

    A large file that has not changed since it was read (size, times of last write and change, inode; for a URL
    what its filesystem says of it) is not read again, in this process or, given a memory, in any.

    Args:
        memory: digests by a digest of the file's signature, kept across processes.
        base: directory that relative names are relative to; the current one by default.
    """

    def __init__(self, memory: MutableMapping[str, str] | None = None, base: str | None = None) -> None:
        self._memory: MutableMapping[str, str] = {} if memory is None else memory
        self._base = base
        self._known: dict[str, str] = {}

    def of(self, name: str | os.PathLike[str]) -> str:
        """Digest of a file's content, or of a directory's files by their relative names; ``absent`` if neither.

        Raises:
            OSError: it is there but cannot be read.
        """
        name = os.fspath(name)
        try:
            return self._remote(name) if "://" in name else self._local(Path(self._base or "", name))
        except OSError:
            raise
        except Exception as error:
            # A filesystem without a driver or credentials, a home that is nobody's, a name that none can have.
            raise OSError(errno.EINVAL, f"{type(error).__name__}: {error}", name) from error

    def _local(self, path: Path) -> str:
        path = path.expanduser()
        if path.is_dir():
            return _directory(sorted(self._tree(path, b"", frozenset())))
        try:
            return self._file(path)
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT

    def _tree(
        self, path: Path, relative: bytes, above: frozenset[tuple[int, int]]
    ) -> Iterator[tuple[bytes, str]]:
        """Relative names of all that is below a directory, with digests; links are followed, once around."""
        status = path.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            yield relative, "circle"
            return
        yield relative, "directory"  # an empty one can be seen, too
        with os.scandir(path) as entries:
            for entry in entries:
                name = relative + b"/" + os.fsencode(entry.name)
                if entry.is_dir():
                    yield from self._tree(Path(entry.path), name, above | {here})
                elif entry.is_file():
                    yield name, self._file(Path(entry.path))
                else:
                    yield name, "neither"  # a link to nowhere, a pipe

    def _file(self, path: Path) -> str:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "neither a file nor a directory", str(path))
        settled = time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED
        if status.st_size < _REMEMBERED_FROM or not settled:
            return _read(path)
        sign = _sign(path, status)
        return self._remembered(sign, lambda: _read(path), lambda: _sign(path, path.stat()) == sign)

    def _remote(self, name: str) -> str:
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(name)
        filesystem.invalidate_cache()
        if filesystem.isdir(path):
            base = str(path).rstrip("/") + "/"
            found = sorted(filesystem.find(path, detail=True).items())
            pieces = [
                (file.removeprefix(base).encode(), self._object(filesystem, file, info))
                for file, info in found
            ]
            return _directory(pieces)
        try:
            return self._object(filesystem, path, filesystem.info(path))
        except FileNotFoundError:
            return ABSENT

    def _object(self, filesystem: Any, path: str, info: dict[str, Any]) -> str:
        def read() -> str:
            hasher = blake3()
            with filesystem.open(path, "rb") as file:
                while piece := file.read(_PIECE):
                    hasher.update(piece)
            return hasher.hexdigest()

        marks = [
            str(info[mark]) for mark in ("ETag", "etag", "md5Hash", "content_md5", "md5") if info.get(mark)
        ]
        if not marks:
            return read()  # nothing that this filesystem says of a file changes for sure when the file does
        sign = (str(filesystem.unstrip_protocol(path)), info.get("size"), *marks)
        return self._remembered(sign, read, lambda: True)

    def _remembered(self, sign: tuple[Any, ...], read: Callable[[], str], stayed: Callable[[], bool]) -> str:
        key = blake3(b"file" + repr(sign).encode()).hexdigest()
        if key not in self._known:
            found = self._memory.get(key)
            if found is None:
                found = read()
                if not stayed():
                    return found  # of a file in motion, which is neither what it was nor what it will be
                self._memory[key] = found
            self._known[key] = found
        return self._known[key]


def _sign(path: Path, status: os.stat_result) -> tuple[Any, ...]:
    """What tells whether a file is the one that was read."""
    return (str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _read(path: Path) -> str:
    """Digest of a file's content; read in pieces, because mapping a file that shrinks ends the process."""
    hasher = blake3(max_threads=blake3.AUTO)
    piece = memoryview(bytearray(min(_PIECE, max(1, path.stat().st_size))))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(piece):
            hasher.update(piece[:count])
    return hasher.hexdigest()


def _directory(files: list[tuple[bytes, str]]) -> str:
    pieces = (piece for name, digest in files for piece in (name, digest.encode()))
    # Said in words, too: a file's content may be anything.
    return f"directory {blake3(tagged(b'directory', *pieces)).hexdigest()}"
