"""How an edit is written down: a project, a target, a text in a file and what takes its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent


@dataclass(frozen=True)
class Edit:
    """One edit and what is right after it.

    Attributes:
        claim: what it proves; the test's id.
        outcome: "changed" or "same".
        file: relative path; the file is made if ``old`` is empty and it does not exist.
        old: text that occurs in it once; empty: put ``new`` at the end.
        new: what stands there afterwards.
    """

    claim: str
    outcome: str
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Project:
    """Files, a target, and edits that are each made alone."""

    target: str
    files: Mapping[str, str]
    edits: Sequence[Edit]
    scope: str = "project"
    notes: Sequence[str] = field(default_factory=tuple)


def changed(claim: str, file: str, old: str, new: str) -> Edit:
    """An edit that must be noticed."""
    return Edit(claim, "changed", file, old, new)


def same(claim: str, file: str, old: str, new: str) -> Edit:
    """An edit that must not count."""
    return Edit(claim, "same", file, old, new)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Lay a project out on disk."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))


def make(root: Path, edit: Edit) -> str | None:
    """Make an edit.

    Returns:
        The file's text before, None if there was no such file.
    """
    path = root / edit.file
    before = path.read_text() if path.exists() else None
    if edit.old:
        assert before is not None and before.count(edit.old) == 1, (
            f"{edit.claim}: {edit.old!r} is not there once"
        )
        path.write_text(before.replace(edit.old, edit.new))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((before or "") + edit.new)
    compile(path.read_text(), str(path), "exec")
    return before


def undo(root: Path, edit: Edit, before: str | None) -> None:
    """Take an edit back."""
    path = root / edit.file
    if before is None:
        path.unlink()
    else:
        path.write_text(before)


def each(projects: Sequence[Project]) -> Iterator[tuple[Project, Edit]]:
    """Every edit with its project."""
    for project in projects:
        for edit in project.edits:
            yield project, edit
