"""Remote stores: whole entries or none, nothing cached in between, faults are borne, secrets are not shown."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from bad_line import Faults, FlakyFileSystem
from s3_server import SECRET, Bucket, running

from hydra_cached.errors import DamagedEntry, ForeignEntry, OptionError
from hydra_cached.stores import connection as connection_module
from hydra_cached.stores import transfer
from hydra_cached.stores.base import Entry
from hydra_cached.stores.connection import Connection, RemoteError, is_answer, shown
from hydra_cached.stores.entry import pack
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.signing import SignedStore
from hydra_cached.testing import is_whole, key_of
from hydra_cached.testing import made as made_of

KEY, OTHER = key_of(1), key_of(2)
BIG = 3_000_000


@pytest.fixture(params=["memory", "s3", "flaky"])
def place(request: pytest.FixtureRequest) -> Bucket:
    """A place in memory, on a server, and behind a client that writes under another name first."""
    if request.param == "s3":
        place: Bucket = request.getfixturevalue("bucket")
        return place
    return Bucket(f"{request.param}://{uuid.uuid4().hex}/cache", {})


@pytest.fixture
def store(place: Bucket) -> RemoteStore:
    return RemoteStore(place.url, place.options)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    faults = Faults()
    monkeypatch.setattr(FlakyFileSystem, "faults", faults)
    monkeypatch.setattr(connection_module, "PAUSE", 0.01)
    yield faults


@pytest.fixture
def flaky(faults: Faults) -> RemoteStore:
    return RemoteStore(f"flaky://{uuid.uuid4().hex}/cache")


def made(key: str, size: int = 1000) -> Entry:
    """An entry all of whose parts follow from its manifest."""
    return made_of(int(key[:8], 16), size)


def raw(store: RemoteStore, key: str, data: bytes) -> None:
    """Put bytes in an entry's place."""
    names = ("entries", key[:2], key)
    store.connection.call(lambda fs, path: fs.pipe_file(path, data), *names)


def bytes_of(store: RemoteStore, key: str) -> bytes:
    return bytes(store.connection.call(lambda fs, path: fs.cat_file(path), "entries", key[:2], key))


def whole(store: Any, key: str) -> bool:
    entry = store.get(key)
    return entry is not None and is_whole(entry)


# Put, get, delete, keys.


def test_what_is_put_is_found_also_by_others(store: RemoteStore, place: Bucket) -> None:
    """What was put is found by this store and by another client that had looked for it before, without delay."""
    other = RemoteStore(place.url, place.options)
    assert store.get(KEY) is None and other.get(KEY) is None and list(other.keys()) == []
    size = store.put(KEY, made(KEY))
    assert whole(store, KEY) and whole(other, KEY)
    assert list(other.keys()) == [KEY] and [stat.size for stat in other.stats()] == [size]
    store.put(OTHER, Entry({"link": KEY}))
    assert sorted(other.keys()) == sorted([KEY, OTHER])
    assert other.get(OTHER) == Entry({"link": KEY})


def test_deleting(store: RemoteStore, place: Bucket) -> None:
    """A deleted entry is gone for everybody, and deleting says whether there was one."""
    store.put(KEY, made(KEY))
    other = RemoteStore(place.url, place.options)
    assert whole(other, KEY)
    assert store.delete(KEY) and not store.delete(KEY)
    assert other.get(KEY) is None and list(other.keys()) == []


def test_replacing(store: RemoteStore, place: Bucket) -> None:
    """Of two entries for one key the later is found, also where the first was read before."""
    store.put(KEY, Entry({"n": 1}))
    other = RemoteStore(place.url, place.options)
    assert other.get(KEY) == Entry({"n": 1})
    store.put(KEY, Entry({"n": 2}))
    assert other.get(KEY) == Entry({"n": 2})


def test_arrays_can_be_written_to(store: RemoteStore) -> None:
    """What comes from a remote store can be changed as it could on the miss, and the next hit does not see it."""
    store.put(KEY, made(KEY))
    for _ in range(2):
        entry = store.get(KEY)
        assert entry is not None and entry.payload is not None and is_whole(entry)
        for buffer in entry.payload.buffers:
            memoryview(buffer)[:] = bytes(memoryview(buffer).nbytes)


