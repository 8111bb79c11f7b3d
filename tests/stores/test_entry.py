"""The entry format: what was packed comes back, and everything else is noticed."""

from __future__ import annotations

import json
import mmap
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydra_cached.errors import DamagedEntry, ForeignEntry
from hydra_cached.stores.base import Entry, Payload
from hydra_cached.stores.entry import (
    ALIGNMENT,
    CHECKED_ALWAYS,
    HEADER,
    MAGIC,
    VERSION,
    digest_of,
    pack,
    read_manifest,
    unpack,
)
from hydra_cached.stores.serializers import PICKLE, dump, load

GOLDEN = Path(__file__).parents[1] / "golden" / "entries"
BIG = CHECKED_ALWAYS + 12_345
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


KEY = "cd" * 32


def packed(entry: Entry) -> bytes:
    return b"".join(bytes(piece) for piece in pack(entry, KEY))


def read(data: bytes, check: bool = True) -> Entry:
    return unpack(memoryview(bytearray(data)), KEY, check=check)


def plain(entry: Entry) -> Any:
    """An entry as values that can be compared."""
    payload = entry.payload
    if payload is None:
        return entry.manifest, None
    return entry.manifest, (payload.format, bytes(payload.stream), [bytes(b) for b in payload.buffers])


def shapes() -> list[Any]:
    """Entries of several shapes, all small."""
    entries = {
        "link": Entry({"link": "ab" * 32}),
        "empty link": Entry({}),
        "stream": Entry({"target": "a.b"}, Payload("pickle5", b"stream")),
        "empty stream": Entry({}, Payload("pickle5", b"")),
        "buffers": Entry({"a": [1, {"b": None}]}, Payload("pickle5", b"s" * 65, [b"x" * 64, b"", b"y" * 3])),
        "zeros": Entry({"ä": "\ud83d"}, Payload("pickle5", bytes(70), [bytes(200)])),
    }
    return [pytest.param(entry, id=name) for name, entry in entries.items()]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name not in ("key", "payload")), JSON, max_size=4
    ),
    st.none()
    | st.tuples(st.text(max_size=5), st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=6)),
)
def test_entries_come_back(manifest: dict[str, Any], payload: Any) -> None:
    """Any manifest, stream and buffers of any number and size come back as they were."""
    entry = Entry(manifest, None if payload is None else Payload(*payload))
    assert plain(read(packed(entry))) == plain(entry)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 63, 64, 65, 4096, BIG]), max_size=5), st.sampled_from([0, 1, 64, BIG]))
def test_large_and_empty_buffers_come_back(sizes: list[int], stream: int) -> None:
    """Buffers of no byte and of more than 1 MiB come back in any order, checked or not."""
    buffers = [bytes([at + 1]) * size for at, size in enumerate(sizes)]
    entry = Entry({"n": 1}, Payload("f", b"s" * stream, buffers))
    data = packed(entry)
    assert plain(read(data)) == plain(read(data, check=False)) == plain(entry)


def test_views_of_any_kind_can_be_packed() -> None:
    """Bytearrays, typed views, views of several dimensions and read-only views are packed as their bytes."""
    grid = memoryview(bytearray(range(24))).cast("B", (4, 6))
    doubles = memoryview(struct.pack("<3d", 1, 2, 3)).cast("d")
    entry = Entry({}, Payload("f", bytearray(b"s"), [grid, doubles, memoryview(b"").cast("d"), bytearray()]))
    found = read(packed(entry)).payload
    assert found is not None
    assert [bytes(b) for b in found.buffers] == [bytes(range(24)), struct.pack("<3d", 1, 2, 3), b"", b""]


@pytest.mark.parametrize("entry", shapes())
def test_every_flipped_bit_is_noticed(entry: Entry) -> None:
    """Any byte changed by one bit or by all makes the entry damaged: in header, manifest, padding and payload."""
    data = packed(entry)
    for at in range(len(data)):
        for mask in (1, 0x80, 0xFF):
            wrong = bytearray(data)
            wrong[at] ^= mask
            with pytest.raises(DamagedEntry) as caught:
                read(bytes(wrong))
            assert not isinstance(caught.value, ForeignEntry)  # foreign entries are not repaired


