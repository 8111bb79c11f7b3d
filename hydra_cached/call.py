"""One ``instantiate`` call as the session sees it: what is shared in it, and the stages that are on their way."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hydra_cached.keys.code import Fingerprint
from hydra_cached.keys.key import Stage
from hydra_cached.keys.reader import Reader
from hydra_cached.random_state import States
from hydra_cached.seam import Failed


@dataclass(frozen=True)
class Outcome:
    """A stage's result, and what stands for it in the keys of the stages that receive it.

    Args:
        value: the result.
        digest: digest of its content, if that is known.
        trace: the stage's trace key, which stands for the result where there is no digest.
        costs: seconds that it, and each stage in it, took when it was computed; by what identifies the stage.
        targets: target names and the canonical names that they stood for, for Hydra's target policy.
        pristine: whether it is still as its stage made it.
    """

    value: Any
    digest: str | None
    trace: str | None
    costs: Mapping[str, float] = field(default_factory=dict)
    targets: frozenset[tuple[str, str]] = frozenset()
    pristine: bool = True

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
        seconds: that its target took.
        resolved: target names, and the canonical names of what they turned out to be.
        changed: its config evaluated to something else when it was called than when it was read.
        before: the global random state before the call, if that is in the key.
        drew: whether the target moved a global random generator.
        find: looks for a result by trace key when Hydra has built what the stage receives, if that was not
            possible before.
        found: what that gave.
    """

    stage: Stage
    outcomes: dict[str, deque[Outcome]] = field(default_factory=lambda: defaultdict(deque))
    seconds: float = 0.0
    resolved: set[tuple[str, str]] = field(default_factory=set)
    changed: bool = False
    before: States | None = None
    drew: bool = False
    find: Callable[[str], Outcome | None] | None = None
    found: Outcome | None = None

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


class Fingerprints(dict[str, Fingerprint]):
    """The code that a call looked at, by name; each is looked at once, so that one call sees one state of it."""

    def __init__(self, look: Callable[[str], Fingerprint]) -> None:
        super().__init__()
        self._look = look

    def __missing__(self, name: str) -> Fingerprint:
        found = self[name] = self._look(name)
        return found


class Call:
    """One ``instantiate`` call: what is shared within it, and the stages that are on their way.

    Args:
        reader: reads its stages.
        share: the sharing mode.
        fingerprints: the code that was read for it.
        root: the config node that began it.
        redigest: gives the digest of a value as it is now.
    """

    def __init__(
        self,
        reader: Reader,
        share: str,
        fingerprints: Fingerprints,
        root: Any,
        redigest: Callable[[Any], str | None],
    ) -> None:
        self.reader = reader
        self.fingerprints = fingerprints
        self.root = root
        self.frames: list[Frame] = []
        self._share = share
        self._redigest = redigest
        self._shared: dict[Any, tuple[Outcome, int]] = {}
        self._prepared: dict[str, deque[Outcome | Failed]] = defaultdict(deque)
        self._uses: Counter[Any] = Counter()
        self._calls = 0

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
        """The object that this stage gets in this call because another node had it made, as it is now.

        Targets change what they receive, in place: the digest is that of the object's present content, so that
        what is computed from it is kept under what it was computed from.
        """
        found = self._shared.get(self._sharing(stage))
        if found is None:
            return None
        outcome, seen = found
        if seen != self._calls and outcome.identity is not None:
            digest = self._redigest(outcome.value)
            pristine = outcome.pristine and digest is not None and digest == outcome.digest
            outcome = replace(outcome, digest=digest, trace=None if digest is None else outcome.trace)
            outcome = replace(outcome, pristine=pristine)
            self._shared[self._sharing(stage)] = outcome, self._calls
        return outcome

    def take_prepared(self, stage: Stage) -> Outcome | Failed | None:
        """What was made for this stage ahead of Hydra's asking, because its dependant's key needed it."""
        waiting = self._prepared.get(stage.shape) if stage.obstacle is None else None
        return waiting.popleft() if waiting else None

    def prepare(self, stage: Stage) -> Outcome | None:
        """Put aside, until Hydra asks, what the stage on top has just had made."""
        outcomes = self.frames[-1].outcomes[stage.shape]
        if not outcomes:
            return None
        self._prepared[stage.shape].append(outcomes[-1])
        return outcomes.pop()

    def prepare_failure(self, stage: Stage, failed: Failed) -> None:
        """Put aside, until Hydra asks, that a stage cannot be made."""
        self._prepared[stage.shape].append(failed)

    def finish(self, stage: Stage, outcome: Outcome) -> None:
        """Tell the dependant, and those who share."""
        self._shared.setdefault(self._sharing(stage), (outcome, self._calls))
        if self.frames and stage.obstacle is None:
            self.frames[-1].outcomes[stage.shape].append(outcome)

    def _sharing(self, stage: Stage) -> Any:
        calling = (stage.mode["convert"], stage.mode["recursive"], stage.mode["partial"])
        if self._share == "reference":
            return stage.identity, calling
        if self._share == "equal" and stage.obstacle is None:
            return stage.shape
        return object()
