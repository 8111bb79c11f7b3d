"""How far a sweep is: jobs leave notes in the store, wherever they run, and the launcher looks at these."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra_cached.sweeps.ledger import Ledger

log = logging.getLogger("hydra_cached.sweeps")
LOOK = 2.0  # seconds between two looks
SAY = 30.0  # seconds between two log lines, where no bar is shown
RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True)
class Progress:
    """Jobs and stages, counted.

    Args:
        jobs: how many are run.
        done, running, failed: how many of them are.
        hits: stages that jobs which ended were served.
        runs: stages that they ran.
        saved: seconds that the hits spared them.
        left: seconds until all are done, if it goes on like this; None if nothing is known yet, or to be done.
    """

    jobs: int
    done: int = 0
    running: int = 0
    failed: int = 0
    hits: int = 0
    runs: int = 0
    saved: float = 0.0
    left: float | None = None

    def line(self) -> str:
        """One line for a person."""
        parts = [f"{self.done} of {self.jobs} jobs done", f"{self.running} running"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        stages = f"{self.hits} stages from the cache, {self.runs} run"
        saved = f", saved {self.saved:.0f} s" if self.saved >= 0.5 else ""
        left = "" if self.left is None else f"; about {self.left:.0f} s left"
        return f"{', '.join(parts)}; {stages}{saved}{left}"


def progress(notes: Iterable[Mapping[str, Any]], jobs: int, seconds: float) -> Progress:
    """Count notes of jobs; a pure function.

    Args:
        notes: what jobs noted, one for each that has begun.
        jobs: how many there are.
        seconds: since the launch.
    """
    several = list(notes)
    count = {state: sum(note.get("state") == state for note in several) for state in (RUNNING, DONE, FAILED)}
    ended = count[DONE] + count[FAILED]
    return Progress(
        jobs,
        count[DONE],
        count[RUNNING],
        count[FAILED],
        sum(int(note.get("hits", 0)) for note in several),
        sum(int(note.get("runs", 0)) for note in several),
        sum(float(note.get("saved", 0.0)) for note in several),
        seconds / ended * (jobs - ended) if 0 < ended < jobs else None,
    )


class Watch:
    """Shows how far the jobs of one launch are, in a thread of its own, until it is stopped.

    Args:
        ledger: where jobs leave their notes.
        names: of the jobs' notes.
        bar: whether a bar may be drawn, if somebody looks.
    """

    def __init__(self, ledger: Ledger, names: list[str], bar: bool = True) -> None:
        self._ledger = ledger
        self._names = names
        self._notes: dict[str, Mapping[str, Any]] = {}
        self._start = time.monotonic()
        self._stopped = threading.Event()
        self._show = (_bar(len(names)) if bar else None) or _Lines()
        self._thread = threading.Thread(target=self._watch, name="hydra-cached-progress", daemon=True)
        self._thread.start()

    def look(self) -> Progress:
        """How far it is now."""
        for name in self._names:
            if self._notes.get(name, {}).get("state") in (None, RUNNING):
                note = self._ledger.note(name)
                if note is not None:
                    self._notes[name] = note
        return progress(self._notes.values(), len(self._names), time.monotonic() - self._start)

    def stop(self) -> None:
        """Show no more, and forget the notes."""
        self._stopped.set()
        self._thread.join()
        self._show(self.look(), True)
        for name in self._names:
            self._ledger.forget_note(name)

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK):
            try:
                self._show(self.look(), False)
            except Exception as error:
                log.debug("how far the sweep is cannot be told: %s", error)


class _Lines:
    """A log line now and then, when there is news."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        self._before: tuple[int, int] | None = None

    def __call__(self, now: Progress, last: bool) -> None:
        news = (now.done, now.failed) != self._before
        if last or (news and time.monotonic() - self._said >= SAY):
            self._said, self._before = time.monotonic(), (now.done, now.failed)
            log.info("%s", now.line())


def _bar(jobs: int) -> Callable[[Progress, bool], None] | None:
    """A bar, where somebody looks and ``tqdm`` is installed."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    # Not at once: the launcher logs its jobs first, and a line that follows a bar begins in the middle.
    layout = "{percentage:3.0f}%|{bar:20}| {desc}"
    bar = tqdm(total=jobs, dynamic_ncols=True, delay=LOOK / 2, bar_format=layout)

    def show(now: Progress, last: bool) -> None:
        bar.n = now.done + now.failed
        bar.set_description_str(now.line())
        if last:
            bar.delay = 0  # or it would not end its line
            bar.close()

    return show
