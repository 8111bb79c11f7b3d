"""Uploads: they hold nothing up, are found meanwhile, are complete in the end, and fail loudly and once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest
from bad_line import Faults, FlakyFileSystem
from s3_server import Bucket

from hydra_cached.stores import connection as connection_module
from hydra_cached.stores.base import Entry
from hydra_cached.stores.leases import Leases
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.serializers import dump, load
from hydra_cached.stores.transfer import Source
from hydra_cached.stores.uploads import UploadingStore, Uploads
from hydra_cached.testing import is_whole, key_of, made

KEY, OTHER = key_of(1), key_of(2)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Uploads pass when it is set."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> Faults:
    faults = Faults()
    monkeypatch.setattr(FlakyFileSystem, "faults", faults)
    monkeypatch.setattr(connection_module, "PAUSE", 0.01)

    def before(name: str, path: str) -> None:
        if name == "pipe":
            assert gate.wait(60)

    faults.before = before
    return faults


@pytest.fixture
def store(faults: Faults) -> UploadingStore:
    return UploadingStore(RemoteStore(f"flaky://{uuid.uuid4().hex}"))


def until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_put_does_not_wait(store: UploadingStore, gate: threading.Event) -> None:
    """A put returns while nothing has arrived; here it is found at once, elsewhere once it has arrived."""
    store.put(KEY, made(1, 1000))
    assert store.remote.get(KEY) is None and is_whole(store.get(KEY)) and list(store.keys()) == [KEY]
    gate.set()
    store.uploads.wait()
    assert is_whole(store.remote.get(KEY)) and is_whole(store.get(KEY)) and list(store.keys()) == [KEY]


def test_what_is_on_its_way_does_not_change(store: UploadingStore, gate: threading.Event) -> None:
    """What the caller does to an array after the put, or to a hit, changes nothing that is stored."""
    array = numpy.arange(1000)
    store.put(KEY, Entry({}, dump(array)))
    array[:] = -1
    for _ in range(2):
        entry = store.get(KEY)
        assert entry is not None and entry.payload is not None
        value = load(entry.payload)
        assert (value == numpy.arange(1000)).all()
        value[:] = -2
    gate.set()
    store.uploads.wait()
    entry = store.remote.get(KEY)
    assert entry is not None and entry.payload is not None
    assert (load(entry.payload) == numpy.arange(1000)).all()


def test_the_last_of_several_puts_wins(store: UploadingStore, gate: threading.Event) -> None:
    """Puts under one key arrive in their order, however many wait."""
    for number in range(20):
        store.put(KEY, Entry({"n": number}))
        assert store.get(KEY) == Entry({"n": number})
    gate.set()
    store.uploads.wait()
    assert store.remote.get(KEY) == Entry({"n": 19})


def test_deleting_what_is_on_its_way(store: UploadingStore, gate: threading.Event) -> None:
    """A delete after a put leaves nothing, whichever of them is quicker."""
    store.put(KEY, made(1, 1000))
    gate.set()
    assert store.delete(KEY)
    store.uploads.wait()
    assert store.get(KEY) is None and store.remote.get(KEY) is None


def test_memory_is_bounded(faults: Faults, gate: threading.Event) -> None:
    """Who would have more wait than there is room for, waits; something larger than the room goes alone."""
    store = UploadingStore(RemoteStore(f"flaky://{uuid.uuid4().hex}"), room=10_000)
    done = threading.Event()

    def put() -> None:
        for number in range(4):
            store.put(key_of(number), made(number, 4000))
        store.put(OTHER, made(9, 100_000))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    until(lambda: len(store.uploads.keys()) == 2)
    time.sleep(0.2)
    assert len(store.uploads.keys()) == 2 and not done.is_set()
    gate.set()
    assert done.wait(60)
    thread.join()
    store.uploads.wait()
    assert all(is_whole(store.remote.get(key)) for key in (*map(key_of, range(4)), OTHER))


def test_a_lease_is_released_when_the_result_has_arrived(
    store: UploadingStore, gate: threading.Event
) -> None:
    """Until the upload is done the lease is held and touched; then others find it free, and the result."""
    from hydra_cached.stores.claims import MemoryClaims

    claims = MemoryClaims()
    leases = Leases(claims, heartbeat=0.05, later=store.uploads.after)
    lease, _ = leases.take(KEY, "something", lambda: None)
    assert lease is not None
    store.put(KEY, made(1, 1000))
    lease.release()
    until(lambda: (claims.read(KEY) or ("", 0.0))[1] > 0.01)
    until(lambda: (claims.read(KEY) or ("", 1.0))[1] < 0.01)  # it was touched
    assert claims.read(KEY) is not None
    gate.set()
    until(lambda: claims.read(KEY) is None)
    assert is_whole(store.remote.get(KEY))
    free, _ = leases.take(OTHER, "something", lambda: None)
    assert free is not None
    free.release()
    assert claims.read(OTHER) is None


def test_failures_are_said_once_of_each_kind(
    store: UploadingStore, faults: Faults, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Uploads that fail raise nothing, and are reported loudly, once; what waits for them goes on."""
    faults.fail(10**6, ValueError("this cannot be stored"), only="pipe")
    after: list[int] = []
    with caplog.at_level(logging.DEBUG):
        for number in range(2):
            store.put(key_of(number), made(number, 1000))
            store.uploads.after(key_of(number), lambda: after.append(1))
        store.uploads.wait()
    until(lambda: len(after) == 2)
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record for record in said if "could not be uploaded" in record.message] == said[:1] and said
    assert "this cannot be stored" in caplog.text


