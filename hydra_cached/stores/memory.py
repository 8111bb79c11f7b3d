"""Entries in this process's memory, for as long as the store lives."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hydra_cached.stores.base import Entry, Payload, check_key
from hydra_cached.stores.claims import MemoryClaims


class MemoryStore:
    """Keeps entries as bytes, so that every hit is a fresh object, just as from a disk."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, Payload | None]] = {}
        self._claims = MemoryClaims()

    def get(self, key: str) -> Entry | None:
        found = self._entries.get(check_key(key))
        if found is None:
            return None
        text, payload = found
        if payload is not None:
            # Copies that may be written to: what the first hit does to its array must not reach the second.
            payload = Payload(payload.format, payload.stream, [bytearray(b) for b in payload.buffers])
        return Entry(json.loads(text), payload)

    def put(self, key: str, entry: Entry) -> int:
        payload = entry.payload
        if payload is not None:
            payload = Payload(payload.format, bytes(payload.stream), [bytes(b) for b in payload.buffers])
        self._entries[check_key(key)] = (json.dumps(entry.manifest), payload)
        return payload.size if payload is not None else 0

    def delete(self, key: str) -> bool:
        return self._entries.pop(check_key(key), None) is not None

    def claims(self) -> MemoryClaims:
        return self._claims

    def keys(self) -> Iterator[str]:
        return iter(list(self._entries))