def test_large_entries_come_in_ranges(place: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that does not fit into the first request is put together from ranges, in order."""
    monkeypatch.setattr(transfer, "FIRST", 10_000)
    monkeypatch.setattr(transfer, "RANGE", 7_001)
    store = RemoteStore(place.url, place.options)
    store.put(KEY, made(KEY, BIG // 10))
    assert whole(store, KEY)


def test_manifests_are_read_without_payloads(store: RemoteStore) -> None:
    """A manifest is read alone; there is none of what is gone."""
    assert store.manifest(KEY) is None
    store.put(KEY, made(KEY))
    manifest = store.manifest(KEY)
    assert manifest is not None and manifest["key"] == KEY


def test_a_long_manifest(store: RemoteStore) -> None:
    """A manifest that is longer than what is read at first is read whole."""
    store.put(KEY, Entry({"text": "x" * 300_000}))
    manifest = store.manifest(KEY)
    assert manifest is not None and len(manifest["text"]) == 300_000


@pytest.mark.parametrize("key", ["../../x", "short", "AB" * 20, ""])
def test_only_keys_are_looked_for(store: RemoteStore, key: str) -> None:
    """What is no key is no path: links name keys, and none may lead out of the directory."""
    with pytest.raises(ValueError, match="key"):
        store.get(key)


# Damage.


@pytest.mark.parametrize("size", [100, BIG])
@pytest.mark.parametrize("where", [0, 20, 70, 0.5, -1])
def test_every_flipped_byte_is_noticed(flaky: RemoteStore, size: int, where: float) -> None:
    """What came over a network is checked as a whole, whatever its size; the next result replaces it."""
    flaky.put(KEY, made(KEY, size))
    data = bytearray(bytes_of(flaky, KEY))
    data[int(where * len(data)) if isinstance(where, float) else where] ^= 1
    raw(flaky, KEY, bytes(data))
    with pytest.raises(DamagedEntry, match=r"flaky://.*replaces"):
        flaky.get(KEY)
    flaky.put(KEY, made(KEY, size))
    assert whole(flaky, KEY)


@pytest.mark.parametrize("length", [0, 7, 63, 200])
def test_truncation_is_noticed(place: Bucket, length: int) -> None:
    """A beginning of an entry, or nothing of it, is no entry; the next result replaces it."""
    store = RemoteStore(place.url, place.options)
    store.put(KEY, made(KEY))
    raw(store, KEY, bytes_of(store, KEY)[:length])
    with pytest.raises((DamagedEntry, OSError)):
        store.get(KEY)
    store.put(KEY, made(KEY))
    assert whole(store, KEY)


def test_damage_on_the_way_is_fetched_again(flaky: RemoteStore, faults: Faults) -> None:
    """What was damaged on the way only is not taken for damaged."""
    flaky.put(KEY, made(KEY))
    times = iter(range(100))
    faults.change = lambda data: data[:-1] + b"?" if next(times) == 0 else data
    assert whole(flaky, KEY)


def test_foreign_objects_are_left_alone(store: RemoteStore) -> None:
    """What is not ours is reported once, a miss, and never written over."""
    raw(store, KEY, b"somebody's object, which is longer than a header of ours would be: " + bytes(100))
    with pytest.raises(ForeignEntry, match="left alone"):
        store.get(KEY)
    assert store.get(KEY) is None
    with pytest.raises(FileExistsError, match="not written over"):
        store.put(KEY, made(KEY))
    assert bytes_of(store, KEY).startswith(b"somebody's")


def test_foreign_versions_are_not_written_over_unseen(store: RemoteStore, place: Bucket) -> None:
    """Who writes without having looked does not write over a later version's entry either."""
    from blake3 import blake3

    text = b'{"later":1}'
    head = b"HYDCACHE" + (2).to_bytes(4, "little") + bytes(4) + len(text).to_bytes(8, "little") + bytes(8)
    later = head + blake3(head + text).digest() + text
    raw(store, KEY, later)
    with pytest.raises(FileExistsError, match="format version 2"):
        RemoteStore(place.url, place.options).put(KEY, made(KEY))
    assert bytes_of(store, KEY) == later


def test_signatures(place: Bucket) -> None:
    """With a signing key, what was stored with it is read, and nothing else."""
    bare = RemoteStore(place.url, place.options)
    signed = SignedStore(bare, ["a key of some length"])
    signed.put(KEY, made(KEY))
    assert whole(signed, KEY)
    bare.put(OTHER, made(OTHER))
    with pytest.raises(DamagedEntry, match="not signed"):
        signed.get(OTHER)
    with pytest.raises(DamagedEntry, match="not signed with"):
        SignedStore(bare, ["another key of some length"]).get(KEY)


# Faults.


@pytest.mark.parametrize("name", ["cat", "pipe", "mv", "info"])
def test_faults_that_pass_are_not_noticed(flaky: RemoteStore, faults: Faults, name: str) -> None:
    """A line that is down three times costs a moment."""
    faults.fail(3, only=name)
    flaky.put(KEY, made(KEY, BIG))
    faults.fail(3, only=name)
    assert whole(flaky, KEY)


def test_a_store_that_goes_on_failing_is_left_alone(
    flaky: RemoteStore, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """After three failures in a row nothing is asked any more: misses, said loudly, once."""
    faults.fail(10**6)
    for _ in range(3):
        with pytest.raises(RemoteError, match="line is down"):
            flaky.get(KEY)
    asked = len(faults.calls)
    with caplog.at_level(logging.DEBUG):
        assert flaky.get(KEY) is None and flaky.get(OTHER) is None
        with pytest.raises(OSError, match="left alone"):
            flaky.put(KEY, made(KEY))
    assert len(faults.calls) == asked
    assert [r.levelname for r in caplog.records if "left alone" in r.message].count("ERROR") <= 1


def test_an_answer_in_between_starts_the_count_anew(flaky: RemoteStore, faults: Faults) -> None:
    """Failures that are not in a row do not end it."""
    for _ in range(5):
        faults.fail(4)
        with pytest.raises(RemoteError):
            flaky.get(KEY)
        faults.before = None
        assert flaky.get(KEY) is None


def test_a_server_that_is_gone_and_comes_back() -> None:
    """A real server that dies makes calls fail within seconds; when it is back, the same store works."""
    with running() as bucket:
        port = int(bucket.options["endpoint_url"].rpartition(":")[2])
        store = RemoteStore(bucket.url + "/cache", bucket.options)
        store.put(KEY, made(KEY))
    begin = time.monotonic()
    with pytest.raises(RemoteError):
        store.get(KEY)
    assert time.monotonic() - begin < 60
    with running(port):
        assert store.get(KEY) is None
        store.put(KEY, made(KEY))
        assert whole(store, KEY)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (OSError(16, "SlowDown"), False),
        (OSError(121, "InternalError"), False),
        (RuntimeError("a client's own"), False),
        (OSError(22, "InvalidArgument"), True),
        (TypeError(), True),
        (NotImplementedError(), True),
    ],
)
def test_what_is_tried_again(error: Exception, answer: bool) -> None:
    """Connections, time-outs and busy servers are tried again; answers are not."""
    assert is_answer(error) is answer


