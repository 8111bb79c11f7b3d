"""From options to a store: which one, and what is put around it."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from hydra_cached.config import CacheOptions, Mode, signing_keys
from hydra_cached.errors import UntrustedRoot
from hydra_cached.stores.base import Store
from hydra_cached.stores.bounded import BoundedStore
from hydra_cached.stores.claims import MemoryClaims
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.leases import Later, Leases, at_once
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.memory import MemoryStore
from hydra_cached.stores.places import LocalPlace
from hydra_cached.stores.signing import SignedStore
from hydra_cached.stores.trust import PRIVATE, SHARED
from hydra_cached.units import parse_age, parse_size

log = logging.getLogger("hydra_cached")
# In a remote store a sign of life is two requests, and so is a look.
REMOTE_HEARTBEAT, REMOTE_MISSED, REMOTE_PAUSES = 10.0, 60.0, (0.1, 2.0)


@dataclass(frozen=True)
class Opened:
    """A store, and what belongs to it.

    Args:
        store: the entries.
        leases: who computes what; None if nobody says.
        wait: waits for what is still on its way to the store; None if nothing ever is.
        finish: does what is left to do when a job is done; None if nothing ever is.
        near: where little things can be noted that this host can find out again; None if that is far away.
    """

    store: Store
    leases: Leases | None = None
    wait: Callable[[], None] | None = None
    finish: Callable[[], None] | None = None
    near: Store | None = None


def is_remote(directory: str) -> bool:
    """Whether a ``dir`` is a URL that leads elsewhere."""
    return "://" in directory and not directory.startswith(("file://", "local://"))


def local_path(directory: str, base: str | None = None) -> str:
    """The path of a local directory: absolute, or relative to a base; ``file://`` is what it says."""
    for scheme in ("file://", "local://"):
        directory = directory.removeprefix(scheme)
    return os.path.join(base or os.getcwd(), os.path.expanduser(directory))


def open_store(options: CacheOptions, base: str | None = None) -> Opened | None:
    """The store that options ask for; None if they ask for none.

    Args:
        options: the cache's options.
        base: directory that relative ones are relative to; the current one by default.

    Raises:
        OptionError: a URL's protocol is not known, or its package is not installed.
        UntrustedRoot: others can write to a local directory.
    """
    if options.mode is Mode.off:
        return None
    if options.dir is None:
        return with_leases(MemoryStore(), options)
    if is_remote(options.dir):
        return _open_remote(options.dir, options, base)
    if options.local_dir is not None:
        log.warning(
            "cache.local_dir stands in front of a URL; cache.dir is a local directory, so it is not used"
        )
    directory = _directory(local_path(options.dir, base), options, repairs=options.mode is not Mode.readonly)
    store = _bounded(_signed(directory, options), directory, options)
    return Opened(store, _leases(store, options), near=store)


def with_leases(store: Store, options: CacheOptions) -> Opened:
    """A store that is written to at once, with leases as the options want them."""
    return Opened(store, _leases(store, options))


def _open_remote(url: str, options: CacheOptions, base: str | None) -> Opened:
    # fsspec is imported where it is needed only.
    from hydra_cached.stores.remote import RemoteStore
    from hydra_cached.stores.remote_place import RemotePlace
    from hydra_cached.stores.tiers import TieredStore
    from hydra_cached.stores.uploads import UploadingStore

    remote = RemoteStore(url, options.storage_options)
    # With `strict`, whatever cannot be stored must fail the stage that it belongs to.
    uploading = UploadingStore(remote) if options.mode is not Mode.readonly and not options.strict else None
    back: RemoteStore | UploadingStore = uploading or remote
    store: Store = back
    directory: LocalStore | None = None
    if options.local_dir is not None:
        try:
            directory = _directory(local_path(options.local_dir, base), options, repairs=True)
            store = TieredStore(directory, back)
        except UntrustedRoot as error:
            if options.strict:
                raise
            log.error("The job runs without cache.local_dir: %s", error)
            directory = None
    store = _signed(store, options)
    near = bounded = None
    if directory is not None:
        near = _signed(directory, options)
        store = _bounded(store, directory, options)
    elif options.local_dir is None and options.mode is not Mode.readonly and _bounds(options):
        store = bounded = BoundedStore(store, RemotePlace(remote), _bounds(options))

    def finish() -> None:
        if uploading is not None:
            uploading.uploads.wait()
        if bounded is not None:
            bounded.look()

    later = at_once if uploading is None else uploading.uploads.after
    leases = _leases(store, options, remote=True, later=later)
    wait = None if uploading is None else uploading.uploads.wait
    return Opened(store, leases, wait, finish if uploading or bounded else None, near)


def _directory(root: str, options: CacheOptions, *, repairs: bool) -> LocalStore:
    """A local directory's own store, if the directory can be trusted."""
    keys = signing_keys(options)
    access = SHARED if options.shared else dataclasses.replace(PRIVATE, others=bool(keys))
    # What was checked must not change before it is unpickled: what is signed is read, not mapped.
    directory = LocalStore(root, access, mapped=not keys, repairs=repairs)
    directory.admit()
    return directory


def _signed(store: Store, options: CacheOptions) -> Store:
    keys = signing_keys(options)
    return SignedStore(store, keys) if keys else store


def _bounded(store: Store, directory: LocalStore, options: CacheOptions) -> Store:
    if options.mode is Mode.readonly:
        return store
    return BoundedStore(store, LocalPlace(directory), _bounds(options))


def _bounds(options: CacheOptions) -> Bounds:
    return Bounds(
        None if options.max_size is None else parse_size(options.max_size),
        None if options.max_age is None else parse_age(options.max_age),
    )


def _leases(
    store: Store,
    options: CacheOptions,
    *,
    remote: bool = False,
    later: Later = at_once,
) -> Leases | None:
    if options.mode is Mode.readonly:
        return None
    claims = store.claims()
    if claims is None:
        # At least the threads of this process wait for each other.
        return Leases(MemoryClaims(), options.wait_seconds, later=later)
    if not remote:
        return Leases(claims, options.wait_seconds)
    return Leases(
        claims,
        options.wait_seconds,
        heartbeat=REMOTE_HEARTBEAT,
        missed=REMOTE_MISSED,
        pauses=REMOTE_PAUSES,
        later=later,
    )
