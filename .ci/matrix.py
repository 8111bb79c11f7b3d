"""Run the suite on every supported Hydra with this Python, and on the newest Hydra with all other Pythons here.

Two pairs run at a time, each in an environment of its own; what a pair prints comes in one piece. `--but VERSION`
leaves out this Python with that Hydra, where all of the suite has run already. With another Hydra on this Python,
what knows nothing of Hydra is left out, stores and the reading of code; with another Python, what asks the system
rather than the language: servers, file systems, killed processes, other people's launchers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEWEST = "1.4.0rc3"
HYDRAS = ["1.3.2", "1.3.8", NEWEST]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
SERVERS = ("capabilities", "remote", "remote_bounds", "tiers", "transfer", "uploads")
SYSTEM = [f"tests/stores/test_{name}.py" for name in (*SERVERS, "conformance", "filesystems", "random_kills")]
SWEEPS = [f"tests/sweeps/test_{name}.py" for name in ("suites", "kill", "resume", "stages", "progress", "optuna")]
NO_PYTHON = [*SYSTEM, *SWEEPS, "tests/test_remote_app.py"]
# What knows nothing of Hydra. Results may hold configs, so that the serializers are not among it.
STORES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests" / "stores").glob("test_*.py"))]
NO_HYDRA = ["tests/keys/test_code_edits.py", *(path for path in STORES if "serializers" not in path)]
INSTALLING = threading.Lock()


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


def pairs(but: str | None) -> list[tuple[str, str]]:
    """Python and Hydra versions that belong together; this Python with one Hydra left out."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return [(own, hydra) for hydra in HYDRAS if hydra != but] + [(o, NEWEST) for o in PYTHONS if o != own]


def run(interpreter: str, version: str, hydra: str) -> tuple[bool, str]:
    """Run the suite in an environment of its own; says whether it passed, and what it printed."""
    environment = ROOT / f".venv-{version}-{hydra}"
    shutil.rmtree(environment, ignore_errors=True)
    binary = environment / "bin" / "python"
    wanted = [f"hydra-core=={hydra}", "--editable", ".[test]"]
    # The differential tests are run at full length by `make test`.
    variables = {"DIFFERENTIAL_EXAMPLES": "50", **os.environ}
    same = interpreter == sys.executable
    left_out = [f"--ignore={path}" for path in (NO_HYDRA if same else NO_PYTHON)]
    said = ""
    for command, alone in (
        ([interpreter, "-m", "venv", str(environment)], False),
        ([str(binary), "-m", "pip", "install", "--quiet", *wanted], True),  # it writes into the source tree
        ([str(binary), "-m", "pytest", "-p", "no:cacheprovider", *left_out], False),
    ):
        with INSTALLING if alone else nullcontext():
            done = subprocess.run(
                command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        said += done.stdout
        if done.returncode:
            break
    shutil.rmtree(environment, ignore_errors=True)
    return done.returncode == 0, said


def main() -> int:
    but = sys.argv[sys.argv.index("--but") + 1] if "--but" in sys.argv else None
    failed, running = [], {}
    with ThreadPoolExecutor(2) as pool:
        for version, hydra in pairs(but):
            interpreter = python(version)
            if interpreter is None:
                print(f"== Python {version} is not on this machine: skipped", flush=True)
            else:
                running[pool.submit(run, interpreter, version, hydra)] = f"Python {version}, Hydra {hydra}"
        for done in as_completed(running):
            passed, said = done.result()
            print(f"== {running[done]}\n{said if not passed else said[-2000:]}", flush=True)
            if not passed:
                failed.append(running[done])
    print("failed: " + "; ".join(failed) if failed else "all pairs passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
