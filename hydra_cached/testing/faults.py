"""A store to which everything happens that can happen to a store, in an order that the test chooses."""

from __future__ import annotations

import enum
import errno
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from hydra_cached.stores.base import Claims, Entry, Store
from hydra_cached.stores.claims import MemoryClaims
from hydra_cached.stores.entry import pack, unpack

T = TypeVar("T")


class ClientError(Exception):
    """What the client of some service raises: nothing that anybody has heard of."""

    def __str__(self) -> str:
        raise RuntimeError("not even its text can be had")


class Fault(enum.Enum):
    """What happens to one operation of a store or of its claims."""

    FAILS = "an OSError; nothing was done"
    FAILS_ODDLY = "an error of the client's own; nothing was done"
    FAILS_AFTER = "it was done, and then an OSError"
    LOST = "nothing was done, and nothing is said; who looks finds nothing"
    CUT = "what is written or read is cut off"
    FLIPPED = "a bit of what is written or read is another"
    MISPLACED = "what is written goes to the place of another key, what is read comes from there"
    STALE = "what is read is what was there before it was replaced"
    SLOW = "it takes its time"


class FaultyStore(Store):
    """Entries as bytes in memory. At each operation the next of the planned faults happens.

    Args:
        faults: what happens, operation by operation; None for nothing, as when they are over.
    """

    def __init__(self, faults: Iterable[Fault | None] = ()) -> None:
        self.happened: list[str] = []  # operations at which something happened
        self._faults = iter(faults)
        self._entries: dict[str, bytes] = {}
        self._before: dict[str, bytes] = {}
        self._claims = _FaultyClaims(self)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"FaultyStore({len(self._entries)} entries, after {self.happened})"

    def plan(self, faults: Iterable[Fault | None]) -> None:
        """What is to happen from now on."""
        self._faults = iter(faults)

    def get(self, key: str) -> Entry | None:
        fault = self.next("get")
        data = self._entries.get(key)
        if fault is Fault.LOST:
            return None
        if fault is Fault.STALE:
            data = self._before.get(key, data)
        if fault is Fault.MISPLACED:
            data = next((value for name, value in sorted(self._entries.items()) if name != key), None)
        if data is None:
            return None
        data = _spoilt(data, fault)
        return _after(fault, unpack(memoryview(bytearray(data)), key))

    def put(self, key: str, entry: Entry) -> int:
        fault = self.next("put")
        data = b"".join(pack(entry, key))
        if fault is Fault.LOST:
            return len(data)
        if key in self._entries:
            self._before[key] = self._entries[key]
        place = f"{key[:-1]}{int(key[-1], 16) ^ 1:x}" if fault is Fault.MISPLACED else key
        self._entries[place] = _spoilt(data, fault)
        return _after(fault, len(data))

    def delete(self, key: str) -> bool:
        fault = self.next("delete")
        if fault is Fault.LOST:
            return True
        return _after(fault, self._entries.pop(key, None) is not None)

    def keys(self) -> Iterator[str]:
        fault = self.next("keys")
        return _after(fault, iter([] if fault is Fault.LOST else sorted(self._entries)))

    def claims(self) -> Claims:
        return self._claims

    def next(self, operation: str) -> Fault | None:
        """What happens to this operation; raises what happens before anything is done."""
        with self._lock:
            fault = next(self._faults, None)
            if fault is not None:
                self.happened.append(f"{operation}: {fault.name}")
        if fault is Fault.SLOW:
            time.sleep(0.005)
        if fault is Fault.FAILS:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if fault is Fault.FAILS_ODDLY:
            raise ClientError
        return fault


class _FaultyClaims(Claims):
    """Claims in memory, to which the same happens."""

    def __init__(self, store: FaultyStore) -> None:
        self._store = store
        self._claims = MemoryClaims()

    def create(self, name: str, text: str) -> bool:
        fault = self._store.next("create")
        if fault is Fault.LOST:
            return True
        text = _spoilt(text.encode(), fault).decode(errors="replace")
        return _after(fault, self._claims.create(name, text))

    def read(self, name: str) -> tuple[str, float] | None:
        fault = self._store.next("read")
        claim = None if fault is Fault.LOST else self._claims.read(name)
        if claim is not None:
            claim = _spoilt(claim[0].encode(), fault).decode(errors="replace"), claim[1]
        return _after(fault, claim)

    def touch(self, name: str) -> None:
        # Not planned: heartbeats come when they come, and a sequence of faults should mean the same each time.
        self._claims.touch(name)

    def swap(self, name: str, old: str, new: str) -> bool:
        fault = self._store.next("swap")
        return True if fault is Fault.LOST else _after(fault, self._claims.swap(name, old, new))

    def drop(self, name: str, text: str) -> bool:
        fault = self._store.next("drop")
        return True if fault is Fault.LOST else _after(fault, self._claims.drop(name, text))


def _spoilt(data: bytes, fault: Fault | None) -> bytes:
    middle = len(data) * 2 // 3
    if fault is Fault.CUT:
        return data[:middle]
    if fault is Fault.FLIPPED and data:
        return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    return data


def _after(fault: Fault | None, result: T) -> T:
    if fault is Fault.FAILS_AFTER:
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    return result
