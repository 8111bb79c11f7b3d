"""Digests of the contents of files and directories that a node declares with ``_cache_files_``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from hydra_cached.keys.canonical import tagged

ABSENT = "absent"
_REMEMBERED_FROM = 1 << 20  # bytes; a smaller file is read faster than remembered
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
        if "://" in name:
            return self._remote(name)
        path = Path(self._base or "", name).expanduser()
        if path.is_dir():
            files = sorted(found for found in path.rglob("*") if found.is_file())
            return _directory([(os.fsencode(file.relative_to(path)), self._file(file)) for file in files])
        try:
            return self._file(path)
        except FileNotFoundError:
            return ABSENT

    def _file(self, path: Path) -> str:
        status = path.stat()
        sign = (str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        settled = time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED
        if status.st_size < _REMEMBERED_FROM or not settled:
            return blake3(path.read_bytes()).hexdigest()
        return self._remembered(sign, lambda: blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest())

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
                while piece := file.read(1 << 22):
                    hasher.update(piece)
            return hasher.hexdigest()

        marks = [
            str(info[mark]) for mark in ("ETag", "etag", "md5Hash", "content_md5", "md5") if info.get(mark)
        ]
        if not marks:
            return read()  # nothing that this filesystem says of a file changes for sure when the file does
        return self._remembered((str(filesystem.unstrip_protocol(path)), info.get("size"), *marks), read)

    def _remembered(self, sign: tuple[Any, ...], read: Callable[[], str]) -> str:
        key = blake3(b"file" + repr(sign).encode()).hexdigest()
        if key not in self._known:
            found = self._memory.get(key)
            if found is None:
                found = self._memory[key] = read()
            self._known[key] = found
        return self._known[key]


def _directory(files: list[tuple[bytes, str]]) -> str:
    pieces = (piece for name, digest in files for piece in (name, digest.encode()))
    return blake3(tagged(b"directory", *pieces)).hexdigest()
