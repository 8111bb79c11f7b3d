"""What kind of file system a file is on: where other hosts can remove it, a map of it may end this process."""

from __future__ import annotations

import errno
import functools
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

GONE = (errno.ENOENT, errno.ESTALE)  # of an open file: it was removed or replaced, on another host
DOUBTS = (0.05, 0.25, 1.0)  # seconds after which what is in doubt is looked at again
_PAUSES = (0.01, 0.05, 0.2, 0.5, 1.0, 1.5)  # seconds; hosts remember names for one second, or three
# Their servers, or other clients, may drop a file that is open here. Who then touches a page that was not read yet
# is killed by SIGBUS, while a read is an error like any other. Lustre, GPFS and CephFS keep what somebody has open.
_DROPS_OPEN_FILES = re.compile(r"nfs.*|cifs|smb.*|9p|afs|fuse(\..*)?|vboxsf|virtiofs|prl_fs")


class InDoubt(Exception):
    """What is seen may be damage, or one file by the size of another; later it can be told."""


@functools.cache
def keeps_open_files(device: int) -> bool:
    """Whether a file that is open, or mapped, stays readable when somebody removes it, on whatever host.

    Where the system does not tell the kind of file system, it is taken for a local one.

    Args:
        device: ``st_dev`` of the file.
    """
    return _DROPS_OPEN_FILES.fullmatch(kind_of(device)) is None


def kind_of(device: int) -> str:
    """The type of the file system that is mounted from a device, such as ``ext4``; empty if that is not known."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}".encode()
    for words in lines:
        if b"-" in words and words[2] == wanted:
            return words[words.index(b"-") + 1].decode(errors="replace")
    return ""


def patiently(action: Callable[[], T]) -> T:
    """Do something with a file that another host may just have replaced.

    A host that remembers the file that was there is told that its handle is stale, until it has forgotten.
    """
    for pause in _PAUSES:
        try:
            return action()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        time.sleep(pause)
    return action()


def rename(source: Path, target: Path) -> None:
    """Rename a file over another one, which somebody may be removing on another host.

    It is then told that something is not there, also where it was renamed after all.
    """
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        try:
            source.replace(target)
        except FileNotFoundError as error:
            if not source.exists():
                if attempts > 1:
                    return
                raise
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(target)) from error

    patiently(attempt)
