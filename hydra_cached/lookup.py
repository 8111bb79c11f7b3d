"""Looking up: what is kept under a key, whether Hydra lets it be served, and waiting for who computes it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from hydra_cached import policy, random_state
from hydra_cached.call import Frame, Outcome
from hydra_cached.children import outcome_of, recorded_targets
from hydra_cached.config import CacheOptions, Mode
from hydra_cached.errors import HandedOther, brief
from hydra_cached.events import Kind
from hydra_cached.keys.key import Stage
from hydra_cached.logs import Announcer
from hydra_cached.seam import Seam, Visit
from hydra_cached.shelf import Found, Shelf
from hydra_cached.stores.leases import Lease, Leases


class Lookup:
    """Finds and serves results.

    Args:
        seam: the seam with Hydra.
        options: the cache's options.
        shelf: where results are kept; None if nowhere.
        announcer: is told of hits and damage.
        written: keys that this session wrote, which `refresh` may read.
    """

    def __init__(
        self, seam: Seam, options: CacheOptions, shelf: Shelf | None, announcer: Announcer, written: set[str]
    ) -> None:
        self._seam = seam
        self._options = options
        self._shelf = shelf
        self._announce = announcer
        self._written = written
        self._had: set[str] = set()  # stages that were served or run, for counting what was saved once
        self._damaged: set[tuple[str, str]] = set()  # keys whose entries could not be read, and why

    def serve(self, frame: Frame, key: str, visit: Visit) -> Outcome | None:
        """What is kept under a key, loaded; None if nothing is, or it may not be served."""
        stage = frame.stage
        if self._options.mode is Mode.refresh and key not in self._written:
            return None
        start = time.perf_counter()
        found = self.find(stage, key)
        if found is None or not self.authorised(stage, recorded_targets(found), visit, found):
            return None
        try:
            value = found.load(frame.places, frame.given.find)
            if policy.draws(stage, self._options):
                random_state.restore(found.manifest["random_state"])
        except HandedOther:
            return None
        except Exception as error:
            self._announce(Kind.DAMAGED, stage, key=found.key, reason=brief(error))
            return None
        seconds = time.perf_counter() - start
        known = outcome_of(found, value)
        known.pristine = frame.pristine
        # What two hits have in common would have run once.
        saved = sum(cost for each, cost in known.costs.items() if each not in self._had)
        self._had.update(known.costs)
        self._announce(Kind.HIT, stage, key=found.key, seconds=seconds, saved=saved, size=found.size)
        return known

    def take(
        self, leases: Leases | None, frame: Frame, trace: str, visit: Visit
    ) -> tuple[Lease | None, Outcome | None]:
        """Lease: one computes, the others wait, then look up again. Gives the lease, what was found, or neither."""
        look = self._look(frame, trace, visit)
        what = f"{frame.stage.path or 'the root'} ({frame.stage.target})"
        return (None, look()) if leases is None else leases.take(trace, what, look)

    def _look(self, frame: Frame, trace: str, visit: Visit) -> Callable[[], Outcome | None]:
        """Looks up a result that somebody may be computing at this moment."""
        if self._options.mode is not Mode.refresh:
            return lambda: self.serve(frame, trace, visit)
        stale = self.find(frame.stage, trace)

        def look() -> Outcome | None:
            found = self.find(frame.stage, trace)
            if found is not None and (stale is None or found.manifest != stale.manifest):
                self._written.add(trace)  # by another process, while this one waited
            return self.serve(frame, trace, visit)

        return look

    def ran(self, stage: Stage) -> None:
        """A stage has been computed: a hit that contains it does not save its time again."""
        self._had.add(stage.shape[:16])

    def find(self, stage: Stage, key: str) -> Found | None:
        """What is kept under a key, not loaded yet; damage is announced, and taken for nothing."""
        if self._shelf is None:
            return None
        try:
            return self._shelf.find(key)
        except Exception as error:
            reason = brief(error)
            if (key, reason) not in self._damaged:  # it may be looked at again, and be left where it is
                self._damaged.add((key, reason))
                self._announce(Kind.DAMAGED, stage, key=key, reason=reason)
            return None

    def authorised(self, stage: Stage, resolved: Any, visit: Visit, found: Found | None = None) -> bool:
        """Whether Hydra would call all that a hit spares it; if not, Hydra shall say so itself.

        Args:
            stage: the stage.
            resolved: what else is known of the names in it: pairs of names and canonical names.
            visit: Hydra's wish.
            found: what would be served.
        """
        if found is not None and found.manifest.get("policy") != self._seam.policy_version():
            # Another policy let these calls pass. Names are checked below; what it thought of arguments is not
            # known, and such rules concern the standard library.
            if any(name.partition(".")[0] in sys.stdlib_module_names for name in stage.all_named):
                return False
        return self._seam.authorised(sorted(stage.all_named), resolved, visit.modes)
