"""A hit on a large array, as a multiple of reading it with numpy; joblib.Memory beside it."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import joblib
import numpy as np
from hydra.utils import instantiate
from timing import best, show

import hydra_cached

SHAPE = (16_000, 2_000)  # 256 MB


def make(seed: int) -> np.ndarray:
    """An array that takes a moment."""
    return np.random.default_rng(seed).standard_normal(SHAPE)


def main() -> None:
    logging.disable()
    config = {"_target_": "hits.make", "seed": 0}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        np.save(root / "array.npy", make(0))
        memory = joblib.Memory(root / "joblib", verbose=0)
        mapped = joblib.Memory(root / "mapped", mmap_mode="c", verbose=0)
        for each in (memory, mapped):
            each.cache(make)(0)
        print(f"{np.prod(SHAPE) * 8 / 1e6:.0f} MB of float64, against numpy.load")
        read = best(lambda: np.load(root / "array.npy"))
        show("joblib.Memory", best(lambda: memory.cache(make)(0)), read)
        show("joblib.Memory, mmap_mode='c'", best(lambda: mapped.cache(make)(0)), read)
        with hydra_cached.activate(root / "cache", min_seconds=0):
            instantiate(config)
            show("hydra-cached", best(lambda: instantiate(config)), read)
            show("hydra-cached, and every value summed up", best(lambda: instantiate(config).sum()), read)
        show("numpy.load, and every value summed up", best(lambda: np.load(root / "array.npy").sum()), read)


if __name__ == "__main__":
    main()