@pytest.mark.parametrize(
    ("status", "answer"), [(404, True), (403, True), (429, False), (503, False), (500, False)]
)
def test_what_servers_say_is_understood(status: int, answer: bool) -> None:
    """The status that a client's error carries decides, also where it is only its cause."""

    class ClientError(Exception):
        response = {"ResponseMetadata": {"HTTPStatusCode": status}}

    error = OSError("something")
    error.__cause__ = ClientError()
    assert is_answer(ClientError()) is answer
    if status < 500:
        assert is_answer(error) is answer


def test_writers_that_fail_leave_nothing_visible(flaky: RemoteStore, faults: Faults) -> None:
    """Where a put can be seen half done, what fails before the move is seen by nobody, and is cleaned up."""
    faults.fail(10**6, only="mv")
    with pytest.raises(OSError):
        flaky.put(KEY, made(KEY))
    faults.before = None
    assert flaky.get(KEY) is None and list(flaky.keys()) == []
    assert flaky.connection.call(lambda fs, path: fs.find(path)) == []


def test_leftovers_are_swept_up(store: RemoteStore) -> None:
    """What killed writers have left goes when it is old, claims too; entries and what is not ours stay."""
    unique = uuid.uuid4().hex
    names = [
        f"entries/{KEY[:2]}/.{KEY[:16]}.host.1.{unique}.tmp",
        f"leases/.{unique}.now",
        f"leases/.{unique}.tmp",
    ]
    for name in [*names, "entries/notes.txt", f"leases/{KEY}"]:
        store.connection.call(lambda fs, path: fs.pipe_file(path, b"x"), *name.split("/"))
    store.put(KEY, made(KEY))
    assert store.sweep(3600.0) == 0
    assert store.leased() == {KEY}
    assert store.sweep(-3600.0) == 4 and store.leased() == frozenset()
    left = store.connection.call(lambda fs, path: fs.find(path))
    assert {path.rpartition("/")[2] for path in left} == {KEY, "notes.txt"}


