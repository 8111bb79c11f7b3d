"""Stages that jobs share are computed once, and no job waits for another's while there is other work."""

from __future__ import annotations

import pytest
from sweeping import Sweeps, over, sweeps

from hydra_cached.sweeps.plan import pilots

__all__ = ["sweeps"]


def keys(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({}, []),
        ({0: keys("a"), 1: keys("b")}, []),
        ({0: keys("a"), 1: keys("a"), 2: keys("b"), 3: keys("b")}, [0, 2]),
        ({0: keys("a", "x"), 1: keys("a", "y"), 2: keys("b", "x"), 3: keys("b", "y")}, [0, 3]),
        ({0: keys("a"), 1: keys("a", "b"), 2: keys("b")}, [1]),
    ],
)
def test_pilots(missing: dict[int, frozenset[str]], expected: list[int]) -> None:
    """Jobs go ahead for stages that several want; of those, no two want the same."""
    assert pilots(missing) == expected


def test_pilots_of_slow_stages_come_first() -> None:
    """What takes longest begins first."""
    missing = {0: keys("a"), 1: keys("a"), 2: keys("b"), 3: keys("b")}
    assert pilots(missing, {"a": 1.0, "b": 9.0}) == [2, 0]


def test_a_thousand_jobs_are_ordered_quickly() -> None:
    """The choice of pilots is made in an instant, also for many jobs with many stages."""
    missing = {n: keys(f"data{n % 30}", f"model{n % 7}", f"own{n}") for n in range(1000)}
    assert len(pilots(missing)) <= 30


@over("joblib", "submitit_local")
def test_shared_stages_run_once(sweeps: Sweeps, launcher: str) -> None:
    """With several workers, each shared stage runs once, numbers and results are in order."""
    sweeps.sweep("model.k=1,2,3,4", "data.n=3,4", launcher=launcher)
    names = sweeps.project.ran()
    assert names.count("data") == 2 and names.count("model") == 8
    rows = sweeps.results()
    assert [row["number"] for row in rows] == list(range(8))
    assert [row["value"] for row in rows] == [3 * 1, 6 * 1, 3 * 2, 6 * 2, 3 * 3, 6 * 3, 3 * 4, 6 * 4]
    for row in rows:
        assert row["output_dir"] == str(sweeps.root / "out" / str(row["number"]))


@over("joblib")
def test_a_failing_pilot_keeps_nothing_from_running(sweeps: Sweeps, launcher: str) -> None:
    """When the job that goes ahead fails, the others run as they would have."""
    sweeps.sweep("model.k=13,2,3", launcher=launcher, status=1)
    assert sweeps.ran() == ["13", "2", "3"]
    assert [row["status"] for row in sweeps.results()] == ["FAILED", "COMPLETED", "COMPLETED"]


@over("joblib", "submitit_local")
def test_named_stages_run_ahead(sweeps: Sweeps, launcher: str) -> None:
    """Stages that `hydra.launcher.stages` names run as jobs of their own, which leave no trace among the others."""
    output = sweeps.sweep("model.k=1,2,3", "data.n=3,4", "hydra.launcher.stages=[data]", launcher=launcher)
    assert "stages that jobs share run ahead: data" in output
    assert sweeps.project.ran().count("data") == 2
    assert [row["number"] for row in sweeps.results()] == list(range(6))
    assert len(list((sweeps.root / "out" / ".stages").iterdir())) == 2
    names = {folder.name for folder in (sweeps.root / "out").iterdir()}
    assert names - {".submitit"} == {*map(str, range(6)), ".stages", "multirun.yaml"}


@over("submitit_local")
def test_stages_that_are_known_run_ahead(sweeps: Sweeps, launcher: str) -> None:
    """Where all jobs start at once, stages that are known from earlier jobs run ahead; at first, whole jobs do."""
    output = sweeps.sweep("model.k=1,2", launcher=launcher, to="first")
    assert "jobs 0 go ahead" in output
    assert sweeps.project.ran().count("data") == 1
    output = sweeps.sweep("model.k=1,2", "data.n=5", launcher=launcher, to="second")
    assert "stages that jobs share run ahead" in output
    assert sweeps.project.ran().count("data") == 1
    assert [row["value"] for row in sweeps.results()] == [10, 20]


@over("joblib")
def test_a_named_stage_that_fails_harms_nobody(sweeps: Sweeps, launcher: str) -> None:
    """When a stage fails ahead, the jobs run, and fail each as it would have."""
    arguments = ("model.k=13,2", "+x=1,2", "hydra.launcher.stages=[model]")
    output = sweeps.sweep(*arguments, launcher=launcher, status=1)
    assert "failed ahead of the jobs" in output
    assert sorted(row["status"] for row in sweeps.results()) == ["COMPLETED"] * 2 + ["FAILED"] * 2
