"""The code of a sweep's jobs as it was when the sweep was planned, and whether a job ran that code."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hydra_cached.active import loaded_code
from hydra_cached.errors import brief
from hydra_cached.keys.code import code_index
from hydra_cached.keys.code.freshness import Read, is_unchanged, loaded_names

log = logging.getLogger("hydra_cached.sweeps")


class PlannedCode:
    """What stands in the keys of jobs for their code. It travels to the jobs' processes.

    Args:
        reads: the code that was looked at, by dotted name.
        scope: how much of it counts: the cache's option ``code``.
    """

    def __init__(self, reads: Mapping[str, Read], scope: str) -> None:
        self._reads = dict(reads)
        self._scope = scope

    def __getstate__(self) -> dict[str, Any]:
        # What was loaded here says nothing of another process: it imports what it needs from now on. Most names
        # share their files, which travel once.
        files = {path: stamp for each in self._reads.values() for path, stamp in each.files.items()}
        places = {path: place for place, path in enumerate(files)}
        reads = {
            name: (each.digest, [places[path] for path in each.files]) for name, each in self._reads.items()
        }
        return {"scope": self._scope, "files": list(files.items()), "reads": reads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state["files"]
        self._scope = state["scope"]
        self._reads = {
            name: Read(digest, dict(files[place] for place in places), frozenset())
            for name, (digest, places) in state["reads"].items()
        }

    def problem(self) -> str | None:
        """Why what a job did must not be recorded under its key; None if it may."""
        problem = loaded_code().disagreement(self._reads.values())
        if problem is None:
            return None
        # What was edited may not count: a comment, or a function that no job reaches.
        now = {}
        for name, read in self._reads.items():
            now[name] = read
            if not is_unchanged(read):
                try:
                    found = code_index().fingerprint(name, self._scope)
                except Exception as error:
                    log.debug("the code of %s cannot be read any more: %s", name, brief(error))
                    return problem
                if found.digest != read.digest:
                    return problem
                now[name] = Read(found.digest, found.files, loaded_names())
        return loaded_code().disagreement(now.values())
