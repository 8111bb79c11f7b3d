"""Results that are files: a target that writes a file and returns its path has returned a name only.

An ``Artifact`` says that what lies there *is* the result: it is stored with it, and put back where the run that is
served wants it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ABSOLUTE, WORKING, JOB, PARAMETER = "absolute", "working", "job", "parameter"


@dataclass(frozen=True)
class Place:
    """Where an artifact lies, as far as that means the same in another run.

    Args:
        kind: what ``path`` is relative to: nothing, the working directory, the job's output directory, or a
            parameter of its target that is left out of the key.
        path: from there; ``.`` for the place itself.
        parameter: the parameter's name.
    """

    kind: str
    path: str
    parameter: str = ""


class Artifact(os.PathLike[str]):
    """A file or directory as a result. It can be used as a path: ``open(artifact)``, ``Path(artifact)``.

    When it is served from a cache, what it holds is put back: below the value that a parameter has now, if the
    target wrote below that parameter and it is left out of the key (``_cache_ignore_``); else, if it lay in the
    job's output directory, at the same place in the present job's; else, if the path was relative, below the
    present working directory; else at the same path. A file that is there is replaced, as the target would have
    done.

    What depends on it is keyed by its content and that place.

    Args:
        path: a file or directory that is there when the target returns.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = os.fspath(path)
        self.path = Path(os.path.abspath(given))
        absolute = os.path.isabs(given)
        self.place = Place(ABSOLUTE, str(self.path)) if absolute else Place(WORKING, os.path.normpath(given))

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Artifact({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)


@dataclass(frozen=True)
class Places:
    """What the places of artifacts are relative to in this run.

    Args:
        parameters: values of the target's parameters that are left out of its key, as far as they are paths.
        job: the job's output directory, if there is a job.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None

    def settle(self, artifact: Artifact) -> Place:
        """Say of an artifact that was made in this run where it lies, as other runs may understand it."""
        below = [
            (len(root), Place(PARAMETER, relative, name))
            for name, value in self.parameters.items()
            if (relative := _below(artifact.path, root := os.path.abspath(value))) is not None
        ]
        if below:
            artifact.place = max(below, key=lambda found: found[0])[1]
        elif self.job is not None and (relative := _below(artifact.path, self.job)) is not None:
            artifact.place = Place(JOB, relative)
        return artifact.place

    def find(self, place: Place) -> Path | None:
        """Where a place is in this run; None if it has no such place."""
        roots = {ABSOLUTE: "", WORKING: os.getcwd(), JOB: self.job}
        root = self.parameters.get(place.parameter) if place.kind == PARAMETER else roots.get(place.kind)
        return None if root is None else Path(os.path.abspath(os.path.join(root, place.path)))


def _below(path: Path, root: str) -> str | None:
    """A path relative to a directory that it lies in, or ``.`` for that itself; None if it lies elsewhere."""
    relative = os.path.relpath(path, root)
    return None if relative == ".." or relative.startswith(f"..{os.sep}") else relative
