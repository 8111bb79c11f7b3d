"""Sweeps through real launchers, joblib's, submitit's, Slurm, Ray: with `+cache=disk`, and with `launcher=cached`.

Jobs are processes on one or two nodes that see one directory. Each data stage takes three seconds and is shared by
eight jobs, so that its being computed once is the work of leases, whoever launches.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import slurm
from launching import ALL, CACHED, Jobs, each_once
from processes import wait

OPTIONS = {
    "joblib": ["n_jobs=4"],
    "submitit_local": ["timeout_min=10"],
    "submitit_slurm": ["timeout_min=10"],
    "ray": [
        "+ray.init.include_dashboard=false",
        "+ray.init.num_cpus=4",
        "+ray.init._node_ip_address=127.0.0.1",
    ],
}
PLUGINS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "submitit_slurm": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
}


def over(*names: str) -> pytest.MarkDecorator:
    """Run a test over these launchers, as far as they are installed (Ray needs an environment of its own)."""
    absent = {name for name in names if importlib.util.find_spec(f"hydra_plugins.{PLUGINS[name]}") is None}
    skip = {name: pytest.mark.skipif(name in absent, reason=f"no launcher {name} here") for name in names}
    return pytest.mark.parametrize("launcher", [pytest.param(name, marks=skip[name]) for name in names])


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A Slurm cluster, for all tests here."""
    with slurm() as environment:
        yield environment


@pytest.fixture
def jobs(launcher: str, tmp_path: Path, request: pytest.FixtureRequest) -> Jobs:
    """The app, and what its launcher needs."""
    environment = request.getfixturevalue("cluster") if launcher == "submitit_slurm" else {}
    return Jobs(tmp_path / "app", environment).write()


def plain(launcher: str) -> list[str]:
    """The launcher by itself, with the cache."""
    return [f"hydra/launcher={launcher}", *_options(launcher, "hydra.launcher"), *CACHED]


def cached(launcher: str) -> list[str]:
    """The launcher within `hydra/launcher=cached`."""
    inner = "hydra.launcher.inner"
    chosen = ["hydra/launcher=cached", f"hydra/launcher@{inner}={launcher}"]
    return [*chosen, *_options(launcher, inner), *CACHED, "hydra.sweep.dir=out"]


def _options(launcher: str, node: str) -> list[str]:
    return [f"+{node}.{each[1:]}" if each[0] == "+" else f"{node}.{each}" for each in OPTIONS[launcher]]


@over("submitit_local", "submitit_slurm", "ray")
def test_a_plain_sweep_shares_stages(jobs: Jobs, launcher: str) -> None:
    """With `+cache=disk` alone, jobs that start together compute each shared stage once; a second sweep, none."""
    values = ["data.n=2,3", "model.k=1,2,3"]
    jobs.sweep(*plain(launcher), *values)
    each_once(jobs, "data", 2)
    each_once(jobs, "done", 6)
    jobs.forget()
    jobs.sweep(*plain(launcher), *values)
    assert jobs.of("data") == jobs.of("model") == {}


@over("joblib", "submitit_slurm", "ray")
def test_a_cached_sweep(jobs: Jobs, launcher: str) -> None:
    """Of 24 jobs, each runs once and each of the three data stages runs once; a second sweep runs nothing."""
    jobs.sweep(*cached(launcher), *ALL)
    each_once(jobs, "data", 3)
    each_once(jobs, "done", 24)
    jobs.forget()
    jobs.sweep(*cached(launcher), *ALL)
    assert not jobs.wrote()
    jobs.sweep(*cached(launcher), "data.n=2,3,4", "model.k=8,9")
    each_once(jobs, "done", 3)
    assert jobs.of("data") == {}


@over("joblib", "submitit_slurm")
def test_a_killed_launcher(jobs: Jobs, launcher: str) -> None:
    """After SIGKILL of the launcher, the same sweep runs what was not finished, and no data stage again."""
    values = ["data.n=2,3,4", "model.k=1,2,3,4"]
    process = jobs.start(*cached(launcher), *values)
    try:
        end = time.monotonic() + 120
        while len(jobs.of("done")) < 4 and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    # What was launched may live on: nobody has told Slurm. A record is written after the job has said "done".
    settle(jobs, launcher)
    before = set(jobs.of("done"))
    assert len(before) >= 4
    jobs.sweep(*cached(launcher), *values)
    again = {line for line, count in jobs.of("done").items() if count > 1 and line in before}
    assert len(again) <= 4, again  # those that were killed between saying so and being recorded
    assert len(jobs.of("done")) == 12
    # A data stage whose worker was killed is computed again; what had been stored is not.
    assert sum(jobs.of("data").values()) <= 3 + 2


def settle(jobs: Jobs, launcher: str) -> None:
    """Wait until no job of a killed launcher runs any more."""
    if launcher == "submitit_slurm":
        queue = lambda: slurm_says(jobs, "squeue", "-h")  # noqa: E731
        wait(lambda: not queue().strip(), 120, "the queue of Slurm")
        return
    before = None
    while before != (before := sum(jobs.wrote().values())):
        time.sleep(4)


def slurm_says(jobs: Jobs, *command: str) -> str:
    """What a command of Slurm's prints."""
    env = {**os.environ, **jobs.environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True).stdout


@over("submitit_slurm")
@pytest.mark.parametrize("how", ["plain", "cached"])
def test_a_cancelled_job(jobs: Jobs, launcher: str, how: str) -> None:
    """A job that `scancel` ends makes the sweep fail, and loses no sibling's result: the next one runs that one."""
    values = ["data.n=2,3", "model.k=1,2,13"]
    chosen = plain(launcher) if how == "plain" else cached(launcher)
    process = jobs.start(*chosen, "data.n=2", "model.k=1,2,13")
    with contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        jobs.wait_for("done:2:1", "done:2:2", "model:2:13")
        wait(lambda: (jobs.root / "waiting").exists(), 30, "the job")
        slurm_says(jobs, "scancel", (jobs.root / "waiting").read_text())
        output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output
    (jobs.root / "mended").touch()
    jobs.forget()
    jobs.sweep(*chosen, *values)
    assert jobs.of("data") == {"data:3": 1}
    assert jobs.of("model") == {f"model:{job}": 1 for job in ("2:13", "3:1", "3:2", "3:13")}
    if how == "cached":
        each_once(jobs, "done", 4)
