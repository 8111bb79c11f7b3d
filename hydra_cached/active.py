"""The active session: the package's only state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hydra_cached.seam import Seam
from hydra_cached.session import Session

_of_context: ContextVar[Session | None] = ContextVar("hydra_cached_session", default=None)
_of_process: list[Session] = []


def active() -> Session | None:
    """The session that a node met now would travel by."""
    return _of_context.get() or (_of_process[-1] if _of_process else None)


@functools.cache
def seam() -> Seam:
    """The seam with the Hydra that is installed.

    Raises:
        UnknownHydraError: that Hydra has other internals.
    """
    return Seam(active)


@contextmanager
def activated(session: Session, *, everywhere: bool) -> Iterator[Session]:
    """Make a session the active one.

    Args:
        session: the session.
        everywhere: also for other threads, which have no better one; else only for this context.
    """
    stop = start(session, everywhere=everywhere)
    try:
        yield session
    finally:
        stop()


def start(session: Session, *, everywhere: bool) -> Callable[[], None]:
    """Make a session the active one until the returned function is called."""
    before = _of_context.get()
    seam().install()
    _of_context.set(session)
    if everywhere:
        _of_process.append(session)

    def stop() -> None:
        if _of_context.get() is session:
            _of_context.set(before)
        if everywhere and session in _of_process:
            _of_process.remove(session)
        seam().uninstall()

    return stop