# Processes and threads.


def _child(store: RemoteStore, key: str, queue: Any) -> None:
    try:
        store.put(key, made(key))
        queue.put(whole(store, key) and whole(store, KEY))
    except BaseException as error:
        queue.put(repr(error))
        raise


def test_forked_processes_make_clients_of_their_own(bucket: Bucket) -> None:
    """A store that was used before a fork works in the child, and goes on working in the parent."""
    store = RemoteStore(bucket.url, bucket.options)
    store.put(KEY, made(KEY))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_child, args=(store, key_of(10 + n), queue)) for n in range(3)]
    for child in children:
        child.start()
    assert [queue.get(timeout=120) for _ in children] == [True] * 3
    for child in children:
        child.join(60)
    assert all(whole(store, key_of(10 + n)) for n in range(3)) and os.getpid()


def test_threads_share_a_store(place: Bucket) -> None:
    """Threads read and write through one store at once."""
    from concurrent.futures import ThreadPoolExecutor

    store = RemoteStore(place.url, place.options)

    def work(number: int) -> bool:
        key = key_of(100 + number % 8)
        store.put(key, made(key))
        return whole(store, key)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))


# What is shown.


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/path", "s3://bucket/path"),
        ("sftp://me:hunter2@host:22/path", "sftp://me:***@host:22/path"),
        (
            "abfs://container@account.dfs.core.windows.net/x",
            "abfs://container@account.dfs.core.windows.net/x",
        ),
        ("https://host/path?sig=hunter2&x=1", "https://host/path"),
        ("s3://key:se/cr+et@bucket/path", "s3://key:***@bucket/path"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, expected: str) -> None:
    """Passwords and queries of URLs are not shown, anything else is."""
    assert shown(url) == expected


def test_secrets_are_in_no_message(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    """Neither reprs nor errors nor logs show a password of the URL or of the storage options."""
    place = "flaky://me:hunter2222@host/cache"
    options = {"secret": SECRET, "client_kwargs": {"aws_session_token": "tttttttttt"}}
    connection = Connection(place, {})
    connection._secrets = list(connection_module._secrets(options))
    faults.fail(10**6, ValueError(f"cannot use {SECRET} and tttttttttt at {place}"))
    with caplog.at_level(logging.DEBUG), pytest.raises(RemoteError) as caught:
        connection.call(lambda fs, path: fs.info(path))
    said = caplog.text + str(caught.value) + repr(connection) + repr(RemoteStore(place, {}))
    assert SECRET not in said and "hunter2222" not in said and "tttttttttt" not in said


def test_unknown_protocols(tmp_path: Any) -> None:
    """A protocol that nobody knows, or whose package is missing, is an error that says what to install."""
    with pytest.raises(OptionError, match="knows no protocol nosuch"):
        RemoteStore("nosuch://bucket/cache")
    with pytest.raises(OptionError, match="local_dir"):
        RemoteStore("simplecache::s3://bucket/cache")
    if not _installed("gcsfs"):
        with pytest.raises(OptionError, match="pip install gcsfs"):
            RemoteStore("gs://bucket/cache")


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def test_a_bucket_that_is_not_there(s3: Bucket) -> None:
    """A bucket that does not exist is empty for readers, and an error for writers that says so."""
    store = RemoteStore("s3://no-such-bucket/cache", s3.options)
    assert store.get(KEY) is None and list(store.keys()) == []
    with pytest.raises(OSError, match="no-such-bucket"):
        store.put(KEY, made(KEY))


def test_the_bytes_are_those_of_a_local_directory(store: RemoteStore) -> None:
    """An object has the bytes that a file of a local directory has: directories can be copied to buckets."""
    store.put(KEY, made(KEY))
    assert bytes_of(store, KEY) == b"".join(bytes(piece) for piece in pack(made(KEY), KEY))
