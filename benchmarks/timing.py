"""Timing for the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def best(work: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of the quickest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def show(name: str, seconds: float, reference: float) -> None:
    """A line: what was measured, as a multiple of the reference."""
    print(f"{name:<58} {seconds / reference:8.2f} x")
