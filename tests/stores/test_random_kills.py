"""Processes that are killed at random instants while others work on the same keys.

``HYDRA_CACHED_KILL_ROUNDS`` says how many rounds (20 by default; 200 is the acceptance test).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.sweep import sweep

ROUNDS = int(os.environ.get("HYDRA_CACHED_KILL_ROUNDS", "20"))
WORKER = Path(__file__).parent / "kill_worker.py"
ROOT = Path(__file__).parents[2]


def leftovers(root: Path) -> list[Path]:
    """All files in a cache but entries and the two that say what it is."""
    entry = re.compile(r"[0-9a-f]{16,}")
    files = [path for path in root.rglob("*") if path.is_file()]
    entries = [path for path in files if path.parent.parent.name == "entries" and entry.fullmatch(path.name)]
    return [path for path in files if path not in entries and path.name not in ("CACHEDIR.TAG", ".gitignore")]


@pytest.mark.parametrize(
    "hosts", [[], ["one", "two"]], ids=["eight processes", "two hosts, equal process ids"]
)
def test_random_kills(tmp_path: Path, hosts: list[str]) -> None:
    """No wrong value, no damaged entry, no exception that reaches the pipeline, no leftover that stays."""
    root = tmp_path / "cache"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{WORKER.parent}", "PYTHONDONTWRITEBYTECODE": "1"}
    seed = int.from_bytes(os.urandom(4), "big")
    command = [sys.executable, "-W", "ignore", str(WORKER), str(root), str(ROUNDS), str(seed), *hosts]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60 + 3 * ROUNDS)
    assert done.stdout.splitlines() == ["done"], f"seed {seed}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
    assert done.stderr == ""
    store = LocalStore(root)
    for key in store.keys():
        assert store.get(key) is not None
    left = leftovers(root)
    time.sleep(0.05)
    assert sweep(root, time.time()) == len(left) and leftovers(root) == []
    print(
        f"{len(left)} leftovers were swept up, {len(list(store.keys()))} entries, links and notes are there"
    )
