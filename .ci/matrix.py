"""Run the suite on every supported Hydra with this Python, and on the newest Hydra with all other Pythons here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEWEST = "1.4.0rc3"
HYDRAS = ["1.3.2", "1.3.8", NEWEST]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def python(version: str) -> str | None:
    """An interpreter of this version: on the path, or below pyenv's versions."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    found = shutil.which(f"python{version}")
    # A shim of pyenv is there for every version that any interpreter has, and answers only for the chosen one.
    if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
        return found
    below = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(below[-1]) if below else None


def pairs() -> list[tuple[str, str]]:
    """Python and Hydra versions that belong together."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return [(own, hydra) for hydra in HYDRAS] + [(other, NEWEST) for other in PYTHONS if other != own]


def run(interpreter: str, version: str, hydra: str) -> bool:
    """Run the suite in an environment of its own; says whether it passed."""
    environment = ROOT / f".venv-{version}-{hydra}"
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([interpreter, "-m", "venv", environment], check=True)
    binary = environment / "bin" / "python"
    wanted = [f"hydra-core=={hydra}", "--editable", ".[test]"]
    subprocess.run([binary, "-m", "pip", "install", "--quiet", *wanted], cwd=ROOT, check=True)
    print(f"== Python {version}, Hydra {hydra}", flush=True)
    done = subprocess.run([binary, "-m", "pytest"], cwd=ROOT, env=os.environ)
    shutil.rmtree(environment, ignore_errors=True)
    return done.returncode == 0


def main() -> int:
    failed = []
    for version, hydra in pairs():
        interpreter = python(version)
        if interpreter is None:
            print(f"== Python {version} is not on this machine: skipped", flush=True)
        elif not run(interpreter, version, hydra):
            failed.append(f"Python {version} with Hydra {hydra}")
    print("failed: " + ", ".join(failed) if failed else "all pairs passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
