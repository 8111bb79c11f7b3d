"""Writes entries into a local store until it is killed; run by the tests of the local store.

Every payload says what it should be: a reader can tell a whole entry from a mixed or partial one.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from blake3 import blake3

from hydra_cached.stores.base import Entry, Payload
from hydra_cached.stores.local import LocalStore


def key_of(number: int) -> str:
    """One of the keys that the writers share."""
    return blake3(str(number).encode()).hexdigest()


def made(seed: int, size: int) -> Entry:
    """An entry all of whose parts follow from its manifest."""
    text = blake3(str(seed).encode()).digest()
    body = text * (size // 32)
    return Entry({"seed": seed, "size": size}, Payload(f"f{seed}", text, [body, text]))


def is_whole(entry: Entry) -> bool:
    """Whether every part of an entry is of one and the same ``made``."""
    payload, should = entry.payload, made(entry.manifest["seed"], entry.manifest["size"]).payload
    assert payload is not None and should is not None
    got = [bytes(part) for part in (payload.stream, *payload.buffers)]
    return payload.format == should.format and got == [bytes(p) for p in (should.stream, *should.buffers)]


def main(root: str, keys: int, times: int) -> None:
    store, chance = LocalStore(Path(root)), random.Random()
    print("ready", flush=True)
    for _ in range(times):
        size = chance.choice([0, 64, 100_000, 1_500_000])
        store.put(key_of(chance.randrange(keys)), made(chance.randrange(1000), size))
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
