"""What file systems can do: declared for those that are known, asked of the others; and claims that rest on it."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from bad_line import Faults, FlakyFileSystem
from s3_server import Bucket

from hydra_cached.stores import remote_claims as remote_claims_module
from hydra_cached.stores.capabilities import (
    Exclusive,
    abilities,
    changed_at,
    create,
    probe,
)
from hydra_cached.stores.connection import Connection, is_taken
from hydra_cached.stores.leases import Leases
from hydra_cached.stores.owners import Here, Owner
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.remote_claims import NoClaims, RemoteClaims
from hydra_cached.testing import key_of

KEY = key_of(1)
ROOT = Path(__file__).parents[2]


def left_in(connection: Connection) -> list[str]:
    found: list[str] = connection.call(lambda fs, path: fs.find(path))
    return found


@pytest.mark.parametrize(
    ("protocol", "options", "exclusive", "whole"),
    [
        ("s3", {}, Exclusive.PIPE, True),
        ("s3", {"endpoint_url": "http://localhost"}, Exclusive.ASK, True),
        ("s3", {"client_kwargs": {"endpoint_url": "http://localhost"}}, Exclusive.ASK, True),
        ("gs", {}, Exclusive.PIPE, True),
        ("abfs", {}, Exclusive.PIPE, True),
        ("sftp", {}, Exclusive.OPEN, False),
        ("memory", {}, Exclusive.NO, False),
        ("something", {}, Exclusive.ASK, False),
    ],
)
def test_what_is_declared(
    protocol: str, options: dict[str, Any], exclusive: Exclusive, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known protocols are not asked; other servers than Amazon's that speak S3, and unknown protocols, are."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FSSPEC_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    found = abilities(protocol, options)
    assert found.exclusive is exclusive and found.whole is whole


def test_a_server_with_conditional_puts_is_recognised(bucket: Bucket) -> None:
    """The probe finds a server's conditional put, and leaves nothing behind."""
    connection = Connection(bucket.url, bucket.options)
    assert probe(connection, "leases") is Exclusive.PIPE
    assert left_in(connection) == []


@pytest.mark.parametrize("protocol", ["looksfirst", "ignores"])
def test_clients_that_only_look_first_are_found_out(protocol: str) -> None:
    """A client that looks first and writes then passes one after the other, and fails when several race; a server
    that ignores the condition fails at once. Neither leaves anything behind."""
    connection = Connection(f"{protocol}://{uuid.uuid4().hex}")
    assert probe(connection, "leases") in (Exclusive.NO, Exclusive.OPEN)
    if protocol == "ignores":
        assert probe(connection, "leases") is Exclusive.NO
    assert left_in(connection) == []


def test_a_store_without_exclusive_creation_has_no_claims() -> None:
    """Where nothing is created exclusively there are no claims; where that is found out late, an error says so."""
    assert RemoteStore("memory://somewhere").claims() is None
    claims = RemoteStore(f"ignores://{uuid.uuid4().hex}").claims()
    assert claims is not None
    with pytest.raises(NoClaims, match="no way to create"):
        claims.create(KEY, "a")


class Precondition(Exception):
    response = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}


class Refused(Exception):
    code = 412


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (FileExistsError(), True),
        (caused(OSError(errno.EINVAL, "Invalid"), Precondition()), True),
        (Refused(), True),
        (OSError(errno.EINVAL, "Invalid"), False),
        (PermissionError(), False),
    ],
)
def test_losers_are_told_from_failures(error: Exception, taken: bool) -> None:
    """A loser is one whatever its client calls it, Ceph's ``EINVAL`` included; other failures are failures."""
    assert is_taken(error) is taken


def test_what_a_client_calls_failure_is_looked_at(tmp_path: Path) -> None:
    """Old servers of SFTP say "failure" where a file exists: then it is looked at."""

    class Old:
        def open(self, path: str, mode: str) -> Any:
            raise OSError("Failure")

        def exists(self, path: str) -> bool:
            return path == "there"

    with pytest.raises(FileExistsError):
        create(Old(), "there", b"", Exclusive.OPEN)
    with pytest.raises(OSError, match="Failure"):
        create(Old(), "not there", b"", Exclusive.OPEN)


