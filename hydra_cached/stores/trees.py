"""Files and directories to bytes and back, for artifacts."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra_cached.stores.base import Buffer

FILE, PROGRAM, DIRECTORY, LINK = "file", "program", "directory", "link"
_MAPPED_FROM = 1 << 24  # bytes; a larger file is not read into memory but copied and mapped

Item = tuple[str, str, Buffer]  # relative name, what it is, content (of a link: where it leads)


def read_tree(path: Path) -> list[Item]:
    """All of a file, or of a directory and what is in it; links in a directory stay links.

    Raises:
        OSError: it is not there, cannot be read, or has something in it that is neither.
    """
    return [_item(path, ".", os.stat(path)), *(_inside(path, "") if path.is_dir() else ())]


def write_tree(path: Path, items: Sequence[tuple[str, str, Any]]) -> None:
    """Make a path hold what was read; files that are there are replaced, each at once.

    Raises:
        OSError: it cannot, or a directory is there that has other things in it.
    """
    names = {os.path.normpath(path / name) for name, _, _ in items}
    for root, inner, files in os.walk(path):
        for name in (*inner, *files):
            if os.path.normpath(os.path.join(root, name)) not in names:
                raise FileExistsError(f"{os.path.join(root, name)} is there, and was not when it was stored")
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, kind, content in items:
        _write(path / name, kind, memoryview(content))


def _inside(path: Path, above: str) -> Iterator[Item]:
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{above}{entry.name}"
            yield _item(Path(entry.path), name, entry.stat(follow_symlinks=False))
            if entry.is_dir(follow_symlinks=False):
                yield from _inside(Path(entry.path), f"{name}/")


def _item(path: Path, name: str, status: os.stat_result) -> Item:
    if stat.S_ISLNK(status.st_mode):
        return name, LINK, os.fsencode(os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return name, DIRECTORY, b""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is neither a file nor a directory")
    return name, PROGRAM if status.st_mode & stat.S_IXUSR else FILE, _content(path, status.st_size)


def _content(path: Path, size: int) -> Buffer:
    if size < _MAPPED_FROM:
        return path.read_bytes()
    # Of a file that somebody shortens while it is mapped, reading ends the process. So a copy of our own is mapped.
    beside = path.parent if os.access(path.parent, os.W_OK) else None
    with tempfile.TemporaryFile(dir=beside) as copy, open(path, "rb") as file:
        shutil.copyfileobj(file, copy, 1 << 22)
        copy.flush()
        return memoryview(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))


def _write(path: Path, kind: str, content: memoryview) -> None:
    if kind == DIRECTORY:
        path.mkdir(exist_ok=True)
        return
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        if kind == LINK:
            temporary.symlink_to(os.fsdecode(bytes(content)))
        else:
            temporary.write_bytes(content)
            if kind == PROGRAM:
                temporary.chmod(temporary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
