"""Signatures: with a key, nothing is read that no holder of the key has stored, and nothing of it is run."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hydra_cached
from hydra_cached.artifacts import Places
from hydra_cached.config import CacheOptions, read_options
from hydra_cached.errors import DamagedEntry, UntrustedEntry
from hydra_cached.shelf import EntryShelf, StoreNotes
from hydra_cached.stores.base import LINK, Entry, Payload
from hydra_cached.stores.entry import CHECKED_ALWAYS
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.memory import MemoryStore
from hydra_cached.stores.serializers import dump, load
from hydra_cached.stores.signing import SignedStore
from hydra_cached.stores.trust import PRIVATE

SECRET, ANOTHER, THIRD = "the first key which is long", "the second one which is long", "x" * 40
KEY, OTHER = "ab" * 32, "cd" * 32
BIG = CHECKED_ALWAYS + 12_345
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
OWN_WORDS = ("key", "payload", "signature")
MANIFESTS = st.dictionaries(st.text(max_size=5).filter(lambda name: name not in OWN_WORDS), JSON, max_size=4)
PAYLOADS = st.none() | st.builds(
    Payload, st.text(max_size=5), st.binary(max_size=100), st.lists(st.binary(max_size=100), max_size=4)
)
quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def both() -> tuple[MemoryStore, SignedStore]:
    inner = MemoryStore()
    return inner, SignedStore(inner, [SECRET])


def plain(entry: Entry | None) -> Any:
    assert entry is not None
    payload = entry.payload
    bytes_ = None if payload is None else [bytes(b) for b in (payload.stream, *payload.buffers)]
    return entry.manifest, bytes_, payload and payload.format


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


# What is signed comes back, and nothing else.


@quick
@given(MANIFESTS, PAYLOADS)
def test_what_was_signed_comes_back(manifest: dict[str, Any], payload: Payload | None) -> None:
    """Any entry comes back as it was put, without its signature; who has no key reads it just as well."""
    inner, signed = both()
    entry = Entry(manifest, payload)
    signed.put(KEY, entry)
    assert plain(signed.get(KEY)) == plain(entry)
    found = inner.get(KEY)
    assert found is not None and found.manifest.pop("signature").startswith("hmac-sha256:")
    assert plain(found) == plain(entry)
    assert list(signed.keys()) == [KEY] and signed.delete(KEY) and signed.get(KEY) is None


@quick
@given(MANIFESTS, PAYLOADS, MANIFESTS, PAYLOADS)
def test_anything_else_under_a_signature_is_refused(
    manifest: dict[str, Any], payload: Payload | None, other: dict[str, Any], replaced: Payload | None
) -> None:
    """A signature stands for one entry: with another manifest, payload or both, it is wrong."""
    inner, signed = both()
    signed.put(KEY, Entry(manifest, payload))
    signature = inner.get(KEY).manifest["signature"]  # type: ignore[union-attr]
    planted = Entry(other, replaced)
    same = json.dumps(plain(planted)[0], sort_keys=True) == json.dumps(manifest, sort_keys=True)
    inner.put(KEY, Entry({**other, "signature": signature}, replaced))
    if same and plain(planted)[1:] == plain(Entry(manifest, payload))[1:]:
        assert signed.get(KEY) is not None
    else:
        with pytest.raises(UntrustedEntry):
            signed.get(KEY)


@quick
@given(st.binary(min_size=1, max_size=200), st.data())
def test_where_a_payload_is_divided_is_signed(content: bytes, data: st.DataObject) -> None:
    """The same bytes, divided into stream and buffers at another place, are refused: a stream is code."""
    inner, signed = both()
    at, there = (data.draw(st.integers(0, len(content))) for _ in range(2))
    signed.put(KEY, Entry({}, Payload("f", content[:at], [content[at:]])))
    signature = inner.get(KEY).manifest["signature"]  # type: ignore[union-attr]
    for payload in (
        Payload("f", content[:there], [content[there:]]),
        Payload("f", content[:at], [content[at:], b""]),
        Payload("g", content[:at], [content[at:]]),
    ):
        inner.put(KEY, Entry({"signature": signature}, payload))
        if payload.format == "f" and there == at and len(payload.buffers) == 1:
            assert signed.get(KEY) is not None
        else:
            with pytest.raises(UntrustedEntry):
                signed.get(KEY)


def test_an_entry_is_signed_for_its_key() -> None:
    """A rightly signed entry that was copied to another key is refused there: it is another stage's result."""
    inner, signed = both()
    for entry in (Entry({"n": 1}, Payload("f", b"s")), Entry({LINK: OTHER})):
        signed.put(KEY, entry)
        copied = inner.get(KEY)
        assert copied is not None
        inner.put(OTHER, copied)
        with pytest.raises(UntrustedEntry, match=r"not signed with a key of cache\.signing_key"):
            signed.get(OTHER)
        assert signed.get(KEY) is not None


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        1,
        [],
        {},
        True,
        "hmac-sha256:",
        "hmac-sha256:" + "0" * 64,
        "none:",
        "ä",
        "hmac-sha256:\ud83d",
    ],
)
def test_what_is_no_signature_is_refused(signature: Any) -> None:
    """Nothing, nonsense and the wrong type in a signature's place: a miss that says so, never another error."""
    inner, signed = both()
    for manifest in ({"signature": signature}, {} if signature is None else {"signature": signature, "n": 1}):
        inner.put(KEY, Entry(manifest, Payload("f", b"s")))
        with pytest.raises(UntrustedEntry, match="not signed"):
            signed.get(KEY)


