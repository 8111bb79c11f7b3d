"""A sweep: what is finished is restored, equal jobs run once, the rest goes to the launcher that is wrapped."""

from __future__ import annotations

import copy
import logging
import os
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_cached.active import seam
from hydra_cached.config import CacheOptions, Mode, options_of
from hydra_cached.errors import UntrustedRoot, brief
from hydra_cached.keys.code import code_index
from hydra_cached.keys.files import FileDigests
from hydra_cached.opening import open_store
from hydra_cached.shelf import StoreNotes
from hydra_cached.stores.base import Store
from hydra_cached.sweeps.ahead import paths_ahead
from hydra_cached.sweeps.code import PlannedCode
from hydra_cached.sweeps.compositions import Compositions
from hydra_cached.sweeps.inner import Inner
from hydra_cached.sweeps.jobs import Job, compose, handed_on, restored
from hydra_cached.sweeps.keys import JobKeys
from hydra_cached.sweeps.ledger import Done, Ledger, job_key
from hydra_cached.sweeps.numbers import runs_of
from hydra_cached.sweeps.options import LauncherOptions
from hydra_cached.sweeps.outputs import clear, link, outputs_of
from hydra_cached.sweeps.plan import Fact, Fate, Plan, make_plan, pilots
from hydra_cached.sweeps.progress import Watch
from hydra_cached.sweeps.stages import StageReader
from hydra_cached.sweeps.survey import Survey, survey
from hydra_cached.sweeps.tables import UNKNOWN, jobs_table, stages_table
from hydra_cached.sweeps.task import RecordedTask

log = logging.getLogger("hydra_cached.sweeps")


