"""The task function of a sweep's jobs: the app's own, and then a record of its success, from the job's process."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from hydra_cached.config import options_of
from hydra_cached.errors import brief
from hydra_cached.opening import open_store
from hydra_cached.sweeps.code import PlannedCode
from hydra_cached.sweeps.progress import DONE, FAILED, RUNNING
from hydra_cached.sweeps.record import JobRecord

log = logging.getLogger("hydra_cached.sweeps")


class RecordedTask:
    """Runs a job and records that it completed. It travels to the jobs' processes.

    What raises, exits or is killed is not recorded.

    Args:
        task: the app's task function.
        app: its dotted name.

    Attributes:
        keys: of jobs, by number.
        notes: names of what jobs say of their progress, by number.
        resumes: whether a record that was made since the launch is as good.
        code: what stands in the keys for code.
    """

    def __init__(self, task: Callable[[Any], Any], app: str) -> None:
        functools.update_wrapper(self, task)
        self._task = task
        self.app = app
        self.keys: dict[int, str] = {}
        self.notes: dict[int, str] = {}
        self.resumes = False
        self.code: PlannedCode | None = None

    def __call__(self, config: DictConfig) -> Any:
        record = self._record_of(config)
        if record is None:
            return self._task(config)
        with record.turn() as done:
            if done is not None:
                record.say(DONE)
                return done.value
            return self._run(config, record)

    def _run(self, config: DictConfig, record: JobRecord) -> Any:
        start = time.perf_counter()
        record.say(RUNNING)
        try:
            value = self._task(config)
        except BaseException:
            record.say(FAILED)
            raise
        record.completed(config, value, time.perf_counter() - start)
        record.say(DONE)
        return value

    def _record_of(self, config: DictConfig) -> JobRecord | None:
        try:
            hydra = HydraConfig.get()
            options = options_of(config)
            opened = open_store(options, hydra.runtime.cwd)
            if opened is None:
                return None
            key, note = self.keys.get(hydra.job.num), self.notes.get(hydra.job.num)
            return JobRecord(hydra, options, opened, self.app, key, note, self.resumes, self.code)
        except Exception as error:
            log.warning("this job cannot be recorded: %s", brief(error))
            return None
