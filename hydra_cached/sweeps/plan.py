"""Plans of sweeps: from what is known of the jobs to what is done with each. Pure: data in, data out."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


class Fate(enum.Enum):
    """What is done with a job."""

    RUN = "run"
    RESTORED = "restored"  # it completed before
    SAME = "same"  # an equal job is run, or was


@dataclass(frozen=True)
class Fact:
    """What is known of a job before the launch.

    Args:
        number: its number.
        key: equal for equal jobs; None if nothing can stand for it.
        done: whether its result is known from before.
        reason: why it has no key, or why its result cannot be used.
    """

    number: int
    key: str | None
    done: bool = False
    reason: str = ""


@dataclass(frozen=True)
class JobFate:
    """What is done with a job.

    Args:
        fate: that.
        like: number of the equal job in the batch whose result it gets; None for one of an earlier batch.
        reason: in words for a person, where there is one.
    """

    fate: Fate
    like: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """What is done with a batch of jobs.

    Args:
        fates: of each job, by number.
        order: numbers of those that run, in the order in which they are launched.
    """

    fates: Mapping[int, JobFate]
    order: Sequence[int]

    def line(self, saved: float = 0.0) -> str:
        """One line for a person.

        Args:
            saved: seconds that the restored jobs took when they ran.
        """
        counts = {fate: sum(each.fate is fate for each in self.fates.values()) for fate in Fate}
        parts = [f"{len(self.fates)} jobs: {counts[Fate.RUN]} to run"]
        if counts[Fate.RESTORED]:
            parts.append(f"{counts[Fate.RESTORED]} done before and restored ({saved:.1f} s)")
        if counts[Fate.SAME]:
            parts.append(f"{counts[Fate.SAME]} equal to others")
        return ", ".join(parts)

    def reasons(self) -> dict[str, list[int]]:
        """Numbers of jobs that run for want of a key, by reason."""
        found: dict[str, list[int]] = {}
        for number, each in self.fates.items():
            if each.fate is Fate.RUN and each.reason:
                found.setdefault(each.reason, []).append(number)
        return found


def make_plan(facts: Sequence[Fact], *, had: frozenset[str] = frozenset(), dedupe: bool = True) -> Plan:
    """Decide what is done with each job of a batch.

    Args:
        facts: what is known of the jobs, in order.
        had: keys of jobs that completed in earlier batches of this sweep.
        dedupe: whether equal jobs are run once.
    """
    fates: dict[int, JobFate] = {}
    leaders: dict[str, int] = {}
    for fact in facts:
        if fact.done:
            fates[fact.number] = JobFate(Fate.RESTORED)
        elif dedupe and fact.key is not None and fact.key in had:
            fates[fact.number] = JobFate(Fate.SAME)
        elif dedupe and fact.key is not None and fact.key in leaders:
            fates[fact.number] = JobFate(Fate.SAME, like=leaders[fact.key])
        else:
            fates[fact.number] = JobFate(Fate.RUN, reason=fact.reason)
            if fact.key is not None:
                leaders[fact.key] = fact.number
    order = [number for number, each in fates.items() if each.fate is Fate.RUN]
    return Plan(fates, order)


def pilots(missing: Mapping[int, frozenset[str]], seconds: Mapping[str, float] | None = None) -> list[int]:
    """Jobs that go ahead, none of which wants a stage that another of them computes; the most useful first.

    Args:
        missing: keys of the stages that each job will have to compute, by its number, in order.
        seconds: what is known of how long stages take, by key.
    """
    known = seconds or {}
    counts: dict[str, int] = {}
    for keys in missing.values():
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
    shared = {number: frozenset(key for key in keys if counts[key] > 1) for number, keys in missing.items()}
    chosen: list[int] = []
    taken: set[str] = set()
    waiting = {number: keys for number, keys in shared.items() if keys}
    while waiting:
        # Of equals the first, so that jobs keep their order.
        best = max(waiting, key=lambda number: (sum(known.get(key, 1.0) for key in waiting[number]), -number))
        chosen.append(best)
        taken |= waiting[best]
        waiting = {number: keys for number, keys in waiting.items() if not keys & taken}
    return chosen


@dataclass(frozen=True)
class StageRow:
    """One stage of an app, counted over jobs.

    Args:
        path: where it stands.
        target: dotted name of what is called.
        jobs: how many jobs want it.
        hits: of how many different ones the result is there.
        runs: of how many it is not.
        seconds: that it takes once; None if that is not known.
        reason: why it runs in each job, if it does.
    """

    path: str
    target: str
    jobs: int
    hits: int
    runs: int
    seconds: float | None = None
    reason: str = ""

    @property
    def saved(self) -> float:
        """Seconds that are spared, against each job running it."""
        return (self.jobs - self.runs) * (self.seconds or 0.0)


Use = tuple[str, str, str | None, bool, str]  # of a stage by a job: path, target, key, hit, reason


def stage_rows(uses: Iterable[Use], seconds: Mapping[str, float]) -> list[StageRow]:
    """Count the uses of stages by jobs.

    Args:
        uses: one for each stage of each job.
        seconds: that stages take, by target, as far as known.
    """
    groups: dict[tuple[str, str], list[Use]] = {}
    for use in uses:
        groups.setdefault(use[:2], []).append(use)
    rows = []
    for (path, target), several in groups.items():
        keys = {key: hit for _, _, key, hit, _ in several if key is not None}
        without = [use for use in several if use[2] is None]
        hits = sum(keys.values())
        runs = len(keys) - hits + len(without)
        reason = without[0][4] if without else ""
        rows.append(StageRow(path, target, len(several), hits, runs, seconds.get(target), reason))
    return rows
