"""Edits of code: each one that may change a result is noticed, and no other is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from edits import classes, corners, definitions, dynamic, modules, statements
from edits.corpus import Edit, Project, each, make, undo, write

from hydra_cached.keys.code import CodeIndex, Fingerprint

PROJECTS = [
    *definitions.PROJECTS,
    *statements.PROJECTS,
    *modules.PROJECTS,
    *classes.PROJECTS,
    *dynamic.PROJECTS,
    *corners.PROJECTS,
]
EDITS = list(each(PROJECTS))


@pytest.mark.parametrize(("project", "edit"), EDITS, ids=[edit.claim for _, edit in EDITS])
def test_edit(project: Project, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim in the test's id; also: a new process sees the same, and taking the edit back restores it.

    So it does with what other processes remembered, of whichever state.
    """
    write(tmp_path, project.files)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = set(sys.modules)
    index = CodeIndex()
    before = index.fingerprint(project.target, project.scope)
    memories: list[dict[str, str]] = [{}, {}]  # of the state before, and of that after the edit

    def recalled(memory: dict[str, str]) -> Fingerprint:
        return CodeIndex(slow=0).fingerprint(project.target, project.scope, memory)

    assert [recalled(memories[0]) for _ in range(2)] == [before, before]
    previous = make(tmp_path, edit)
    after = index.fingerprint(project.target, project.scope)
    fresh = CodeIndex().fingerprint(project.target, project.scope)
    assert recalled(dict(memories[0])) == recalled(memories[1]) == recalled(memories[1]) == fresh
    undo(tmp_path, edit, previous)
    assert recalled(memories[1]).digest == recalled(memories[0]).digest == before.digest
    restored = index.fingerprint(project.target, project.scope)
    differing = sorted(n for n in {*before.parts, *after.parts} if before.parts.get(n) != after.parts.get(n))
    assert after.digest == fresh.digest, "what was remembered differs from a fresh look"
    assert restored.digest == before.digest, "taking the edit back does not restore the digest"
    assert set(sys.modules) == loaded, "something was imported"
    outcome = "same" if after.digest == before.digest else "changed"
    assert outcome == edit.outcome, (
        f"{outcome}: {differing}\nparts: {list(before.parts)}\nnotes: {before.notes}"
    )


@pytest.mark.parametrize(
    "project", [p for p in PROJECTS if p.notes], ids=[p.target for p in PROJECTS if p.notes]
)
def test_notes(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be followed is said, and nothing else is."""
    write(tmp_path, project.files)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(CodeIndex().fingerprint(project.target).notes) == list(project.notes)


def test_claims_are_unique() -> None:
    """Each edit of the corpus makes a claim of its own, and there are enough of them."""
    claims = [edit.claim for _, edit in EDITS]
    assert len(claims) == len(set(claims))
    assert len(claims) >= 130


def test_digests_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """Every project of the corpus has the same digest and parts under every hash seed."""
    for number, project in enumerate(PROJECTS):
        write(tmp_path / str(number), project.files)
    script = (
        "import sys\nfrom hydra_cached.keys.code import CodeIndex\n"
        "for number, target, scope in (line.split() for line in sys.stdin):\n"
        "    sys.path.insert(0, f'{sys.argv[1]}/{number}')\n"
        "    found = CodeIndex().fingerprint(target, scope)\n"
        "    print(target, found.digest, dict(found.parts), found.notes)\n"
        "    del sys.path[0]\n"
    )
    asked = "\n".join(f"{number} {project.target} {project.scope}" for number, project in enumerate(PROJECTS))
    answers = []
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", script, str(tmp_path)]
        run = subprocess.run(
            command, input=asked, env=environment, capture_output=True, text=True, check=True
        )
        answers.append(run.stdout.splitlines())
    assert len(answers[0]) == len(PROJECTS)
    assert answers[0] == answers[1] == answers[2]
