"""What a session keeps results on: entries in a store, or, for a cache object of the caller's, the objects."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from blake3 import blake3

from hydra_cached.artifacts import Places
from hydra_cached.errors import DamagedEntry, NotStorable
from hydra_cached.keys.canonical import type_name
from hydra_cached.stores.base import LINK, Entry, Manifest, Payload, Store
from hydra_cached.stores.serializers import Refer, dump, load, refers

RECENT = "recent"  # in a manifest without payload: parts of a target's youngest entries
Digest = Callable[[Any], str | None]  # gives the digest of a value's content, if it has one
NOTE = "note"  # in a manifest without payload: a short text


@dataclass(frozen=True)
class Found:
    """A kept result that is not loaded yet.

    Args:
        key: where it is, after links.
        manifest: what is known of it.
        load: gives the result; told where to put artifacts, puts them there; told what references refer to, puts
            that into their places. May raise ``DamagedEntry`` and ``NotRestorable``.
        size: bytes, 0 if unknown.
    """

    key: str
    manifest: Manifest
    load: Callable[..., Any]
    size: int = 0


class Shelf(Protocol):
    """Results by key."""

    def find(self, key: str) -> Found | None:
        """What is kept under a key; may raise ``DamagedEntry`` or ``OSError``."""

    def keep(
        self,
        key: str,
        value: Any,
        manifest: Manifest,
        digest: Digest,
        places: Places,
        refer: Refer | None = None,
    ) -> int:
        """Keep a result; adds the digest of its content to the manifest, and returns its size in bytes.

        Args:
            key: what it is kept under.
            value: the result.
            manifest: what is known of it.
            digest: gives digests of contents.
            places: what the places of artifacts in it are relative to.
            refer: gives references to what its target was handed.

        Raises:
            NotStorable: this result cannot be kept.
            OSError: nothing can, now.
        """

    def link(self, key: str, target: str) -> None:
        """Make a second key find what is under a first."""

    def digest(self, value: Any, digest: Digest) -> str:
        """Digest of a value that is not kept; raises ``NotStorable`` if there is none."""

    def recent(self, target: str) -> list[dict[str, Any]]:
        """What was remembered of a target's entries: ``key`` and ``parts`` of each, the youngest first."""

    def remember(self, target: str, entries: list[dict[str, Any]]) -> None:
        """Remember a target's youngest entries, for explaining misses."""


class EntryShelf:
    """Entries in a store: every find gives a fresh object."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find(self, key: str) -> Found | None:
        entry = self.store.get(key)
        if entry is not None and LINK in entry.manifest:
            key = str(entry.manifest[LINK])
            entry = self.store.get(key)
        if entry is None or entry.payload is None:
            return None
        payload = entry.payload
        return Found(key, entry.manifest, lambda *context: load(payload, *context), payload.size)

    def keep(
        self,
        key: str,
        value: Any,
        manifest: Manifest,
        digest: Digest,
        places: Places,
        refer: Refer | None = None,
    ) -> int:
        payload = dump(value, places, refer)
        content = digest(value)
        if content is None:
            content = _digest_of(value, digest) if refers(payload) else _payload_digest(payload, digest)
        manifest["content"] = content
        return self.store.put(key, Entry(manifest, payload))

    def link(self, key: str, target: str) -> None:
        self.store.put(key, Entry({LINK: target}))

    def digest(self, value: Any, digest: Digest) -> str:
        return _digest_of(value, digest)

    def recent(self, target: str) -> list[dict[str, Any]]:
        entry = self.store.get(_notes_key(RECENT, target))
        return list(entry.manifest.get(RECENT, [])) if entry is not None else []

    def remember(self, target: str, entries: list[dict[str, Any]]) -> None:
        self.store.put(_notes_key(RECENT, target), Entry({RECENT: entries, "target": target}))


class StoreNotes(MutableMapping[str, str]):
    """Short texts by key, kept in a store beside its entries; used as a memory for digests of files.

    A store that fails forgets: the texts can be made again.
    """

    def __init__(self, store: Store, writes: bool) -> None:
        self._store = store
        self._writes = writes

    def __getitem__(self, key: str) -> str:
        try:
            entry = self._store.get(_notes_key(NOTE, key))
        except Exception:  # stores raise what they like
            entry = None
        if entry is None or NOTE not in entry.manifest:
            raise KeyError(key)
        return str(entry.manifest[NOTE])

    def __setitem__(self, key: str, text: str) -> None:
        if self._writes:
            with contextlib.suppress(Exception):
                self._store.put(_notes_key(NOTE, key), Entry({NOTE: text}))

    def __delitem__(self, key: str) -> None:
        with contextlib.suppress(Exception):
            self._store.delete(_notes_key(NOTE, key))

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("notes are found by key only")

    def __len__(self) -> int:
        raise NotImplementedError("notes are found by key only")


def _notes_key(kind: str, name: str) -> str:
    return blake3(f"{kind} {name}".encode()).hexdigest()


def _digest_of(value: Any, digest: Digest) -> str:
    content = digest(value) or _payload_digest(dump(value), digest)
    if content is None:
        raise NotStorable("it refers to code that cannot be read")
    return content


def _payload_digest(payload: Payload, digest: Digest) -> str | None:
    """For what has no canonical form: equal bytes, and equal code of the classes in it, make equal objects.

    (Not the other way round: unequal bytes may.) None if there is code that cannot be read.
    """
    code = digest(sorted(payload.named, key=type_name))
    if code is None:
        return None
    hasher = blake3(b"payload" + code.encode())
    for piece in (payload.stream, *payload.buffers):
        hasher.update(memoryview(piece).nbytes.to_bytes(8, "big"))
        hasher.update(piece)
    return hasher.hexdigest()


class ObjectCache(Protocol):
    """A cache object that a caller passes to ``instantiate``: a mapping, as far as these three go."""

    def __contains__(self, key: Any, /) -> bool: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


@dataclass(frozen=True)
class KeptObject:
    """What stands in a caller's cache object: the result itself, and what is known of it."""

    value: Any
    manifest: Manifest


class ObjectShelf:
    """A cache object of the caller's, which keeps the objects themselves and hands them out again."""

    def __init__(self, cache: ObjectCache) -> None:
        self.cache = cache
        self._recent: dict[str, list[dict[str, Any]]] = {}

    def find(self, key: str) -> Found | None:
        if key not in self.cache:
            return None
        kept = self.cache[key]
        if not isinstance(kept, KeptObject):
            raise DamagedEntry(f"the cache object holds a {type(kept).__name__} of somebody else under {key}")
        return Found(str(kept.manifest.get("key", key)), kept.manifest, lambda *context: kept.value)

    def keep(
        self,
        key: str,
        value: Any,
        manifest: Manifest,
        digest: Digest,
        places: Places,
        refer: Refer | None = None,
    ) -> int:
        manifest["key"] = key
        manifest["content"] = digest(value)
        self.cache[key] = KeptObject(value, manifest)
        return 0

    def link(self, key: str, target: str) -> None:
        self.cache[key] = self.cache[target]

    def digest(self, value: Any, digest: Digest) -> str:
        return _digest_of(value, digest)

    def recent(self, target: str) -> list[dict[str, Any]]:
        return self._recent.get(target, [])

    def remember(self, target: str, entries: list[dict[str, Any]]) -> None:
        self._recent[target] = entries
