"""Plans as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hydra_cached.show.tables import table
from hydra_cached.sweeps.plan import Fate, Plan, StageRow

UNKNOWN = (
    "Target nodes of the config are taken for what the app instantiates: none of its sweeps has been recorded yet.",
    "What an app passes to instantiate() at the call is not known here.",
)


def stages_table(rows: Sequence[StageRow]) -> str:
    """One line per stage: how many jobs want it, what is there, what runs, and the time that is spared."""
    lines = [
        (
            row.path,
            row.target,
            str(row.jobs),
            str(row.hits),
            str(row.runs),
            "" if row.seconds is None else f"{row.seconds:.1f} s",
            f"{row.saved:.1f} s" if row.saved else "",
            row.reason,
        )
        for row in rows
    ]
    header = ("stage", "target", "jobs", "hits", "runs", "takes", "saves", "")
    return table(header, lines, frozenset({2, 3, 4, 5, 6}))


def jobs_table(plan: Plan, overrides: Mapping[int, str]) -> str:
    """One line per job: what is done with it.

    Args:
        plan: the plan.
        overrides: of each job, by number.
    """
    lines = []
    for number, each in sorted(plan.fates.items()):
        if each.fate is Fate.RESTORED:
            what = "done before"
        elif each.fate is Fate.SAME:
            what = "done before" if each.like is None else f"same as {each.like}"
        else:
            what = f"run ({each.reason})" if each.reason else "run"
        lines.append((str(number), overrides[number], what))
    return table(("job", "overrides", "plan"), lines, frozenset({0}))
