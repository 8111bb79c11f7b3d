"""Processes that build, read, refresh and delete results until they are killed; a script for ``test_random_kills``.

They are forked from one that has imported everything, which also kills them; what one finds wrong, it prints.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from hydra_cached.active import activated, seam
from hydra_cached.config import read_options
from hydra_cached.session import Session
from hydra_cached.shelf import EntryShelf, StoreNotes
from hydra_cached.stores.leases import Leases
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.owners import Here

KEYS = 20
WORKERS = 8
SIZES = (10, 5_000, 300_000, 1_300_000)


def part(n: int) -> bytes:
    """Half of a result: what it should be follows from the number."""
    time.sleep(0.0005 * (n % 3))
    return n.to_bytes(4, "big") * (SIZES[n % 4] // 4)


def joined(n: int, half: bytes) -> dict[str, Any]:
    """A result of two stages."""
    return {"n": n, "halves": [half, half]}


def config_of(n: int) -> Any:
    """The config of one of the results."""
    return {"_target_": "kill_worker.joined", "n": n, "half": {"_target_": "kill_worker.part", "n": n}}


def here_for(host: str) -> Here:
    """This process, or, for a host that it believes to be on, its process 7."""
    me = Here.now()
    return Here(host, f"machine of {host}", 7, me.started) if host else me


def work(root: Path, host: str, seed: int, until: float) -> None:
    """Ask for results, and look whether they are right."""
    chance = random.Random(seed)
    here = here_for(host)
    store = LocalStore(root)
    while time.time() < until:
        mode = chance.choice(["readwrite"] * 6 + ["refresh", "readonly"])
        leases = Leases(store.claims(), heartbeat=0.05, missed=0.5, here=lambda: here)
        options = read_options(dir=str(root), min_seconds=0, mode=mode)
        notes = StoreNotes(store, mode != "readonly")
        session = Session(
            seam(), options, EntryShelf(store), notes, leases=None if mode == "readonly" else leases
        )
        with activated(session, everywhere=False):
            for _ in range(3):
                n = chance.randrange(KEYS)
                value = instantiate(OmegaConf.create(config_of(n)))
                if value != joined(n, n.to_bytes(4, "big") * (SIZES[n % 4] // 4)):
                    print(f"wrong value for {n}: {str(value)[:100]}", flush=True)
        for event in session.events:
            if event.kind.name in ("DAMAGED", "REFUSED"):
                print(f"{event.kind.name}: {event.reason}", flush=True)
        if chance.random() < 0.4:
            for key in chance.sample(list(store.keys()) or [""], 1):
                if key:
                    store.delete(key)


def start(root: Path, hosts: list[str], number: int, seed: int, until: float) -> int:
    """Fork a worker; returns its process id."""
    process = os.fork()
    if process == 0:
        try:
            work(root, hosts[number % len(hosts)], seed, until)
        except BaseException:
            print(
                "an exception reached the pipeline: " + traceback.format_exc().replace("\n", " | "),
                flush=True,
            )
        finally:
            os._exit(0)
    return process


def main(root: str, rounds: int, seed: int, *hosts: str) -> None:
    """Kill some of the workers at a random instant, and start others in their place; ``rounds`` times."""
    import logging

    logging.disable(logging.WARNING)
    chance = random.Random(seed)
    count = len(hosts) or WORKERS
    until = time.time() + 3600
    workers = [start(Path(root), list(hosts) or [""], n, chance.random(), until) for n in range(count)]  # type: ignore[arg-type]
    for _ in range(rounds):
        time.sleep(chance.uniform(0.005, 0.15))
        for number in chance.sample(range(count), chance.randint(1, count)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[number], signal.SIGKILL)
            os.waitpid(workers[number], 0)
            workers[number] = start(Path(root), list(hosts) or [""], number, chance.random(), until)  # type: ignore[arg-type]
    # The last ones end in peace, and everything is there or can be made.
    for number, process in enumerate(workers):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        workers[number] = start(Path(root), list(hosts) or [""], number, chance.random(), time.time() + 0.5)  # type: ignore[arg-type]
    for process in workers:
        os.waitpid(process, 0)
    print("done", flush=True)


if __name__ == "__main__":
    sys.modules["kill_worker"] = sys.modules["__main__"]
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
