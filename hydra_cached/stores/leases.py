"""Leases: the right to compute a key, so that of many processes that miss it at once, one computes it.

A lease is a claim that only one can create, and that its owner touches every few seconds. An owner that is gone
is replaced: at once where that can be seen (same machine, no such process), after missed heartbeats elsewhere.
Leases save work. Nothing that is correct rests on them: who cannot get one, or loses one, computes all the same,
and entries are whole whoever writes them.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from hydra_cached.errors import brief
from hydra_cached.stores.base import Claims
from hydra_cached.stores.owners import Here, Owner, in_a_team

log = logging.getLogger("hydra_cached.leases")
T = TypeVar("T")

HEARTBEAT = 5.0  # seconds between touches
MISSED = 30.0  # seconds without one after which an owner elsewhere counts as gone
PAUSES = (0.01, 0.25)
_REST = 60.0  # seconds for which claims that failed are left alone
_SAID_AGAIN = 60.0  # seconds between lines that say what is waited for


Later = Callable[[str, Callable[[], None]], None]


def at_once(key: str, action: Callable[[], None]) -> None:
    """Do something now: nothing is ever on its way to the store."""
    action()


class Lease:
    """The right to compute a key, until it is released.

    Args:
        claims: where it is kept.
        key: what will be computed.
        text: its claim's.
        heart: touches the claim until it is gone.
        later: does something once nothing is on its way to the store any more under a key.
    """

    def __init__(
        self,
        claims: Claims,
        key: str,
        text: str,
        heart: Heart,
        later: Later = at_once,
    ) -> None:
        self._claims = claims
        self._key = key
        self._text = text
        self._heart = heart
        self._later = later
        self._process = os.getpid()
        self._held = True
        self._failed = False
        heart.add(self)

    def release(self) -> None:
        """Let others have it; a second time does nothing, nor does a process that was forked meanwhile."""
        if self._held and self._process == os.getpid():
            self._held = False
            self._later(self._key, self._drop)

    def beat(self) -> None:
        """Say that its owner is alive; or release it, if that failed before."""
        if self._failed:
            self._drop()
            return
        try:
            self._claims.touch(self._key)
        except Exception as error:
            log.debug("the lease of %s could not be touched: %s", self._key[:12], brief(error))

    def _drop(self) -> None:
        try:
            self._claims.drop(self._key, self._text)
        except Exception as error:
            log.debug("the lease of %s could not be released: %s", self._key[:12], brief(error))
            self._failed = True  # the heart tries again
            return
        self._heart.remove(self)


class Leases:
    """Hands out leases.

    Args:
        claims: where they are kept.
        patience: seconds to wait for another owner; None for as long as it is alive.
        heartbeat: seconds between signs of life.
        missed: seconds without one after which an owner that cannot be looked at counts as gone.
        pauses: seconds between looks while waiting: a tenth of what was waited, within these.
        later: does something once nothing is on its way to the store any more under a key; leases are released so.
        here: says which process this is.
    """

    def __init__(
        self,
        claims: Claims,
        patience: float | None = None,
        *,
        heartbeat: float = HEARTBEAT,
        missed: float = MISSED,
        pauses: tuple[float, float] = PAUSES,
        later: Later = at_once,
        here: Callable[[], Here] = Here.now,
    ) -> None:
        self._claims = claims
        self._patience = float("inf") if patience is None else patience
        self._heartbeat = heartbeat
        self._missed = missed
        self._pauses = pauses
        self._later = later
        self._here = here
        self._rests_until = float("-inf")
        self._failed = False

    def take(self, key: str, what: str, look: Callable[[], T | None]) -> tuple[Lease | None, T | None]:
        """Take the lease of a key; where others hold it, wait, and look whether they are done.

        Args:
            key: what will be computed.
            what: the same in words.
            look: looks for the result; asked while waiting, and once the lease is held.

        Returns:
            The lease, and None: compute, then release it. Or None, and what ``look`` found. Or neither: compute
            without. That is so where waiting might never end or is not worth it, or where claims fail.
        """
        if in_a_team() or time.monotonic() < self._rests_until:
            return None, look()
        lease: Lease | None = None
        try:
            lease, found = self._create(key), None
            if lease is None:
                lease, found = self._wait(key, what, look)
            if lease is not None:
                # Its last owner may have been done, or almost.
                found = look()
        except BaseException as error:
            if lease is not None:
                lease.release()
            if lease is not None or not isinstance(error, Exception):
                raise
            self._fail(error)
            found = look()
        if found is not None and lease is not None:
            lease.release()
            lease = None
        return lease, found

    def _create(self, key: str) -> Lease | None:
        text = Owner.me(self._here()).to_text()
        return self._lease(key, text) if self._claims.create(key, text) else None

    def _take_over(self, key: str, old: str) -> Lease | None:
        text = Owner.me(self._here()).to_text()
        return self._lease(key, text) if self._claims.swap(key, old, text) else None

    def _lease(self, key: str, text: str) -> Lease:
        return Lease(self._claims, key, text, _heart(self._heartbeat), self._later)

    def _wait(self, key: str, what: str, look: Callable[[], T | None]) -> tuple[Lease | None, T | None]:
        """Wait for the owner, or one that takes its place, to be done or gone."""
        begin = time.monotonic()
        look_at, say_at, last, silence = 5.0, 1.0, "", 0.0
        while True:
            claim = self._claims.read(key)
            waited = time.monotonic() - begin
            changed = claim is None or (last and claim[0] != last)
            if changed or waited >= min(look_at, self._patience):
                # After the claim was read: an owner stores first, and releases then.
                found, look_at = look(), 2 * look_at
                if found is not None:
                    log.info("waited %.1f s for %s", waited, what)
                    return None, found
            if claim is None or (changed and not self._is_gone(last, 1.5 * silence + 1)):
                # Its owner released it and stored nothing: it was too quick to be stored, cannot be, or failed. It
                # would be no better with the next, so nobody waits for that.
                return None, None
            last, silence = claim
            owner = Owner.from_text(last)
            if self._is_gone(last, silence):
                lease = self._take_over(key, last)
                if lease is not None:
                    log.warning(
                        "%s, which computed %s, is gone; computing it here", owner or "a process", what
                    )
                    return lease, None
            elif owner is not None and owner.may_wait_for(self._here()):
                log.debug("%s, which computes %s, may be waiting for this process", owner, what)
                return None, None
            elif waited >= self._patience:
                log.warning(
                    "waited %.1f s for %s, which computes %s; computing it here, too", waited, owner, what
                )
                return None, None
            elif waited >= say_at:
                say_at = waited + _SAID_AGAIN
                log.info(
                    "waiting for %s, which computes %s (%.0f s so far)", owner or "a process", what, waited
                )
            pause = min(max(self._pauses[0], waited / 10), self._pauses[1])
            time.sleep(max(0.0, min(pause, self._patience - waited)))

    def _fail(self, error: Exception) -> None:
        """Leave the claims alone for a while, so that a disk that is slow to fail does not hold up every stage."""
        self._rests_until = time.monotonic() + _REST
        level = logging.DEBUG if self._failed else logging.WARNING
        what = "leases do not work, so that several processes may compute the same at once"
        log.log(level, "the cache's %s: %s", what, brief(error))
        self._failed = True

    def _is_gone(self, text: str, silence: float) -> bool:
        """Whether the owner that a claim names is gone."""
        owner = Owner.from_text(text)
        if owner is None:
            # It was about to write who it is, or it is nothing of ours.
            return silence > 1.0
        return owner.is_gone(self._here(), silence, self._missed)


class Heart:
    """Touches the claims of the leases that this process holds, in a thread of its own while there are any.

    Args:
        interval: seconds between touches.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._leases: set[Lease] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        """Begin to touch a lease's claim."""
        with self._lock:
            self._leases.add(lease)
            if self._thread is None:
                thread = threading.Thread(target=self._beats, name="hydra-cached leases", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    # No more threads. On this machine it is seen to be alive anyway.
                    log.debug("there are no heartbeats: %s", error)
                else:
                    self._thread = thread

    def remove(self, lease: Lease) -> None:
        """Cease to."""
        with self._lock:
            self._leases.discard(lease)

    def _beats(self) -> None:
        while True:
            # A thread is started at most once in an interval, however many quick stages there are.
            time.sleep(self._interval)
            with self._lock:
                leases = list(self._leases)
                if not leases:
                    self._thread = None
                    return
            for lease in leases:
                lease.beat()


@functools.cache
def _heart(interval: float) -> Heart:
    return Heart(interval)


if hasattr(os, "register_at_fork"):
    # A forked child has none of its parent's leases, threads or, perhaps held, locks.
    os.register_at_fork(after_in_child=_heart.cache_clear)
