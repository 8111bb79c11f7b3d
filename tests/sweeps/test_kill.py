"""A launcher that is killed loses nothing that was finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from sweeping import STAGES, Sweeps, over, sweeps

from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.serializers import load
from hydra_cached.sweeps.ledger import JOB

__all__ = ["sweeps"]
SLOW = STAGES.replace('ran("model")', 'ran("model")\n        import time\n        time.sleep(0.4)')


@over("basic", "joblib")
def test_a_killed_sweep_goes_on(sweeps: Sweeps, launcher: str) -> None:
    """After SIGKILL in the middle, the same sweep runs what was not finished, and ends as if undisturbed."""
    sweeps.project.write(stages_py=SLOW)
    values = "model.k=1,2,3,4,5,6,7,8"
    done = kill_after(sweeps, 3, values, launcher)
    sweeps.ran()
    sweeps.sweep(values, launcher=launcher)
    again = sweeps.ran()
    assert len(again) < 8 and not set(again) & done
    rows = sweeps.results()
    (sweeps.root / ".hydra_cached").rename(sweeps.root / "killed")
    sweeps.sweep(values, launcher=launcher, to="undisturbed")
    plain = sweeps.results()
    assert len(sweeps.ran()) == 8
    for name in ("number", "id", "overrides", "k", "status", "value"):
        assert [row[name] for row in rows] == [row[name] for row in plain], name
    for number, row in enumerate(rows):
        assert (sweeps.root / "out" / str(number) / "result.txt").read_text() == str(row["value"])


def kill_after(sweeps: Sweeps, count: int, values: str, launcher: str) -> set[str]:
    """Start a sweep, kill it with its workers when some jobs are recorded, and give the settings of these."""
    command = [sys.executable, "app.py", "-m", f"hydra/launcher@hydra.launcher.inner={launcher}", values]
    if launcher == "joblib":
        command.append("hydra.launcher.inner.n_jobs=2")
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [*command, "hydra.sweep.dir=out"], cwd=sweeps.root, env=env, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while len(recorded(sweeps)) < count and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return recorded(sweeps)


def recorded(sweeps: Sweeps) -> set[str]:
    """Settings of the jobs that have a record."""
    root = sweeps.root / ".hydra_cached"
    if not (root / "entries").is_dir():
        return set()
    store = LocalStore(root)
    found = set()
    for key in store.keys():
        entry = store.get(key)
        if entry is not None and entry.payload is not None and JOB in entry.manifest:
            found.add(str(load(entry.payload)["value"] // 6))
    return found
