"""Starting a server, waiting until it answers, and stopping it by its own pid."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

TOOLS = Path(__file__).parents[2] / ".engines"  # where `make engines` has put what npm installs


def needed(*programs: str) -> None:
    """Make sure that programs are there.

    Raises:
        RuntimeError: one is not, and what to do.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} is not installed; `make engines` installs it")


def node(package: str, script: str) -> list[str]:
    """The command that runs a script of a package that npm has installed."""
    needed("node")
    path = TOOLS / "node_modules" / package / script
    if not path.exists():
        raise RuntimeError(f"{package} is not installed; `make engines` installs it")
    return ["node", str(path)]


_PORTS = list(range(20_000, 32_000))  # below those that the system gives to outgoing connections
random.SystemRandom().shuffle(_PORTS)


def free_port() -> int:
    """A port of the loopback interface that nobody uses now, and that nobody has been given before."""
    while True:
        port = _PORTS.pop()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def answers(port: int) -> bool:
    """Whether somebody listens on a port of the loopback interface."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def run(*command: str | Path, log: Path | None = None) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(
            f"{command[0]} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}"
        )
    return done.stdout


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    log: Path,
    ready: Callable[[], bool],
    timeout: float = 240.0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is started, is ready, and is stopped at the end.

    Args:
        command: what to run; it must not go to the background.
        log: where its output goes.
        ready: whether it is.
        timeout: seconds to wait for that.
        environment: variables that it gets beside those of this process.
    """
    # If this process is killed, so is the server.
    bound = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    words = [*bound, *(str(word) for word in command)]
    env = {**os.environ, **(environment or {})}
    with open(log, "ab") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    try:
        wait(lambda: ready() or process.poll() is not None, timeout, str(command[0]))
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {log.read_text()[-2000:]}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(until: Callable[[], object], timeout: float, what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it did not come to be.
    """
    end = time.monotonic() + timeout
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} is not ready after {timeout:.0f} s")
        time.sleep(0.05)
