"""Output directories: linked where a job was not run, set aside where another job would write over them."""

from __future__ import annotations

import json
import os
from pathlib import Path

MARK = ".hydra_cached.json"  # in an output directory: the key of the job that completed there
POINTER = "outputs.txt"  # where links are not to be had: names the directory


def mark(directory: str | os.PathLike[str], key: str) -> None:
    """Say of an output directory which job completed in it."""
    Path(directory, MARK).write_text(json.dumps({"job": key}))


def owner(directory: str | os.PathLike[str]) -> str | None:
    """The key of the job that completed in a directory; None if none did."""
    try:
        found = json.loads(Path(directory, MARK).read_text())["job"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def outputs_of(directory: str, key: str) -> str | None:
    """Where the outputs are of a job that completed in a directory, which may have been set aside since.

    Or in another, if that is what the directory says.
    """
    for candidate in (directory, *_pointed(directory), *map(str, _set_aside(directory, key))):
        if owner(candidate) == key:
            return os.path.realpath(candidate)
    return None


def clear(directory: str, key: str | None) -> str | None:
    """Make way for a job that will write to a directory; gives the new name of what was set aside.

    A link is removed, for the job would write to where it leads. What another job left there is renamed. Anything
    else stays as it is.

    Args:
        directory: where it will write.
        key: its key.
    """
    path = Path(directory)
    if path.is_symlink():
        path.unlink()
        return None
    other = owner(path)
    if other is None or other == key:
        return None
    aside = next(each for each in _set_aside(directory, other) if not os.path.lexists(each))
    path.rename(aside)
    return str(aside)


def link(directory: str, target: str, key: str) -> str | None:
    """Have a directory's name lead to the outputs of an equal job; gives the problem if it cannot be done.

    Args:
        directory: the name.
        target: where the outputs are.
        key: the job's key.
    """
    path = Path(directory)
    try:
        clear(directory, key)
        if path.exists():
            same = path.resolve() == Path(target).resolve() or owner(path) == key
            return None if same else f"{directory} holds something else; the outputs are in {target}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _link(path, target)
    except OSError as error:
        return f"{directory} cannot be made a link to {target}: {error}"
    return None


def point(directory: str | os.PathLike[str], target: str) -> None:
    """Say in a directory where the outputs are."""
    Path(directory, POINTER).write_text(f"{target}\n")


def _pointed(directory: str) -> list[str]:
    try:
        return [Path(directory, POINTER).read_text().strip()]
    except (OSError, ValueError):
        return []


def _link(path: Path, target: str) -> None:
    parent = path.parent.resolve()
    near = os.path.commonpath([parent, target]) == str(parent)
    try:
        path.symlink_to(os.path.relpath(target, parent) if near else target, target_is_directory=True)
    except OSError:
        path.mkdir()
        point(path, target)


def _set_aside(directory: str, key: str) -> list[Path]:
    """Names that a job's directory may have been given when another job needed its name."""
    plain = f"{directory.rstrip(os.sep)}.{key[:8]}"
    return [Path(plain), *(Path(f"{plain}.{count}") for count in range(2, 100))]