def test_a_large_payload_is_checked_whatever_the_store_has_checked(tmp_path: Path) -> None:
    """A flip in a large payload whose time of last write was put back is seen with a key."""
    directory = LocalStore(tmp_path / "cache", mapped=False)
    SignedStore(directory, [SECRET]).put(KEY, Entry({}, Payload("f", b"s", [b"x" * BIG])))
    path = directory.path(KEY)
    times, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert directory.get(KEY) is not None
    with pytest.raises(UntrustedEntry):
        SignedStore(directory, [SECRET]).get(KEY)


def test_names_that_json_makes_texts_of_are_signed_as_they_are_read() -> None:
    """Numbers as names and tuples in a manifest: signed as the reader will find them."""
    _, signed = both()
    signed.put(KEY, Entry({"costs": {10: 1.5, 9: (1, 2)}}))
    assert signed.get(KEY) == Entry({"costs": {"10": 1.5, "9": [1, 2]}})


# Keys.


def test_keys_can_be_replaced_one_after_the_other() -> None:
    """The first key signs; what any of the keys signed is read; what a key that was dropped signed is not."""
    inner = MemoryStore()
    old, new, last = (SignedStore(inner, k) for k in ([SECRET], [ANOTHER, SECRET], [ANOTHER]))
    old.put(KEY, Entry({"by": "old"}))
    assert new.get(KEY) == Entry({"by": "old"})
    new.put(OTHER, Entry({"by": "new"}))
    for store, refused in ((old, OTHER), (last, KEY)):
        with pytest.raises(UntrustedEntry):
            store.get(refused)
    assert last.get(OTHER) == Entry({"by": "new"})


@pytest.mark.parametrize("keys", [[], [""], [SECRET, ""]])
def test_no_key_is_no_signature(keys: list[str]) -> None:
    """An empty key, which everybody knows, is refused."""
    with pytest.raises(ValueError, match="empty"):
        SignedStore(MemoryStore(), keys)


def test_the_key_is_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in what the options look like, nor in logs, manifests, or any file of the cache."""
    with caplog.at_level(logging.DEBUG):
        cached(tmp_path / "cache", signing_key=f"{SECRET},{ANOTHER}", verbose=True)
        cached(tmp_path / "cache", signing_key=THIRD, verbose=True)
    options = read_options(signing_key=SECRET)
    assert isinstance(options, CacheOptions) and SECRET not in repr(options) + str(options)
    for key in (SECRET, ANOTHER, THIRD):
        assert key not in caplog.text
        assert not any(key.encode() in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        assert key not in repr(SignedStore(MemoryStore(), [key]))


# A job.


def cached(root: Path, config: Any = None, **options: Any) -> tuple[int, int, int]:
    """How often a stage hit, ran, and was found damaged, when it was asked for twice."""
    config = config or {"_target_": "fractions.Fraction", "numerator": 3, "denominator": 4}
    with hydra_cached.activate(root, min_seconds=0, **options) as session:
        assert [instantiate(config) for _ in range(2)] == [0.75, 0.75]
    summary = session.summary()
    return summary.hits, summary.runs, summary.damaged


def test_a_job_with_a_key_is_served_what_it_signed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second job hits; with another key it computes and replaces, with a word; with both all is read."""
    root = tmp_path / "cache"
    assert cached(root, signing_key=SECRET) == (1, 1, 0)
    assert cached(root, signing_key=SECRET) == (2, 0, 0)
    assert cached(root) == (2, 0, 0)  # who has no key reads what is signed
    caplog.clear()
    assert cached(root, signing_key=ANOTHER)[:2] == (1, 1)
    assert "is not signed with a key of cache.signing_key" in caplog.text
    assert cached(root, signing_key=f"{SECRET}, {ANOTHER}") == (2, 0, 0)
    assert cached(root, signing_key=[ANOTHER]) == (2, 0, 0)