class Sweep:
    """What stands behind ``hydra/launcher=cached``.

    Args:
        context: Hydra's.
        task: the app's task function.
        config: the sweep's.
        options: the launcher's.
    """

    def __init__(
        self, context: HydraContext, task: TaskFunction, config: DictConfig, options: LauncherOptions
    ) -> None:
        self._options = options
        self._config = config
        self._cache = cache_of(config)
        base = str(config.hydra.runtime.cwd)
        store = None if self._cache is None else _store(self._cache, base)
        memory = None if store is None else StoreNotes(store, self._cache is not None and self._writes)
        self._scope = (self._cache or CacheOptions()).code.value
        files = FileDigests(memory, base).of
        self._keys = JobKeys(task, lambda name: code_index().fingerprint(name, self._scope), files)
        self._files = files
        app = self._keys.task
        self._ledger = None if store is None or app is None else Ledger(store, app)
        self._task = RecordedTask(task, app) if self._ledger is not None and app is not None else None
        self._repeats: Counter[str] = Counter()
        self._had: dict[str, tuple[Job, JobReturn]] = {}  # what ran in earlier batches
        self._plans = bool(OmegaConf.select(config, "cache.plan"))
        self._inner = Inner(context, self._task or task, config)
        self._composed = Compositions(context.config_loader)

    @property
    def _writes(self) -> bool:
        return self._cache is not None and self._cache.mode in (Mode.readwrite, Mode.refresh)

    @property
    def _restores(self) -> bool:
        refreshes = self._cache is not None and self._cache.mode is Mode.refresh
        return self._options.resume and self._ledger is not None and not refreshes

    def launch(self, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Run what is missing of a batch; gives the results of all of it, in order.

        Args:
            job_overrides: overrides of each job.
            first: number of the first job.
        """
        jobs = self._compose(job_overrides, first)
        with self._composed.paused():
            return self._launch(jobs)

    def _launch(self, jobs: list[Job]) -> list[JobReturn]:
        found = {job.number: known for job in jobs if (known := self._done(job)) is not None}
        facts = [Fact(job.number, job.key, job.number in found, job.reason) for job in jobs]
        had = frozenset(self._had) if self._options.dedupe else frozenset()
        plan = make_plan(facts, had=had, dedupe=self._options.dedupe)
        by_number = {job.number: job for job in jobs}
        to_run = [by_number[number] for number in plan.order]
        stages = self._survey(to_run)
        self._say(plan, sum(done.seconds for done, _ in found.values()), stages)
        if self._plans:
            self._show(plan, by_number, stages)
            raise SystemExit(0)
        results: dict[int, JobReturn] = {}
        self._make_way(
            [by_number[number] for number in plan.fates if plan.fates[number].fate is not Fate.SAME]
        )
        for number, (done, result) in found.items():
            results[number] = result
            self._link(by_number[number], result, done.output_dir)
        for job, result in self._run(to_run, stages):
            results[job.number] = result
            if job.key is not None and result.status is JobStatus.COMPLETED:
                self._had[job.key] = job, result
        for number, fate in plan.fates.items():
            if fate.fate is Fate.SAME:
                results[number] = self._hand_on(by_number[number], by_number, results, fate.like)
        return [results[job.number] for job in jobs]

    # Planning.

    def _compose(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
        wanted = self._options.dedupe or self._ledger is not None
        keys = self._keys if wanted else None
        jobs = [
            compose(self._composed, self._config, overrides, number, keys, named=not self._inner.one_by_one)
            for number, overrides in enumerate(job_overrides, first)
        ]
        problem = PlannedCode(self._keys.read, self._scope).problem() if wanted else None
        if problem is not None:
            log.warning("no job of this sweep is restored, shared or recorded: %s", problem)
        for job in jobs:
            if problem is not None:
                job.identity, job.reason = None, problem
            if job.identity is None:
                continue
            repeat = 0
            if not self._options.dedupe:
                repeat = self._repeats[job.identity]
                self._repeats[job.identity] += 1
            job.key = job_key(job.identity, repeat)
        return jobs

    def _done(self, job: Job) -> tuple[Done, JobReturn] | None:
        """The record of a job that completed before, and what its launcher shall return, if it can be restored."""
        if not self._restores or self._ledger is None or job.key is None:
            return None
        done = self._ledger.find(job.key)
        if done is None:
            return None
        if outputs_of(done.output_dir, job.key) is None:
            job.reason = f"its output directory {done.output_dir} is gone"
            return None
        try:
            return done, restored(job, done)
        except Exception as error:
            job.reason = f"it cannot be restored: {brief(error)}"
            return None

    def _survey(self, jobs: list[Job]) -> Survey:
        """The stages of the jobs that run, if anybody wants to know."""
        if self._ledger is None or self._cache is None or not (self._plans or len(jobs) > 1):
            return Survey()
        if self._inner.one_by_one and not self._plans:
            return Survey()
        return self._look(jobs, self._cache, self._ledger)

    def _look(
        self,
        jobs: list[Job],
        cache: CacheOptions,
        ledger: Ledger,
        only: frozenset[str] = frozenset(),
    ) -> Survey:
        try:
            reader = StageReader(seam(), cache, self._keys.fingerprint, self._files)
            return survey(jobs, reader, ledger, cache, only)
        except Exception as error:
            log.warning("the stages of the jobs cannot be planned: %s", brief(error))
            return Survey()

    def _show(self, plan: Plan, jobs: Mapping[int, Job], stages: Survey) -> None:
        """Print the plan, for a person who wants no more."""
        overrides = {number: " ".join(filter_overrides(job.overrides)) for number, job in jobs.items()}
        print(jobs_table(plan, overrides))
        if stages.rows:
            print(f"\n{stages_table(stages.rows)}\n")
            print("\n".join(UNKNOWN[stages.known :]))

    def _say(self, plan: Plan, saved: float, stages: Survey) -> None:
        log.info("%s", plan.line(saved))
        if self._ledger is None:
            log.info(
                "no cache is active, so finished jobs are not remembered and stages are not shared; "
                "add +cache=disk"
            )
        for reason, numbers in plan.reasons().items():
            log.info("jobs %s run, whatever was done before: %s", ", ".join(map(str, numbers)), reason)
        if stages.rows and not self._plans:
            log.info("stages of the jobs to run:\n%s", stages_table(stages.rows))

    # Running.

    def _run(self, jobs: list[Job], stages: Survey) -> list[tuple[Job, JobReturn]]:
        """Have the inner launcher run jobs."""
        if self._task is not None:
            self._task.keys = {job.number: job.key for job in jobs if job.key is not None}
            self._task.code = PlannedCode(self._keys.read, self._scope)
            self._task.resumes = self._restores
        if self._inner.one_by_one:
            groups = [[jobs[at] for at in group] for group in runs_of([job.number for job in jobs])]
        else:
            groups = self._ahead(jobs, stages)
        watch = self._watch(jobs)
        try:
            return self._inner.launch_all(groups)
        finally:
            if watch is not None:
                watch.stop()

    def _watch(self, jobs: list[Job]) -> Watch | None:
        """Show how far the jobs are."""
        if self._task is None or self._ledger is None or not self._writes or not jobs:
            return None
        run = uuid.uuid4().hex
        self._task.notes = {job.number: f"{run} {job.number}" for job in jobs}
        return Watch(self._ledger, list(self._task.notes.values()), bar=not self._inner.one_by_one)

    def _run_stages(self, jobs: list[Job], stages: Survey) -> bool:
        """Have stages that are shared run ahead, as jobs of their own; says whether that was done.

        That is done for stages that the options name, and where a launcher starts all jobs at once, for those that
        are known to be slow. Otherwise whole jobs go ahead, which needs nothing to be known.
        """
        if not self._writes:
            return False
        named = frozenset(self._options.stages)
        if named and self._cache is not None and self._ledger is not None:
            wanted = self._look(jobs, self._cache, self._ledger, named)
        elif self._inner.pool or not stages.known:
            return False
        else:
            wanted = stages
        counts = Counter(key for keys in wanted.missing.values() for key in keys)
        shared = {
            key: path
            for key, path in wanted.paths.items()
            if counts[key] > 1 and (path in named if named else key in wanted.seconds)
        }
        missing = {number: keys & shared.keys() for number, keys in wanted.missing.items()}
        paths = paths_ahead(pilots(missing, wanted.seconds), missing, shared)
        if not paths:
            return False
        several = dict.fromkeys(path for each in paths.values() for path in each)
        log.info("stages that jobs share run ahead: %s", ", ".join(several))
        try:
            self._inner.launch_stages([job for job in jobs if job.number in paths], paths)
        except Exception as error:
            log.warning("the jobs for shared stages failed, so each job looks after itself: %s", brief(error))
        return True

    def _ahead(self, jobs: list[Job], stages: Survey) -> list[list[Job]]:
        """Jobs in the order of their launch, in one call or two, so that none waits for another's stage."""
        if jobs and self._ledger is not None and self._run_stages(jobs, stages):
            return [jobs]
        first = pilots(stages.missing, stages.seconds) if stages.missing else []
        if not first or len(first) == len(jobs):
            return [jobs] if jobs else []
        log.info("jobs %s go ahead, for the stages that others share", ", ".join(map(str, sorted(first))))
        ahead = [job for number in first for job in jobs if job.number == number]
        rest = [job for job in jobs if job.number not in first]
        return [[*ahead, *rest]] if self._inner.pool else [sorted(ahead, key=lambda job: job.number), rest]

    def _make_way(self, jobs: list[Job]) -> None:
        """Set aside what other jobs left where these will write, or be linked, before anything is linked to it."""
        for job in jobs:
            if job.output_dir and self._ledger is not None:
                aside = clear(job.output_dir, job.key)
                if aside is not None:
                    log.info("the outputs of another job in %s are now in %s", job.output_dir, aside)

    def _hand_on(
        self, job: Job, jobs: dict[int, Job], results: dict[int, JobReturn], like: int | None
    ) -> JobReturn:
        """The result of an equal job of this batch, or of an earlier one."""
        if like is not None:
            other, result = jobs[like], results[like]
        else:
            assert job.key is not None
            other, result = self._had[job.key]
        own = handed_on(job, result, other.number)
        if own.status is JobStatus.COMPLETED:
            own.return_value = _fresh(result.return_value)
        outputs = None if result.hydra_cfg is None else result.hydra_cfg.hydra.runtime.output_dir
        if outputs is not None and os.path.isdir(outputs):
            self._link(job, own, os.path.realpath(outputs))
        return own

    def _link(self, job: Job, result: JobReturn, outputs: str) -> None:
        """Have a job's own output directory lead to where its outputs are."""
        assert result.hydra_cfg is not None and job.key is not None
        outputs = outputs_of(outputs, job.key) or outputs
        problem = link(str(result.hydra_cfg.hydra.runtime.output_dir), outputs, job.key)
        if problem is not None:
            log.warning("%s", problem)


def cache_of(config: DictConfig) -> CacheOptions | None:
    """The options of the cache that a config's jobs will have; None if they have none that outlives them."""
    if OmegaConf.select(config, "cache") is None or OmegaConf.select(config, "hydra.callbacks") is None:
        return None
    if "hydra_cached" not in config.hydra.callbacks:
        return None
    options = options_of(config)
    return None if options.mode is Mode.off or options.dir is None else options


def _store(options: CacheOptions, base: str) -> Store | None:
    try:
        opened = open_store(options, base)
    except UntrustedRoot as error:
        if options.strict:
            raise
        log.error("The sweep runs without a cache: %s", error)
        return None
    return None if opened is None else opened.store


def _fresh(value: Any) -> Any:
    """A copy, for nobody shall get what another may change; the value itself if it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value