@pytest.mark.parametrize(
    "info",
    [
        {"LastModified": "2026-01-02T03:04:05+00:00"},
        {"mtime": "2026-01-02T03:04:05Z"},
        {"updated": "2026-01-02T03:04:05"},
        {"mtime": 1767323045.0},
    ],
)
def test_times_are_found_whatever_they_are_called(info: dict[str, Any]) -> None:
    """Dates with and without zones, texts and numbers are times; nothing is no time."""
    assert changed_at(info) == 1767323045.0 and changed_at({"name": "x", "size": 1}) is None


# Claims on a server.


@pytest.fixture
def claims(bucket: Bucket) -> RemoteClaims:
    return RemoteClaims(Connection(bucket.url, bucket.options), Exclusive.PIPE, whole=True)


def test_claims_leave_nothing_behind(claims: RemoteClaims, bucket: Bucket) -> None:
    """What is created, read, touched, swapped and dropped leaves an empty place."""
    assert claims.create(KEY, "a")
    claims.touch(KEY)
    assert claims.read(KEY) is not None and claims.swap(KEY, "a", "b") and claims.drop(KEY, "b")
    assert left_in(Connection(bucket.url, bucket.options)) == []


def test_a_request_that_was_sent_twice_is_one_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """A creation whose answer was lost finds, when tried again, its own claim: it has it."""
    faults = Faults()
    monkeypatch.setattr(FlakyFileSystem, "faults", faults)
    claims = RemoteClaims(Connection(f"flaky://{uuid.uuid4().hex}"), Exclusive.PIPE, whole=True)
    lost = [True]

    original = FlakyFileSystem.pipe_file

    def pipe_file(self: Any, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        original(self, path, value, mode=mode, **kwargs)
        if lost and mode == "create":
            lost.pop()
            raise ConnectionResetError("after it was done")

    monkeypatch.setattr(FlakyFileSystem, "pipe_file", pipe_file)
    assert claims.create(KEY, "mine") and not claims.create(KEY, "yours")


def test_a_mark_of_a_killed_taker_is_passed(
    claims: RemoteClaims, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was killed while taking over keeps others from it for a while only."""
    from blake3 import blake3

    claims.create(KEY, "dead")
    mark = f".{KEY[:16]}.{blake3(b'dead').hexdigest()[:32]}.tmp"
    connection = Connection(bucket.url, bucket.options)
    connection.call(lambda fs, path: fs.pipe_file(path, b"killed\n"), "leases", mark)
    assert not claims.swap(KEY, "dead", "me")
    monkeypatch.setattr(remote_claims_module, "_MARK_KEEPS", -1.0)
    assert not claims.swap(KEY, "dead", "me")  # it removes the mark
    assert claims.swap(KEY, "dead", "me") and not claims.swap(KEY, "dead", "you")


def test_touching_a_claim_that_was_dropped_does_not_bring_it_back(claims: RemoteClaims) -> None:
    """Heartbeats that run beside releases never leave a claim behind."""
    import threading

    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            claims.touch(KEY)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        for turn in range(30):
            assert claims.create(KEY, str(turn)) and claims.drop(KEY, str(turn))
            assert claims.read(KEY) is None
    finally:
        stop.set()
        thread.join()


OWNER = """
import sys, time
from hydra_cached.stores.leases import Leases
from hydra_cached.stores.remote import RemoteStore
import json
url, options, key, beat = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], float(sys.argv[4])
lease, _ = Leases(RemoteStore(url, options).claims(), heartbeat=beat).take(key, "something", lambda: None)
print("held" if lease else "not", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_owner_that_was_killed_is_replaced(bucket: Bucket, elsewhere: bool) -> None:
    """A process that is killed while it holds a lease in a bucket is replaced: seen to be gone on the same machine,
    after missed heartbeats from elsewhere."""
    import json

    arguments = [bucket.url, json.dumps(bucket.options), KEY, "0.5"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None and process.stdout.readline().strip() == "held"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    here = dataclasses.replace(Here.now(), machine="elsewhere") if elsewhere else Here.now()
    claims = RemoteStore(bucket.url, bucket.options).claims()
    assert claims is not None
    begin = time.monotonic()
    lease, found = Leases(claims, missed=4.0, here=lambda: here).take(KEY, "something", lambda: None)
    assert lease is not None and found is None and time.monotonic() - begin < 60
    text, _ = claims.read(KEY) or ("", 0.0)
    owner = Owner.from_text(text)
    assert owner is not None and owner.process == os.getpid()
    lease.release()
    assert claims.read(KEY) is None
