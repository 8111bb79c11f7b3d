"""The session: what one node meets on its way, from Hydra's wish to build it to the value it gets.

``Session.story`` is that way, to be read from top to bottom. The steps and the words are those of the design:
key, authorise, look up, children, look up by trace, compute, policy, publish.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from hydra_cached import policy, random_state
from hydra_cached.call import Call, Fingerprints, Frame, Outcome
from hydra_cached.children import Children, Steps
from hydra_cached.config import CacheOptions, Mode
from hydra_cached.errors import NotStorable
from hydra_cached.events import Event, Kind, Listener, Summary, summarise
from hydra_cached.keys.code import code_index
from hydra_cached.keys.code.freshness import LoadedCode
from hydra_cached.keys.configs import ARGS, is_target
from hydra_cached.keys.files import FileDigests
from hydra_cached.keys.key import Stage, matches
from hydra_cached.keys.reader import Reader
from hydra_cached.keys.special import SPECIAL_KEYS
from hydra_cached.logs import Announcer, LogLines
from hydra_cached.lookup import Lookup
from hydra_cached.publish import Publisher, costs_of, targets_of
from hydra_cached.seam import Failed, Run, Seam, Served, Story, Visit
from hydra_cached.shelf import Shelf
from hydra_cached.stores.leases import Leases
from hydra_cached.whereabouts import places_of

log = logging.getLogger("hydra_cached.session")


class Session:
    """The cache that is active in a job, a ``with`` block or a call.

    Args:
        seam: the seam with Hydra.
        options: the cache's options.
        shelf: where results are kept; None to share within each call only.
        memory: where digests of large declared files are remembered between processes, if anywhere.
        code_memory: likewise for fingerprints of code; quicker to ask than to follow some code.
        listeners: called with every event.
        loaded: what is known of the modules that are loaded.
        leases: who computes what; None to compute whatever others may be computing, too.
        finish: waits for what is still on its way to the store.
    """

    def __init__(
        self,
        seam: Seam,
        options: CacheOptions,
        shelf: Shelf | None,
        memory: MutableMapping[str, str] | None = None,
        code_memory: MutableMapping[str, str] | None = None,
        listeners: tuple[Listener, ...] = (),
        loaded: LoadedCode | None = None,
        leases: Leases | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self.options = options
        self.finish = finish or (lambda: None)
        self.events: list[Event] = []
        self._seam = seam
        self._leases = leases
        self._off = options.mode is Mode.off
        self._secrets: set[str] = set()  # texts from the environment in all configs so far
        lines = LogLines(options.verbose, options.min_seconds)
        self._emit = Announcer((self.events.append, lines, *listeners), self._secrets)
        self._index = code_index()
        self._code_memory = code_memory
        self._files = FileDigests(memory)
        self._publisher: Publisher | None = None
        if shelf is not None:
            loaded = loaded or LoadedCode()
            self._publisher = Publisher(shelf, options, self._files, loaded, self._facts, self._secrets)
        written = self._publisher.written if self._publisher is not None else set()
        self._lookup = Lookup(seam, options, shelf, self._emit, written)
        self._children = Children(options, self._lookup.find, self._lookup.authorised)
        self._quick: set[str] = set()  # stages that were seen to be too quick to be stored
        self._paces: dict[str, bool] = {}  # whether all calls of a target so far were that quick
        self._local = threading.local()

    def summary(self) -> Summary:
        """What happened so far, counted."""
        return summarise(self.events)

    # What the seam asks.

    def wants(self, node: Any, modes: Mapping[str, Any]) -> bool:
        if self._off:
            return False
        return self._call is None or is_target(node, modes.get("overrides"))

    def before_call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for key in SPECIAL_KEYS:
            kwargs.pop(key, None)
        call = self._call
        if call is None or not call.frames:
            return None
        try:
            return self._before_call(call, target, {**kwargs, ARGS: args} if args else kwargs)
        except Exception as error:
            self.gave_up(error)
            return None

    def _before_call(self, call: Call, target: Any, kwargs: dict[str, Any]) -> Any:
        frame = call.frames[-1]
        canonical = self._seam.canonical_name(target)
        if canonical is not None:
            frame.resolved.update((name, canonical) for name in frame.stage.names)
        if self._seam.lazy:
            # Hydra 1.4 evaluates the config anew while it builds. What a resolver says may differ each time.
            parts = frame.stage.params.items()
            frame.changed = not all(matches(part, kwargs[n]) for n, part in parts if n in kwargs)
        if frame.start is not None:
            frame.before = random_state.capture()
        call.receive()
        if frame.find is not None and not frame.changed:
            # Look up: by what the children's results turned out to be, now that Hydra has built them.
            if not self._paces.get(frame.stage.target):
                call.identify()
            trace, _ = frame.keys(frame.received(), frame.before)
            if trace is not None:
                frame.lease, frame.found = frame.find(trace)
            if frame.found is not None:
                return Served(frame.found.value)
        # An instantiate call within the target is a call of its own.
        self._call, self._local.within = None, frame
        return call, frame, random_state.position(), self._seam.resolvers(), time.perf_counter()

    def after_call(self, token: Any) -> None:
        if token is not None:
            call, frame, position, resolvers, start = token
            frame.seconds = time.perf_counter() - start
            frame.drew = random_state.position() != position
            registered = {
                name for name, does in self._seam.resolvers().items() if does is not resolvers.get(name)
            }
            for each in call.frames if registered else ():
                each.registered |= registered
            call.called()
            self._call, self._local.within = call, None

    def gave_up(self, error: Exception) -> None:
        log.error("hydra-cached failed and left a stage to Hydra alone; please report this", exc_info=error)

    def story(self, visit: Visit) -> Story:
        if self._call is not None:
            return (yield from self._stage(visit, self._call))
        share = self.options.share.value
        code = Fingerprints(
            lambda name: self._index.fingerprint(name, self.options.code.value, self._code_memory)
        )
        reader = Reader(
            code, self._files.of, share, visit.before.aliases, self.options.ignore, self._seam.lazy
        )
        within: Frame | None = getattr(self._local, "within", None)
        self._secrets.update(self._seam.secrets(visit))
        self._call = call = Call(reader, share, code, self._redigest)
        try:
            if is_target(visit.node, visit.overrides):
                call.expect(self._read(visit, call).children)
                return (yield from self._stage(visit, call))
            convert, recursive = visit.modes.get("convert", "none"), visit.modes.get("recursive", True)
            call.expect(reader.stages_in(visit.node, visit.path, convert, recursive))
            return (yield Run(visit))
        finally:
            self._call, self._local.within = None, within
            if within is not None:
                within.resolved |= call.targets

    def _stage(self, visit: Visit, call: Call) -> Story:
        stage = self._read(visit, call)
        ready = call.take_ready(stage)
        if isinstance(ready, Failed):
            return ready
        if ready is not None:
            call.finish(stage, ready)
            return ready.value
        shared = call.available(stage)
        if shared is not None and self._lookup.authorised(stage, shared.targets, visit):
            call.finish(stage, shared)
            self._emit(Kind.SHARED, stage)
            return Served(shared.value, sorted(stage.all_names))

        frame = Frame(stage, places=lambda: places_of(stage, visit))
        call.frames.append(frame)
        try:
            outcome, served = yield from self._way(stage, frame, visit, call)
        except GeneratorExit:
            self._emit(Kind.FAILED, stage, seconds=frame.seconds)
            raise
        finally:
            call.frames.pop()
            frame.release()
        call.finish(stage, outcome)
        return Served(outcome.value, sorted(stage.all_names)) if served else outcome.value

    def _read(self, visit: Visit, call: Call) -> Stage:
        """Key: the config and the code that it names, in one pass."""
        return call.reader.read(
            visit.node,
            visit.path,
            args=visit.args,
            overrides=visit.overrides,
            convert=visit.modes.get("convert", "none"),
            recursive=visit.modes.get("recursive", True),
            partial=visit.modes.get("partial", False),
            modes={"isolated": True} if self._seam.isolated() else {},
        )

    def _way(self, stage: Stage, frame: Frame, visit: Visit, call: Call) -> Steps[tuple[Outcome, bool]]:
        """From key to result; says whether the result was served."""
        refusal = policy.refusal(stage)
        if refusal is not None:
            value = yield Run(visit)
            self._note_callable(frame, value)
            deliberate = stage.obstacle is None
            if self._publisher is not None and not deliberate:
                self._publisher.insist(frame, refusal)
            self._emit(Kind.REFUSED, stage, seconds=frame.seconds, deliberate=deliberate, reason=refusal)
            return self._outcome(frame, value, None, None), False

        # Look up: by static key, which needs nothing to run.
        frame.start = random_state.capture() if policy.draws(stage, self.options) else None
        frame.static = None if stage.unstable else random_state.joined(stage.static_key, frame.start)
        candidate = self._publisher is not None and policy.unwanted(stage, math.inf, self.options) is None
        if (
            candidate
            and frame.static is not None
            and (outcome := self._lookup.serve(frame, frame.static, visit))
        ):
            return outcome, True

        # Children: what stands for their results, as far as that can be known before Hydra builds them.
        outcomes = None
        if candidate and self._children.worth_tracing(stage, visit):
            outcomes = yield from self._children.outcomes(frame, visit, call)
            if outcomes is not None:
                # Look up: by what the children's results are, wherever they came from.
                trace, static = frame.keys(outcomes, random_state.capture() if frame.start else None)
                if trace is not None and (outcome := self._lookup.serve(frame, trace, visit)):
                    self._link(static, trace)
                    return outcome, True

        # Compute: Hydra's own code calls the target. Then keep the result, before anybody can change it.
        frame.outcomes.clear()
        leases = None if stage.shape in self._quick else self._leases
        if candidate and (leases is not None or (stage.children and outcomes is None)):
            frame.find = lambda trace: self._lookup.take(leases, frame, trace, visit)
        value = yield Run(visit)
        trace, static = frame.keys(frame.received(), frame.before)
        if frame.found is not None:
            self._link(static, frame.found.trace or "")
            return frame.found, False
        self._lookup.ran(stage)
        quick = frame.seconds < self.options.min_seconds
        if quick:
            self._quick.add(stage.shape)
        self._paces[stage.target] = quick and self._paces.get(stage.target, True)
        self._note_callable(frame, value)
        return self._publish(frame, call, value, trace, static), False

    def _publish(
        self, frame: Frame, call: Call, value: Any, trace: str | None, static: str | None
    ) -> Outcome:
        stage = frame.stage
        if self._publisher is None:
            self._emit(Kind.RUN, stage, seconds=frame.seconds)
            return self._outcome(frame, value, None, trace)
        done = self._publisher.publish(call, frame, value, trace, static)
        what = {"size": done.size, "stored": done.stored, "reason": done.reason, "miss": done.miss}
        kind = Kind.RUN if done.problem is None else Kind.REFUSED
        self._emit(kind, stage, key=trace, seconds=frame.seconds, note=done.note, **what)
        # Nothing but its content stands for a result that code and config did not make, or not for sure.
        frame.pristine = frame.pristine and not (frame.changed or done.doubtful)
        spoilt = stage.not_deterministic or frame.changed or done.doubtful
        return self._outcome(frame, value, done.digest, None if spoilt else trace)

    def _outcome(self, frame: Frame, value: Any, digest: str | None, trace: str | None) -> Outcome:
        return Outcome(value, digest, trace, costs_of(frame), targets_of(frame), frame.pristine)

    def _note_callable(self, frame: Frame, value: Any) -> None:
        """Hydra's policy also looks at results that can be called."""
        if callable(value) and not frame.stage.partial and (name := self._seam.canonical_name(value)):
            frame.resolved.add((frame.stage.target, name))

    def _link(self, key: str | None, target: str) -> None:
        if self._publisher is not None:
            self._publisher.link(key, target)

    # Helpers.

    @property
    def _call(self) -> Call | None:
        return getattr(self._local, "call", None)

    @_call.setter
    def _call(self, call: Call | None) -> None:
        self._local.call = call

    def _redigest(self, value: Any) -> str | None:
        call = self._call
        if self._publisher is None or call is None:
            return None
        try:
            return self._publisher.digest(call, value)
        except NotStorable:
            return None

    def _facts(self, frame: Frame) -> dict[str, Any]:
        """What a manifest says beside what the stage is."""
        return {
            "costs": costs_of(frame),
            "targets": sorted(targets_of(frame)),
            "policy": self._seam.policy_version(),
        }
