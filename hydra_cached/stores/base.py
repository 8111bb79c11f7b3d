"""What every store offers, and what goes in and comes out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

KEY = re.compile(r"[0-9a-f]{16,}")

Manifest = dict[str, Any]
Buffer = bytes | bytearray | memoryview

LINK = "link"  # in a manifest without payload: the key that it stands for


@dataclass(frozen=True)
class Payload:
    """A serialized result.

    Args:
        format: name of the serializer that wrote it.
        stream: its in-band bytes.
        buffers: its out-of-band buffers (PEP 574), in the order in which the serializer gave them.
        named: classes and functions that it refers to by name, as far as they were seen; not kept with it.
        digest: what ``entry.digest_of`` gives for it, where that was computed from these very bytes.
    """

    format: str
    stream: Buffer
    buffers: Sequence[Buffer] = ()
    named: Sequence[Any] = field(default=(), compare=False)
    digest: str | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Bytes, without the padding that a file adds."""
        return memoryview(self.stream).nbytes + sum(memoryview(buffer).nbytes for buffer in self.buffers)


@dataclass(frozen=True)
class Entry:
    """One stored result, or a link to one.

    Args:
        manifest: what is known of the result: plain JSON data, without secrets.
        payload: the result; None for a link, whose manifest names the key that it stands for.
    """

    manifest: Manifest = field(default_factory=dict)
    payload: Payload | None = None


def check_key(key: str) -> str:
    """The key, if it is one. Links name keys, and none may lead anywhere else.

    Raises:
        ValueError: it is none.
    """
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key: a key is a string of hex digits")
    return key


@dataclass(frozen=True)
class Stat:
    """What a store says of an entry without opening it.

    Args:
        key: the entry's key.
        size: bytes that it takes.
        changed: when it came to be there, seconds since 1970.
    """

    key: str
    size: int
    changed: float


class Store(Protocol):
    """Entries by key. Keys are strings of 16 hex digits or more; all that take one raise ``ValueError`` for others.

    What ``put`` has returned from is visible to every later ``get`` with any key it was put under, whole: no
    reader ever sees a part of an entry. Writing an existing key replaces its entry.
    """

    def get(self, key: str) -> Entry | None:
        """The entry under a key, or None.

        Raises:
            DamagedEntry: what lies there is not what was stored, and has been set aside as far as that could be
                done; or it is somebody else's, and was left alone (``ForeignEntry``, ``UntrustedEntry``).
            OSError: the store cannot be read.
        """

    def put(self, key: str, entry: Entry) -> int:
        """Store an entry, at once and whole; returns its size in bytes.

        Raises:
            OSError: the store cannot be written, or something foreign is in the entry's place; nothing of the
                entry is visible then.
        """

    def delete(self, key: str) -> bool:
        """Remove an entry; says whether there was one."""

    def keys(self) -> Iterator[str]:
        """The keys of all entries, in no particular order."""

    def claims(self) -> Claims | None:
        """Where leases on the store's keys are kept; None if the store has no way to."""


class StoreAround(Store):
    """A store around another, which does what it is not said to do in its place.

    Args:
        store: the other.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"

    def get(self, key: str) -> Entry | None:
        return self._store.get(key)

    def put(self, key: str, entry: Entry) -> int:
        return self._store.put(key, entry)

    def delete(self, key: str) -> bool:
        return self._store.delete(key)

    def keys(self) -> Iterator[str]:
        return self._store.keys()

    def claims(self) -> Claims | None:
        return self._store.claims()


class Claims(Protocol):
    """Small named texts, of which each name can be created only once. Names are strings of hex digits.

    All may raise ``OSError``, or what else a store's client raises.
    """

    def create(self, name: str, text: str) -> bool:
        """Create a claim; False if there is one of that name."""

    def read(self, name: str) -> tuple[str, float] | None:
        """A claim's text, and the seconds since it was created or touched; None if there is none.

        Both times are by one clock, the store's.
        """

    def touch(self, name: str) -> None:
        """Say that a claim is still wanted; nothing happens if there is none."""

    def swap(self, name: str, old: str, new: str) -> bool:
        """Give a claim another text, if it has this one; False if it has another, or there is none.

        Of several that swap the same text one succeeds. Nobody sees the claim missing meanwhile; a store that
        cannot do that drops and creates, and work is done twice where somebody looks between.
        """

    def drop(self, name: str, text: str) -> bool:
        """Remove a claim that has this text; False if there is none, or another."""