def test_a_store_that_is_left_alone_takes_no_more(store: UploadingStore, faults: Faults) -> None:
    """Once the store is left alone, a put says so, and nothing piles up."""
    faults.fail(10**6)
    for number in range(10):
        try:
            store.put(key_of(number), made(number, 100))
        except OSError:
            break
        store.uploads.wait()
    else:
        raise AssertionError("ten puts into a dead store")
    assert store.uploads.keys() == [] and store.get(KEY) is None


def test_forked_processes_upload_nothing_of_their_parents(
    store: UploadingStore, gate: threading.Event
) -> None:
    """A child does not wait for uploads of its parent, nor do them again."""
    store.put(KEY, made(1, 1000))
    child = os.fork()
    if child == 0:
        store.uploads.wait()
        os._exit(7 if store.uploads.keys() == [] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    gate.set()
    store.uploads.wait()
    assert is_whole(store.remote.get(KEY))


def test_waiting_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Who waits for long for the end of the uploads says for how much."""
    gate = threading.Event()
    uploads = Uploads(lambda key, source: gate.wait(60) and None)
    uploads.add(KEY, Source(5_000_000, b"x"))
    timer = threading.Timer(3.5, gate.set)
    timer.start()
    with caplog.at_level(logging.INFO):
        uploads.wait()
    assert "waiting for 1 uploads" in caplog.text and "5.0 MB" in caplog.text


WRITER = """
import json, os, sys, time
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.uploads import UploadingStore
from hydra_cached.testing import key_of, made
url, options, how = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
store = UploadingStore(RemoteStore(url, options))
store.get(key_of(0))
for number in range(12):
    store.put(key_of(number), made(number, 3_000_000))
print("put", flush=True)
if how == "exit":
    sys.exit(3)
if how == "raise":
    raise RuntimeError("the app's own")
if how == "killed":
    time.sleep(600)
"""


@pytest.mark.parametrize(("how", "status"), [("return", 0), ("exit", 3), ("raise", 1)])
def test_a_process_that_ends_has_uploaded_all(bucket: Bucket, how: str, status: int) -> None:
    """However an interpreter ends by itself, what was put is there afterwards, also where no session was closed."""
    import json

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WRITER, bucket.url, json.dumps(bucket.options), how],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    store = RemoteStore(bucket.url, bucket.options)
    assert all(is_whole(store.get(key_of(number))) for number in range(12))


def test_a_killed_process_loses_only_what_had_not_arrived(bucket: Bucket) -> None:
    """What a killed process had uploaded is whole, and nothing else is visible."""
    import json

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, bucket.url, json.dumps(bucket.options), "killed"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    store = RemoteStore(bucket.url, bucket.options)
    try:
        until(lambda: len(list(store.keys())) >= 2, 120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    found = list(store.keys())
    assert len(found) >= 2 and all(is_whole(store.get(key)) for key in found)
