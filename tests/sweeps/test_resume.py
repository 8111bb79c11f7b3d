"""Sweeps that run again: only what is missing runs, and what was done before comes back in place."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sweeping import STAGES, Sweeps, over, sweeps

__all__ = ["sweeps"]


@over("basic", "joblib", "submitit_local")
def test_a_second_sweep_runs_nothing(sweeps: Sweeps, launcher: str) -> None:
    """The same sweep again runs no job: results, numbers and output directories are those of the first."""
    sweeps.sweep("model.k=1,2,3", launcher=launcher, to="first")
    before = sweeps.results()
    assert sweeps.ran() == ["1", "2", "3"]
    output = sweeps.sweep("model.k=1,2,3", launcher=launcher, to="second")
    assert sweeps.ran() == []
    assert "3 jobs: 0 to run, 3 done before and restored" in output
    after = sweeps.results()
    for name in ("number", "overrides", "k", "status", "value", "working_dir", "task_name"):
        assert [row[name] for row in after] == [row[name] for row in before], name
    assert [row["value"] for row in after] == [6, 12, 18]
    for number in range(3):
        link = sweeps.root / "second" / str(number)
        assert link.is_symlink() and (link / "result.txt").read_text() == str(6 * (number + 1))
        assert after[number]["output_dir"] == str(link)


@over("basic", "joblib", "submitit_local")
def test_more_values_run_only_these(sweeps: Sweeps, launcher: str) -> None:
    """With values added in between, the new jobs run under their own numbers, ids and directories."""
    sweeps.sweep("model.k=2,4", launcher=launcher, to="first")
    sweeps.ran()
    sweeps.sweep("model.k=1,2,3,4,5", launcher=launcher, to="second")
    assert sweeps.ran() == ["1", "3", "5"]
    rows = sweeps.results()
    assert [row["number"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["k"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["value"] for row in rows] == [6, 12, 18, 24, 30]
    ids = {"basic": "{}", "joblib": "app_{}"}.get(launcher)
    if ids is not None:
        assert [row["id"] for row in rows] == [ids.format(number) for number in range(5)]
    for number, row in enumerate(rows):
        folder = sweeps.root / "second" / str(number)
        assert row["output_dir"] == str(folder)
        assert folder.is_symlink() == (number in (1, 3))
        assert (folder / "result.txt").read_text() == str(6 * (number + 1))


@over("basic", "joblib")
def test_failures_run_again(sweeps: Sweeps, launcher: str) -> None:
    """A job that failed is not restored; its siblings are; and the error is raised as the launcher raises it."""
    output = sweeps.sweep("model.k=12,13,15", launcher=launcher, status=1)
    assert "unlucky" in output
    assert sweeps.ran() == ["12", "13", "15"]
    assert [row["status"] for row in sweeps.results()] == ["COMPLETED", "FAILED", "COMPLETED"]
    sweeps.sweep("model.k=12,13,15", launcher=launcher, status=1)
    assert sweeps.ran() == ["13"]
    assert [row["value"] for row in sweeps.results()] == [72, None, 90]


def test_a_job_that_exits_is_not_done(sweeps: Sweeps) -> None:
    """`sys.exit(0)` inside a job ends the sweep, as without us, and is no success; what was done before it is."""
    sweeps.sweep("model.k=12,14,15")
    assert sweeps.ran() == ["12", "14"]
    sweeps.sweep("model.k=12,14,15")
    assert sweeps.ran() == ["14"]
    sweeps.sweep("model.k=12,15")
    assert sweeps.ran() == ["15"]


@pytest.mark.parametrize("edit", ["stages.py", "app.py"])
def test_changed_code_runs_again(sweeps: Sweeps, edit: str) -> None:
    """A job whose code changed, the app's or a target's, runs again; with the change reverted, it is restored."""
    path = sweeps.root / edit
    before = path.read_text()
    old, new = (
        ("sum(data) * k", "sum(data) * k + 1") if edit == "stages.py" else ("str(result)", "f'={result}'")
    )
    sweeps.sweep("model.k=1,2", to="a")
    sweeps.ran()
    assert old in before
    path.write_text(before.replace(old, new))
    sweeps.sweep("model.k=1,2", to="b")
    assert sweeps.ran() == ["1", "2"]
    path.write_text(before + "\n# nothing but a comment\n")
    sweeps.sweep("model.k=1,2", to="c")
    assert sweeps.ran() == []
    assert (sweeps.root / "c" / "0").resolve() == sweeps.root / "a" / "0"


def test_changed_config_runs_again(sweeps: Sweeps) -> None:
    """A job whose config changed anywhere runs again; Hydra's own node and the cache's do not count."""
    sweeps.sweep("model.k=1", to="a")
    sweeps.ran()
    sweeps.sweep("model.k=1", "data.n=5", to="b")
    assert sweeps.ran() == ["1"]
    sweeps.sweep("model.k=1", "hydra.job.name=other", "cache.verbose=true", to="c")
    assert sweeps.ran() == []


def test_resume_can_be_turned_off(sweeps: Sweeps) -> None:
    """With `hydra.launcher.resume=false` every job runs, and with `cache.mode=refresh` too."""
    for arguments in ([], ["hydra.launcher.resume=false"], ["cache.mode=refresh"]):
        sweeps.sweep("model.k=1,2", *arguments)
        assert sweeps.ran() == ["1", "2"]
    sweeps.sweep("model.k=1,2", "cache.mode=readonly")
    assert sweeps.ran() == []


def test_readonly_records_nothing(sweeps: Sweeps) -> None:
    """With `cache.mode=readonly` jobs are not recorded."""
    sweeps.sweep("model.k=1", "cache.mode=readonly")
    sweeps.sweep("model.k=1", "cache.mode=readonly")
    assert sweeps.ran() == ["1", "1"]


def test_outputs_are_never_written_over(sweeps: Sweeps) -> None:
    """In one fixed directory, a job under the number of another job does not write over the other's outputs."""
    sweeps.sweep("model.k=1,2,3")
    sweeps.sweep("model.k=5,1,2,3")
    sweeps.sweep("model.k=7,5")
    rows = sweeps.results()
    assert [row["value"] for row in rows] == [42, 30]
    sweeps.sweep("model.k=1,2,3,5,7")
    assert [row["value"] for row in sweeps.results()] == [6, 12, 18, 30, 42]
    assert sweeps.ran() == ["1", "2", "3", "5", "7"]
    for number, row in enumerate(sweeps.results()):
        assert (sweeps.root / "out" / str(number) / "result.txt").read_text() == str(row["value"])


