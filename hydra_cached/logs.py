"""Announcing what happened: to listeners, and as log lines, which are worded here alone."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from hydra_cached.errors import brief
from hydra_cached.events import NOTHING, Event, Kind, Listener
from hydra_cached.keys.key import Stage
from hydra_cached.secrets import redacted

log = logging.getLogger("hydra_cached.stages")


class Announcer:
    """Makes events and tells listeners of them.

    Args:
        listeners: called with every event, in this order; one that fails is reported, and does no harm.
        secrets: texts that must not be shown; more may come.
    """

    def __init__(self, listeners: Iterable[Listener], secrets: Collection[str]) -> None:
        self._listeners = tuple(listeners)
        self._secrets = secrets

    def __call__(self, kind: Kind, stage: Stage, **what: Any) -> None:
        """Announce what happened to a stage.

        Args:
            kind: how its way ended.
            stage: the stage.
            what: the event's other fields.
        """
        if kind in (Kind.REFUSED, Kind.DAMAGED):
            # Errors quote what they are about: values, names of files, URLs.
            what["reason"] = redacted(what["reason"], self._secrets)
        static = vars(stage).get("static_key")  # if it was wanted: making it takes time
        event = Event(kind, stage.path, stage.target, static=static, **what)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:
                log.error("a listener failed: %s", brief(error))


class LogLines:
    """Writes events to the log ``hydra_cached.stages``.

    Each refusal is reported once per target and reason. Hits, runs and what was quick are only written when
    ``verbose``; damage and results that could not be stored always are.

    Args:
        verbose: write every look-up.
        min_seconds: what took less would not have been stored, so that its refusal is a detail.
    """

    def __init__(self, verbose: bool, min_seconds: float = 0.0) -> None:
        self._verbose = verbose
        self._min_seconds = min_seconds
        self._said: set[tuple[str, str]] = set()

    def __call__(self, event: Event) -> None:
        where = f"{event.path or 'the root'} ({event.target})"
        if event.kind is Kind.HIT:
            self._detail(
                "hit: %s, %.3g s instead of %.3g s [%s]", where, event.seconds, event.saved, _short(event)
            )
        elif event.kind is Kind.SHARED:
            self._detail("shared: %s", where)
        elif event.kind is Kind.DAMAGED:
            log.warning("%s: the stored result cannot be used and is computed again: %s", where, event.reason)
        elif event.kind is Kind.REFUSED:
            said = (event.target, event.reason) in self._said
            if not said and event.seconds >= self._min_seconds and not event.deliberate:
                self._said.add((event.target, event.reason))
                log.warning("not cached: %s: %s", where, event.reason)
            else:
                self._detail("not cached: %s: %s", where, event.reason)
        elif event.kind is Kind.FAILED:
            self._detail("failed: %s", where)
        else:
            kept = f"stored, {event.size} bytes" if event.stored else event.reason or "not stored"
            why = f"; {event.miss}" if event.miss else ""
            line = ("run: %s, %.3g s; %s [%s]%s", where, event.seconds, kept, _short(event), why)
            # What differs from what was stored before is news: that is what the run is waiting for.
            news = event.miss not in ("", NOTHING)
            log.log(logging.INFO if self._verbose or news else logging.DEBUG, *line)
            if event.note and (event.target, event.note) not in self._said:
                self._said.add((event.target, event.note))
                log.warning("%s: %s", where, event.note)

    def _detail(self, message: str, *args: object) -> None:
        log.log(logging.INFO if self._verbose else logging.DEBUG, message, *args)


def _short(event: Event) -> str:
    return event.key[:12] if event.key else "no key"
