"""The ledger, in the cache's store: which jobs completed, what they returned, and where their outputs are."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from blake3 import blake3

from hydra_cached.errors import brief
from hydra_cached.stores.base import LINK, Entry, Store
from hydra_cached.stores.serializers import dump, load

log = logging.getLogger("hydra_cached.sweeps")

JOB = "job"  # in a manifest: what is known of a completed job
PROGRESS = "progress"  # in a manifest without payload: how far a job is
HABITS = "stages"  # in a manifest without payload: what an app's jobs have instantiated


@dataclass(frozen=True)
class Done:
    """A job that completed.

    Args:
        value: what its task function returned.
        output_dir: where its outputs are.
        number: the number that it had.
        id: the id that it had.
        name: the name that it had.
        in_output_dir: whether it ran with its output directory as working directory.
        seconds: that the task function took.
    """

    value: Any
    output_dir: str
    number: int
    id: str | None = None
    name: str = ""
    in_output_dir: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A stage that an app's job instantiated.

    Args:
        path: where it stands in the config.
        target: dotted name of what is called.
        seconds: that its own target took when it ran last; None if it was never seen to run.
        configured: whether config and code alone are its key; false where the app passes something at the call.
    """

    path: str
    target: str
    seconds: float | None = None
    configured: bool = True


class Ledger:
    """Records of completed jobs in a store. A store that fails is reported, and knows nothing.

    Args:
        store: the cache's.
        app: dotted name of the task function.
    """

    def __init__(self, store: Store, app: str) -> None:
        self._store = store
        self._app = app

    def find(self, key: str) -> Done | None:
        """What is known of a job that completed; None if none did."""
        try:
            entry = self._store.get(key)
            if entry is None or entry.payload is None or JOB not in entry.manifest:
                return None
            return Done(**load(entry.payload), seconds=float(entry.manifest["seconds"]))
        except Exception as error:
            log.warning("the record of a job cannot be read, so the job runs again: %s", brief(error))
            return None

    def kept(self, key: str) -> float | None:
        """Seconds that the target of a stage took whose result is kept under a static key; None if none is."""
        try:
            entry = self._store.get(key)
            if entry is not None and LINK in entry.manifest:
                entry = self._store.get(str(entry.manifest[LINK]))
        except Exception:
            return None
        if entry is None or entry.payload is None:
            return None
        return float(entry.manifest.get("seconds", 0.0))

    def record(self, key: str, done: Done) -> None:
        """Record a job that completed.

        Raises:
            NotStorable: what it returned cannot be pickled.
            OSError: the store cannot be written.
        """
        # Names of directories may quote overrides, and these are not for manifests: they may hold secrets.
        hidden = ("output_dir", "number", "id", "name", "in_output_dir", "value")
        payload = dump({name: getattr(done, name) for name in hidden})
        manifest = {
            JOB: key,
            "target": self._app,
            "path": "(job)",
            "seconds": done.seconds,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
        }
        self._store.put(key, Entry(manifest, payload))

    def put_note(self, name: str, **note: Any) -> None:
        """Say how far a job is; a store that fails is of no account.

        Args:
            name: the job's, for all who ask.
            note: what to say.
        """
        with contextlib.suppress(Exception):
            self._store.put(_note_key(name), Entry({PROGRESS: note}))

    def note(self, name: str) -> dict[str, Any] | None:
        """What a job said last; None if it has said nothing yet."""
        try:
            entry = self._store.get(_note_key(name))
        except Exception:
            return None
        return None if entry is None else dict(entry.manifest.get(PROGRESS, {}))

    def forget_note(self, name: str) -> None:
        """Remove what a job said."""
        with contextlib.suppress(Exception):
            self._store.delete(_note_key(name))

    def habits(self) -> dict[str, Seen]:
        """The stages that this app's jobs were seen to instantiate, by path."""
        try:
            entry = self._store.get(_habits_key(self._app))
        except Exception:
            entry = None
        rows = entry.manifest.get(HABITS, []) if entry is not None else []
        return {str(row[0]): Seen(*row) for row in rows}

    def add_habits(self, seen: Sequence[Seen]) -> None:
        """Add what a job was seen to instantiate. Of two jobs that end at once, one may be forgotten."""
        known = self.habits()
        merged = dict(known)
        for each in seen:
            before = merged.get(each.path)
            seconds = each.seconds if each.seconds is not None or before is None else before.seconds
            merged[each.path] = replace(each, seconds=seconds)
        news = (path for path, each in merged.items() if _differs(known.get(path), each))
        if next(news, None) is not None:
            rows = [[each.path, each.target, each.seconds, each.configured] for each in merged.values()]
            self._store.put(_habits_key(self._app), Entry({HABITS: rows, "target": self._app}))


def _differs(known: Seen | None, seen: Seen) -> bool:
    """Whether it is worth writing down: not how much a time varies."""
    if known is None or (known.target, known.configured) != (seen.target, seen.configured):
        return True
    before, now = known.seconds, seen.seconds
    return before != now and (before is None or now is None or not 0.5 < (now + 0.1) / (before + 0.1) < 2)


def job_key(identity: str, repeat: int = 0) -> str:
    """The key of a job's record.

    Args:
        identity: what is the same for equal jobs.
        repeat: how many equal jobs came before it, where repeats count.
    """
    return blake3(f"job {identity} {repeat}".encode()).hexdigest()


def _note_key(name: str) -> str:
    return blake3(f"{PROGRESS} {name}".encode()).hexdigest()


def _habits_key(app: str) -> str:
    return blake3(f"{HABITS} {app}".encode()).hexdigest()
