"""A crowd: many processes that build the same at the same moment; a script, and what tests need to start it.

The processes are forked from one that has imported everything, and begin together.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

STAGES = '''
import os, sys, time, uuid
from pathlib import Path

HERE = Path(__file__).parent

def note(what):
    """Write down that a stage runs; appending is atomic."""
    with open(HERE / "ran.txt", "a") as file:
        file.write(f"{what} {os.getpid()} {time.time()}\\n")

def slow(seconds, name="slow", **inputs):
    """Another result each time, so that equal results are one result."""
    note(name)
    time.sleep(seconds)
    return f"{name} {uuid.uuid4().hex}"
'''


@dataclass
class Crowd:
    """Processes that build something in a directory; ``ran`` says what they executed."""

    root: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def code(self, text: str = "") -> Crowd:
        """Write the module ``stages``."""
        self.root.mkdir(exist_ok=True)
        (self.root / "stages.py").write_text(STAGES + text)
        return self

    def start(self, count: int, *configs: Any, **options: Any) -> subprocess.Popen[str]:
        """Start processes, each of which builds one of the configs in turn; all begin together."""
        environment = options.pop("environment", {})
        what = {
            "configs": configs,
            "options": {"dir": str(self.root / "cache"), "min_seconds": 0.0, **options},
        }
        env = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{self.root}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            **environment,
        }
        command = [sys.executable, __file__, str(count), json.dumps(what)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.processes.append(subprocess.Popen(command, cwd=self.root, env=env, **pipes))
        return self.processes[-1]

    def reports(self, started: subprocess.Popen[str], timeout: float = 60.0) -> list[dict[str, Any]]:
        """What each process has to say that lived to say something."""
        output, _ = started.communicate(timeout=timeout)
        lines = output.splitlines()
        assert all(line.startswith("{") for line in lines), output
        return [json.loads(line) for line in lines]

    def build(self, count: int, *configs: Any, **options: Any) -> list[dict[str, Any]]:
        """``start`` and ``reports``."""
        return self.reports(self.start(count, *configs, **options))

    def ran(self) -> list[tuple[str, int, float]]:
        """What ran so far: name, process and time."""
        path = self.root / "ran.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(name, int(process), float(at)) for name, process, at in map(str.split, lines)]

    def wait_for(self, runs: int, timeout: float = 20.0) -> list[tuple[str, int, float]]:
        """Wait until so many stages have begun to run."""
        end = time.monotonic() + timeout
        while len(self.ran()) < runs:
            assert time.monotonic() < end, f"{self.ran()} after {timeout} s"
            time.sleep(0.005)
        return self.ran()

    def leases(self) -> list[str]:
        """What lies where leases are."""
        directory = self.root / "cache" / "leases"
        return sorted(os.listdir(directory)) if directory.is_dir() else []

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()
            process.communicate()


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _build(configs: list[Any], options: dict[str, Any], number: int) -> dict[str, Any]:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from hydra_cached import activate

    handler = _Lines()
    logging.getLogger("hydra_cached").addHandler(handler)
    logging.getLogger("hydra_cached").setLevel(logging.INFO)
    value, error, begin = None, "", time.time()
    with activate(**options) as session:
        try:
            value = instantiate(OmegaConf.create(configs[number % len(configs)]))
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}".splitlines()[0]
    return {
        "process": os.getpid(),
        "value": value,
        "error": error,
        "kinds": [event.kind.name for event in session.events],
        "seconds": time.time() - begin,
        "log": [line[:200] for line in handler.lines[:12]],
    }


def _main(count: int, what: dict[str, Any]) -> None:
    import hydra.utils  # noqa: F401 - imported once, before there are many

    import hydra_cached.api  # noqa: F401

    gate, opener = os.pipe()
    for number in range(count):
        if os.fork() == 0:
            os.close(opener)
            os.read(gate, 1)
            try:
                report = _build(what["configs"], what["options"], number)
                os.write(1, (json.dumps(report) + "\n").encode())
            finally:
                os._exit(0)
    os.close(opener)
    for _ in range(count):
        os.wait()


if __name__ == "__main__":
    _main(int(sys.argv[1]), json.loads(sys.argv[2]))
