"""What stores must do for many processes, some of which are killed, and what leases must do for them."""

from __future__ import annotations

import os
import signal
import time

import pytest

from hydra_cached.stores.base import Store
from hydra_cached.testing import workers as at
from hydra_cached.testing.backend import Backend, is_whole, key_of, made
from hydra_cached.testing.store_suite import report_of
from hydra_cached.testing.workers import workers

KEY = key_of(0)
NAMES = [key_of(number) for number in range(100, 112)]


class ProcessSuite:
    """For stores that several processes share. Needs the fixture ``backend``."""

    @pytest.fixture
    def store(self, backend: Backend) -> Store:
        return backend.open()

    def test_processes_that_use_one_key_never_mix(self, backend: Backend, store: Store) -> None:
        """Readers and writers of one key, in several processes: every read is whole, nobody meets an error."""
        with workers(backend, at.write, 4, 1, 15) as started:
            while started.process.poll() is None:
                entry = store.get(KEY)
                assert entry is None or is_whole(entry)
            started.join()
            assert started.said("whole")
        store.put(KEY, made(1, 64))
        assert is_whole(store.get(KEY)) and list(store.keys()) == [KEY]

    def test_kills_at_random_instants_leave_no_partial_entry(self, backend: Backend, store: Store) -> None:
        """Writers killed with SIGKILL in mid-put: every entry that anybody finds is whole."""
        with workers(backend, at.write, 3, 4, 10**9, kills=20) as started:
            while started.process.poll() is None:
                for key in store.keys():
                    entry = store.get(key)
                    assert entry is None or is_whole(entry)
            started.join()
            assert started.said("whole")
        for key in store.keys():
            assert report_of(store, key) is None if store.get(key) is None else is_whole(store.get(key))
        assert set(store.keys()) <= {key_of(number) for number in range(4)}
        store.put(KEY, made(1, 64))
        assert is_whole(store.get(KEY))

    def test_what_one_process_stores_another_finds(self, backend: Backend, store: Store) -> None:
        """A put that has returned is seen by a process that is started later, and by one that has looked before."""
        assert store.get(KEY) is None
        store.put(KEY, made(1, 96_000))
        with workers(backend, at.read, 1) as started:
            started.join()
            assert started.said("whole") == [KEY]

    def test_a_forked_child_uses_what_its_parent_opened(self, backend: Backend) -> None:
        """A handle that was used before a fork works in the child, which has no threads, and in its parent."""
        with workers(backend, at.fork, 1) as started:
            started.join()
            assert started.said("whole")


class LeaseProcessSuite:
    """For stores with claims that several processes share. Needs the fixture ``backend``."""

    def test_of_many_processes_that_create_a_claim_one_succeeds(self, backend: Backend) -> None:
        """Six processes create the same twelve claims at the same time: each has one owner."""
        with workers(backend, at.create, 6, NAMES) as started:
            started.join()
            assert sorted(started.said("won")) == sorted(NAMES)
        assert all(str(backend.claims().read(name)).startswith("('worker ") for name in NAMES)

    def test_of_many_processes_that_swap_a_claim_one_succeeds(self, backend: Backend) -> None:
        """Four processes count a claim up: each number is reached by one of them alone."""
        backend.claims().create(KEY, "0")
        with workers(backend, at.swap, 4, KEY, 60) as started:
            started.join()
            won = sorted(map(int, started.said("won")))
        assert won == list(range(1, len(won) + 1)) and len(won) > 5
        claim = backend.claims().read(KEY)
        assert claim is not None and claim[0] == str(len(won))

    def test_many_processes_compute_one_key_once(self, backend: Backend) -> None:
        """Eight processes that miss one key at once: one computes it, all have its result, no claim is left."""
        with workers(backend, at.compute, 8, KEY, 1.0) as started:
            started.join()
            assert len(started.said("ran")) == 1
            has = started.said("has")
        assert len(has) == 8 and len(set(has)) == 1 and backend.claims().read(KEY) is None

    def test_an_owner_that_is_killed_is_taken_over(self, backend: Backend) -> None:
        """The process that computes is killed with SIGKILL: one other begins at once, the rest get its result."""
        with workers(backend, at.compute, 5, KEY, 2.0) as started:
            [first] = started.wait_for("ran", 1)
            time.sleep(0.3)
            os.kill(int(first), signal.SIGKILL)
            killed = time.monotonic()
            started.wait_for("ran", 2)
            assert time.monotonic() - killed < 10
            started.join()
            assert len(started.said("ran")) == 2 and len(started.said("has")) == 4
            assert len(set(started.said("has"))) == 1
        assert backend.claims().read(KEY) is None
