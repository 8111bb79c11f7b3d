"""The entry format: one result as one run of bytes. ``docs/design/entry-format.md`` is its specification.

::

    offset  bytes  content
    0       8      magic, b"HYDCACHE"
    8       4      format version, little endian; this is version 1
    12      4      flags, little endian; 0 in version 1
    16      8      length of the manifest, little endian
    24      8      length of the payload region, little endian
    32      32     BLAKE3 of bytes 0..31 followed by the manifest
    64      -      manifest: JSON, UTF-8
    -       -      payload region: zeros to the next multiple of 64, then the stream and the buffers,
                   each beginning at a multiple of 64, with zeros between them

The manifest's ``key`` is the key that the entry was stored under. Its ``payload`` says where in the region stream
and buffers lie and holds the BLAKE3 digest of the whole of it, so every byte of a file is under a digest. Buffers
are aligned so that arrays can be mapped.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from blake3 import blake3

from hydra_cached.errors import DamagedEntry, ForeignEntry
from hydra_cached.stores.base import Buffer, Entry, Manifest, Payload

MAGIC = b"HYDCACHE"
VERSION = 1
HEADER = 64
ALIGNMENT = 64
CHECKED_ALWAYS = 1 << 20  # payloads up to this many bytes are checked at every read
_OWN_WORDS = ("key", "payload")
_HEAD = struct.Struct("<8sIIQQ")


def pack(entry: Entry, key: str) -> Iterator[Buffer]:
    """The bytes of an entry, in pieces that want to be written one after the other.

    Args:
        entry: the entry.
        key: what it is stored under.

    Raises:
        TypeError, ValueError: the manifest is not plain JSON data, or uses one of the format's own words.
    """
    for word in _OWN_WORDS:
        if word in entry.manifest:
            raise ValueError(f"a manifest's {word!r} is the format's own")
    manifest = {**entry.manifest, "key": key}
    pieces: list[Buffer] = []
    payload = entry.payload
    if payload is not None:
        pieces, places = _laid_out(payload)
        digest = payload.digest or _digest(pieces)
        manifest["payload"] = {"format": payload.format, "places": places, "digest": digest}
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    if payload is not None:
        # This gap aligns the region itself. Its length hangs on the manifest's, so it stands outside the
        # payload's digest and is checked to be zeros by the reader.
        pieces.insert(0, bytes(-(HEADER + len(text)) % ALIGNMENT))
    region = sum(memoryview(piece).nbytes for piece in pieces)
    head = _HEAD.pack(MAGIC, VERSION, 0, len(text), region)
    yield head + blake3(head + text).digest() + text
    yield from pieces


def digest_of(payload: Payload) -> str:
    """BLAKE3 of a payload's bytes as they lie in a file, from the stream's first to the last buffer's last."""
    return payload.digest or _digest(_laid_out(payload)[0])


def _laid_out(payload: Payload) -> tuple[list[Buffer], list[list[int]]]:
    """Stream and buffers with the gaps between them; offset, from the stream's first byte, and size of each."""
    pieces: list[Buffer] = []
    places: list[list[int]] = []
    offset = 0
    for buffer in (payload.stream, *payload.buffers):
        if gap := -offset % ALIGNMENT:
            pieces.append(bytes(gap))
            offset += gap
        view = memoryview(buffer).cast("B") if memoryview(buffer).nbytes else memoryview(b"")
        places.append([offset, view.nbytes])
        pieces.append(view)
        offset += view.nbytes
    return pieces, places