@pytest.mark.parametrize("entry", shapes())
def test_every_truncation_is_noticed(entry: Entry) -> None:
    """An entry cut off after any number of bytes is damaged, also when only checked in part."""
    data = packed(entry)
    for length in range(len(data)):
        for check in (True, False):
            with pytest.raises(DamagedEntry):
                read(data[:length], check)


@pytest.mark.parametrize("entry", shapes())
@pytest.mark.parametrize("garbage", [b"\0", b"x", bytes(64), bytes(4096), b"HYDCACHE"])
def test_bytes_after_the_end_are_noticed(entry: Entry, garbage: bytes) -> None:
    """Anything appended, zeros and a second entry included, makes an entry damaged."""
    data = packed(entry)
    for more in (garbage, data):
        with pytest.raises(DamagedEntry):
            read(data + more)


def test_large_entries_notice_damage_everywhere() -> None:
    """In an entry over 1 MiB, a flip of any sampled byte, and any truncation, is noticed when it is checked."""
    data = packed(Entry({"n": 1}, Payload("f", b"s" * 100, [b"x" * BIG, b"y" * 7])))
    places = [*range(800), *range(800, len(data), 50_021), *range(len(data) - 100, len(data))]
    for at in places:
        wrong = bytearray(data)
        wrong[at] ^= 1
        with pytest.raises(DamagedEntry):
            unpack(memoryview(wrong), KEY)
    for length in [*range(300), *range(300, len(data), 99_991), len(data) - 1]:
        with pytest.raises(DamagedEntry):
            unpack(memoryview(data)[:length], KEY, check=False)


def test_without_check_only_large_payloads_are_trusted() -> None:
    """``check=False`` spares only the digest of payloads over 1 MiB; all else is checked, and small ones are."""
    small = bytearray(packed(Entry({"n": 1}, Payload("f", b"s", [b"x" * 1000]))))
    small[-1] ^= 1
    with pytest.raises(DamagedEntry):
        unpack(memoryview(small), KEY, check=False)
    large = packed(Entry({"n": 1}, Payload("f", b"s", [b"x" * BIG])))
    _, end = read_manifest(memoryview(large))
    start = end + -end % ALIGNMENT
    for at in range(start):
        wrong = bytearray(large)
        wrong[at] ^= 1
        with pytest.raises(DamagedEntry):
            unpack(memoryview(wrong), KEY, check=False)
    wrong = bytearray(large)
    wrong[-1] ^= 1
    assert unpack(memoryview(wrong), KEY, check=False).payload is not None


@pytest.mark.parametrize(
    "data", [b"", b"HYDCACHE", b"not an entry", b"\x80\x05N.", b"{}", bytes(64), b"x" * 5000]
)
def test_what_is_no_entry_is_reported(data: bytes) -> None:
    """Files of somebody else's are foreign; what a crash may leave of an entry of ours is damaged."""
    with pytest.raises(DamagedEntry) as caught:
        read(data)
    ours = b"HYDCACHE".startswith(data[:8]) or not data.strip(b"\0")
    assert isinstance(caught.value, ForeignEntry) is not ours


def sealed(
    version: int = VERSION, manifest: Any = None, text: bytes | None = None, reserved: int = 0
) -> bytes:
    """A link whose digests are right, whatever else is wrong with it."""
    text = json.dumps(manifest).encode() if text is None else text
    head = struct.pack("<8sIIQQ", MAGIC, version, reserved, len(text), 0)
    return head + blake3(head + text).digest() + text


def test_foreign_versions_are_reported_with_their_number() -> None:
    """An entry of another format version is not read, and the message says which version it has."""
    for version in (0, 2, 7, 2**32 - 1):
        with pytest.raises(ForeignEntry, match=f"version {version}"):
            read(sealed(version, {}))
    with pytest.raises(ForeignEntry, match="flags 0x1"):
        read(sealed(reserved=1, manifest={}))


