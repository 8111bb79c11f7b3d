"""What the cache costs per node where it does not help, as a multiple of Hydra alone."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import OmegaConf
from timing import best, show

import hydra_cached

NODES = 200


def stage(x: int, y: Any = None, z: Any = None) -> int:
    """A target that takes no time."""
    return x


def main() -> None:
    node = {"_target_": f"{__name__}.stage", "z": [1, 2, 3]}
    config = OmegaConf.create({f"n{i}": {**node, "x": i, "y": {**node, "x": -i}} for i in range(NODES)})
    alone = best(lambda: instantiate(config))
    print(
        f"Hydra {hydra.__version__}, Python {sys.version.split()[0]}: {2 * NODES} nodes, against Hydra alone"
    )
    with hydra_cached.activate(dir=None, mode="off"):
        show("cache=off (special keys are stripped)", best(lambda: instantiate(config)), alone)
    with tempfile.TemporaryDirectory() as directory:
        with hydra_cached.activate(directory, min_seconds=1e9):
            show("nothing stored: every result is too quick", best(lambda: instantiate(config)), alone)
        with hydra_cached.activate(directory, min_seconds=0):
            show("cold: every result is stored, with fsync", best(lambda: instantiate(config), 1), alone)
            show(
                "warm: half of the nodes hit, the others are in them",
                best(lambda: instantiate(config)),
                alone,
            )
    show("after the session", best(lambda: instantiate(config)), alone)


if __name__ == "__main__":
    sys.modules.setdefault("overhead", sys.modules["__main__"])
    main()