def test_a_job_whose_outputs_are_gone_runs_again(sweeps: Sweeps) -> None:
    """What a job left behind belongs to its result: without it, the job is not done."""
    sweeps.sweep("model.k=1,2", to="a")
    sweeps.ran()
    (sweeps.root / "a" / "0").rename(sweeps.root / "elsewhere")
    output = sweeps.sweep("model.k=1,2", to="b")
    assert sweeps.ran() == ["1"]
    assert "is gone" in output


def test_return_values_that_cannot_be_pickled(sweeps: Sweeps) -> None:
    """A job whose return value cannot be pickled runs as ever, says so, and is not restored."""
    sweeps.project.write(
        stages_py=STAGES.replace("return sum(data) * k", "return (x for x in data)"),
    )
    script = sweeps.root / "hydra_plugins" / "telling" / "sweeper.py"
    script.write_text(script.read_text().replace("result._return_value if", "0 if"))
    output = sweeps.sweep("model.k=1")
    assert "cannot be pickled" in output
    sweeps.sweep("model.k=1")
    assert sweeps.ran() == ["1", "1"]


def test_jobs_that_are_not_deterministic_run_again(sweeps: Sweeps) -> None:
    """A job with a stage that is marked as not deterministic is neither restored nor shared; the log says so."""
    path = sweeps.root / "stages.py"
    mark = "from hydra_cached import not_deterministic\n\n@not_deterministic\n"
    path.write_text(path.read_text().replace("def data(", f"{mark}def data("))
    output = sweeps.sweep("model.k=1,1")
    assert "is not deterministic" in output
    sweeps.sweep("model.k=1")
    assert sweeps.ran() == ["1", "1", "1"]


