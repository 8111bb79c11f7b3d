"""What happened to one node: the one stream that logs, summaries and reports are made of."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

NOTHING = "nothing like it was stored"  # the reason of a miss that there is nothing to compare with


class Kind(str, enum.Enum):
    """The ends that a node's way through the cache can have."""

    HIT = "hit"  # served from the store
    SHARED = "shared"  # the same object as an earlier node of this call
    RUN = "run"  # computed; `stored` says whether it was kept
    REFUSED = "refused"  # computed without the cache; `reason` says why
    FAILED = "failed"  # the target, or something below it, raised
    DAMAGED = "damaged"  # an entry was not what had been stored: treated as a miss


@dataclass(frozen=True)
class Event:
    """What happened to one node.

    Args:
        kind: how its way ended.
        path: where the node stands in the config (``model.encoder``; empty for the root).
        target: dotted name of the target.
        key: the key under which the result is, or would be, stored; None where there is none.
        static: the key that follows from config and code alone, if it was looked up.
        seconds: time the node took: for a hit the time to load it, otherwise that of the target's own call.
        saved: for a hit, seconds that the target took when it ran.
        size: bytes of the entry, where there is one.
        stored: whether the result is now in the store.
        deliberate: for a refusal, whether the config asked for it.
        miss: for a run of something worth storing, how it differs from the nearest that is stored.
        note: something else that a person should know of this run.
        reason: why it was not a hit, not stored, or refused; in words for a person.
    """

    kind: Kind
    path: str
    target: str
    key: str | None = None
    static: str | None = None
    seconds: float = 0.0
    saved: float = 0.0
    size: int = 0
    stored: bool = False
    deliberate: bool = False
    miss: str = ""
    note: str = ""
    reason: str = ""


class Listener(Protocol):
    """Anything that wants to know what happens."""

    def __call__(self, event: Event, /) -> None: ...


@dataclass(frozen=True)
class Summary:
    """A job's events, counted."""

    hits: int = 0
    shared: int = 0
    runs: int = 0
    stored: int = 0
    refused: int = 0
    failed: int = 0
    damaged: int = 0
    run_seconds: float = 0.0
    load_seconds: float = 0.0
    saved_seconds: float = 0.0

    def line(self) -> str:
        """One line for the log: what was served, what ran, and the time that was saved."""
        served = f"{_count(self.hits, 'stage')} from the cache"
        ran = f"{self.runs + self.refused} run" if self.runs + self.refused else "nothing run"
        parts = [served, ran]
        if self.stored:
            parts.append(f"{self.stored} stored")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.damaged:
            parts.append(f"{self.damaged} damaged and replaced")
        line = ", ".join(parts)
        if self.hits:
            line += f"; saved {_seconds(max(0.0, self.saved_seconds - self.load_seconds))}"
        if self.run_seconds >= 0.05:
            line += f"; computed for {_seconds(self.run_seconds)}"
        return line


def summarise(events: Iterable[Event]) -> Summary:
    """Count events; a pure function."""
    counts = dict.fromkeys(Kind, 0)
    stored = 0
    run_seconds = load_seconds = saved_seconds = 0.0
    for event in events:
        counts[event.kind] += 1
        stored += event.stored and event.kind is Kind.RUN
        if event.kind is Kind.HIT:
            load_seconds += event.seconds
            saved_seconds += event.saved
        elif event.kind in (Kind.RUN, Kind.REFUSED):
            run_seconds += event.seconds
    return Summary(
        hits=counts[Kind.HIT],
        shared=counts[Kind.SHARED],
        runs=counts[Kind.RUN],
        stored=stored,
        refused=counts[Kind.REFUSED],
        failed=counts[Kind.FAILED],
        damaged=counts[Kind.DAMAGED],
        run_seconds=run_seconds,
        load_seconds=load_seconds,
        saved_seconds=saved_seconds,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _seconds(seconds: float) -> str:
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
