"""Processes that use one backend at the same time; run as a script, and what starts it.

The script imports everything and forks the workers, each of which opens the backend for itself. So a worker is
there in a moment, can be killed at any, and inherits no connection.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra_cached.errors import DamagedEntry
from hydra_cached.stores.base import Store
from hydra_cached.stores.leases import Leases
from hydra_cached.testing.backend import Backend, is_whole, key_of, made

SIZES = (0, 64, 100_000, 1_500_000)  # bytes
Work = Callable[..., None]


@dataclass
class Workers:
    """Started processes.

    Args:
        process: the one that forks them.
        output: what they say.
        lines: the same, as far as it was read.
    """

    process: subprocess.Popen[bytes]
    output: str
    lines: list[str] = field(default_factory=list)

    def said(self, what: str) -> list[str]:
        """The lines so far that begin with a word; without it."""
        with open(self.output) as file:
            words = [line.rstrip("\n").partition(" ") for line in file]
        return [rest for first, _, rest in words if first == what]

    def wait_for(self, what: str, count: int, timeout: float = 60.0) -> list[str]:
        """Wait until so many lines begin with a word."""
        end = time.monotonic() + timeout
        while len(self.said(what)) < count:
            assert self.process.poll() is None or len(self.said(what)) >= count, self._all()
            assert time.monotonic() < end, f"after {timeout} s: {self._all()}"
            time.sleep(0.01)
        return self.said(what)

    def join(self, timeout: float = 120.0) -> None:
        """Wait for all to end; none may have failed."""
        assert self.process.wait(timeout) == 0 and not self.said("failed"), self._all()

    def _all(self) -> str:
        with open(self.output) as file:
            return file.read()[-3000:]


@contextlib.contextmanager
def workers(backend: Backend, work: Work, count: int, *args: Any, kills: int = 0) -> Iterator[Workers]:
    """Start processes; at the end, what still runs is killed.

    Args:
        backend: what they open.
        work: a function of a module; called with a ``Say``, the backend, the worker's number, and ``args``.
        count: how many.
        args: what else they are told.
        kills: how often one of them is killed at a random instant and started again; then all are killed.
    """
    with tempfile.NamedTemporaryFile("w+", prefix="workers-") as output:
        command = [sys.executable, "-c", "from hydra_cached.testing.workers import main; main()"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=env, start_new_session=True
        )
        try:
            assert process.stdin is not None
            process.stdin.write(pickle.dumps((backend, work, count, args, kills)))
            process.stdin.close()
            yield Workers(process, output.name)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a session of our own: the script and its workers
            process.wait()


class Say:
    """Writes lines that the test reads; a line is written at once, so that those of many do not mix.

    Args:
        ready: where those are told of that begin with ``ready``.
    """

    def __init__(self, ready: int) -> None:
        self._ready = ready

    def __call__(self, *words: object) -> None:
        os.write(1, (" ".join(map(str, words)) + "\n").encode())
        if words[0] == "ready":
            os.write(self._ready, b".")


def main() -> None:
    """Fork the workers that standard input describes, and wait for them."""
    backend, work, count, args, kills = pickle.load(sys.stdin.buffer)
    chance = random.Random()
    heard, ready = os.pipe()
    running = [_start(work, backend, number, args, ready) for number in range(count)]
    for _ in range(kills):
        # Another one has begun, whatever that takes.
        if select.select([heard], [], [], 30.0)[0]:
            os.read(heard, 1)
        time.sleep(chance.random() * 0.15)
        number = chance.randrange(count)
        _kill(running[number])
        running[number] = _start(work, backend, number, args, ready)
    failed = False
    for process in running:
        if kills:
            _kill(process)
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            failed = failed or status not in (0, -signal.SIGKILL)
    sys.exit(failed)


def _start(work: Work, backend: Backend, number: int, args: tuple[Any, ...], ready: int) -> int:
    process = os.fork()
    if process == 0:
        status, say = 1, Say(ready)
        try:
            work(say, backend, number, *args)
            status = 0
        except BaseException:
            say("failed", traceback.format_exc().replace("\n", " | "))
        finally:
            os._exit(status)
    return process


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


# What they do.


def write(say: Say, backend: Backend, number: int, keys: int, times: int) -> None:
    """Put entries under some keys, and see whether what is there is whole."""
    store, chance = backend.open(), random.Random()
    _read_all(say, store)  # connected, which takes some stores a second
    say("ready", number)
    for _ in range(times):
        key = key_of(chance.randrange(keys))
        store.put(key, made(chance.randrange(1000), chance.choice(SIZES)))
        if chance.random() < 0.3:
            store.delete(key)
        _read_all(say, store)


def read(say: Say, backend: Backend, number: int) -> None:
    """Read entries; damage, or a mixture of two, is a failure."""
    _read_all(say, backend.open())


def fork(say: Say, backend: Backend, number: int) -> None:
    """Use a store, fork, and use it in the child and, afterwards, here."""
    store = backend.open()
    store.put(key_of(0), made(0, 64))
    assert is_whole(store.get(key_of(0)))
    process = os.fork()
    if process == 0:
        status = 1
        try:
            assert is_whole(store.get(key_of(0)))
            store.put(key_of(1), made(1, 3200))
            status = 0
        except BaseException:
            say("failed", traceback.format_exc().replace("\n", " | "))
        finally:
            os._exit(status)
    end = time.monotonic() + 60
    while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.02)
    assert ended[1] == 0, f"the child ended with {ended[1]}"
    assert is_whole(store.get(key_of(1))) and sorted(store.keys()) == sorted([key_of(0), key_of(1)])
    say("whole", number)


def _read_all(say: Say, store: Store) -> None:
    for key in store.keys():
        try:
            entry = store.get(key)
        except DamagedEntry as damage:
            say("failed", damage)
            raise
        assert entry is None or is_whole(entry), "a mixture of two entries"
        if entry is not None:
            say("whole", key)


def swap(say: Say, backend: Backend, number: int, name: str, times: int) -> None:
    """Count a claim's text up, each number once."""
    claims = backend.claims()
    for _ in range(times):
        claim = claims.read(name)
        assert claim is not None, "somebody saw no claim"
        if claims.swap(name, claim[0], str(int(claim[0]) + 1)):
            say("won", int(claim[0]) + 1)


def create(say: Say, backend: Backend, number: int, names: list[str]) -> None:
    """Create claims that others create at the same moment."""
    claims = backend.claims()
    say("ready", number)
    for name in names:
        if claims.create(name, f"worker {number}"):
            say("won", name)


def compute(say: Say, backend: Backend, number: int, key: str, seconds: float) -> None:
    """Get a result, or take the lease of its key, compute and store it."""
    store = backend.open()
    lease, found = Leases(backend.claims(), heartbeat=0.5, missed=3.0).take(key, "it", lambda: store.get(key))
    if found is None:
        say("ran", os.getpid())
        time.sleep(seconds)
        store.put(key, made(number, 64))
        found = store.get(key)
    if lease is not None:
        lease.release()
    assert is_whole(found)
    say("has", found.manifest["seed"] if found is not None else None)
