"""A cache behind a slow line: hits through the local tier against numpy, and what uploads hold up."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.memory import MemoryFileSystem
from hydra.utils import instantiate
from timing import best, show

import hydra_cached

DELAY, SPEED = 0.02, 100e6  # seconds for each request, bytes per second
SHAPE = (6_250, 2_000)  # 100 MB


class SlowFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """``slow://``: memory at the end of a slow line."""

    protocol = "slow"
    async_impl = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return MemoryFileSystem._strip_protocol(str(path).replace("slow://", "memory://", 1))

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        time.sleep(DELAY)
        data: bytes = super().cat_file(path, start=start, end=end, **options)
        time.sleep(len(data) / SPEED)
        return data

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        time.sleep(DELAY + len(value) / SPEED)
        super().pipe_file(path, value)

    def put_file(self, lpath: str, rpath: str, *args: Any, **options: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())


def make(seed: int) -> np.ndarray:
    """An array."""
    return np.random.default_rng(seed).standard_normal(SHAPE)


def work(seconds: float, seed: int, before: Any = None) -> np.ndarray:
    """A stage that computes for a while and returns 20 MB."""
    time.sleep(seconds)
    return np.full((2_500_000,), float(seed))


def pipeline(stages: int) -> dict[str, Any]:
    """Stages one after the other."""
    config: Any = None
    for seed in range(stages):
        config = {"_target_": "remote.work", "seconds": 0.5, "seed": seed, "before": config}
    return config


def main() -> None:
    logging.disable()
    fsspec.register_implementation("slow", SlowFileSystem)
    config = {"_target_": "remote.make", "seed": 0}
    print(f"a line with {DELAY * 1e3:.0f} ms and {SPEED / 1e6:.0f} MB/s")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        np.save(root / "array.npy", make(0))
        read = best(lambda: np.load(root / "array.npy"))
        print(f"{np.prod(SHAPE) * 8 / 1e6:.0f} MB of float64, against numpy.load ({read * 1e3:.0f} ms)")
        with hydra_cached.activate("slow://one", min_seconds=0):
            instantiate(config)
        with hydra_cached.activate("slow://one", min_seconds=0, local_dir=root / "tier"):
            start = time.perf_counter()
            instantiate(config)
            show("first hit of this host, which fetches it", time.perf_counter() - start, read)
            show("later hits, from the local tier", best(lambda: instantiate(config)), read)
            show("and every value summed up", best(lambda: instantiate(config).sum()), read)
        with hydra_cached.activate("slow://one", min_seconds=0):
            show("hits without a local tier", best(lambda: instantiate(config), 2), read)
        show("numpy.load, and every value summed up", best(lambda: np.load(root / "array.npy").sum()), read)
        print("six stages of 0.5 s with 20 MB each, against no cache")
        start = time.perf_counter()
        instantiate(pipeline(6))
        alone = time.perf_counter() - start
        for name, options in (
            ("uploads in the background", {}),
            ("the same, with a local tier", {"local_dir": root / "other"}),
            ("strict: each stage waits for its upload", {"strict": True}),
        ):
            url = f"slow://{len(name)}"
            start = time.perf_counter()
            with hydra_cached.activate(url, min_seconds=0, **options):
                instantiate(pipeline(6))
                inside = time.perf_counter() - start
            show(f"{name}: until the last result", inside, alone)
            show(f"{name}: until all is uploaded", time.perf_counter() - start, alone)


if __name__ == "__main__":
    main()
