"""What tests share: small projects in a temporary directory, whose stages write down that they ran."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

RECORDER = '''
import os
from pathlib import Path

def ran(name):
    """Write down that a stage ran; appending is atomic, so stages of several processes may."""
    with open(Path(__file__).parent / "ran.txt", "a") as file:
        file.write(name + "\\n")
'''


@dataclass
class Project:
    """A directory with Python modules and configs, and a way to run commands in it."""

    root: Path

    def write(self, **files: str) -> Project:
        """Write files; in a name, ``__`` stands for ``/`` and the last ``_`` before the suffix for ``.``."""
        for name, text in files.items():
            stem, _, suffix = name.replace("__", "/").rpartition("_")
            path = self.root / f"{stem}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip())
        return self

    def ran(self) -> list[str]:
        """The stages that ran since this was asked last, in order."""
        path = self.root / "ran.txt"
        if not path.exists():
            return []
        names = path.read_text().split()
        path.unlink()
        return names

    def python(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run Python in the project; returns what it printed, and fails unless it ends with this status."""
        env = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=self.root, env=env, timeout=120
        )
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
