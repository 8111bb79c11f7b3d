"""Who holds a lease, and whether it still does: processes of this machine are looked at, others must be heard."""

from __future__ import annotations

import functools
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GONE = 0  # no such process
UNKNOWN = -1  # there is one, and the system does not tell when it was started
# What launchers tell processes that compute one thing together: torchrun, Open MPI, other MPIs, srun.
_TEAM_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


@dataclass(frozen=True)
class Here:
    """This process, as others may tell it from theirs.

    Args:
        host: name of the machine, for people.
        machine: where process ids mean the same: this start of this machine, and this container of it.
        process: its process id.
        started: when it was started, for process ids are used again; see ``started``.
    """

    host: str
    machine: str
    process: int
    started: int

    @classmethod
    def now(cls) -> Here:
        """This process as it is; another one after a fork."""
        return _here(os.getpid())


@dataclass(frozen=True)
class Owner:
    """Who holds a lease.

    Args:
        host: see ``Here``.
        machine: see ``Here``.
        process: see ``Here``.
        started: see ``Here``.
        thread: the thread that computes.
        token: different for each lease.
    """

    host: str
    machine: str
    process: int
    started: int
    thread: int
    token: str

    @classmethod
    def me(cls, here: Here) -> Owner:
        """This thread, with a new token."""
        thread = threading.current_thread().ident or 0
        return cls(here.host, here.machine, here.process, here.started, thread, uuid.uuid4().hex)

    def to_text(self) -> str:
        """As text for a claim."""
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Owner | None:
        """From a claim's text; None if it is nothing of ours."""
        try:
            owner = cls(**json.loads(text))
        except (TypeError, ValueError, RecursionError):
            return None
        numbers, words = (
            (owner.process, owner.started, owner.thread),
            (owner.host, owner.machine, owner.token),
        )
        well = all(type(n) is int for n in numbers) and all(isinstance(w, str) for w in words)
        return owner if well else None

    def is_gone(self, here: Here, silence: float, patience: float) -> bool:
        """Whether nobody computes any more.

        Args:
            here: this process.
            silence: seconds since the owner was heard of.
            patience: seconds of silence after which an owner that cannot be looked at counts as gone.
        """
        if self.machine != here.machine:
            return silence > patience
        if self.process == here.process:
            return self.started != here.started or all(t.ident != self.thread for t in threading.enumerate())
        now = started(self.process)
        if now == UNKNOWN or (now != GONE and self.started == UNKNOWN):
            return silence > patience
        return now != self.started

    def may_wait_for(self, here: Here) -> bool:
        """Whether the owner itself may be waiting for this thread, so that to wait for it might never end.

        It is this thread, further up its stack, or it is in a process that started this one: a target that starts
        workers that run the same config waits for them.
        """
        if self.machine != here.machine:
            return False
        if self.process == here.process:
            return self.thread == threading.get_ident()
        return self.process in _ancestors()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


def in_a_team() -> bool:
    """Whether this process is one of several that a launcher started to compute one thing together.

    They wait for each other inside of their targets, so none may wait for another to be done.
    """
    return any(os.environ.get(name, "1").strip() not in ("", "0", "1") for name in _TEAM_SIZES)


def started(process: int) -> int:
    """When a process was started, in ticks since the machine was; ``GONE`` or ``UNKNOWN``."""
    status = _status(process)
    if status is not None:
        # A dead process whose parent has not asked for its exit status yet is dead.
        return GONE if status[0] in (b"Z", b"X") else int(status[19])
    if os.name == "nt":
        return UNKNOWN  # there, os.kill ends what it is asked about
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return GONE
    except OSError:
        pass  # another user's, and /proc is not shown to us
    return UNKNOWN


@functools.cache
def _here(process: int) -> Here:
    host = socket.gethostname()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{host} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        machine = host
    return Here(host, machine, process, started(process))


def _ancestors() -> Iterator[int]:
    """The processes that this one descends from, as far as they live, the nearest first."""
    process = os.getppid()
    while process > 0:
        yield process
        status = _status(process)
        process = int(status[1]) if status is not None else 0


def _status(process: int) -> list[bytes] | None:
    """What the kernel says of a process, from its state on; None if there is none, or the kernel does not tell."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


if hasattr(os, "register_at_fork"):
    # In time a descendant may get the process id of an ancestor.
    os.register_at_fork(after_in_child=_here.cache_clear)
