"""The task function of a sweep's jobs: the app's own, and then a record of its success, from the job's process."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from hydra_cached.errors import NotStorable, brief
from hydra_cached.events import Kind, Summary
from hydra_cached.keys.code.freshness import Read
from hydra_cached.sweeps.ledger import Done, Ledger, Seen
from hydra_cached.sweeps.progress import DONE, FAILED, RUNNING

log = logging.getLogger("hydra_cached.sweeps")


class RecordedTask:
    """Runs a job and records that it completed. It travels to the jobs' processes.

    What raises, exits or is killed is not recorded, and nothing that goes wrong with the record harms the job.

    Args:
        task: the app's task function.
        app: its dotted name.
    """

    def __init__(self, task: Callable[[Any], Any], app: str) -> None:
        functools.update_wrapper(self, task)
        self._task = task
        self.app = app
        self.keys: dict[int, str] = {}  # of jobs, by number
        self.notes: dict[int, str] = {}  # names of what jobs say of their progress, by number
        self.resumes = False  # whether a record that was made since the launch is as good
        self.code: list[Read] = []

    def __getstate__(self) -> dict[str, Any]:
        # What was loaded here says nothing of another process: it imports what it needs from now on.
        files = {path: stamp for each in self.code for path, stamp in each.files.items()}
        digest = "+".join(sorted({each.digest for each in self.code}))
        return {**self.__dict__, "code": [Read(digest, files, frozenset())]}

    def __call__(self, config: DictConfig) -> Any:
        done = self._done_meanwhile(config)
        if done is not None:
            self._say(config, DONE)
            return done.value
        start = time.perf_counter()
        self._say(config, RUNNING)
        try:
            value = self._task(config)
        except BaseException:
            self._say(config, FAILED)
            raise
        seconds = time.perf_counter() - start
        try:
            self._record(config, value, seconds)
        except NotStorable as error:
            log.warning("this job cannot be restored later: its return value cannot be pickled: %s", error)
        except Exception as error:
            log.warning("this job cannot be restored later: %s", brief(error))
        self._say(config, DONE)
        return value

    def _done_meanwhile(self, config: DictConfig) -> Done | None:
        """The job's record, if one was made while it waited for its turn: by a launch that was given up before."""
        from hydra_cached.config import options_of
        from hydra_cached.opening import open_store
        from hydra_cached.sweeps.outputs import outputs_of, point

        with contextlib.suppress(Exception):
            hydra = HydraConfig.get()
            key = self.keys.get(hydra.job.num)
            opened = open_store(options_of(config), hydra.runtime.cwd) if self.resumes and key else None
            done = Ledger(opened.store, self.app).find(key) if opened is not None and key else None
            outputs = outputs_of(done.output_dir, key) if done is not None and key else None
            if outputs is not None:
                if outputs != os.path.realpath(hydra.runtime.output_dir):
                    point(hydra.runtime.output_dir, outputs)
                log.info("this job was done while it waited; its outputs are in %s", outputs)
                return done
        return None

    def _say(self, config: DictConfig, state: str) -> None:
        """Say how far the job is, to a launcher that may be elsewhere."""
        from hydra_cached.active import active
        from hydra_cached.config import Mode, options_of
        from hydra_cached.opening import open_store

        with contextlib.suppress(Exception):
            hydra = HydraConfig.get()
            name = self.notes.get(hydra.job.num)
            options = options_of(config)
            if name is None or options.mode not in (Mode.readwrite, Mode.refresh):
                return
            opened, session = open_store(options, hydra.runtime.cwd), active()
            if opened is not None:
                done = session.summary() if session is not None else Summary()
                counts = {"hits": done.hits, "runs": done.runs, "saved": done.saved_seconds}
                Ledger(opened.store, self.app).put_note(name, state=state, **counts)
                if opened.finish is not None:
                    opened.finish()

    def _seen(self, config: DictConfig) -> list[Seen]:
        """The stages that this job instantiated, and whether its config says all about them."""
        from hydra_cached.active import active, seam
        from hydra_cached.keys.code import code_index
        from hydra_cached.keys.files import FileDigests
        from hydra_cached.sweeps.stages import StageReader

        session = active()
        if session is None:
            return []
        options = session.options
        ran = (Kind.RUN, Kind.REFUSED)
        events = {event.path: event for event in session.events if event.kind in (*ran, Kind.HIT)}
        reader = StageReader(
            seam(), options, lambda name: code_index().fingerprint(name, options.code.value), FileDigests().of
        )
        keys = {stage.key for stage in reader.of(config, events)}
        return [
            Seen(
                path,
                event.target,
                round(event.seconds, 3) if event.kind in ran else None,
                event.static is None or event.static in keys,
            )
            for path, event in events.items()
        ]

    def _record(self, config: DictConfig, value: Any, seconds: float) -> None:
        from hydra_cached.active import loaded_code
        from hydra_cached.config import Mode, options_of
        from hydra_cached.opening import open_store
        from hydra_cached.sweeps.outputs import mark

        hydra = HydraConfig.get()
        key = self.keys.get(hydra.job.num)
        options = options_of(config)
        if key is None or options.mode not in (Mode.readwrite, Mode.refresh):
            return
        problem = loaded_code().disagreement(self.code)
        if problem is not None:
            log.warning("this job cannot be restored later: %s", problem)
            return
        opened = open_store(options, hydra.runtime.cwd)
        if opened is None:
            return
        directory = os.path.realpath(hydra.runtime.output_dir)
        mark(directory, key)
        inside = os.path.realpath(os.getcwd()) == directory
        name, number, job_id = str(hydra.job.name), int(hydra.job.num), hydra.job.id
        done = Done(value, directory, number, None if job_id is None else str(job_id), name, inside, seconds)
        ledger = Ledger(opened.store, self.app)
        ledger.record(key, done)
        ledger.add_habits(self._seen(config))
        if opened.finish is not None:
            opened.finish()
