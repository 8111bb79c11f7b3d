"""Claims: small named texts of which each name can be created only once. Leases are made of them.

Claims of a directory are files in it. Creating one is exclusive (``O_EXCL``); whoever replaces or removes one
holds a lock on that very file, so that of many that have found the same owner dead one alone takes its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blake3 import blake3

from hydra_cached.stores.filesystems import GONE, keeps_open_files, patiently, rename
from hydra_cached.stores.trust import PRIVATE, Access

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None  # type: ignore[no-redef]

NAME = re.compile(r"[0-9a-f]{16,}")
_CLOCK_KEEPS = 5.0  # seconds for which a reading of the file system's clock is gone by
_MARK_KEEPS = 10.0  # seconds in which who has marked a claim has replaced it
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_LONGEST = 4096


def check_name(name: str) -> str:
    """The name, if it can be a claim's.

    Raises:
        ValueError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a claim: a name is a string of hex digits")
    return name


class LocalClaims:
    """Claims as files in a directory, which is made at the first.

    Args:
        directory: where they lie.
        access: the modes of what is made.
        make_room: makes the directory.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        access: Access = PRIVATE,
        make_room: Callable[[Path], None] | None = None,
    ) -> None:
        self._directory = Path(directory).absolute()
        self._access = access
        self._make_room = make_room or access.make_directories
        self._clock = (
            -_CLOCK_KEEPS,
            0.0,
        )  # when it was read, by time.monotonic, and how far it is ahead of that

    def __repr__(self) -> str:
        return f"LocalClaims({str(self._directory)!r})"

    def create(self, name: str, text: str) -> bool:
        path = self._path(name)
        try:
            self._create(path, text)
        except FileExistsError:
            return False
        except FileNotFoundError:
            self._make_room(self._directory)
            try:
                self._create(path, text)
            except FileExistsError:
                return False
        return True

    def read(self, name: str) -> tuple[str, float] | None:
        path = self._path(name)
        return patiently(lambda: self._read(path))

    def _read(self, path: Path) -> tuple[str, float] | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW)
        except FileNotFoundError:
            return None
        try:
            text = os.read(descriptor, _LONGEST).decode(errors="replace")
            return text, max(0.0, self._now() - os.fstat(descriptor).st_mtime)
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def touch(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._path(name))  # to the file system's own time: that is what ages are measured by

    def swap(self, name: str, old: str, new: str) -> bool:
        path = self._path(name)
        with self._locked(path, old) as mine:
            mine = mine and (self._sees_all() or self._first_to_replace(name, old))
            if mine:
                temporary = self._directory / f".{uuid.uuid4().hex}.tmp"
                self._fill(self._access.create(temporary), temporary, new)
                rename(temporary, path)
            return mine

    def drop(self, name: str, text: str) -> bool:
        path = self._path(name)
        with self._locked(path, text) as mine:
            if mine:
                path.unlink()
            return mine

    def _path(self, name: str) -> Path:
        return self._directory / check_name(name)

    def _sees_all(self) -> bool:
        """Whether this host sees what others do as soon as they have done it, as on a file system of its own."""
        return keeps_open_files(os.stat(self._directory).st_dev)

    def _first_to_replace(self, name: str, text: str) -> bool:
        """Whether nobody replaces, or has replaced, a claim of this text; for hosts that may see it for too long.

        The mark that tells is swept up later; no two claims have the same text.
        """
        digest = blake3(f"{name} {text}".encode()).hexdigest()
        mark = self._directory / f".{digest[:32]}.tmp"
        try:
            os.close(self._access.create(mark))
        except FileExistsError:
            with contextlib.suppress(OSError):
                if self._now() - mark.stat().st_mtime > _MARK_KEEPS:
                    mark.unlink()  # who made it has died of it, or was slow
            return False
        return True

    def _create(self, path: Path, text: str) -> None:
        if not self._sees_all() and self._linked(path, text):
            return
        self._fill(self._access.create(path), path, text)

    def _linked(self, path: Path, text: str) -> bool:
        """Create a claim with its text in it; False if this file system has no links.

        Another host may see a file empty for a while that was created first and written then.
        """
        temporary = self._directory / f".{uuid.uuid4().hex}.tmp"
        self._fill(self._access.create(temporary), temporary, text)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # An answer may get lost, and the second time one is told that the link is there.
            if os.stat(temporary).st_nlink < 2:
                raise
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return True

    def _fill(self, descriptor: int, path: Path, text: str) -> None:
        try:
            try:
                if os.write(descriptor, text.encode()) < len(text.encode()):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            finally:
                os.close(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    @contextlib.contextmanager
    def _locked(self, path: Path, text: str) -> Iterator[bool]:
        """Whether a claim of this text is there, which then nobody else replaces or removes meanwhile.

        A lock goes with its process, so none is left behind. Where there are no locks, two may both succeed; that
        costs work, not more.
        """
        descriptor = -1
        try:
            descriptor = _open_for_locking(path)
            # Only who is about to replace or remove this very file locks it, so who finds it locked need not wait.
            mine = os.read(descriptor, _LONGEST) == text.encode()
            if mine and fcntl is not None:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    # Locked by somebody, or not there any more. All else means that there are no locks.
                    mine = error.errno not in (errno.EAGAIN, errno.EACCES, *GONE)
            mine = mine and os.path.samestat(os.lstat(path), os.fstat(descriptor))
        except BaseException as error:
            if descriptor >= 0:
                os.close(descriptor)
                descriptor = -1
            if not isinstance(error, OSError) or error.errno not in GONE:
                raise
            mine = False
        try:
            yield mine
        finally:
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def _now(self) -> float:
        """The file system's time, which need not be this machine's."""
        read, ahead = self._clock
        now = time.monotonic()
        if now - read >= _CLOCK_KEEPS:
            probe = self._directory / f".{uuid.uuid4().hex}.now"
            descriptor = self._access.create(probe)
            try:
                os.utime(probe)
                ahead = os.fstat(descriptor).st_mtime - now
            finally:
                os.close(descriptor)
                probe.unlink()
            self._clock = (now, ahead)
        return now + ahead


class MemoryClaims:
    """Claims in this process's memory, for the threads of one process."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, float]] = {}
        self._guard = (os.getpid(), threading.Lock())

    def create(self, name: str, text: str) -> bool:
        check_name(name)
        with self._lock:
            if name in self._claims:
                return False
            self._claims[name] = (text, time.monotonic())
            return True

    def read(self, name: str) -> tuple[str, float] | None:
        check_name(name)
        found = self._claims.get(name)
        return None if found is None else (found[0], time.monotonic() - found[1])

    def touch(self, name: str) -> None:
        check_name(name)
        with self._lock:
            if name in self._claims:
                self._claims[name] = (self._claims[name][0], time.monotonic())

    def swap(self, name: str, old: str, new: str) -> bool:
        check_name(name)
        with self._lock:
            if name not in self._claims or self._claims[name][0] != old:
                return False
            self._claims[name] = (new, time.monotonic())
            return True

    def drop(self, name: str, text: str) -> bool:
        check_name(name)
        with self._lock:
            if name not in self._claims or self._claims[name][0] != text:
                return False
            del self._claims[name]
            return True

    @property
    def _lock(self) -> threading.Lock:
        """One that no thread of a process from which this one was forked can be holding."""
        if self._guard[0] != os.getpid():
            self._guard = (os.getpid(), threading.Lock())
        return self._guard[1]


def _open_for_locking(path: Path) -> int:
    try:
        return os.open(
            path, os.O_RDWR | _NO_FOLLOW
        )  # network file systems want to be able to write where they lock
    except PermissionError:
        return os.open(path, os.O_RDONLY | _NO_FOLLOW)
