"""One ``instantiate`` call as the session sees it: what is shared in it, and the stages that are on their way."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from hydra_cached.keys.key import Stage
from hydra_cached.keys.reader import Reader


@dataclass(frozen=True)
class Outcome:
    """A stage's result, and what stands for it in the keys of the stages that receive it.

    Args:
        value: the result.
        digest: digest of its content, if that is known.
        trace: the stage's trace key, which stands for the result where there is no digest.
        seconds: time that it and everything in it took when it was computed.
        targets: target names and the canonical names that they stood for, for Hydra's target policy.
    """

    value: Any
    digest: str | None
    trace: str | None
    seconds: float = 0.0
    targets: frozenset[tuple[str, str]] = frozenset()

    @property
    def identity(self) -> bytes | None:
        """What a dependant's trace key says of this result; None if nothing can stand for it."""
        if self.digest is not None:
            return b"content " + self.digest.encode()
        return None if self.trace is None else b"trace " + self.trace.encode()


@dataclass
class Frame:
    """A stage on its way."""

    stage: Stage
    outcomes: dict[str, deque[Outcome]] = field(default_factory=lambda: defaultdict(deque))
    seconds: float = 0.0
    resolved: set[tuple[str, str]] = field(default_factory=set)
    changed: bool = False

    def identities(self) -> dict[int, bytes] | None:
        """What stands for the results that the children had: by child; None if something does not."""
        waiting = {shape: deque(outcomes) for shape, outcomes in self.outcomes.items()}
        found: dict[int, bytes] = {}
        for child in self.stage.children:
            outcomes = waiting.get(child.shape)
            identity = outcomes.popleft().identity if outcomes else None
            if identity is None:
                return None
            found[id(child)] = identity
        return found


class Call:
    """One ``instantiate`` call: what is shared within it, and the stages that are on their way."""

    def __init__(self, reader: Reader, share: str) -> None:
        self.reader = reader
        self._share = share
        self._shared: dict[Any, Outcome] = {}
        self._prepared: dict[str, deque[Outcome]] = defaultdict(deque)
        self.frames: list[Frame] = []

    def available(self, stage: Stage) -> Outcome | None:
        """The object that this stage gets in this call because another node had it made."""
        return self._shared.get(self._sharing(stage))

    def take_prepared(self, stage: Stage) -> Outcome | None:
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

    def finish(self, stage: Stage, outcome: Outcome) -> None:
        """Tell the dependant, and those who share."""
        self._shared[self._sharing(stage)] = outcome
        if self.frames and stage.obstacle is None:
            self.frames[-1].outcomes[stage.shape].append(outcome)

    def _sharing(self, stage: Stage) -> Any:
        calling = (stage.mode["convert"], stage.mode["recursive"], stage.mode["partial"])
        if self._share == "reference":
            return stage.identity, calling
        if self._share == "equal" and stage.obstacle is None:
            return stage.shape
        return object()
