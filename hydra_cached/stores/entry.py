"""The entry format: one result as one run of bytes.

::

    offset  bytes  content
    0       8      magic, b"HYDCACHE"
    8       4      format version, little endian; this is version 1
    12      4      zero, reserved
    16      8      length of the manifest, little endian
    24      8      length of the payload region, little endian
    32      32     BLAKE3 of bytes 0..31 followed by the manifest
    64      -      manifest: JSON, UTF-8
    -       -      payload region: zeros to the next multiple of 64, then the stream and the buffers,
                   each beginning at a multiple of 64, with zeros between them

The manifest's ``payload`` says where in the file stream and buffers lie and holds the BLAKE3 digest of the whole
payload region, so every byte of a file is under a digest. Buffers are aligned so that arrays can be mapped.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from blake3 import blake3

from hydra_cached.errors import DamagedEntry
from hydra_cached.stores.base import Buffer, Entry, Manifest, Payload

MAGIC = b"HYDCACHE"
VERSION = 1
HEADER = 64
ALIGNMENT = 64
CHECKED_ALWAYS = 1 << 20  # payloads up to this many bytes are checked at every read
_HEAD = struct.Struct("<8sIIQQ")


def pack(entry: Entry) -> Iterator[Buffer]:
    """The bytes of an entry, in pieces that want to be written one after the other.

    Raises:
        TypeError, ValueError: the manifest is not plain JSON data, or uses the format's own word.
    """
    manifest = dict(entry.manifest)
    if "payload" in manifest:
        raise ValueError("a manifest's 'payload' is the format's own")
    pieces: list[Buffer] = []
    if entry.payload is not None:
        manifest["payload"] = {}
        pieces = _lay_out(entry.payload, manifest)
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    region = sum(memoryview(piece).nbytes for piece in pieces)
    head = _HEAD.pack(MAGIC, VERSION, 0, len(text), region)
    yield head + blake3(head + text).digest() + text
    yield from pieces


def _lay_out(payload: Payload, manifest: Manifest) -> list[Buffer]:
    """Place stream and buffers; note the places, relative to the first aligned byte after the manifest."""
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
    hasher = blake3(max_threads=blake3.AUTO) if offset > CHECKED_ALWAYS else blake3()
    for piece in pieces:
        hasher.update(piece)
    manifest["payload"] = {"format": payload.format, "places": places, "digest": hasher.hexdigest()}
    # The first gap aligns the region itself. Its length hangs on the manifest's, so it stands outside the
    # digest of the pieces and is checked to be zeros by the reader.
    length = len(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())
    return [bytes(-(HEADER + length) % ALIGNMENT), *pieces]


def unpack(data: memoryview, *, check: bool = True) -> Entry:
    """Read an entry; stream and buffers of its payload are views of ``data``.

    Args:
        data: all bytes of the entry.
        check: whether to check the digest of a payload over 1 MiB, too; everything else always is.

    Raises:
        DamagedEntry: it is not what ``pack`` wrote.
    """
    manifest, start = read_manifest(data)
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
    if body.nbytes <= CHECKED_ALWAYS or check:
        hasher = blake3(max_threads=blake3.AUTO) if body.nbytes > CHECKED_ALWAYS else blake3()
        if hasher.update(body).hexdigest() != digest:
            raise DamagedEntry("the payload is not the one that was stored")
    if any(offset < 0 or size < 0 or offset + size > body.nbytes for offset, size in places) or not places:
        raise DamagedEntry("the manifest points outside of the payload")
    stream, *buffers = (body[offset : offset + size] for offset, size in places)
    return Entry(manifest, Payload(kind, stream, buffers))


def read_manifest(data: memoryview) -> tuple[Manifest, int]:
    """The manifest, with the record of the payload in it, and the offset of the first byte after it.

    Raises:
        DamagedEntry: header or manifest are not what was written, or the length of the whole is not.
    """
    if len(data) < HEADER:
        raise DamagedEntry(f"it has {len(data)} bytes, less than a header")
    magic, version, reserved, length, region = _HEAD.unpack(data[: _HEAD.size])
    if magic != MAGIC:
        raise DamagedEntry("it does not begin as an entry does")
    end = HEADER + length
    if len(data) != end + region:
        raise DamagedEntry(f"it has {len(data)} bytes and should have {end + region}")
    text = bytes(data[HEADER:end])
    if blake3(bytes(data[: _HEAD.size]) + text).digest() != bytes(data[_HEAD.size : HEADER]):
        raise DamagedEntry("its header or manifest is not what was stored")
    if version != VERSION or reserved:
        raise DamagedEntry(f"it has format version {version}, which this hydra-cached does not read")
    try:
        manifest: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedEntry(f"its manifest is not JSON: {error}") from None
    if not isinstance(manifest, dict):
        raise DamagedEntry("its manifest is not an object")
    return manifest, end
