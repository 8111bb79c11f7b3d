"""One job's place in the ledger, seen from the job's own process."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from hydra_cached.active import active, seam
from hydra_cached.config import CacheOptions, Mode
from hydra_cached.errors import NotStorable, brief
from hydra_cached.events import Kind, Summary
from hydra_cached.keys.code import code_index
from hydra_cached.keys.files import FileDigests
from hydra_cached.opening import Opened
from hydra_cached.stores.leases import Lease
from hydra_cached.sweeps.code import PlannedCode
from hydra_cached.sweeps.ledger import Done, Ledger, Seen
from hydra_cached.sweeps.outputs import mark, outputs_of, point
from hydra_cached.sweeps.stages import StageReader

log = logging.getLogger("hydra_cached.sweeps")


@dataclass
class JobRecord:
    """Says of a job that it runs, and that it completed. Nothing that goes wrong here harms the job.

    Args:
        hydra: Hydra's own node of the job's config.
        options: the cache's.
        opened: the cache's store.
        app: dotted name of the task function.
        key: of the job's record; None if it cannot have one.
        note: name of what it says of its progress; None if nobody listens.
        resumes: whether a record that was made since the launch is as good as running.
        code: what stands in the key for its code.
    """

    hydra: Any
    options: CacheOptions
    opened: Opened
    app: str
    key: str | None
    note: str | None
    resumes: bool
    code: PlannedCode | None

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.opened.store, self.app)
        self._writes = self.options.mode in (Mode.readwrite, Mode.refresh)

    @contextmanager
    def turn(self) -> Iterator[Done | None]:
        """The job's turn: other processes that would run it wait. Gives its record, if there is one by now.

        There may be one, or another process that is making one, because of a launch that was given up before, or of
        two at once.
        """
        lease, done = None, None
        try:
            if self.resumes and self.key is not None:
                lease, done = self._taken(self.key)
        except Exception as error:
            log.warning("it cannot be known whether another process runs this job: %s", brief(error))
        try:
            yield done
        finally:
            if lease is not None:
                lease.release()
            if self.opened.wait is not None:
                self.opened.wait()

    def _taken(self, key: str) -> tuple[Lease | None, Done | None]:
        leases = self.opened.leases
        # Who uses a bucket may be on a machine that does not see the outputs, and would wait for nothing.
        if leases is None or self.opened.near is not self.opened.store:
            return None, self._done_meanwhile(key)
        return leases.take(key, f"job {self.hydra.job.num} of {self.app}", lambda: self._done_meanwhile(key))

    def say(self, state: str) -> None:
        """Say how far the job is, to a launcher that may be elsewhere."""
        if self.note is None or not self._writes:
            return
        session = active()
        done = session.summary() if session is not None else Summary()
        counts = {"hits": done.hits, "runs": done.runs, "saved": done.saved_seconds}
        self._ledger.put_note(self.note, state=state, **counts)

    def completed(self, config: DictConfig, value: Any, seconds: float) -> None:
        """Record that the job completed.

        Args:
            config: the job's.
            value: what it returned.
            seconds: that it took.
        """
        try:
            self._record(config, value, seconds)
        except NotStorable as error:
            log.warning("this job cannot be restored later: its return value cannot be pickled: %s", error)
        except Exception as error:
            log.warning("this job cannot be restored later: %s", brief(error))

    def _record(self, config: DictConfig, value: Any, seconds: float) -> None:
        if self.key is None or not self._writes:
            return
        problem = None if self.code is None else self.code.problem()
        if problem is not None:
            log.warning("this job cannot be restored later: %s", problem)
            return
        job = self.hydra.job
        directory = os.path.realpath(self.hydra.runtime.output_dir)
        mark(directory, self.key)
        inside = os.path.realpath(os.getcwd()) == directory
        number, job_id = int(job.num), None if job.id is None else str(job.id)
        self._ledger.record(
            self.key, Done(value, directory, number, job_id, str(job.name), inside, seconds)
        )
        self._ledger.add_habits(self._seen(config))

    def _done_meanwhile(self, key: str) -> Done | None:
        """The job's record, if one has been made since the launch."""
        with contextlib.suppress(Exception):
            done = self._ledger.find(key)
            outputs = None if done is None else outputs_of(done.output_dir, key)
            if outputs is not None:
                own = self.hydra.runtime.output_dir
                if outputs != os.path.realpath(own):
                    point(own, outputs)
                log.info("this job was done while it waited; its outputs are in %s", outputs)
                return done
        return None

    def _seen(self, config: DictConfig) -> list[Seen]:
        """The stages that this job instantiated, and whether its config says all about them."""
        session = active()
        if session is None:
            return []
        ran, code = (Kind.RUN, Kind.REFUSED), session.options.code.value
        events = {event.path: event for event in session.events if event.kind in (*ran, Kind.HIT)}
        reader = StageReader(
            seam(), session.options, lambda name: code_index().fingerprint(name, code), FileDigests().of
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
