"""How far a sweep is, as far as its launcher can tell."""

from __future__ import annotations

from pathlib import Path

from sweeping import Sweeps, over, sweeps

from hydra_cached.stores.local import LocalStore
from hydra_cached.sweeps.ledger import PROGRESS, Ledger
from hydra_cached.sweeps.progress import Progress, Watch, progress

__all__ = ["sweeps"]


def test_counting() -> None:
    """Notes of jobs are counted; the time left goes by the jobs that ended."""
    notes = [
        {"state": "done", "hits": 2, "runs": 1, "saved": 9.0},
        {"state": "failed", "hits": 1, "runs": 0, "saved": 1.0},
        {"state": "running"},
    ]
    now = progress(notes, 6, 10.0)
    assert now == Progress(6, 1, 1, 1, 3, 1, 10.0, 20.0)
    assert now.line() == (
        "1 of 6 jobs done, 1 running, 1 failed; 3 stages from the cache, 1 run, saved 10 s; about 20 s left"
    )
    assert progress([], 6, 10.0).left is None


def test_a_watch_sees_what_jobs_note(tmp_path: Path) -> None:
    """A watch sees the notes of jobs in other processes, and removes them in the end."""
    store = LocalStore(tmp_path)
    jobs, launcher = Ledger(LocalStore(tmp_path), "app"), Ledger(store, "app")
    watch = Watch(launcher, ["run 0", "run 1"], bar=False)
    jobs.put_note("run 0", state="running")
    assert (watch.look().running, watch.look().done) == (1, 0)
    jobs.put_note("run 0", state="done", hits=3)
    assert (watch.look().running, watch.look().done, watch.look().hits) == (0, 1, 3)
    watch.stop()
    assert list(store.keys()) == []


@over("basic", "joblib", "submitit_local")
def test_a_sweep_says_how_it_went(sweeps: Sweeps, launcher: str) -> None:
    """In the end one line counts jobs and stages, wherever the jobs ran; no notes are left behind."""
    output = sweeps.sweep("model.k=1,2,13", launcher=launcher, status=1)
    assert "2 of 3 jobs done, 0 running, 1 failed" in output
    store = LocalStore(sweeps.root / ".hydra_cached")
    entries = [store.get(key) for key in store.keys()]
    assert not [entry for entry in entries if entry is not None and PROGRESS in entry.manifest]