def test_what_is_not_signed_is_computed_again_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Entries of the days before the key are misses that are reported, once; then they are signed."""
    root = tmp_path / "cache"
    cached(root)
    hits, runs, damaged = cached(root, signing_key=SECRET)
    assert (hits, runs) == (1, 1) and damaged == 1 and "is not signed" in caplog.text
    assert cached(root, signing_key=SECRET) == (2, 0, 0)


@pytest.mark.parametrize("signed", [True, False])
def test_a_planted_pickle_never_runs_with_a_key(tmp_path: Path, signed: bool) -> None:
    """Code in an entry that no holder of the key has stored is not run; without a key it would be."""
    root, trap = tmp_path / "cache", tmp_path / "ran"
    options: dict[str, Any] = {"signing_key": SECRET} if signed else {}
    cached(root, **options)
    store = LocalStore(root)
    for key in store.keys():
        entry = store.get(key)
        assert entry is not None
        if entry.payload is not None:
            # All else is as it was, the signature too.
            payload = Payload(entry.payload.format, pickle.dumps(Trap(trap), 5))
            store.put(key, Entry(entry.manifest, payload))
    with hydra_cached.activate(root, min_seconds=0, **options):
        instantiate({"_target_": "fractions.Fraction", "numerator": 3, "denominator": 4})
    assert trap.exists() is not signed
    if signed:
        assert cached(root, **options) == (2, 0, 0)


def test_a_planted_link_leads_nowhere_with_a_key(tmp_path: Path) -> None:
    """A link to an entry that is rightly signed, of another stage, is not followed unless it is signed, too."""
    inner, signed = both()
    shelf = EntryShelf(signed)
    shelf.keep(OTHER, "of another stage", {}, lambda value: "digest", Places())
    inner.put(KEY, Entry({LINK: OTHER}))
    assert EntryShelf(inner).find(KEY) is not None
    with pytest.raises(UntrustedEntry):
        shelf.find(KEY)
    shelf.link(KEY, OTHER)
    found = shelf.find(KEY)
    assert found is not None and found.load(None) == "of another stage"


def test_planted_notes_are_not_believed() -> None:
    """Digests of files and what is remembered of a target are signed: a planted one is as good as none."""
    inner, signed = both()
    StoreNotes(inner, True)["file"] = "planted"
    assert StoreNotes(inner, True)["file"] == "planted" and "file" not in StoreNotes(signed, True)
    StoreNotes(signed, True)["file"] = "ours"
    assert StoreNotes(signed, True)["file"] == "ours"
    EntryShelf(inner).remember("target", [{"key": KEY, "parts": {}}])
    with pytest.raises(DamagedEntry):
        EntryShelf(signed).recent("target")


def test_what_was_checked_cannot_be_changed_before_it_is_unpickled(tmp_path: Path) -> None:
    """A large entry that is signed is read, not mapped: writing to its file after the check changes nothing."""
    root, trap = tmp_path / "cache", tmp_path / "ran"
    value = [b"x" * BIG]
    with hydra_cached.activate(root, min_seconds=0, signing_key=SECRET) as session:
        store = session._lookup._shelf.store  # type: ignore[union-attr]
        store.put(KEY, Entry({}, dump(value)))
        entry = store.get(KEY)
        path = LocalStore(root).path(KEY)
        bad = pickle.dumps(Trap(trap), 5)
        size = path.stat().st_size
        with open(path, "r+b") as file:
            start = path.read_bytes().index(b"\x80\x05")
            file.seek(start)
            file.write(bad + bytes(size - start - len(bad)))
        assert load(entry.payload) == value and not trap.exists()
    mapped = LocalStore(root, dataclasses.replace(PRIVATE, others=True))
    assert mapped.path(KEY).exists()


def test_golden_signature() -> None:
    """What format 1 signs, and how, is fixed: entries must stay readable."""
    inner, signed = both()
    signed.put(KEY, Entry({"target": "a.b", "n": 1.5}, Payload("pickle5", b"stream", [b"buffer", b""])))
    signature = inner.get(KEY).manifest["signature"]  # type: ignore[union-attr]
    assert signature == GOLDEN


GOLDEN = "hmac-sha256:9936da356786bd9c049ee5b0db04d944c8ed71dfc18330b602f3731ea0f56656"
