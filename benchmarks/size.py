"""What a node costs in a small and in a large config: whether the cost per node stays what it is."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import OmegaConf
from timing import best

import hydra_cached

SIZES = (500, 2000)


def stage(x: Any, y: Any = None) -> Any:
    """A target that takes no time."""
    return 1


def flat(size: int) -> dict[str, Any]:
    """Nodes beside each other."""
    return {f"n{at}": {"_target_": "size.stage", "x": at} for at in range(size)}


def below(size: int) -> dict[str, Any]:
    """The same, as parameters of one node."""
    return {"_target_": "size.stage", "x": flat(size)}


def shared(size: int) -> dict[str, Any]:
    """Nodes that all refer to one."""
    one = {"one": {"_target_": "size.stage", "x": -1}}
    return one | {f"n{at}": {"_target_": "size.stage", "x": at, "y": "${one}"} for at in range(size)}


def chains(size: int) -> dict[str, Any]:
    """Chains of ten nodes, each refers to the one before."""
    config = {}
    for at in range(size):
        before = f"${{n{at - 1}}}" if at % 10 else at
        config[f"n{at}"] = {"_target_": "size.stage", "x": before, "y": at}
    return config


def seconds(config: Any, directory: str | None) -> float:
    """Seconds of one warm call, with the cache in a directory or without."""
    if directory is None:
        return best(lambda: instantiate(config), 2)
    with hydra_cached.activate(directory, min_seconds=0):
        instantiate(config)
    with hydra_cached.activate(directory, min_seconds=0):
        return best(lambda: instantiate(config), 2)


def main() -> None:
    print(
        f"Hydra {hydra.__version__}: seconds per node at {SIZES[1]} nodes, as a multiple of those at {SIZES[0]}"
    )
    shapes: list[Callable[[int], Any]] = [flat, below, shared, chains]
    for shape in shapes:
        ratios = []
        for cached in (False, True):
            per_node = []
            for size in SIZES:
                with tempfile.TemporaryDirectory() as directory:
                    config = OmegaConf.create(shape(size))
                    per_node.append(seconds(config, directory if cached else None) / size)
            ratios.append(per_node[1] / per_node[0])
        print(f"{shape.__doc__!s:<60} Hydra alone {ratios[0]:5.2f} x   warm {ratios[1]:5.2f} x", flush=True)


if __name__ == "__main__":
    sys.modules.setdefault("size", sys.modules["__main__"])
    main()
