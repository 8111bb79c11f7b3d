"""Our own backends pass the suites that others' backends are held to."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from backends import (
    BoundedBackend,
    LocalBackend,
    MemoryBackend,
    RemoteBackend,
    SharedBackend,
    SignedBackend,
    TieredBackend,
)
from s3_server import Bucket

from hydra_cached.testing import (
    Backend,
    ClaimsSuite,
    DamageSuite,
    LeaseProcessSuite,
    LeaseSuite,
    ProcessSuite,
    StoreSuite,
)


class TestMemory(StoreSuite, ClaimsSuite, LeaseSuite):
    """Memory: all but what needs other processes, or bytes that others can reach."""

    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


class TestLocal(StoreSuite, DamageSuite, ProcessSuite, ClaimsSuite, LeaseSuite, LeaseProcessSuite):
    """A directory: all."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return LocalBackend(tmp_path / "cache")


class TestShared(StoreSuite):
    """A directory for a group."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return SharedBackend(tmp_path / "cache")


class TestSigned(StoreSuite, DamageSuite):
    """A directory whose entries are signed."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        backend = SignedBackend(tmp_path / "cache")
        backend.step = 5
        return backend


class TestBounded(StoreSuite, DamageSuite):
    """A directory with bounds."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        backend = BoundedBackend(tmp_path / "cache")
        backend.step = 5
        return backend


class TestS3(StoreSuite, ClaimsSuite):
    """A bucket of a real server; for all the rest of it, see tests/engines."""

    @pytest.fixture
    def backend(self, bucket: Bucket) -> Backend:
        return RemoteBackend(bucket.url, bucket.options)


class TestMemoryFileSystem(StoreSuite, DamageSuite):
    """fsspec's memory, which creates nothing exclusively."""

    @pytest.fixture
    def backend(self) -> Backend:
        return RemoteBackend(f"memory://{uuid.uuid4().hex}")


class TestTiered(StoreSuite):
    """The same behind a directory."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return TieredBackend(f"memory://{uuid.uuid4().hex}/cache", root=tmp_path / "near")
