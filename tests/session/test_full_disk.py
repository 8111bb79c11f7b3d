"""A disk that fills up while results are stored: runs go on, and what is served is right."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from pathlib import Path

import pytest
from hydra.utils import instantiate
from mounting import needs_mount, tmpfs
from omegaconf import OmegaConf

from hydra_cached import activate
from hydra_cached.stores.local import LocalStore

pytestmark = [needs_mount, pytest.mark.filterwarnings("ignore::UserWarning")]
SIZE = 900_000  # bytes of a result; three fit


def block(n: int) -> bytes:
    """A result that follows from its number."""
    return bytes([n]) * SIZE


def pair(one: bytes, two: bytes) -> list[bytes]:
    """A result of twice the size."""
    return [one, two]


def config(n: int) -> object:
    """Three stages."""
    target = f"{__name__}.block"
    parts = {name: {"_target_": target, "n": (n + at) % 250} for at, name in enumerate(("one", "two"))}
    return OmegaConf.create({"_target_": f"{__name__}.pair", **parts})


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*.tmp")]


def test_a_disk_that_fills_up_costs_hits_only() -> None:
    """Of many results, those that fit are served later; all are right, and nothing half-written is left."""
    with tmpfs("3m") as where:
        seen: Counter[str] = Counter()
        for n in [*range(6), *range(6)]:
            with activate(where / "cache", min_seconds=0) as session:
                assert instantiate(config(n)) == pair(block(n), block(n + 1))
            seen.update(event.kind.name for event in session.events)
        assert seen["REFUSED"] and seen["HIT"] and not seen["DAMAGED"]
        assert leftovers(where) == []
        store = LocalStore(where / "cache")
        assert all(store.get(key) is not None for key in store.keys())


def test_a_disk_that_fills_and_empties_while_others_write() -> None:
    """Four threads run while somebody fills the disk and empties it again: every result is right."""
    with tmpfs("6m") as where:
        stop = threading.Event()
        errors: list[BaseException] = []

        def fill() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError), open(where / "filler", "wb", buffering=0) as file:
                    while not stop.is_set():
                        file.write(bytes(65536))
                stop.wait(0.02)
                os.truncate(where / "filler", 0)
                stop.wait(0.02)

        def work(seed: int) -> None:
            try:
                for turn in range(12):
                    n = (seed * 7 + turn) % 20
                    assert instantiate(config(n)) == pair(block(n), block(n + 1))
            except BaseException as error:
                errors.append(error)

        filler = threading.Thread(target=fill)
        filler.start()
        try:
            with activate(where / "cache", min_seconds=0, max_size="4MB"):
                workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
        finally:
            stop.set()
            filler.join()
        assert errors == [] and leftovers(where) == []
        store = LocalStore(where / "cache")
        assert all(store.get(key) is not None for key in store.keys())
