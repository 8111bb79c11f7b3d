"""Cache objects that a caller passes to ``instantiate``: they keep the results themselves, call after call."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from hydra_cached.errors import DamagedEntry, NotStorable
from hydra_cached.shelf import KeptObject
from hydra_cached.stores.base import Entry
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.serializers import dump, load

log = logging.getLogger("hydra_cached.object_cache")
K = TypeVar("K")
V = TypeVar("V")


class Cache(ABC, Generic[K, V]):
    """What ``instantiate`` needs of a cache object. Keys are strings; values are hydra-cached's own."""

    @abstractmethod
    def __contains__(self, key: K) -> bool: ...

    @abstractmethod
    def __getitem__(self, key: K) -> V: ...

    @abstractmethod
    def __setitem__(self, key: K, value: V) -> None: ...


class InMemoryCache(Cache[K, V]):
    """Keeps results in a dict, and hands out the same objects each time.

    Args:
        verbose: log look-ups and additions.
    """

    def __init__(self, verbose: bool = False) -> None:
        self.store: dict[K, V] = {}
        self.verbose = verbose

    def __contains__(self, key: K) -> bool:
        found = key in self.store
        if self.verbose:
            log.info("look up (%s): %s", "HIT" if found else "MISS", key)
        return found

    def __getitem__(self, key: K) -> V:
        return self.store[key]

    def __setitem__(self, key: K, value: V) -> None:
        if self.verbose:
            log.info("add: %s", key)
        self.store[key] = value

    def __len__(self) -> int:
        return len(self.store)


class DumpableInMemoryCache(InMemoryCache[Any, Any]):
    """An ``InMemoryCache`` that can be written to a directory, and begins with what lies there.

    Args:
        directory: read at once, if it is there.
        verbose: log look-ups and additions.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, verbose: bool = False) -> None:
        super().__init__(verbose)
        self.directory = directory
        if directory is not None:
            self.load()

    def load(self, directory: str | os.PathLike[str] | None = None) -> None:
        """Read the entries of a directory; those that are damaged are reported and left out."""
        store = self._store_of(directory)
        for key in store.keys():
            try:
                entry = store.get(key)
                if entry is not None and entry.payload is not None:
                    self.store[key] = KeptObject(load(entry.payload), entry.manifest)
            except DamagedEntry as damage:
                log.warning("not loaded: %s", damage)
        log.info("loaded %d entries", len(self.store))

    def dump(self, directory: str | os.PathLike[str] | None = None, overwrite: bool = False) -> None:
        """Write the entries to a directory.

        Args:
            directory: where to; by default where they were loaded from.
            overwrite: also write those that are there already.
        """
        store = self._store_of(directory)
        there = set() if overwrite else set(store.keys())
        written = 0
        for key, kept in self.store.items():
            if key in there:
                continue
            try:
                store.put(key, Entry(dict(kept.manifest), dump(kept.value)))
                written += 1
            except NotStorable as error:
                log.warning("not dumped: %s: %s", kept.manifest.get("target"), error)
        log.info("dumped %d out of %d entries to %s", written, len(self.store), store.root)

    def _store_of(self, directory: str | os.PathLike[str] | None) -> LocalStore:
        chosen = directory if directory is not None else self.directory
        if chosen is None:
            raise ValueError("the cache was made without a directory, so one must be given")
        return LocalStore(chosen)