def test_entries_know_their_key() -> None:
    """An entry that is found under another key than it was stored under is damaged, links included."""
    for entry in (Entry({"link": "ab" * 32}), Entry({}, Payload("f", b"s"))):
        with pytest.raises(DamagedEntry, match="another key"):
            unpack(memoryview(packed(entry)), "ab" * 32)
    with pytest.raises(DamagedEntry, match="another key"):
        read(sealed(manifest={"link": "ab" * 32}))


def test_a_payload_brings_its_digest_along_when_it_was_checked() -> None:
    """What is known of a payload's bytes need not be computed twice; what was not checked is not said."""
    small, large = Payload("f", b"s", [b"x" * 100]), Payload("f", b"s", [b"", b"x" * BIG])
    for payload in (small, large):
        found = read(packed(Entry({}, payload))).payload
        assert found is not None and found.digest == digest_of(payload) and payload.digest is None
    unchecked = read(packed(Entry({}, large)), check=False).payload
    assert unchecked is not None and unchecked.digest is None and digest_of(unchecked) == digest_of(large)


def test_places_that_no_writer_makes_are_noticed() -> None:
    """Stream and buffers that overlap, or lie in another order, are damage, though every digest is right."""
    region = b"s" * 64 + b"b" * 64
    for places in ([[64, 64], [0, 64]], [[0, 64], [0, 64]], [[1, 3]], [[0, 64], [64, 10], [128, 0], [64, 1]]):
        record = {"format": "f", "places": places, "digest": blake3(region).hexdigest()}
        text = json.dumps({"key": KEY, "payload": record}).encode()
        gap = bytes(-(HEADER + len(text)) % 64)
        head = struct.pack("<8sIIQQ", MAGIC, VERSION, 0, len(text), len(gap) + len(region))
        with pytest.raises(DamagedEntry, match="where they belong"):
            read(head + blake3(head + text).digest() + text + gap + region)


@pytest.mark.parametrize("manifest", [[], None, 1, "a", [1, 2]])
def test_manifests_that_are_no_objects_are_reported(manifest: Any) -> None:
    """A manifest that is JSON but no object makes the entry damaged, not a TypeError."""
    with pytest.raises(DamagedEntry):
        read(sealed(manifest=manifest))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"nope", b"[" * 100_000])
def test_manifests_that_are_no_json_are_reported(text: bytes) -> None:
    """So does a manifest that is no JSON at all, or too deep."""
    with pytest.raises(DamagedEntry):
        read(sealed(text=text))


@pytest.mark.parametrize(
    "record",
    [
        1,
        [],
        {},
        {"places": []},
        {"format": "f", "places": [], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": None, "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [[0]], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [[0, 1]], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [[-1, 1]], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [[0, -1]], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [[0, 2**70]], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [["a", 0]], "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": {"0": 0}, "digest": blake3(b"").hexdigest()},
        {"format": "f", "places": [[1e400, 0]], "digest": blake3(b"").hexdigest()},
    ],
)
def test_wrong_records_of_the_payload_are_reported(record: Any) -> None:
    """Places outside of the payload, and records of the wrong shape, make an entry damaged."""
    with pytest.raises(DamagedEntry):
        read(sealed(manifest={"key": KEY, "payload": record}))


def test_a_manifest_cannot_pose_as_the_record_of_a_payload() -> None:
    """``payload`` and ``key`` are the format's own: an entry whose manifest uses them is refused when written."""
    for payload in (None, Payload("f", b"s")):
        for word in ("payload", "key"):
            with pytest.raises(ValueError, match=word):
                packed(Entry({word: "mine"}, payload))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=100), st.lists(st.integers(0, 300), max_size=5))