def _digest(pieces: list[Buffer]) -> str:
    large = sum(memoryview(piece).nbytes for piece in pieces) > CHECKED_ALWAYS
    hasher = blake3(max_threads=blake3.AUTO) if large else blake3()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def unpack(data: memoryview, key: str, *, check: bool = True) -> Entry:
    """Read an entry; stream and buffers of its payload are views of ``data``.

    Args:
        data: all bytes of the entry.
        key: what it was found under.
        check: whether to check the digest of a payload over 1 MiB, too; everything else always is.

    Raises:
        ForeignEntry: it is whole, and nothing that this version reads.
        DamagedEntry: it is not what ``pack`` wrote, or was written for another key.
    """
    manifest, start = read_manifest(data)
    if manifest.pop("key", None) != key:
        raise DamagedEntry("it was stored under another key")
    record = manifest.pop("payload", None)
    if record is None:
        if start != len(data):
            raise DamagedEntry("there are bytes after the end of a link")
        return Entry(manifest)
    try:
        places = [(int(offset), int(size)) for offset, size in record["places"]]
        kind, digest = str(record["format"]), str(record["digest"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedEntry(f"the manifest's record of the payload is wrong: {error!r}") from None
    gap = -start % ALIGNMENT
    body = data[start + gap :]
    if bytes(data[start : start + gap]).strip(b"\0"):
        raise DamagedEntry("the padding before the payload is not empty")
    checked = body.nbytes <= CHECKED_ALWAYS or check
    if checked and _digest([body]) != digest:
        raise DamagedEntry("the payload is not the one that was stored")
    if any(offset < 0 or size < 0 or offset + size > body.nbytes for offset, size in places) or not places:
        raise DamagedEntry("the manifest points outside of the payload")
    stream, *buffers = (body[offset : offset + size] for offset, size in places)
    # The digest is of these bytes as they are laid out; places that no writer made would have another.
    regular = [list(place) for place in places] == _laid_out(Payload(kind, stream, buffers))[1]
    if not regular:
        raise DamagedEntry("stream and buffers are not where they belong")
    return Entry(manifest, Payload(kind, stream, buffers, digest=digest if checked else None))


def read_manifest(data: memoryview, size: int | None = None) -> tuple[Manifest, int]:
    """The manifest, with the format's own words in it, and the offset of the first byte after it.

    Args:
        data: the bytes of an entry, at least to the end of the manifest.
        size: how many bytes the whole entry has; those of ``data`` by default.

    Raises:
        ForeignEntry: it is of another format version, or no entry at all.
        DamagedEntry: header or manifest are not what was written, or the length of the whole is not.
    """
    size = len(data) if size is None else size
    head = bytes(data[: _HEAD.size])
    if not MAGIC.startswith(head[:8]) and head[:8].strip(b"\0") and not _is_ours_but_for_the_magic(data):
        raise ForeignEntry("it does not begin as an entry does")
    if len(data) < HEADER:
        raise DamagedEntry(f"it has {len(data)} bytes, less than a header")
    magic, version, flags, length, region = _HEAD.unpack(head)
    end = HEADER + length
    text = bytes(data[HEADER:end])
    if magic != MAGIC or _seal(head, text) != bytes(data[_HEAD.size : HEADER]):
        raise DamagedEntry("its header or manifest is not what was stored")
    if version != VERSION or flags:
        what = f"format version {version}" if version != VERSION else f"flags {flags:#x}"
        raise ForeignEntry(f"it has {what}, which this hydra-cached does not read")
    if size != end + region:
        raise DamagedEntry(f"it has {size} bytes and should have {end + region}")
    try:
        manifest: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedEntry(f"its manifest is not JSON: {error}") from None
    if not isinstance(manifest, dict):
        raise DamagedEntry("its manifest is not an object")
    return manifest, end


def manifest_end(head: memoryview) -> int:
    """Where the manifest ends, as the first 64 bytes of an entry say; not checked."""
    return HEADER + int(_HEAD.unpack(head[: _HEAD.size])[3]) if len(head) >= HEADER else HEADER


def _is_ours_but_for_the_magic(data: memoryview) -> bool:
    if len(data) < HEADER:
        return False
    head = MAGIC + bytes(data[8 : _HEAD.size])
    end = manifest_end(memoryview(head + bytes(HEADER)))
    return end <= len(data) and _seal(head, bytes(data[HEADER:end])) == bytes(data[_HEAD.size : HEADER])


def _seal(head: bytes, text: bytes) -> bytes:
    return blake3(head + text).digest()
