"""A remote store of which only manifests are read: for lists of what is there."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from hydra_cached.errors import DamagedEntry, ForeignEntry
from hydra_cached.stores.base import Buffer, Claims, Entry, Payload
from hydra_cached.stores.remote import RemoteStore


class Glimpses:
    """A remote store whose payloads are not fetched: they have the right sizes and digests, and hold zeros.

    Args:
        remote: the store.
    """

    def __init__(self, remote: RemoteStore) -> None:
        self._remote = remote

    def __repr__(self) -> str:
        return f"Glimpses({self._remote!r})"

    def get(self, key: str) -> Entry | None:
        try:
            manifest = self._remote.manifest(key)
        except ForeignEntry as foreign:
            raise ForeignEntry(f"{self._remote.where(key)}: {foreign}") from foreign
        except DamagedEntry as damage:
            raise DamagedEntry(f"{self._remote.where(key)}: {damage}") from damage
        if manifest is None:
            return None
        if manifest.pop("key", None) != key:
            raise DamagedEntry(f"{self._remote.where(key)}: it was stored under another key")
        record = manifest.pop("payload", None)
        if record is None:
            return Entry(manifest)
        try:
            stream, *buffers = (_blank(int(size)) for _, size in record["places"])
            payload = Payload(str(record["format"]), stream, buffers, digest=str(record["digest"]))
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            where = self._remote.where(key)
            raise DamagedEntry(f"{where}: its record of the payload is wrong: {error!r}") from None
        return Entry(manifest, payload)

    def put(self, key: str, entry: Entry) -> int:
        return self._remote.put(key, entry)

    def delete(self, key: str) -> bool:
        return self._remote.delete(key)

    def keys(self) -> Iterator[str]:
        return self._remote.keys()

    def claims(self) -> Claims | None:
        return None


def _blank(size: int) -> Buffer:
    """So many zeros, which take no memory as long as nobody reads them."""
    return memoryview(mmap.mmap(-1, size)) if size else b""
