"""Decisions: may this stage be cached, is this result worth keeping. Pure functions; the session acts on them."""

from __future__ import annotations

import collections.abc
import functools
import io
import socket
import threading
import types
from fnmatch import fnmatchcase
from typing import Any

from hydra_cached.config import CacheOptions
from hydra_cached.keys.key import Stage

_LOCKS = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
)
_OF_A_LOOP = "asynchronous, and tied to its event loop"
_LIVE: tuple[tuple[tuple[type, ...], str], ...] = (
    ((collections.abc.Generator,), "a generator, which can be read only once"),
    ((collections.abc.AsyncIterator, collections.abc.Awaitable), _OF_A_LOOP),
    ((io.IOBase,), "an open file"),
    ((socket.socket,), "a socket"),
    ((threading.Thread,), "a thread"),
    (_LOCKS, "a lock"),
    ((types.ModuleType,), "a module"),
    ((functools.partial,), "a partial object"),
    ((BaseException,), "an exception"),
    ((types.TracebackType, types.FrameType), "part of a running program"),
    ((memoryview,), "a view of somebody else's memory"),
)


def refusal(stage: Stage) -> str | None:
    """Why a stage cannot be cached, whatever its result; None if it can."""
    if stage.obstacle is not None:
        if stage.problem is None:
            return f"it contains something without a key: {stage.obstacle}"
        return stage.problem
    if stage.uncached is stage:
        return "its config says _cache_result_: false"
    if stage.uncached is not None:
        return f"it contains {stage.uncached.path}, whose config says _cache_result_: false"
    return None


def unwanted(stage: Stage, seconds: float, options: CacheOptions) -> str | None:
    """Why a computed result need not be stored; None if it should be.

    Args:
        stage: what was computed.
        seconds: how long the target itself took.
        options: the cache's.
    """
    if stage.partial:
        return "a partial object is made again"
    if stage.not_deterministic:
        return "the target is not deterministic"
    if options.include and not any(fnmatchcase(stage.target, pattern) for pattern in options.include):
        return "cache.include does not name it"
    if any(fnmatchcase(stage.target, pattern) for pattern in options.exclude):
        return "cache.exclude names it"
    if seconds < options.min_seconds:
        return f"it took {seconds:.3g} s, less than cache.min_seconds ({options.min_seconds:g})"
    return None


def draws(stage: Stage, options: CacheOptions) -> bool:
    """Whether the options say of a target in a stage that it draws from the global random state."""
    patterns = options.random_state
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in stage.all_named)


def uncacheable(value: Any) -> str | None:
    """Why a result can never be kept, by its nature; None if it may be."""
    # Its type is asked, never the result: asking a proxy may start something, or raise.
    kind = type(value)
    for kinds, what in _LIVE:
        if issubclass(kind, kinds):
            return f"its result is {what}"
    if any(str(base.__module__).partition(".")[0] == "asyncio" for base in kind.__mro__):
        return f"its result is {_OF_A_LOOP}"
    if issubclass(kind, collections.abc.Iterator) and _is_its_own_iterator(kind):
        return "its result is an iterator, which can be read only once"
    return None


def _is_its_own_iterator(kind: type) -> bool:
    """Whether ``iter(value)`` would be ``value``, and that for the only time."""
    return not hasattr(kind, "__getitem__") and not hasattr(kind, "__len__")
