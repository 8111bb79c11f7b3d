"""The session: what one node meets on its way, from Hydra's wish to build it to the value it gets.

``Session.story`` is that way, to be read from top to bottom. The steps and the words are those of the design:
key, authorise, look up, children, look up by trace, compute, policy, publish.
"""

from __future__ import annotations

import functools
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

from hydra_cached import policy
from hydra_cached.call import Call, Frame, Outcome
from hydra_cached.config import CacheOptions, Mode
from hydra_cached.errors import NotStorable, StrictError
from hydra_cached.events import Event, Kind, Listener, Summary, summarise
from hydra_cached.keys.code import CodeIndex
from hydra_cached.keys.configs import is_target
from hydra_cached.keys.content import content_digest
from hydra_cached.keys.files import FileDigests
from hydra_cached.keys.key import Stage, matches
from hydra_cached.keys.reader import Reader
from hydra_cached.keys.special import SPECIAL_KEYS
from hydra_cached.logs import LogLines
from hydra_cached.seam import Run, Seam, Served, Story, Visit
from hydra_cached.shelf import Found, Shelf

log = logging.getLogger("hydra_cached.session")

T = TypeVar("T")
Steps = Generator[Run, Any, T]


@dataclass(frozen=True)
class _Kept:
    """What became of a computed result."""

    digest: str | None = None
    size: int = 0
    stored: bool = False


