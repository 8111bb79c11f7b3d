"""What the suites are told of a backend, and the entries that they store in it."""

from __future__ import annotations

from blake3 import blake3

from hydra_cached.stores.base import Claims, Entry, Payload, Store


class Backend:
    """One place for entries. Subclass it, and give an instance for an empty place as the fixture ``backend``.

    Instances are pickled, for other processes open the same place, too: they hold paths or URLs, not handles.
    """

    step = 1  # for slow backends: of the places where an entry can be damaged, every how many-th is tried
    resolution = 0.01  # seconds by which the ages of claims may be wrong, because the store rounds its times

    def open(self) -> Store:
        """A handle of its own, as another process would open it."""
        raise NotImplementedError

    def claims(self) -> Claims:
        """The claims of a handle of their own; only for suites of claims and leases."""
        claims = self.open().claims()
        assert claims is not None, f"{self.open()!r} has no claims"
        return claims

    def settle(self) -> None:
        """Wait until other handles see what was done, where that need not be at once: on another host."""

    # Past the backend; only for DamageSuite.

    def raw_read(self, key: str) -> bytes:
        """All bytes of what lies in the place of a key's entry."""
        raise NotImplementedError

    def raw_write(self, key: str, data: bytes) -> None:
        """Put bytes in the place of a key's entry, as somebody would who knows nothing of the cache."""
        raise NotImplementedError

    def raw_names(self) -> list[str]:
        """Names of all that lies where entries do, whatever it is."""
        raise NotImplementedError


def key_of(number: int) -> str:
    """One of the keys that are used."""
    return blake3(str(number).encode()).hexdigest()


def made(seed: int, size: int) -> Entry:
    """An entry all of whose parts follow from its manifest, so that a mixed or partial one can be told.

    Args:
        seed: entries of different seeds differ everywhere.
        size: bytes of its larger buffer; multiples of 32.
    """
    text = blake3(str(seed).encode()).digest()
    body = text * (size // 32)
    return Entry({"seed": seed, "size": size}, Payload(f"f{seed}", text, [body, text]))


def is_whole(entry: Entry | None) -> bool:
    """Whether there is an entry, and every part of it is of one and the same ``made``."""
    if entry is None or entry.payload is None:
        return False
    should = made(entry.manifest["seed"], entry.manifest["size"])
    return parts(entry) == parts(should)


def parts(entry: Entry) -> tuple[str, list[bytes]]:
    """Format, and copies of stream and buffers, of an entry that has a payload."""
    payload = entry.payload
    assert payload is not None
    return payload.format, [bytes(memoryview(part)) for part in (payload.stream, *payload.buffers)]
