"""Signatures: with a key, only what a holder of the key has stored is read.

A signature is the HMAC-SHA256 of all that an entry says: the key that it is stored under, its manifest, and format,
sizes and digest of its payload. HMAC-SHA256 is in the standard library, and known to reviews and security policies
everywhere; keyed BLAKE3 would be quicker, which is of no account for something as short as a manifest.
"""

from __future__ import annotations

import dataclasses
import hmac
import json
from collections.abc import Sequence

from hydra_cached.errors import UntrustedEntry
from hydra_cached.stores.base import Entry, Store, StoreAround
from hydra_cached.stores.entry import digest_of

SIGNATURE = "signature"  # in a manifest: the scheme, a colon, and hex digits
_SCHEME = "hmac-sha256"
_PURPOSE = b"hydra-cached entry\0"


class SignedStore(StoreAround):
    """Signs what it puts into a store; of what it gets from there, nothing without a right signature goes further.

    Whatever is found is looked at before anybody unpickles it, links and notes included. The store must give copies
    that nobody else can change: what is read here is read again by who unpickles it.

    Args:
        store: where the entries are.
        keys: secrets; the first signs, and what any of them signed is read.
    """

    def __init__(self, store: Store, keys: Sequence[str]) -> None:
        if not keys or not all(keys):
            raise ValueError("a signing key is empty")
        super().__init__(store)
        self._keys = [key.encode("utf-8", "surrogatepass") for key in keys]

    def get(self, key: str) -> Entry | None:
        entry = self._store.get(key)
        if entry is None:
            return None
        given = entry.manifest.get(SIGNATURE)
        if given is None:
            raise UntrustedEntry(f"{key[:16]} is not signed, and cache.signing_key is set")
        manifest = {name: value for name, value in entry.manifest.items() if name != SIGNATURE}
        signed = dataclasses.replace(entry, manifest=manifest)
        message = _message(key, signed)
        # All are tried, and compared in constant time.
        if not isinstance(given, str) or True not in [
            hmac.compare_digest(given.encode("utf-8", "surrogatepass"), _sign(secret, message).encode())
            for secret in self._keys
        ]:
            raise UntrustedEntry(f"{key[:16]} is not signed with a key of cache.signing_key")
        return signed

    def put(self, key: str, entry: Entry) -> int:
        if SIGNATURE in entry.manifest:
            raise ValueError(f"a manifest's {SIGNATURE!r} is for its signature")
        # As a reader will see it: names are strings there, and tuples lists.
        entry = dataclasses.replace(entry, manifest=json.loads(json.dumps(entry.manifest)))
        if entry.payload is not None:
            payload = dataclasses.replace(entry.payload, digest=digest_of(entry.payload))
            entry = dataclasses.replace(entry, payload=payload)
        signature = _sign(self._keys[0], _message(key, entry))
        signed = {**entry.manifest, SIGNATURE: signature}
        return self._store.put(key, dataclasses.replace(entry, manifest=signed))


def _message(key: str, entry: Entry) -> bytes:
    """All that an entry says, in one form that only it has."""
    payload = None
    if entry.payload is not None:
        sizes = [memoryview(piece).nbytes for piece in (entry.payload.stream, *entry.payload.buffers)]
        payload = [entry.payload.format, sizes, digest_of(entry.payload)]
    return _PURPOSE + json.dumps([key, entry.manifest, payload], sort_keys=True).encode()


def _sign(secret: bytes, message: bytes) -> str:
    return f"{_SCHEME}:{hmac.new(secret, message, 'sha256').hexdigest()}"
