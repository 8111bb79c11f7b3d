"""Equal jobs run once, unless repeats are wanted."""

from __future__ import annotations

import json

import pytest
from sweeping import Sweeps, over, sweeps

__all__ = ["sweeps"]


@over("basic", "joblib")
@pytest.mark.parametrize("cache", ["disk", "'off'", "memory"])
def test_equal_jobs_run_once(sweeps: Sweeps, launcher: str, cache: str) -> None:
    """Jobs of equal config run once; each has its own number, overrides, result and output directory."""
    sweeps.sweep("cache=" + cache, "model.k=2,1,2,2,1", launcher=launcher)
    assert sweeps.ran() == ["1", "2"]
    rows = sweeps.results()
    assert [row["number"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["overrides"][-1] for row in rows] == [f"model.k={k}" for k in (2, 1, 2, 2, 1)]
    assert [row["value"] for row in rows] == [12, 6, 12, 12, 6]
    for number, row in enumerate(rows):
        folder = sweeps.root / "out" / str(number)
        assert row["output_dir"] == str(folder)
        assert folder.is_symlink() == (number > 1)
        assert (folder / "result.txt").read_text() == str(row["value"])


def test_a_failure_is_handed_on_too(sweeps: Sweeps) -> None:
    """An equal job of one that failed has failed."""
    sweeps.sweep("model.k=13,13,1", status=1)
    assert sweeps.ran() == ["1", "13"]
    assert [row["status"] for row in sweeps.results()] == ["FAILED", "FAILED", "COMPLETED"]


def test_repeats_of_noisy_jobs(sweeps: Sweeps) -> None:
    """With `hydra.launcher.dedupe=false` repeats run, and each is restored as the repeat that it was."""
    repeats = ("hydra.launcher.dedupe=false",)
    sweeps.sweep("model.k=1,1", *repeats, to="a")
    assert sweeps.ran() == ["1", "1"]
    sweeps.sweep("model.k=1,1,1", *repeats, to="b")
    assert sweeps.ran() == ["1"]
    links = [(sweeps.root / "b" / str(number)).resolve() for number in range(3)]
    assert links == [sweeps.root / "a" / "0", sweeps.root / "a" / "1", sweeps.root / "b" / "2"]


def test_equal_jobs_of_several_batches(sweeps: Sweeps) -> None:
    """A job that is equal to one of an earlier batch is not run, also without a cache."""
    output = sweeps.sweep("cache='off'", "model.k=1,2,1,1", "hydra.sweeper.max_batch_size=2")
    assert sweeps.ran() == ["1", "2"]
    assert "no cache is active" in output


def test_what_differs_only_in_its_number_runs(sweeps: Sweeps) -> None:
    """A job whose config holds its number differs from all others; its output directory makes no difference."""
    sweeps.sweep("model.k=1,1", "+seed=${hydra:job.num}")
    assert sweeps.ran() == ["1", "1"]
    sweeps.sweep("model.k=2,2", "+folder=${hydra:runtime.output_dir}/checkpoints", to="other")
    assert sweeps.ran() == ["2"]


def test_jobs_of_other_types_differ(sweeps: Sweeps) -> None:
    """`k=1` and `k=1.0` are not equal."""
    sweeps.sweep("model.k=1,1.0")
    assert [json.dumps(row["value"]) for row in sweeps.results()] == ["6", "6.0"]
