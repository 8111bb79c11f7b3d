"""Our own backends, as the conformance suites see them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra_cached.stores.base import Store
from hydra_cached.stores.bounded import BoundedStore
from hydra_cached.stores.connection import Connection
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.memory import MemoryStore
from hydra_cached.stores.places import LocalPlace
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.signing import SignedStore
from hydra_cached.stores.tiers import TieredStore
from hydra_cached.stores.trust import PRIVATE, SHARED, Access
from hydra_cached.testing import Backend

KEYS = ("one secret of more than sixteen characters",)


@dataclass
class LocalBackend(Backend):
    """A directory."""

    root: Path
    access: Access = PRIVATE

    def open(self) -> Store:
        return LocalStore(self.root, self.access)

    def raw_read(self, key: str) -> bytes:
        return self._path(key).read_bytes()

    def raw_write(self, key: str, data: bytes) -> None:
        self._path(key).parent.mkdir(parents=True, exist_ok=True)
        self._path(key).write_bytes(data)

    def raw_names(self) -> list[str]:
        return sorted(path.name for path in (self.root / "entries").rglob("*") if path.is_file())

    def _path(self, key: str) -> Path:
        return LocalStore(self.root).path(key)


@dataclass
class SharedBackend(LocalBackend):
    """A directory for a group."""

    access: Access = SHARED


@dataclass
class SignedBackend(LocalBackend):
    """A directory whose entries are signed."""

    def open(self) -> Store:
        access = dataclasses.replace(PRIVATE, others=True)
        return SignedStore(LocalStore(self.root, access, mapped=False), KEYS)


@dataclass
class BoundedBackend(LocalBackend):
    """A directory that is kept within bounds, which are far."""

    def open(self) -> Store:
        directory = LocalStore(self.root)
        return BoundedStore(directory, LocalPlace(directory), Bounds(size=10**9, age=10**6))


@dataclass
class RemoteBackend(Backend):
    """A place that fsspec reaches."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    step: int = 40
    resolution: float = 1.5

    def open(self) -> Store:
        return RemoteStore(self.url, self.options)

    def raw_read(self, key: str) -> bytes:
        names = ("entries", key[:2], key)
        return bytes(self._connection().call(lambda fs, path: fs.cat_file(path), *names))

    def raw_write(self, key: str, data: bytes) -> None:
        self._connection().call(lambda fs, path: fs.makedirs(path, exist_ok=True), "entries", key[:2])
        self._connection().call(lambda fs, path: fs.pipe_file(path, data), "entries", key[:2], key)

    def raw_names(self) -> list[str]:
        try:
            paths = self._connection().call(lambda fs, path: fs.find(path), "entries")
        except FileNotFoundError:
            return []
        return sorted(path.rpartition("/")[2] for path in paths)

    def _connection(self) -> Connection:
        return Connection(self.url, self.options)


@dataclass
class MemoryBackend(Backend):
    """This process's memory: every handle is the same."""

    store: MemoryStore = field(default_factory=MemoryStore)

    def open(self) -> Store:
        return self.store


@dataclass
class TieredBackend(RemoteBackend):
    """The same behind a directory."""

    root: Path = field(default_factory=Path)

    def open(self) -> Store:
        return TieredStore(LocalStore(self.root), RemoteStore(self.url, self.options))
