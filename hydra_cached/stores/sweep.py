"""Sweeping up: what writers that were killed left in the directory of a ``LocalStore``.

Only names that this package gives are touched, only files, and only when nothing has happened to them for long. No
link is followed on the way to them.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra_cached.errors import brief
from hydra_cached.stores.claims import NAME, LocalClaims
from hydra_cached.stores.owners import Here, Owner

log = logging.getLogger("hydra_cached.sweep")
HOUR = 3600.0

_SHARD = re.compile(r"[0-9a-f]{2}")
_UNIQUE = r"[0-9a-f]{32}"
# Entries that were begun and not finished, or set aside; new texts of claims and looks at the clock.
_LEFTOVER = re.compile(rf"\.[0-9a-f]{{16}}\..*{_UNIQUE}\.tmp|[0-9a-f]{{16,}}\.damaged|\.{_UNIQUE}\.(tmp|now)")


def sweep_if_due(root: Path, age: float = HOUR) -> int:
    """Sweep up what is older, unless somebody did so within that time; returns how many files went.

    Args:
        root: the directory of a ``LocalStore``.
        age: in seconds.
    """
    marker = root / "entries" / ".swept"
    try:
        with suppress(FileNotFoundError):
            if 0 <= time.time() - marker.stat().st_mtime < age:
                return 0
            marker.rmdir()
        marker.mkdir(mode=0o700)
        # By the file system's clock, and by times of change, which nobody can set.
        return sweep(root, marker.stat().st_ctime - age)
    except OSError as error:
        log.debug("leftovers in %s were not swept up: %s", root, brief(error))
        return 0


def sweep(root: Path, before: float) -> int:
    """Remove leftovers to which nothing has happened since; returns how many.

    Args:
        root: the directory of a ``LocalStore``.
        before: by the file system's clock, in seconds since 1970.
    """
    if os.unlink not in os.supports_dir_fd or os.listdir not in os.supports_fd:
        return 0
    claims = LocalClaims(root / "leases")
    count = 0
    with _opened(str(root)) as top:
        count += _clear(top, "leases", before, lambda name: _drop_if_dead(claims, name))
        with _opened("entries", top) as entries:
            for shard in os.listdir(entries) if entries is not None else ():
                if _SHARD.fullmatch(shard):
                    count += _clear(entries, shard, before)
    if count:
        log.info("swept up %d leftovers of processes that were killed, in %s", count, root)
    return count


def _clear(at: int | None, name: str, before: float, otherwise: Callable[[str], bool] | None = None) -> int:
    """Remove leftovers from one directory; ``otherwise`` is asked to remove what has another name of ours."""
    count = 0
    with _opened(name, at) as directory:
        for each in os.listdir(directory) if directory is not None else ():
            leftover = _LEFTOVER.fullmatch(each) is not None
            if leftover or (otherwise is not None and NAME.fullmatch(each)):
                with suppress(FileNotFoundError):
                    status = os.stat(each, dir_fd=directory, follow_symlinks=False)
                    if not stat.S_ISREG(status.st_mode) or status.st_ctime >= before:
                        continue
                    if leftover:
                        os.unlink(each, dir_fd=directory)
                    elif otherwise is not None and not otherwise(each):
                        continue
                    count += 1
    return count


def _drop_if_dead(claims: LocalClaims, name: str) -> bool:
    """Remove a claim that has not been touched for long, unless its owner can be seen to be alive."""
    claim = claims.read(name)
    if claim is None:
        return False
    text, silence = claim
    owner = Owner.from_text(text)
    return (owner is None or owner.is_gone(Here.now(), silence, 0.0)) and claims.drop(name, text)


@contextmanager
def _opened(name: str, at: int | None = None) -> Iterator[int | None]:
    """A directory; None if it is not there or is a link. (The root may be one.)"""
    follow = 0 if at is None else os.O_NOFOLLOW
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | follow, dir_fd=at)
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    except OSError:
        if follow:
            yield None
            return
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)