def test_stream_and_buffers_are_aligned_in_the_file(text: str, sizes: list[int]) -> None:
    """Stream and buffers begin at multiples of 64 bytes of the file, whatever the length of the manifest."""
    data = bytearray(packed(Entry({"t": text}, Payload("f", b"s" * 7, [b"x" * size for size in sizes]))))
    base = memoryview(data)
    payload = unpack(base, KEY).payload
    assert payload is not None
    for view in (payload.stream, *payload.buffers):
        if memoryview(view).nbytes:
            # The place of a view in its base: mark it, and look for the mark.
            before = bytes(data)
            view[0] ^= 0xFF  # type: ignore[index]
            place = next(at for at, (old, new) in enumerate(zip(before, data, strict=True)) if old != new)
            view[0] ^= 0xFF  # type: ignore[index]
            assert place % ALIGNMENT == 0


def test_nothing_is_copied_when_unpacked() -> None:
    """Stream and buffers are views of the data that was given, writable where it is."""
    data = bytearray(packed(Entry({}, Payload("f", b"s", [b"x" * 100]))))
    payload = unpack(memoryview(data), KEY).payload
    assert payload is not None
    view = payload.buffers[0]
    assert isinstance(view, memoryview) and view.obj is data and not view.readonly
    assert memoryview(unpack(memoryview(bytes(data)), KEY).payload.buffers[0]).readonly  # type: ignore[union-attr]


def test_a_mapped_entry_is_copied_on_write(tmp_path: Path) -> None:
    """Buffers of an entry that is mapped copy-on-write can be written to; the file does not change."""
    path = tmp_path / "entry"
    path.write_bytes(packed(Entry({}, Payload("f", b"s", [b"x" * BIG]))))
    before = path.read_bytes()
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    payload = unpack(mapped, KEY).payload
    assert payload is not None
    payload.buffers[0][:5] = b"hello"  # type: ignore[index]
    assert bytes(payload.buffers[0][:6]) == b"hellox" and path.read_bytes() == before


def test_packing_is_deterministic_and_leaves_the_entry_alone() -> None:
    """Equal entries have equal bytes, whatever the order of the manifest; packing changes neither."""
    one = Entry({"a": 1, "b": 2}, Payload("f", b"s", [b"x"]))
    two = Entry({"b": 2, "a": 1}, Payload("f", bytearray(b"s"), [memoryview(b"x")]))
    assert packed(one) == packed(two) == packed(one)
    assert one.manifest == {"a": 1, "b": 2}


def test_the_header_is_as_documented() -> None:
    """Magic, version and lengths lie where the format says, little endian."""
    data = packed(Entry({"a": 1}, Payload("f", b"stream", [b"buffer"])))
    magic, version, reserved, length, region = struct.unpack("<8sIIQQ", data[:32])
    assert (magic, version, reserved) == (b"HYDCACHE", 1, 0)
    assert HEADER + length + region == len(data)
    manifest = json.loads(data[HEADER : HEADER + length])
    assert manifest["a"] == 1 and manifest["payload"]["format"] == "f"
    start = HEADER + length + -(HEADER + length) % 64
    assert data[start : start + 6] == b"stream" and data[start + 64 : start + 70] == b"buffer"


@pytest.mark.parametrize("entry", shapes())
def test_golden_entries(entry: Entry, request: pytest.FixtureRequest) -> None:
    """Entries that this version writes are, byte for byte, those that were recorded, and those can be read."""
    path = GOLDEN / f"{request.node.callspec.id.replace(' ', '_')}.entry"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed(entry))
        pytest.fail(f"{path} was not there and has been written")
    assert packed(entry) == path.read_bytes()
    assert plain(read(path.read_bytes())) == plain(entry)


def test_golden_pickles() -> None:
    """A result that was pickled into an entry of format 1 can be loaded for ever."""
    path = GOLDEN / "result.entry"
    value = {"list": [1, 2.5, None], "text": "ä", "set": {1}, "bytes": pickle.PickleBuffer(b"out of band")}
    if not path.exists():
        path.write_bytes(packed(Entry({"target": "a.b"}, dump(value))))
        pytest.fail(f"{path} was not there and has been written")
    payload = read(path.read_bytes()).payload
    assert payload is not None and payload.format == PICKLE
    found = load(payload)
    assert bytes(found.pop("bytes")) == b"out of band" and len(payload.buffers) == 1
    assert found == {"list": [1, 2.5, None], "text": "ä", "set": {1}}
