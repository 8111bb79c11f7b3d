"""Places that are kept within bounds: what that needs, and the local directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from typing import Protocol

from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.trim import Trimmable, Uses, leased_keys

MARK = "trimmed"  # its time of last write says when somebody last looked at all of a place


class Place(Protocol):
    """What is kept within bounds.

    Attributes:
        at_once: whether to look while a run stores results, or when it is done.
        pause: seconds between two looks at all of it, whoever looks.
    """

    at_once: bool
    pause: float

    @property
    def entries(self) -> Trimmable:
        """What can be removed."""

    def note_use(self, key: str) -> None:
        """An entry was used."""

    def used(self) -> Collection[str]:
        """Keys of the entries that this process used."""

    def leased(self) -> Collection[str]:
        """Keys that are under lease, whether or not their owner is alive."""

    def last_look(self) -> float:
        """When somebody last looked at all of it, in seconds since 1970; 0 if nobody did."""

    def note_look(self) -> None:
        """Tell others not to look, too."""


class LocalPlace:
    """A directory, in which uses are noted.

    Args:
        directory: its store.
    """

    at_once, pause = True, 60.0

    def __init__(self, directory: LocalStore) -> None:
        self.entries = directory
        self._uses = Uses(directory)
        self._mark = directory.root / MARK

    def note_use(self, key: str) -> None:
        self._uses.record(key)

    def used(self) -> Collection[str]:
        return self._uses.seen

    def leased(self) -> Collection[str]:
        return leased_keys(self.entries.root)

    def last_look(self) -> float:
        try:
            return self._mark.stat().st_mtime
        except OSError:
            return 0.0

    def note_look(self) -> None:
        try:
            os.utime(self._mark)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.close(self.entries.access.create(self._mark))
