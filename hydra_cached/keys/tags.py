"""Tagged bytes: what canonical forms are written in."""

from __future__ import annotations

from blake3 import blake3

_BLOB = 4096


def type_name(kind: type) -> str:
    """Dotted name of a type, ``package.module.Outer.Inner``."""
    return f"{kind.__module__}.{kind.__qualname__}"


def tagged(tag: bytes, *pieces: bytes) -> bytes:
    """A tag and pieces of any length, so that no other tag and pieces have the same bytes."""
    head = bytes((len(tag),)) + tag + len(pieces).to_bytes(4, "big")
    return b"".join((head, *(_sized(piece) for piece in pieces)))


def _sized(piece: bytes) -> bytes:
    return len(piece).to_bytes(8, "big") + piece


def blob(tag: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """Raw bytes under a tag; long ones by their digest (with a mark of its own, so that none can pose as one)."""
    view = memoryview(data)
    if view.nbytes <= _BLOB:
        return tagged(tag, b"=", bytes(view))
    return tagged(tag, b"#", view.nbytes.to_bytes(8, "big"), blake3(view).digest())
