"""One ``instantiate`` call as the session sees it: what is shared in it, and the stages that are on their way."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hydra_cached.artifacts import Places
from hydra_cached.keys.code import Fingerprint
from hydra_cached.keys.code.freshness import loaded_names
from hydra_cached.keys.given import Given
from hydra_cached.keys.key import Stage
from hydra_cached.keys.reader import Reader
from hydra_cached.random_state import States, joined
from hydra_cached.seam import Failed
from hydra_cached.stores.leases import Lease


@dataclass
class Outcome:
    """A stage's result, and what stands for it in the keys of the stages that receive it.

    Targets change what they receive, in place, and so what others hold of it: within a call, an outcome follows
    its object (``Call.look_again``), so that what is computed from it is kept under what it was computed from.

    Args:
        value: the result.
        digest: digest of its content, if that is known.
        trace: the stage's trace key, which stands for the result where there is no digest.
        costs: seconds that it, and each stage in it, took when it was computed; by what identifies the stage.
        targets: target names and the canonical names that they stood for, for Hydra's target policy.
        pristine: whether config and code alone led to it, and it is still as its stage made it.
        seen: calls of targets in this call when its content was looked at last; None if it was not loaded here.
    """

    value: Any
    digest: str | None
    trace: str | None
    costs: Mapping[str, float] = field(default_factory=dict)
    targets: frozenset[tuple[str, str]] = frozenset()
    pristine: bool = True
    seen: int | None = None

    @property
    def identity(self) -> bytes | None:
        """What a dependant's trace key says of this result; None if nothing can stand for it."""
        if self.digest is not None:
            return b"content " + self.digest.encode()
        return None if self.trace is None else b"trace " + self.trace.encode()


@dataclass
class Frame:
    """A stage on its way.

    Args:
        stage: the stage.
        outcomes: of the stages that it receives, by shape, in the order in which they were made.
        ready: what came of stages that were run before Hydra asks for them, because the key needed it; likewise.
        static: the key that follows from config and code, under which it was looked up; None if there is none.
        pristine: whether config and code alone led to what it received, as far as that is known.
        seconds: that its target took.
        resolved: target names, and the canonical names of what they turned out to be.
        changed: its config evaluated to something else when it was called than when it was read.
        start: the global random state when the stage was looked up, if that is in the key.
        before: the same before the call of its target, when all that it receives was built.
        drew: whether the target moved a global random generator.
        find: given the trace key when Hydra has built what the stage receives: takes the lease to compute it, or
            finds the result.
        found: what that found.
        lease: or the lease.
        places: tells what the places of artifacts in its result are relative to.
        registered: names of resolvers that its target registered, or one of a stage that it contains.
    """

    stage: Stage
    outcomes: dict[str, deque[Outcome]] = field(default_factory=lambda: defaultdict(deque))
    ready: dict[str, deque[Outcome | Failed]] = field(default_factory=lambda: defaultdict(deque))
    static: str | None = None
    pristine: bool = True
    seconds: float = 0.0
    resolved: set[tuple[str, str]] = field(default_factory=set)
    changed: bool = False
    start: States | None = None
    before: States | None = None
    drew: bool = False
    find: Callable[[str], tuple[Lease | None, Outcome | None]] | None = None
    found: Outcome | None = None
    lease: Lease | None = None
    places: Callable[[], Places] = Places
    registered: set[str] = field(default_factory=set)

    @cached_property
    def given(self) -> Given:
        """What the stage is handed that somebody else still holds."""
        return Given(self.stage)

    def release(self) -> None:
        """Let others compute it, if it is to be computed at all: the stage has been stored or never will be."""
        if self.lease is not None:
            self.lease.release()

    def received(self) -> dict[int, Outcome] | None:
        """The outcomes that it received, by child; None if one is not known."""
        waiting = {shape: deque(outcomes) for shape, outcomes in self.outcomes.items()}
        found: dict[int, Outcome] = {}
        for child in self.stage.children:
            outcomes = waiting.get(child.shape)
            if not outcomes:
                return None
            found[id(child)] = outcomes.popleft()
        return found

    def keys(
        self, outcomes: Mapping[int, Outcome] | None, states: States | None
    ) -> tuple[str | None, str | None]:
        """Trace key of what the stage receives, and its static key if config and code alone led to that.

        Args:
            outcomes: what it receives, by child; None if that is not known.
            states: the global random state in which its target is called, if that is in the key.
        """
        stage, trace, static = self.stage, None, self.static
        if not stage.children:
            trace = stage.static_key if static is not None else None
        elif outcomes is None:
            self.pristine, static = False, None
        else:
            found = {child: outcome.identity for child, outcome in outcomes.items()}
            trace = stage.trace_key(lambda child: found[id(child)] or b"") if all(found.values()) else None
            self.pristine = all(outcome.pristine for outcome in outcomes.values())
            static = static if self.pristine else None
        if self.start is not None and (states is None or states.keys() != self.start.keys()):
            # A generator came with the target's module: its state was not in the key that was looked up.
            static = None
        return trace and joined(trace, states), static if trace else None


