"""The example, three times: cold, warm, and as a sweep, with what the cache saved. `make demo` runs this."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SWEEP = ["-m", "classifier=knn", "classifier.n_neighbors=1,5,15,50"]


def run(title: str, *arguments: str) -> float:
    """Run the app, show the command and what it prints; returns the seconds it took."""
    print(f"\n== {title}\n$ python example_app/app.py {' '.join(arguments)}", flush=True)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", HERE / "app.py", *arguments], check=True)
    seconds = time.perf_counter() - start
    print(f"-- {seconds:.1f} s", flush=True)
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hydra-cached-demo-") as directory:
        outputs = [f"hydra.run.dir={directory}/run", f"hydra.sweep.dir={directory}/sweep"]
        cached = ["cache=disk", f"cache.dir={directory}/cache", *outputs]
        cold = run("Cold: every stage runs, every result is kept", *cached)
        warm = run("Warm: the same again, no stage runs", *cached)
        sweep = run("Sweep: four settings of the classifier, one embedding", *SWEEP, *cached)
    print(
        f"\nThe second run took {warm:.1f} s instead of {cold:.1f} s, and four jobs took {sweep:.1f} s: "
        "the embedding was computed once in all of them."
    )


if __name__ == "__main__":
    main()
