"""What is in a store: records of entries, found by key, checked, counted. Data out; ``show`` makes it readable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hydra_cached.errors import DamagedEntry, ForeignEntry, HydraCachedError, brief
from hydra_cached.stores.base import LINK, Store
from hydra_cached.stores.serializers import load

Look = Callable[[str], "Record | None"]
Each = Callable[[Look, list[str]], Iterable["Record | None"]]  # like ``map``


class NoSuchKey(HydraCachedError, KeyError):
    """No entry, or more than one, has a key that begins so."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Record:
    """What is known of one entry, without loading it.

    Args:
        key: its key.
        target: dotted name of the target.
        path: where the node stood in the config that stored it.
        created: when it was stored, ISO 8601, UTC.
        seconds: what the target took.
        size: bytes of the result.
        link: the key that it stands for, if it is a link.
        damage: what is wrong with it; empty if nothing is.
        foreign: what it is, if it is nothing of ours: of another format version, or somebody's file.
    """

    key: str
    target: str = ""
    path: str = ""
    created: str = ""
    seconds: float = 0.0
    size: int = 0
    link: str = ""
    damage: str = ""
    foreign: str = ""


def records(store: Store, each: Each = map) -> Iterator[Record]:
    """A record of every entry.

    Args:
        store: where they are.
        each: like ``map``; may do several at a time.
    """
    for record in each(lambda key: read_record(store, key), list(store.keys())):
        if record is not None:
            yield record


def read_record(store: Store, key: str, *, unpickle: bool = False) -> Record | None:
    """The record of an entry; None if it has gone.

    Args:
        store: where it is.
        key: its whole key.
        unpickle: also load the result, and note what is wrong if it cannot be.
    """
    try:
        entry = store.get(key)
        if entry is None or not (entry.payload or LINK in entry.manifest):
            return None  # gone, or a note
        if unpickle and entry.payload is not None:
            load(entry.payload)
    except ForeignEntry as foreign:
        return Record(key, foreign=str(foreign))
    except (DamagedEntry, OSError) as damage:
        return Record(key, damage=brief(damage))
    manifest = entry.manifest
    return Record(
        key=key,
        target=str(manifest.get("target", "")),
        path=str(manifest.get("path", "")),
        created=str(manifest.get("created", "")),
        seconds=float(manifest.get("seconds", 0.0)),
        size=entry.payload.size if entry.payload is not None else 0,
        link=str(manifest.get(LINK, "")),
    )


def find_key(store: Store, prefix: str) -> str:
    """The one key that begins with a prefix.

    Raises:
        NoSuchKey: there is none, or more than one.
    """
    found = [key for key in store.keys() if key.startswith(prefix.lower())]
    if not found:
        raise NoSuchKey(f"there is no entry whose key begins with {prefix!r}")
    if len(found) > 1:
        shown = ", ".join(key[: len(prefix) + 6] for key in found[:5])
        raise NoSuchKey(f"{len(found)} entries have a key that begins with {prefix!r}: {shown}")
    return found[0]


def manifest_of(store: Store, key: str) -> dict[str, Any]:
    """Everything that an entry's manifest says; of a link, what it leads to.

    Raises:
        DamagedEntry: the entry cannot be read.
        NoSuchKey: the link leads nowhere any more.
    """
    entry = store.get(key)
    if entry is not None and LINK in entry.manifest:
        key = str(entry.manifest[LINK])
        entry = store.get(key)
    if entry is None:
        raise NoSuchKey(f"the entry {key[:16]} has gone")
    return {"key": key, "size": entry.payload.size if entry.payload else 0, **entry.manifest}


def totals(found: list[Record]) -> dict[str, Any]:
    """Numbers over all entries, and by target."""
    by_target: dict[str, dict[str, Any]] = {}
    entries = [record for record in found if not (record.link or record.damage or record.foreign)]
    for record in entries:
        row = by_target.setdefault(record.target, {"entries": 0, "size": 0, "seconds": 0.0})
        row["entries"] += 1
        row["size"] += record.size
        row["seconds"] += record.seconds
    return {
        "entries": len(entries),
        "links": sum(bool(record.link) for record in found),
        "damaged": sum(bool(record.damage) for record in found),
        "foreign": sum(bool(record.foreign) for record in found),
        "size": sum(record.size for record in entries),
        "seconds": sum(record.seconds for record in entries),
        "targets": by_target,
    }
