"""What users call: ``instantiate`` with a cache, and ``activate`` for programs that have no ``@hydra.main``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra_cached.active import activated, active, loaded_code, seam
from hydra_cached.config import CacheOptions, Mode, Share, read_options
from hydra_cached.errors import UntrustedRoot
from hydra_cached.events import Listener
from hydra_cached.opening import Opened, open_store, with_leases
from hydra_cached.session import Session
from hydra_cached.shelf import EntryShelf, ObjectShelf, StoreNotes
from hydra_cached.stores.base import Store

log = logging.getLogger("hydra_cached")
DISABLED = "DISABLED"


def instantiate(config: Any, *args: Any, cache: Any = None, **kwargs: Any) -> Any:
    """``hydra.utils.instantiate``, with a cache.

    Args:
        config: what Hydra takes; ``_target_`` may also be a callable.
        args: positional arguments for the target.
        cache: None for the active job's cache, or, if there is none, one in memory that lives for this call; a
            directory, to keep results there; ``"DISABLED"`` for no caching at all; or a cache object (with
            ``in``, ``[key]`` and ``[key] = value``, such as ``InMemoryCache``), which keeps the objects
            themselves and hands them out again, call after call.
        kwargs: keyword arguments that override the config's.

    Raises:
        TypeError: ``cache`` is none of these.
    """
    from hydra.utils import instantiate as hydra_instantiate

    if cache is None and active() is not None:
        return hydra_instantiate(config, *args, **kwargs)
    with activated(_session_for(cache), everywhere=False):
        return hydra_instantiate(config, *args, **kwargs)


def _session_for(cache: Any) -> Session:
    within_call = CacheOptions(dir=None, share=Share.equal, min_seconds=0.0)
    if cache is None:
        return sharing_session()
    if isinstance(cache, str) and cache == DISABLED:
        return Session(seam(), read_options(mode="off"), None)
    if isinstance(cache, (str, os.PathLike)):
        return open_session(read_options(dir=cache))
    if all(hasattr(type(cache), name) for name in ("__contains__", "__getitem__", "__setitem__")):
        return Session(seam(), within_call, ObjectShelf(cache), loaded=loaded_code())
    raise TypeError(
        f"cache must be a directory, a cache object, None or {DISABLED!r}, not a {type(cache).__name__}"
    )


@contextmanager
def activate(dir: str | os.PathLike[str] | None = ".hydra_cached", **options: Any) -> Iterator[Session]:
    """Cache every ``instantiate`` called inside the ``with`` block, Hydra's own included, in all threads.

    Args:
        dir: directory of the entries; None keeps them in memory for as long as the block lasts.
        options: the other options of the ``cache`` node, see ``CacheOptions``.

    Raises:
        OptionError: an option does not exist or has a value that means nothing.
        UnknownHydraError: the installed Hydra has internals that are not known.
    """
    with activated(open_session(read_options(dir=dir, **options)), everywhere=True) as session:
        yield session


def sharing_session(*, verbose: bool = False) -> Session:
    """A session that keeps nothing: equal sub-configs are computed once within each call."""
    options = CacheOptions(dir=None, share=Share.equal, min_seconds=0.0, verbose=verbose)
    return Session(seam(), options, None)


def open_session(
    options: CacheOptions, *, base: str | None = None, listeners: tuple[Listener, ...] = ()
) -> Session:
    """A session for these options, not active yet.

    A directory that cannot be trusted is reported, and the session does without.

    Args:
        options: the cache's options.
        base: directory that a relative ``dir`` is relative to; the current one by default.
        listeners: called with every event.

    Raises:
        UntrustedRoot: with ``strict``, others can write to the directory.
    """
    try:
        opened = open_store(options, base)
    except UntrustedRoot as error:
        if options.strict:
            raise
        log.error("The job runs without a cache: %s", error)
        opened = None
    if opened is None:
        return Session(seam(), options, None, listeners=listeners)
    return _over(opened, options, listeners)


def session_over(store: Store, options: CacheOptions, listeners: tuple[Listener, ...] = ()) -> Session:
    """A session whose results are in a store, whatever the options say of a directory; not active yet."""
    return _over(with_leases(store, options), options, listeners)


def _over(opened: Opened, options: CacheOptions, listeners: tuple[Listener, ...]) -> Session:
    store = opened.store
    writes = options.mode is not Mode.readonly
    notes = StoreNotes(store, writes)
    # To ask a remote store takes longer than to follow most code.
    near = None if opened.near is None else StoreNotes(opened.near, writes)
    return Session(
        seam(),
        options,
        EntryShelf(store),
        notes,
        near,
        listeners=listeners,
        loaded=loaded_code(),
        leases=opened.leases,
        finish=opened.finish,
    )
