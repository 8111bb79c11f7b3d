"""Transfers are shown where they take long: by a bar on a terminal, by lines of the log elsewhere."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
import uuid
from pathlib import Path

import pytest
from bad_line import Faults, FlakyFileSystem
from s3_server import Bucket

from hydra_cached.stores import connection as connection_module
from hydra_cached.stores import transfer
from hydra_cached.stores.connection import Connection, RemoteError
from hydra_cached.stores.transfer import Source, shown, upload

ROOT = Path(__file__).parents[2]
SLOW = """
import logging, time
from hydra_cached.stores import transfer
logging.basicConfig(level=logging.INFO)
transfer.PATIENCE = 0.0 if {long} else 600.0
with transfer.shown("fetching 5e52b3 from s3://bucket", 1_000_000) as tick:
    for _ in range(10):
        time.sleep(0.05)
        tick(100_000)
"""


def on_a_terminal(code: str) -> str:
    """Run code whose standard error is a terminal; returns what that showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65536):
            seen += data
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return seen.decode()


def test_a_bar_on_a_terminal() -> None:
    """What takes long has a bar that says what it is and how far it has come."""
    seen = on_a_terminal(SLOW.format(long=True))
    assert "fetching 5e52b3 from s3://bucket" in seen and "%" in seen


def test_what_is_quick_is_not_shown() -> None:
    """What is done soon shows nothing."""
    assert on_a_terminal(SLOW.format(long=False)) == ""


def test_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody looks, a line says what is done, and one what it took."""
    monkeypatch.setattr(transfer, "PATIENCE", 0.0)
    monkeypatch.setattr(transfer.sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO), shown("storing it", 2_000_000) as tick:
        tick(1_000_000)
        tick(1_000_000)
    assert "storing it (2.0 MB)" in caplog.text and "MB/s" in caplog.text


def test_uploads_of_files_tell_how_far_they_are(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's own account of an upload reaches the bar, and adds up to the size."""
    import contextlib
    from collections.abc import Callable, Iterator

    ticks: list[int] = []

    @contextlib.contextmanager
    def counting(what: str, size: int) -> Iterator[Callable[[int], None]]:
        yield ticks.append

    monkeypatch.setattr(transfer, "shown", counting)
    file = tmp_path / "file"
    file.write_bytes(bytes(3_000_000))
    connection = Connection(bucket.url, bucket.options)
    upload(connection, ("entries", "file"), Source(3_000_000, file=file), "it", whole=True)
    assert sum(ticks) == 3_000_000


def test_a_large_upload_is_tried_again_however_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """What took longer than the time for trying again is tried again if it is large, not if it is small."""
    faults = Faults()
    monkeypatch.setattr(FlakyFileSystem, "faults", faults)
    monkeypatch.setattr(connection_module, "BUDGET", -1.0)
    connection = Connection(f"flaky://{uuid.uuid4().hex}")
    faults.fail(1, only="pipe")
    with pytest.raises(RemoteError):
        upload(connection, ("entries", "small"), Source(3, b"abc"), "it", whole=True)
    faults.fail(1, only="pipe")
    upload(connection, ("entries", "large"), Source(20_000_000, bytes(20_000_000)), "it", whole=True)


def test_the_next_session_need_not_connect(bucket: Bucket) -> None:
    """Stores of one process that lead to one place use one client; a process that was forked has its own."""
    one, two = (Connection(bucket.url, bucket.options) for _ in range(2))
    for connection in (one, two):
        connection.call(lambda fs, path: fs.exists(path))
    same = one.call(lambda fs, path: fs) is two.call(lambda fs, path: fs)
    assert same
    child = os.fork()
    if child == 0:
        third = Connection(bucket.url, bucket.options)
        other = third.call(lambda fs, path: (fs.exists(path), fs)[1])
        os._exit(7 if other is not one._shared[1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
