"""What to evict: pure decisions. Time that a result saves per byte that it takes, fading while nobody uses it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

FADING = 3600.0  # seconds without use within which a result loses half of its worth


@dataclass(frozen=True)
class Item:
    """What a decision needs to know of one entry.

    Args:
        key: its key.
        size: bytes that it takes.
        seconds: what its target took; what it saves.
        created: when it was stored, seconds since some moment.
        used: when it was last used, likewise; what is older than ``created`` does not count.
        link: the key that it stands for, if it is a link.
        note: whether it is a note: nothing to be served, and small.
    """

    key: str
    size: int
    seconds: float = 0.0
    created: float = 0.0
    used: float = -math.inf
    link: str | None = None
    note: bool = False

    @property
    def last(self) -> float:
        """When it was last stored or used."""
        return max(self.created, self.used)


@dataclass(frozen=True)
class Bounds:
    """How much may be kept; None for as much as comes.

    Args:
        size: bytes.
        age: seconds since something was last used.
    """

    size: int | None = None
    age: float | None = None

    def __bool__(self) -> bool:
        return self.size is not None or self.age is not None


def evictions(
    items: Iterable[Item],
    bounds: Bounds,
    *,
    now: float,
    started: float = math.inf,
    keep: Collection[str] = (),
) -> list[str]:
    """The keys of what must go, the least worth first; a pure function.

    First what nobody has used for longer than the age; then, until the rest fits the size, results by the seconds
    that they save per byte, which count the less the longer nobody has used them. Links go when what they lead to
    has gone, and notes by age only. What is in ``keep``, or stored or used since the run began, stays, and so does
    what a link among these leads to.

    Args:
        items: all that is there.
        bounds: what may stay.
        now: the present.
        started: when the run began that asks.
        keep: keys of what is in use or under lease.
    """
    everything = list(items)
    used = [item for item in everything if item.key in keep or item.last >= started]
    fixed = {item.key for item in used} | {item.link for item in used}
    links: dict[str, list[Item]] = {}
    for item in everything:
        if item.link is not None:
            links.setdefault(item.link, []).append(item)
    results = [item for item in everything if item.link is None]
    free = [item for item in results if item.key not in fixed]

    chosen = [item for item in free if bounds.age is not None and now - item.last > bounds.age]
    chosen.sort(key=lambda item: (item.last, item.key))
    gone = {item.key for item in chosen}
    if bounds.size is not None:
        # With a result go its links, but for those that stay whatever they lead to.
        weights = {
            item.key: item.size + sum(link.size for link in links.get(item.key, ()) if link.key not in fixed)
            for item in results
        }
        rest = sum(weight for key, weight in weights.items() if key not in gone)
        rest += sum(item.size for item in everything if item.link is not None and item.key in fixed)
        candidates = [item for item in free if not item.note and item.key not in gone]
        candidates.sort(key=lambda item: (worth(item, weights[item.key], now), item.last, item.key))
        chosen += _until_it_fits(candidates, weights, rest - bounds.size)
    stays = {item.key for item in results}.difference(item.key for item in chosen)
    dangling = [
        link.key
        for target, several in links.items()
        if target not in stays
        for link in several
        if link.key not in fixed
    ]
    return [item.key for item in chosen] + sorted(dangling)


def worth(item: Item, size: int, now: float) -> float:
    """Seconds saved per byte, fading with the time since the last use."""
    idle = max(0.0, now - item.last)
    return item.seconds / max(size, 1) / (1.0 + idle / FADING)


def _until_it_fits(candidates: Sequence[Item], weights: dict[str, int], excess: int) -> list[Item]:
    """The first of them whose weights make up for an excess, without those that need not have gone after all."""
    chosen: list[Item] = []
    for item in candidates:
        if excess <= 0:
            break
        if weights[item.key]:
            chosen.append(item)
            excess -= weights[item.key]
    spared = set()
    for item in reversed(chosen):
        # What went last may have made so much room that some that went before can stay: the worthiest first.
        if excess + weights[item.key] <= 0:
            excess += weights[item.key]
            spared.add(item.key)
    return [item for item in chosen if item.key not in spared]