class Session:
    """The cache that is active in a job, a ``with`` block or a call.

    Args:
        seam: the seam with Hydra.
        options: the cache's options.
        shelf: where results are kept; None to share within each call only.
        listeners: called with every event.
    """

    def __init__(
        self,
        seam: Seam,
        options: CacheOptions,
        shelf: Shelf | None,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        self.options = options
        self.events: list[Event] = []
        self._seam = seam
        self._shelf = shelf
        self._writes = options.mode in (Mode.readwrite, Mode.refresh)
        self._off = options.mode is Mode.off
        self._listeners = (self.events.append, LogLines(options.verbose, options.min_seconds), *listeners)
        self._index = CodeIndex()
        self._file_digests = FileDigests()
        self._refreshed: set[str] = set()
        self._local = threading.local()

    def summary(self) -> Summary:
        """What happened so far, counted."""
        return summarise(self.events)

    # What the seam asks.

    def wants(self, node: Any, modes: Mapping[str, Any]) -> bool:
        if self._off:
            return False
        return self._call is None or is_target(node, modes.get("overrides"))

    def before_call(self, target: Any, partial: bool, kwargs: dict[str, Any]) -> Any:
        for key in SPECIAL_KEYS:
            kwargs.pop(key, None)
        call = self._call
        if call is None or not call.frames:
            return None
        frame = call.frames[-1]
        canonical = self._seam.canonical_name(target)
        if canonical is not None:
            frame.resolved.update((name, canonical) for name in frame.stage.names)
        if self._seam.lazy:
            # Hydra 1.4 evaluates the config anew while it builds. What a resolver says may differ each time.
            parts = frame.stage.params.items()
            frame.changed = not all(matches(part, kwargs[n]) for n, part in parts if n in kwargs)
        # An instantiate call within the target is a call of its own.
        self._call = None
        return call, frame, time.perf_counter()

    def after_call(self, token: Any) -> None:
        if token is not None:
            call, frame, start = token
            frame.seconds = time.perf_counter() - start
            self._call = call

    def story(self, visit: Visit) -> Story:
        call = self._call
        if call is not None:
            return (yield from self._stage(visit, call))
        share = self.options.share.value
        reader = Reader(self._code, self._file_digests.of, share, visit.aliases)
        self._call = call = Call(reader, share)
        try:
            if is_target(visit.node, visit.overrides):
                return (yield from self._stage(visit, call))
            return (yield Run(visit))
        finally:
            self._call = None

    def _stage(self, visit: Visit, call: Call) -> Story:
        # Key: the config and the code that it names, in one pass.
        modes = {"isolated": True} if self._seam.isolated() else {}
        stage = call.reader.read(
            visit.node,
            visit.path,
            args=visit.args,
            overrides=visit.overrides,
            convert=visit.modes.get("convert", "none"),
            recursive=visit.modes.get("recursive", True),
            partial=visit.modes.get("partial", False),
            modes=modes,
        )
        ready = call.take_prepared(stage)
        if ready is not None:
            call.finish(stage, ready)
            return ready.value
        shared = call.available(stage)
        if shared is not None and self._authorised(stage, shared.targets, visit):
            call.finish(stage, shared)
            self._emit(Kind.SHARED, stage)
            return Served(shared.value, sorted(stage.all_names))

        frame = Frame(stage)
        call.frames.append(frame)
        try:
            outcome, served = yield from self._way(stage, frame, visit, call)
        except GeneratorExit:
            self._emit(Kind.FAILED, stage, seconds=frame.seconds)
            raise
        finally:
            call.frames.pop()
        call.finish(stage, outcome)
        return Served(outcome.value, sorted(stage.all_names)) if served else outcome.value

    def _way(self, stage: Stage, frame: Frame, visit: Visit, call: Call) -> Steps[tuple[Outcome, bool]]:
        """From key to result; says whether the result was served."""
        refusal = policy.refusal(stage)
        if refusal is not None:
            value = yield Run(visit)
            deliberate = stage.obstacle is None
            self._emit(Kind.REFUSED, stage, seconds=frame.seconds, deliberate=deliberate, reason=refusal)
            return self._computed(stage, frame, value, None, None), False

        # Look up: by static key, which needs nothing to run.
        static = None if stage.unstable else stage.static_key
        candidate = self._shelf is not None and policy.unwanted(stage, math.inf, self.options) is None
        if candidate and static is not None and (outcome := self._serve(stage, static, visit)):
            return outcome, True

        # Children: what stands for their results, from manifests; else by running them, now, as Hydra would next.
        if candidate and self._worth_tracing(stage, visit):
            results: dict[int, bytes] = {}
            for child in stage.children:
                identity = yield from self._identity(child, visit, call)
                if identity is None:
                    break
                results[id(child)] = identity
            else:
                # Look up: by what the children's results are, wherever they came from.
                trace = stage.trace_key(lambda child: results[id(child)])
                if outcome := self._serve(stage, trace, visit):
                    self._link(static, trace)
                    return outcome, True

        # Compute: Hydra's own code calls the target.
        frame.outcomes.clear()
        value = yield Run(visit)
        return self._publish(stage, frame, value, static), False

    def _publish(self, stage: Stage, frame: Frame, value: Any, static: str | None) -> Outcome:
        """Decide whether a computed result is kept, and keep it before anybody can change it."""
        trace: str | None = static
        if stage.children:
            identities = frame.identities()
            trace = stage.trace_key(lambda child: identities[id(child)]) if identities is not None else None
        if frame.changed:
            trace = None
        problem = self._problem(stage, frame, value, trace) if self._shelf is not None else None
        reason = problem or policy.unwanted(stage, frame.seconds, self.options)
        kept = _Kept()
        try:
            if self._shelf is None or problem is not None:
                pass
            elif stage.not_deterministic:
                kept = _Kept(self._shelf.digest(value, self._digest))
            elif reason is None and not self._writes:
                reason = "cache.mode is readonly"
            elif reason is None and trace is not None:
                kept = self._keep(self._shelf, stage, frame, value, trace)
                if static != trace:
                    self._link(static, trace)
        except NotStorable as error:
            problem = reason = f"its result cannot be pickled: {error}"
        except OSError as error:
            problem = reason = f"the cache cannot be written: {error}"
        kind = Kind.RUN if problem is None else Kind.REFUSED
        known: dict[str, Any] = {"size": kept.size, "stored": kept.stored, "reason": reason or ""}
        self._emit(kind, stage, key=trace, seconds=frame.seconds, **known)
        if problem is not None and policy.unwanted(stage, frame.seconds, self.options) is None:
            self._strictly(stage, problem)
        # Equal code and config do not make an equal result then: nothing but the digest stands for it.
        return self._computed(stage, frame, value, kept.digest, None if stage.not_deterministic else trace)

    def _problem(self, stage: Stage, frame: Frame, value: Any, trace: str | None) -> str | None:
        """Why a result cannot be kept though its stage has a key."""
        if frame.changed:
            return "its config evaluates to something else each time"
        if trace is None and not stage.not_deterministic:
            return "it receives a result that nothing can stand for"
        return None if stage.partial else policy.uncacheable(value)

    def _keep(self, shelf: Shelf, stage: Stage, frame: Frame, value: Any, trace: str) -> _Kept:
        manifest = self._manifest(stage, frame, trace)
        size = shelf.keep(trace, value, manifest, self._digest)
        self._refreshed.add(trace)
        return _Kept(manifest["content"], size, stored=True)

    def _computed(
        self, stage: Stage, frame: Frame, value: Any, digest: str | None, trace: str | None
    ) -> Outcome:
        inner = [outcome for outcomes in frame.outcomes.values() for outcome in outcomes]
        seconds = frame.seconds + sum(outcome.seconds for outcome in inner)
        targets = frozenset(frame.resolved).union(*(outcome.targets for outcome in inner))
        if callable(value) and not stage.partial and (name := self._seam.canonical_name(value)):
            targets |= {(stage.target, name)}
        return Outcome(value, digest, trace, seconds, targets)

    def _identity(self, child: Stage, visit: Visit, call: Call) -> Steps[bytes | None]:
        """What stands for a child's result: known from its entry, or found out by running it."""
        outcome = call.available(child)
        if outcome is None and child.partial and not child.unstable:
            return b"trace " + child.static_key.encode()
        if outcome is None and not child.unstable and (found := self._find(child, child.static_key)):
            if self._authorised(child, _targets(found), visit):
                return _known(found).identity
        if outcome is None:
            source = child.source
            yield Run(visit.child(source.node, source.convert, source.recursive), whole=True)
            outcome = call.prepare(child)
        return None if outcome is None else outcome.identity

    def _worth_tracing(self, stage: Stage, visit: Visit) -> bool:
        """Whether to find out what the children are before Hydra builds them.

        Not where Hydra may raise before it builds them: its errors come in its order.
        """
        if not stage.children:
            return False
        if self.options.mode is Mode.refresh and not stage.unstable:
            return False
        return not stage.has_missing and self._authorised(stage, (), visit)

    # Looking up.

    def _serve(self, stage: Stage, key: str, visit: Visit) -> Outcome | None:
        if self.options.mode is Mode.refresh and key not in self._refreshed:
            return None
        start = time.perf_counter()
        found = self._find(stage, key)
        if found is None or not self._authorised(stage, _targets(found), visit, found):
            return None
        try:
            value = found.load()
        except Exception as error:
            self._emit(Kind.DAMAGED, stage, key=found.key, reason=str(error))
            return None
        seconds = time.perf_counter() - start
        known = _known(found, value)
        self._emit(Kind.HIT, stage, key=found.key, seconds=seconds, saved=known.seconds, size=found.size)
        return known

    def _find(self, stage: Stage, key: str) -> Found | None:
        if self._shelf is None:
            return None
        try:
            return self._shelf.find(key)
        except Exception as error:
            self._emit(Kind.DAMAGED, stage, key=key, reason=str(error))
            return None

    def _authorised(self, stage: Stage, resolved: Any, visit: Visit, found: Found | None = None) -> bool:
        """Whether Hydra would call all that a hit spares it; if not, Hydra shall say so itself."""
        if found is not None and found.manifest.get("policy") != self._seam.policy_version():
            # Another policy let these calls pass. Names are checked below; what it thought of arguments is not
            # known, and such rules concern the standard library.
            if any(name.partition(".")[0] in sys.stdlib_module_names for name in stage.all_names):
                return False
        return self._seam.authorised(sorted(stage.all_names), resolved, visit.modes)

    # Keeping.

    def _manifest(self, stage: Stage, frame: Frame, trace: str) -> dict[str, Any]:
        outcome = self._computed(stage, frame, None, None, trace)
        return {
            "target": stage.target,
            "path": stage.path,
            "trace": trace,
            "seconds": frame.seconds,
            "total_seconds": outcome.seconds,
            "targets": sorted(outcome.targets),
            "policy": self._seam.policy_version(),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        }

    def _link(self, key: str | None, target: str) -> None:
        if key is None or not self._writes or self._shelf is None:
            return
        try:
            self._shelf.link(key, target)
            self._refreshed.add(key)
        except OSError as error:
            log.warning("the cache cannot be written: %s", error)

    def _strictly(self, stage: Stage, reason: str) -> None:
        if self.options.strict:
            where = stage.path or "the root"
            raise StrictError(
                f"{where} ({stage.target}) could not be stored, and cache.strict is set: {reason}"
            )

    # Helpers.

    @property
    def _call(self) -> Call | None:
        return getattr(self._local, "call", None)

    @_call.setter
    def _call(self, call: Call | None) -> None:
        self._local.call = call

    def _code(self, name: str) -> tuple[str, bool]:
        found = self._index.fingerprint(name, "target")
        return found.digest, found.not_deterministic

    def _digest(self, value: Any) -> str | None:
        return content_digest(value, lambda name: self._code(name)[0])

    def _emit(self, kind: Kind, stage: Stage, **what: Any) -> None:
        event = Event(kind, stage.path, stage.target, **what)
        for listener in self._listeners:
            listener(event)


def _targets(found: Found) -> list[tuple[str, str]]:
    return [(str(name), str(canonical)) for name, canonical in found.manifest.get("targets", ())]


def _known(found: Found, value: Any = None) -> Outcome:
    manifest = found.manifest
    seconds = float(manifest.get("total_seconds", 0.0))
    return Outcome(value, manifest.get("content"), manifest.get("trace"), seconds, frozenset(_targets(found)))


# The active session: the package's only state.

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
