"""A sweep of 24 jobs (3 settings of the data, 8 of the model) on 2 workers, against the best possible schedule.

The data stage takes 3 s, a job's own work 0.5 s. Also: the same sweep again, and one without a cache. Needs
``hydra-joblib-launcher``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA_SECONDS, JOB_SECONDS, WORKERS = 3.0, 0.5, 2
APP = """
import hydra
from hydra.utils import instantiate

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    return instantiate(cfg.model)

if __name__ == "__main__":
    main()
"""
STAGES = f"""
import os, time

SCALE = float(os.environ.get("SCALE", "1"))

def data(setting):
    with open("data.txt", "a") as file:
        file.write(f"{{setting}}\\n")
    time.sleep({DATA_SECONDS} * SCALE)
    return setting

def model(data, k):
    with open("started.txt", "a") as file:
        file.write(f"{{time.time()}}\\n")
    time.sleep({JOB_SECONDS} * SCALE)
    return data * k
"""
CONFIG = """
data: {_target_: stages.data, setting: 1}
model: {_target_: stages.model, data: "${data}", k: 1}
hydra: {job: {chdir: false}}
"""
SWEEP = ["-m", "data.setting=1,2,3", "model.k=1,2,3,4,5,6,7,8"]
JOBLIB = ["hydra/launcher=cached", "hydra/launcher@hydra.launcher.inner=joblib"]
JOBLIB.append(f"hydra.launcher.inner.n_jobs={WORKERS}")
PLAIN = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}"]


def run(folder: Path, *arguments: str, **environment: str) -> float:
    """Run the app; gives the seconds it took."""
    start = time.perf_counter()
    env = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=folder, check=True, env=env, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def taken(folder: Path, name: str) -> list[str]:
    """Lines of a file, which is removed."""
    path = folder / name
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def best() -> float:
    """Seconds of the best schedule: three jobs that make data, then 21 that use it, on two workers."""
    return (3 * DATA_SECONDS + 24 * JOB_SECONDS) / WORKERS


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in (("app.py", APP), ("stages.py", STAGES), ("config.yaml", CONFIG)):
            (folder / file).write_text(text)
        idle = run(folder, *SWEEP, *PLAIN, SCALE="0")
        for each in ("data.txt", "started.txt"):
            taken(folder, each)
        print(f"best schedule of the work                {best():6.1f} s")
        print(f"24 jobs without work: Python and Hydra   {idle:6.1f} s")
        for title, arguments in (
            ("without a cache", PLAIN),
            ("with a cache", [*PLAIN, "+cache=disk", "cache.dir=plain"]),
            ("with the launcher `cached`", [*JOBLIB, "+cache=disk"]),
            ("the same again", [*JOBLIB, "+cache=disk"]),
        ):
            seconds = run(folder, *SWEEP, *arguments)
            data, jobs = len(taken(folder, "data.txt")), len(taken(folder, "started.txt"))
            ratios = f"{seconds / (best() + idle):.2f} of both, {seconds / best():.2f} of the work alone"
            print(f"{title:40} {seconds:6.1f} s: {ratios}; {data} data stages, {jobs} jobs")


if __name__ == "__main__":
    main()
