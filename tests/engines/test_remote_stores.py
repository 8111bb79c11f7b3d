"""Stores at URLs: Ceph's S3 gateway, Azurite, SFTP, moto, and two that cannot create exclusively."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backends import RemoteBackend, TieredBackend
from buckets import Place

from hydra_cached.stores.base import Store
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.testing import (
    Backend,
    ClaimsSuite,
    DamageSuite,
    LeaseProcessSuite,
    LeaseSuite,
    ProcessSuite,
    StoreSuite,
    key_of,
)


class TestRemote(StoreSuite, DamageSuite, ProcessSuite, ClaimsSuite, LeaseSuite, LeaseProcessSuite):
    """All that a store must do that several hosts share."""

    @pytest.fixture
    def backend(self, place: Place) -> Backend:
        new = place.new()
        return RemoteBackend(new.url, new.options, step=120)


class TestTiered(ProcessSuite):
    """The same behind a directory."""

    @pytest.fixture
    def backend(self, place: Place, tmp_path: Path) -> Backend:
        new = place.new()
        return TieredBackend(new.url, new.options, root=tmp_path / "near")


class TestMoto(ProcessSuite):
    """What `make test` leaves out, for moto is slow where many ask."""

    @pytest.fixture
    def backend(self, moto: Place) -> Backend:
        new = moto.new()
        return RemoteBackend(new.url, new.options)


class TestUnconditional(StoreSuite):
    """An S3, and what stands in for Google's, without conditions: stores, and no places for leases."""

    @pytest.fixture
    def backend(self, unconditional: Place) -> Backend:
        new = unconditional.new()
        return RemoteBackend(new.url, new.options)

    def test_threads_that_use_one_key_never_mix(self, backend: Backend, store: Store) -> None:
        """As for all stores."""
        if str(backend).startswith("RemoteBackend(url='s3:"):
            pytest.skip("s3rver itself ends when an object is deleted while it is written")
        super().test_threads_that_use_one_key_never_mix(backend, store)

    def test_claims_are_refused(self, backend: Backend) -> None:
        """That all who create one object succeed is found out, and leases are done without, not believed in."""
        claims = [backend.open().claims() for _ in range(8)]

        def create(number: int) -> bool:
            try:
                one = claims[number]
                return one is not None and one.create(key_of(1), str(number))
            except OSError:
                return False

        with ThreadPoolExecutor(8) as pool:
            assert not any(pool.map(create, range(8)))
        assert isinstance(backend.open(), RemoteStore)
