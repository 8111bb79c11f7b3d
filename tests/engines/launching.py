"""What tests of launchers share: a sweep of few slow data stages and many models, and programs that run it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

RECORDER = """
    from pathlib import Path

    def ran(name):
        # Appending a line is atomic, also for several processes.
        with open(Path(__file__).parent / "ran.txt", "a") as file:
            file.write(name + "\\n")
"""
APP = """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.utils import instantiate
    from recorder import ran

    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def main(cfg):
        ran(f"job:{cfg.data.n}:{cfg.model.k}")
        result = instantiate(cfg.model)
        ran(f"done:{cfg.data.n}:{cfg.model.k}")
        return result

    if __name__ == "__main__":
        main()
"""
STAGES = """
    import os, time
    from pathlib import Path
    from recorder import ran

    HERE = Path(__file__).parent

    def data(n):
        ran(f"data:{n}")
        time.sleep(3)
        return list(range(n))

    def model(data, k):
        ran(f"model:{len(data)}:{k}")
        if k == 13 and not (HERE / "mended").exists():
            (HERE / "waiting").write_text(os.environ.get("SLURM_JOB_ID", str(os.getpid())))
            time.sleep(600)
        return sum(data) * k
"""
CONFIG = """
    defaults:
      - _self_
    data: {_target_: stages.data, n: 4}
    model: {_target_: stages.model, data: "${data}", k: 1}
"""
CACHED = ["+cache=disk", "cache.min_seconds=0"]
ALL = ["data.n=2,3,4", "model.k=1,2,3,4,5,6,7,8"]


@dataclass
class Jobs:
    """An app in a directory that all workers see, and what its jobs wrote down."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> Jobs:
        """Write the app."""
        (self.root / "conf").mkdir(parents=True)
        files = {"app.py": APP, "stages.py": STAGES, "recorder.py": RECORDER, "conf/config.yaml": CONFIG}
        for name, text in files.items():
            (self.root / name).write_text(dedent(text).lstrip())
        return self

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a sweep, in a process group of its own."""
        env = {**os.environ, **self.environment, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "app.py", "-m", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.root, env=env, start_new_session=True, **pipes)

    def sweep(self, *arguments: str, fails: bool = False, timeout: float = 240.0) -> str:
        """Run a sweep to its end; gives what it printed."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        assert (process.returncode != 0) == fails, output
        return output

    def wrote(self) -> Counter[str]:
        """How often each thing was written down so far."""
        path = self.root / "ran.txt"
        return Counter(path.read_text().split() if path.exists() else [])

    def wait_for(self, *lines: str, timeout: float = 120.0) -> None:
        """Wait until all these have been written down."""
        end = time.monotonic() + timeout
        while not set(lines) <= set(self.wrote()):
            assert time.monotonic() < end, f"{self.wrote()} after {timeout} s"
            time.sleep(0.05)

    def forget(self) -> None:
        """Forget what was written down."""
        (self.root / "ran.txt").unlink(missing_ok=True)

    def of(self, kind: str) -> dict[str, int]:
        """How often each stage or job of a kind was written down."""
        return {line: count for line, count in sorted(self.wrote().items()) if line.startswith(f"{kind}:")}


def each_once(jobs: Jobs, kind: str, count: int) -> None:
    """Assert that so many of a kind were written down, each once."""
    found = jobs.of(kind)
    assert len(found) == count and set(found.values()) <= {1}, found
