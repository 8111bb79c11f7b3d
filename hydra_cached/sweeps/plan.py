"""Plans of sweeps: from what is known of the jobs to what is done with each. Pure: data in, data out."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
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
