"""What joblib.Memory and hydra-cached do after an edit: the rows of the README's table that can be run here."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

STAGES = """
from helpers import scale

def train(x):
    # a comment
    print("RAN")
    return scale(x)
"""
HELPERS = """
def scale(x):
    return 2 * x
"""
JOBLIB = """
import joblib, stages
print("VALUE", joblib.Memory("joblib", verbose=0).cache(stages.train)(3))
"""
CACHED = """
import hydra_cached
with hydra_cached.activate("cached", min_seconds=0):
    print("VALUE", hydra_cached.instantiate({"_target_": "stages.train", "x": 3}))
"""
EDITS = {
    "nothing": ("stages.py", "", ""),
    "a comment": ("stages.py", "# a comment", "# another one"),
    "the comment, back": ("stages.py", "# another one", "# a comment"),
    "a helper in another module": ("helpers.py", "2 * x", "3 * x"),
    "the helper, back": ("helpers.py", "3 * x", "2 * x"),
}


def outcome(root: Path, program: str) -> str:
    """Run a program; says whether the stage ran, and with which value."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    value = done.stdout.split("VALUE ")[1].strip()
    return f"{'ran' if 'RAN' in done.stdout else 'served'}, {value}"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "stages.py").write_text(STAGES)
        (root / "helpers.py").write_text(HELPERS)
        for program in (JOBLIB, CACHED):
            outcome(root, program)
        print(f"{'edited':<30} {'joblib.Memory':<16} hydra-cached")
        for name, (file, old, new) in EDITS.items():
            path = root / file
            path.write_text(path.read_text().replace(old, new) if old else path.read_text())
            print(f"{name:<30} {outcome(root, JOBLIB):<16} {outcome(root, CACHED)}")


if __name__ == "__main__":
    main()
