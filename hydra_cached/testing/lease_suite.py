"""What leases must do on top of a backend's claims, as seen by the threads of one process."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import pytest

from hydra_cached.stores.base import Claims
from hydra_cached.stores.leases import Leases
from hydra_cached.stores.owners import Here, Owner
from hydra_cached.testing.backend import Backend, key_of
from hydra_cached.testing.claims_suite import text_of

KEY = key_of(1)


def nothing() -> None:
    """Finds nothing."""


class Watched(Claims):
    """Claims, and how many creations were refused."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._lock = threading.Lock()
        self.refused = 0

    def create(self, name: str, text: str) -> bool:
        created = self._claims.create(name, text)
        with self._lock:
            self.refused += not created
        return created

    def read(self, name: str) -> tuple[str, float] | None:
        return self._claims.read(name)

    def touch(self, name: str) -> None:
        self._claims.touch(name)

    def swap(self, name: str, old: str, new: str) -> bool:
        return self._claims.swap(name, old, new)

    def drop(self, name: str, text: str) -> bool:
        return self._claims.drop(name, text)


def elsewhere() -> Here:
    """A process of another machine."""
    return dataclasses.replace(Here.now(), host="elsewhere", machine="another start of another machine")


class LeaseSuite:
    """For stores that have claims. Needs the fixture ``backend``."""

    @pytest.fixture
    def claims(self, backend: Backend) -> Claims:
        return backend.claims()

    def test_one_takes_and_the_next_takes_when_it_is_released(self, claims: Claims) -> None:
        """A lease that is free is taken at once; released twice, it is released once."""
        lease, found = Leases(claims).take(KEY, "it", nothing)
        assert lease is not None and found is None and claims.read(KEY) is not None
        lease.release()
        assert claims.read(KEY) is None
        claims.create(KEY, "somebody else's")
        lease.release()
        assert text_of(claims, KEY) == "somebody else's"

    def test_who_has_the_lease_looks_once_more(self, claims: Claims) -> None:
        """The last owner may have been done a moment ago: what is there then is found, and the lease is let go."""
        assert Leases(claims).take(KEY, "it", lambda: "done") == (None, "done")
        assert claims.read(KEY) is None

    def test_a_waiter_finds_what_the_owner_made(self, claims: Claims) -> None:
        """While another thread computes, a second waits; then it finds the result."""
        leases, made = Leases(claims), threading.Event()
        lease, _ = leases.take(KEY, "it", nothing)
        assert lease is not None
        found: list[Any] = []
        look = lambda: "made" if made.is_set() else None  # noqa: E731
        thread = threading.Thread(target=lambda: found.append(leases.take(KEY, "it", look)))
        thread.start()
        time.sleep(0.3)
        assert found == []
        made.set()
        lease.release()
        thread.join(30)
        assert found == [(None, "made")]

    def test_a_lease_that_is_released_without_a_result_is_not_passed_on(self, claims: Claims) -> None:
        """What was too quick, or failed, is not worth waiting for again: all that waited compute at once."""
        watched = Watched(claims)
        leases, found = Leases(watched), []
        lease, _ = leases.take(KEY, "it", nothing)
        assert lease is not None
        waits = lambda: found.append(leases.take(KEY, "it", nothing))  # noqa: E731
        threads = [threading.Thread(target=waits) for _ in range(6)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60
        while watched.refused < 6:
            assert time.monotonic() < end, f"{watched.refused} threads wait"
            time.sleep(0.01)
        lease.release()
        for thread in threads:
            thread.join(30)
        assert found == [(None, None)] * 6

    @pytest.mark.parametrize("text", ["", "{", "somebody's own"])
    def test_a_claim_that_says_nothing_is_taken_over(self, claims: Claims, text: str) -> None:
        """An owner that was killed before it wrote who it is holds up nobody for more than a moment."""
        claims.create(KEY, text)
        begin = time.monotonic()
        lease, _ = Leases(claims).take(KEY, "it", nothing)
        assert lease is not None and time.monotonic() - begin < 10
        lease.release()
        assert claims.read(KEY) is None

    def test_an_owner_of_this_machine_that_is_gone_is_replaced(self, claims: Claims) -> None:
        """However young its claim is."""
        here = Here.now()
        claims.create(KEY, Owner.me(dataclasses.replace(here, started=here.started - 1)).to_text())
        begin = time.monotonic()
        lease, _ = Leases(claims).take(KEY, "it", nothing)
        assert lease is not None and time.monotonic() - begin < 10
        lease.release()

    def test_an_owner_elsewhere_is_waited_for_while_it_beats(self, backend: Backend, claims: Claims) -> None:
        """An owner elsewhere that beats is waited for; one that has ceased to is taken over, not before."""
        times: dict[str, Any] = {"heartbeat": 0.15, "missed": 2.0 + 2 * backend.resolution}
        owner = Leases(claims, here=elsewhere, **times)
        lease, _ = owner.take(KEY, "it", nothing)
        assert lease is not None
        patient = Leases(claims, 1.5 * times["missed"], **times)
        assert patient.take(KEY, "it", nothing) == (None, None)  # waited in vain: it is alive
        lease._heart.remove(lease)
        begin = time.monotonic()
        taken, _ = Leases(claims, **times).take(KEY, "it", nothing)
        assert taken is not None and time.monotonic() - begin < 20
        lease.release()
        assert claims.read(KEY) is not None  # not its own any more
        taken.release()
        assert claims.read(KEY) is None