def test_secrets_stay_out_of_records(sweeps: Sweeps) -> None:
    """A password in an override is in no manifest, also where a directory is named after the overrides."""
    sweeps.sweep("model.k=1", "+db.password=hunter2", "hydra.sweep.subdir=${hydra.job.override_dirname}")
    manage = ("-m", "hydra_cached.cli.manage")
    for entry in json.loads(sweeps.project.python(*manage, "ls", "--json")):
        assert "hunter2" not in sweeps.project.python(*manage, "show", entry["key"], "--json")


def test_a_job_that_was_done_while_it_waited(sweeps: Sweeps) -> None:
    """A job that another launch of the sweep completes before its turn comes is not run again; nor is its equal."""
    stages = sweeps.root / "stages.py"
    other = """def model(data, k):
    import os, subprocess, sys
    if k == 1:
        command = [sys.executable, "app.py", "-m", "model.k=2", "hydra.sweep.dir=other"]
        subprocess.run(command, check=True)
"""
    stages.write_text(stages.read_text().replace("def model(data, k):\n", other))
    sweeps.sweep("model.k=1,2,2")
    assert sweeps.ran() == ["1", "2"]
    assert (sweeps.root / "out" / "1" / "outputs.txt").read_text().strip() == str(sweeps.root / "other" / "0")
    assert (sweeps.root / "out" / "2").resolve() == sweeps.root / "other" / "0"


def test_two_sweeps_at_once_share_their_jobs(sweeps: Sweeps) -> None:
    """Of two launches of one sweep at once, each job is run by one, and the other gets what it returned."""
    stages = sweeps.root / "stages.py"
    stages.write_text(stages.read_text().replace('ran("model")', 'ran("model"); import time; time.sleep(1.5)'))
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda to: sweeps.sweep("model.k=1,2,3", to=to), ("a", "b")))
    assert sweeps.ran() == ["1", "2", "3"], outputs
    for each in ("a", "b"):
        sweep = sweeps.root / each
        found = [
            json.loads((sweep / str(number) / "result.txt").read_text())
            if (sweep / str(number) / "result.txt").exists()
            else Path((sweep / str(number) / "outputs.txt").read_text().strip(), "result.txt").read_text()
            for number in range(3)
        ]
        assert [int(value) for value in found] == [6, 12, 18]


def test_a_comment_edited_in_the_middle_of_a_sweep(sweeps: Sweeps) -> None:
    """What is edited while jobs run, and counts for none of them, does not keep them from being recorded."""
    stages = sweeps.root / "stages.py"
    edit = 'ran("model")\n    if k > 1: open("stages.py", "a").write(f"# {k}\\n")'
    stages.write_text(stages.read_text().replace('ran("model")', edit))
    sweeps.sweep("model.k=1,2,3")
    assert stages.read_text().count("\n# ") == 2 and sweeps.ran() == ["1", "2", "3"]
    output = sweeps.sweep("model.k=1,2,3", to="again")
    assert sweeps.ran() == [], output


@over("basic", "joblib")
def test_code_edited_in_the_middle_of_a_sweep(sweeps: Sweeps, launcher: str) -> None:
    """Jobs that end after their code was edited are not recorded, under the old code or the new, and say so."""
    stages = sweeps.root / "stages.py"
    text = stages.read_text()
    edit = 'ran("model")\n    write(k)'
    editing = 'def write(k):\n    if k == 2:\n        open("stages.py", "a").write("def write(k): pass")\n'
    stages.write_text(text.replace('ran("model")', edit) + editing)
    output = sweeps.sweep("model.k=1,2", launcher=launcher)
    assert "cannot be restored later" in output
    sweeps.ran()
    sweeps.sweep("model.k=2", launcher=launcher, to="new")
    assert sweeps.ran() == ["2"]
    stages.write_text(text.replace('ran("model")', edit) + editing)
    sweeps.sweep("model.k=2", launcher=launcher, to="old")
    assert sweeps.ran() == ["2"]
