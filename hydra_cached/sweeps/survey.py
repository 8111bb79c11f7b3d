"""What the store knows of the stages that jobs will build: which are there, and how long they take."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from omegaconf import OmegaConf

from hydra_cached.config import CacheOptions, Mode
from hydra_cached.sweeps.jobs import Job, hydra_config
from hydra_cached.sweeps.ledger import Ledger, Seen
from hydra_cached.sweeps.plan import StageRow, Use, stage_rows
from hydra_cached.sweeps.stages import StageOfJob, StageReader


@dataclass(frozen=True)
class Survey:
    """What is known of the stages that jobs will build.

    Args:
        missing: keys of those that will be computed and kept, by number of the job.
        seconds: how long they take, by key, where that is known.
        paths: where they stand, by key.
        rows: all stages, counted.
        known: whether the app's jobs were seen to run, so that what they instantiate is known.
    """

    missing: Mapping[int, frozenset[str]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[StageRow] = ()
    known: bool = False


def survey(
    jobs: Sequence[Job],
    reader: StageReader,
    ledger: Ledger,
    options: CacheOptions,
    only: Collection[str] = (),
) -> Survey:
    """Look up the stages of jobs; each different one once.

    Args:
        jobs: the jobs.
        reader: reads their stages.
        ledger: knows what is kept, and what the app's earlier jobs did.
        options: the cache's.
        only: paths of the stages that matter; if there are none, those that the app's jobs were seen to build.
    """
    habits = ledger.habits()
    takes = times(habits)
    refreshes = options.mode is Mode.refresh
    kept = _Remembered((lambda key: None) if refreshes else ledger.kept)
    missing: dict[int, frozenset[str]] = {}
    paths: dict[str, str] = {}
    seconds: dict[str, float] = {}
    uses: list[Use] = []
    known = only or [path for path, seen in habits.items() if seen.configured]
    for job in jobs:
        if job.packed is None:
            continue
        config = job.packed.config()
        with hydra_config(config):
            stages = reader.of(config, known if habits or only else (), lambda key: kept(key) is not None)
            uses.extend(
                (path, seen.target, None, False, "the app passes it something at the call")
                for path, seen in habits.items()
                if not seen.configured and OmegaConf.select(config, path) is not None
            )
        for stage in stages:
            if stage.hit and stage.key is not None:
                takes[stage.target] = max(kept(stage.key) or 0.0, takes.get(stage.target, 0.0))
        uses.extend((stage.path, stage.target, stage.key, stage.hit, stage.reason) for stage in stages)
        wanted = [
            stage for stage in stages if _will_be_kept(stage, takes, 0.0 if only else options.min_seconds)
        ]
        missing[job.number] = frozenset(stage.key for stage in wanted if stage.key is not None)
        for stage in wanted:
            assert stage.key is not None
            paths.setdefault(stage.key, stage.path)
            if stage.target in takes:
                seconds[stage.key] = takes[stage.target]
    return Survey(missing, seconds, paths, stage_rows(uses, takes), bool(habits))


def times(habits: Mapping[str, Seen]) -> dict[str, float]:
    """How long stages take, by target."""
    found: dict[str, float] = {}
    for seen in habits.values():
        if seen.seconds is not None:
            found[seen.target] = max(seen.seconds, found.get(seen.target, 0.0))
    return found


def _will_be_kept(stage: StageOfJob, takes: Mapping[str, float], min_seconds: float) -> bool:
    return stage.key is not None and not stage.hit and takes.get(stage.target, math.inf) >= min_seconds


class _Remembered:
    """A question that is asked once for each key."""

    def __init__(self, ask: Callable[[str], float | None]) -> None:
        self._ask = ask
        self._answers: dict[str, float | None] = {}

    def __call__(self, key: str) -> float | None:
        if key not in self._answers:
            self._answers[key] = self._ask(key)
        return self._answers[key]
