"""Remote stores within bounds: jobs evict when they are done, seldom, and nothing that anybody uses."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest
from s3_server import Bucket

from hydra_cached.config import CacheOptions, Mode
from hydra_cached.opening import Opened, open_store
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.testing import is_whole, key_of, made

HOUR = 3600.0
Run = Callable[..., Opened]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let some hours pass, as far as this process can tell."""
    real = time.time

    def pass_by(hours: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + hours * HOUR)

    return pass_by


@pytest.fixture(params=["memory", "s3"])
def run(request: pytest.FixtureRequest) -> Run:
    """Opens the store as one more job does."""
    url, storage = f"memory://{uuid.uuid4().hex}", {}
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        url, storage = f"{bucket.url}/bounded", bucket.options

    def job(**options: object) -> Opened:
        found = open_store(CacheOptions(dir=url, storage_options=storage, **options))  # type: ignore[arg-type]
        assert found is not None
        return found

    return job


def done(job: Opened) -> set[str]:
    """A job ends; gives what is kept then."""
    if job.finish is not None:
        job.finish()
    return set(job.store.keys())


def fill(run: Run, count: int) -> None:
    job = run()
    for number in range(count):
        job.store.put(key_of(number), made(number, 10_000))
    assert len(done(job)) == count


def test_a_job_makes_room(run: Run, later: Callable[[float], None]) -> None:
    """When a job that stored something ends, entries of earlier ones go until nine tenths of the size are kept."""
    fill(run, 20)
    later(2)
    job = run(max_size="100kB")
    assert is_whole(job.store.get(key_of(3)))
    job.store.put(key_of(100), made(100, 10_000))
    kept = done(job)
    assert {key_of(3), key_of(100)} <= kept and 6 <= len(kept) <= 9


def test_old_entries_go(run: Run, later: Callable[[float], None]) -> None:
    """``max_age`` counts from when an entry was stored, and spares what the job used."""
    fill(run, 4)
    later(24 * 31)
    job = run(max_age="30d")
    assert is_whole(job.store.get(key_of(0)))
    job.store.put(key_of(100), made(100, 10))
    assert done(job) == {key_of(0), key_of(100)}


def test_jobs_look_seldom(run: Run, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes lie between two listings of a store, whoever makes them; who stores nothing makes none."""
    looks = []
    real = RemoteStore.stats
    fill(run, 3)
    monkeypatch.setattr(RemoteStore, "stats", lambda store: looks.append(1) or real(store))
    for number in range(100, 104):
        job = run(max_size="10MB")
        job.store.put(key_of(number), made(number, 10))
        assert job.finish is not None
        job.finish()
        job.finish()
    reader = run(max_size="10MB")
    reader.store.get(key_of(0))
    assert reader.finish is not None
    later(1)
    reader.finish()
    assert len(looks) == 1
    job = run(max_size="10MB")
    job.store.put(key_of(104), made(104, 10))
    assert job.finish is not None
    job.finish()
    assert len(looks) == 2


def test_who_may_not_write_removes_nothing(run: Run, later: Callable[[float], None]) -> None:
    """With ``readonly``, bounds do nothing; without bounds, nothing goes."""
    fill(run, 4)
    later(24 * 31)
    job = run(mode=Mode.readonly, max_size="1kB")
    assert is_whole(job.store.get(key_of(0))) and len(done(job)) == 4
    job = run()
    job.store.put(key_of(100), made(100, 10))
    assert len(done(job)) == 5


def test_what_is_under_lease_stays(run: Run, later: Callable[[float], None]) -> None:
    """An entry whose lease somebody holds is not removed."""
    fill(run, 3)
    job = run(max_size="1kB")
    claims = job.store.claims()
    if claims is None:
        pytest.skip("this store has no claims")
    later(2)
    job = run(max_size="1kB")
    assert claims.create(key_of(1), "somebody")
    job.store.put(key_of(100), made(100, 10))
    assert done(job) == {key_of(1), key_of(100)}
