"""Start one engine, say how an app uses it, and stop it when interrupted.

.venv-engines/bin/python tests/engines/serve.py ceph      # or azurite, sftp, moto, s3rver, gluster, slurm
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import buckets
import cluster
import mounts

ENGINES = {
    "ceph": buckets.ceph,
    "azurite": buckets.azurite,
    "moto": buckets.moto,
    "s3rver": buckets.s3rver,
    "sftp": mounts.sshd,
    "gluster": mounts.gluster,
    "slurm": lambda directory: cluster.slurm(),
}


def overrides(started: Any) -> list[str]:
    """What to add to an app's command line."""
    if isinstance(started, dict):
        return [f"# after: export {name}={value}" for name, value in started.items()]
    if isinstance(started, tuple):
        return [f"cache.dir={mount}/cache" for mount in started]
    options = (f"{name}={quoted(value)}" for name, value in flat(started.options))
    return [
        " ".join([f"cache.dir={started.url}/cache", *(f"+cache.storage_options.{each}" for each in options)])
    ]


def flat(options: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Options in mappings, by dotted names."""
    for name, value in options.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def quoted(value: Any) -> str:
    """A value as Hydra's grammar and a shell take it."""
    return {None: "null"}.get(value, f"\"'{value}'\"") if not isinstance(value, (int, list)) else f"'{value}'"


def main(name: str) -> None:
    """Start an engine and wait."""
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-") as directory,
        ENGINES[name](Path(directory)) as started,
    ):
        for line in overrides(started):
            print(f"+cache=disk {line}", flush=True)
        print("Ctrl-C stops it.", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})  # blocked, see below


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ENGINES:
        sys.exit(f"usage: serve.py {'|'.join(ENGINES)}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main(sys.argv[1])
