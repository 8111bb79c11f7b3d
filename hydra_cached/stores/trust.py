"""Which cache directories can be trusted: an entry is a pickle, so who can plant one runs code in its reader."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra_cached.errors import UntrustedRoot
from hydra_cached.stores.filesystems import patiently


@dataclass(frozen=True)
class Access:
    """Who may use a directory of entries, and whose entries are read.

    Args:
        directories: mode of the directories that we create.
        files: mode of the files that we create.
        exact: set these modes whatever the umask takes away.
        others: read also what other users can have written.
    """

    directories: int = 0o700
    files: int = 0o600
    exact: bool = False
    others: bool = False

    def make_directories(self, path: Path) -> None:
        """Make a directory and the parents that it lacks."""
        patiently(lambda: self._make_directories(path))

    def _make_directories(self, path: Path) -> None:
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for each in reversed(missing):
            try:
                each.mkdir(self.directories)
            except FileExistsError as error:
                if os.path.lexists(each) and not each.is_dir():
                    raise
                if not each.is_dir():
                    # Another host has made it, and this one does not see it yet.
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(each)) from error
            else:
                if self.exact:
                    # What it has inherited of its parent, the group above all, stays.
                    each.chmod(self.directories)

    def create(self, path: str | os.PathLike[str], flags: int = 0) -> int:
        """Create a file that must not be there yet; returns its descriptor, for writing and reading."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, self.files)
        if self.exact:
            try:
                os.fchmod(descriptor, self.files)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor


PRIVATE = Access()  # one user's own
SHARED = Access(0o2770, 0o660, exact=True, others=True)  # a group's, on purpose


def check_root(root: Path) -> None:
    """Make sure that nobody but this user, and root, can have put anything into a cache directory.

    A directory that is not there yet is judged by its parents.

    Raises:
        UntrustedRoot: others can.
    """
    problem = exposure(root)
    if problem is not None:
        raise UntrustedRoot(
            f"{problem}, so others could run code in this process through what they put there. Change that, or set "
            "cache.signing_key (only what was signed is read) or cache.shared=true (all who can write are trusted)"
        )


def exposure(root: Path) -> str | None:
    """How others can write to a cache directory; None if they cannot, or if the system has no such notions.

    The group of which the user is the only member, as many systems make one for each, is not others.
    """
    if not hasattr(os, "geteuid"):
        return None
    for path in (root, root / "entries"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = path.stat()
            if not _own(status.st_uid):
                return f"{path} belongs to {_user(status.st_uid)}"
            if writers := _writers(status):
                return f"{path} can be written to by {writers}"
    for parent in _parents(root):
        with contextlib.suppress(OSError):
            status = parent.stat()
            if not status.st_mode & stat.S_ISVTX and (writers := _writers(status)):
                return f"{parent}, in which {root.name} lies, can be written to by {writers}"
    return None


def foreign_hand(status: os.stat_result) -> str | None:
    """How an open file can have been written by others; None if it cannot."""
    if not hasattr(os, "geteuid"):
        return None
    if not _own(status.st_uid):
        return f"it belongs to {_user(status.st_uid)}"
    writers = _writers(status)
    return f"it can be written to by {writers}" if writers else None


def _parents(root: Path) -> Iterator[Path]:
    """All directories that lead to a root, by its name and by where links in that lead."""
    seen = set()
    for path in (Path(os.path.abspath(root)), Path(os.path.realpath(root))):
        for parent in path.parents:
            if parent not in seen:
                seen.add(parent)
                yield parent


def _own(owner: int) -> bool:
    return owner in (os.geteuid(), 0)


def _writers(status: os.stat_result) -> str:
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    if status.st_mode & stat.S_IWGRP and not _is_of_one(status.st_gid):
        return f"the group {_group(status.st_gid)}"
    return ""


def _is_of_one(group: int) -> bool:
    """Whether a group is root's, or the one that a system makes for each user and gives the user's name."""
    if group == 0:
        return True
    import grp
    import pwd

    try:
        user, record = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    named_so = group == user.pw_gid and record.gr_name == user.pw_name
    return named_so and set(record.gr_mem) <= {user.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
