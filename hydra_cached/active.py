"""The active session: the package's only state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hydra_cached.keys.code.freshness import LoadedCode
from hydra_cached.seam import Seam
from hydra_cached.session import Session

_of_context: ContextVar[tuple[Session, ...]] = ContextVar("hydra_cached_sessions", default=())
_of_process: list[Session] = []
_started: list[Session] = []  # of any kind, and not stopped yet


def active() -> Session | None:
    """The session that a node met now would travel by."""
    # Sessions may end in any order, and a task's context may outlive the session in which it was made.
    for session in reversed(_of_context.get()):
        if session in _started:
            return session
    return _of_process[-1] if _of_process else None


@functools.cache
def seam() -> Seam:
    """The seam with the Hydra that is installed.

    Raises:
        UnknownHydraError: that Hydra has other internals.
    """
    return Seam(active)


@functools.cache
def loaded_code() -> LoadedCode:
    """What is known of the modules that are loaded, which outlive sessions."""
    return LoadedCode()


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
    seam().install()
    _started.append(session)
    _of_context.set((*_of_context.get(), session))
    if everywhere:
        _of_process.append(session)

    def stop() -> None:
        _started.remove(session)
        _of_context.set(tuple(each for each in _of_context.get() if each in _started))
        if everywhere and session in _of_process:
            _of_process.remove(session)
        seam().uninstall()
        session.finish()

    return stop