class Fingerprints(dict[str, Fingerprint]):
    """The code that a call looked at, by name; each is looked at once, so that one call sees one state of it.

    Attributes:
        loaded: for each name, the modules that were loaded by then.
    """

    def __init__(self, look: Callable[[str], Fingerprint]) -> None:
        super().__init__()
        self.loaded: dict[str, frozenset[str]] = {}
        self._look = look
        self._names: frozenset[str] = frozenset()

    def __missing__(self, name: str) -> Fingerprint:
        self.loaded[name] = self._names = loaded_names(self._names)
        found = self[name] = self._look(name)
        return found


class Call:
    """One ``instantiate`` call: what is shared within it, and the stages that are on their way.

    Args:
        reader: reads its stages.
        share: the sharing mode.
        fingerprints: the code that was read for it.
        redigest: gives the digest of a value as it is now; None if there is none.
    """

    def __init__(
        self,
        reader: Reader,
        share: str,
        fingerprints: Fingerprints,
        redigest: Callable[[Any], str | None],
    ) -> None:
        self.reader = reader
        self.fingerprints = fingerprints
        self.frames: list[Frame] = []
        self.targets: set[tuple[str, str]] = set()  # of all its stages so far, see ``Outcome``
        self._share = share
        self._redigest = redigest
        self._shared: dict[Any, Outcome] = {}
        self._uses: Counter[Any] = Counter()
        self._calls = 0

    @property
    def dependant(self) -> Stage | None:
        """The stage that will receive the result of the one on top; None if none does."""
        return self.frames[-2].stage if len(self.frames) > 1 else None

    def expect(self, stages: Iterable[Stage]) -> None:
        """Learn, before anything runs, which stages more than one will receive."""
        pending = list(stages)
        while pending:
            stage = pending.pop()
            sharing = self._sharing(stage)
            self._uses[sharing] += 1
            if self._uses[sharing] == 1:
                pending.extend(stage.children)

    def is_shared(self, stage: Stage) -> bool:
        """Whether more than one stage will receive this stage's object."""
        return self._uses[self._sharing(stage)] > 1

    def called(self) -> None:
        """A target has been called: what it received may have changed."""
        self._calls += 1

    def available(self, stage: Stage) -> Outcome | None:
        """The object that this stage gets in this call because another node had it made, as it is now."""
        found = self._shared.get(self._sharing(stage))
        if found is not None:
            self.look_again(found)
        return found

    def look_again(self, outcome: Outcome) -> None:
        """Bring up to date what stands for an object that targets called since may have changed."""
        if outcome.seen in (None, self._calls) or outcome.identity is None:
            return
        outcome.seen = self._calls
        before, outcome.digest = outcome.digest, self._redigest(outcome.value)
        outcome.pristine = outcome.pristine and outcome.digest is not None and outcome.digest == before
        if outcome.digest is None:
            outcome.trace = None

    def receive(self) -> None:
        """The stage on top gets what was made for it: look again at what a change to a sibling changes."""
        frame = self.frames[-1]
        if frame.stage.aliased:
            for outcomes in frame.outcomes.values():
                for outcome in outcomes:
                    self.look_again(outcome)

    def identify(self) -> None:
        """Take the digest of what the stage on top gets where only its code stands for it: it may change."""
        frame = self.frames[-1]
        for child in frame.stage.children:
            for outcome in frame.outcomes.get(child.shape, ()):
                if outcome.digest is None and outcome.trace is not None and not child.partial:
                    outcome.digest, outcome.seen = self._redigest(outcome.value), self._calls

    def take_ready(self, stage: Stage) -> Outcome | Failed | None:
        """What was made for this stage ahead of Hydra's asking, because its dependant's key needed it."""
        waiting = self.frames[-1].ready.get(stage.shape) if self.frames and stage.obstacle is None else None
        return waiting.popleft() if waiting else None

    def take_back(self, stage: Stage) -> Outcome | None:
        """The result of what was just run ahead, which the stage on top does not receive yet."""
        outcomes = self.frames[-1].outcomes[stage.shape]
        return outcomes.pop() if outcomes else None

    def finish(self, stage: Stage, outcome: Outcome) -> None:
        """Tell the dependant, and those who share."""
        if outcome.seen is None:
            outcome.seen = self._calls
        self.targets |= outcome.targets
        self._shared.setdefault(self._sharing(stage), outcome)
        if self.frames and stage.obstacle is None:
            self.frames[-1].outcomes[stage.shape].append(outcome)

    def _sharing(self, stage: Stage) -> Any:
        calling = (stage.mode["convert"], stage.mode["recursive"], stage.mode["partial"])
        if self._share == "reference":
            return stage.identity, calling
        if self._share == "equal" and stage.obstacle is None:
            return stage.shape
        return object()
