"""Digests of the contents of files and directories that a node declares with ``_cache_files_``."""

from __future__ import annotations

import os
from pathlib import Path

from blake3 import blake3

from hydra_cached.keys.canonical import tagged


class FileDigests:
    """Digests of files, remembered for as long as a file's size, time of last write and inode stay."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], str] = {}

    def of(self, name: str | os.PathLike[str]) -> str:
        """Digest of a file's content, or of a directory's files by their relative names; ``absent`` if neither.

        Raises:
            OSError: it is there but cannot be read.
        """
        path = Path(name)
        if path.is_dir():
            pieces = []
            for found in sorted(p for p in path.rglob("*") if p.is_file()):
                pieces.append(os.fsencode(found.relative_to(path)))
                pieces.append(self._file(found).encode())
            return blake3(tagged(b"directory", *pieces)).hexdigest()
        try:
            return self._file(path)
        except FileNotFoundError:
            return "absent"

    def _file(self, path: Path) -> str:
        status = path.stat()
        sign = (str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino)
        if sign not in self._known:
            self._known[sign] = blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
        return self._known[sign]
