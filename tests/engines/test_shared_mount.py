"""A directory that two hosts have mounted, as far as one machine can play both: two mounts of one GlusterFS."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from backends import LocalBackend

from hydra_cached.stores.base import Entry, Store
from hydra_cached.stores.filesystems import GONE
from hydra_cached.stores.local import LocalStore
from hydra_cached.testing import (
    Backend,
    ClaimsSuite,
    DamageSuite,
    LeaseProcessSuite,
    LeaseSuite,
    ProcessSuite,
    StoreSuite,
)


class Unlucky(LocalStore):
    """Its puts may fail where two hosts replace and remove one entry a hundred times a second.

    GlusterFS then says of names that are there that they are not. A result that could not be stored is computed
    again; what is read must be right all the same, and reading must not fail.
    """

    def put(self, key: str, entry: Entry) -> int:
        try:
            return super().put(key, entry)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return 0


@dataclass
class TwoMounts(LocalBackend):
    """Every handle is on the other mount than the one before."""

    other: Path = field(default_factory=Path)
    opened: int = 0

    def settle(self) -> None:
        time.sleep(1.2)  # for so long a mount remembers what was there

    def open(self) -> Store:
        self.opened += 1
        return Unlucky((self.root, self.other)[(self.opened + os.getpid()) % 2])


class TestOneMount(StoreSuite, DamageSuite):
    """What is stored on one host, and damaged there."""

    @pytest.fixture
    def backend(self, two_mounts: tuple[Path, Path]) -> Backend:
        backend = LocalBackend(two_mounts[0] / uuid.uuid4().hex)
        backend.step = 200  # damage is looked at for more than a second
        return backend


class TestTwoMounts(StoreSuite, ProcessSuite, ClaimsSuite, LeaseSuite, LeaseProcessSuite):
    """All that needs no second look behind the store, with every second handle on another mount."""

    @pytest.fixture
    def backend(self, two_mounts: tuple[Path, Path]) -> Backend:
        name = uuid.uuid4().hex
        return TwoMounts(two_mounts[0] / name, other=two_mounts[1] / name)
