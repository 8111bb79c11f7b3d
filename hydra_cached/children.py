"""What stands for the results of a stage's children before Hydra builds them, as far as that can be known."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from hydra_cached.call import Call, Frame, Outcome
from hydra_cached.config import CacheOptions, Mode
from hydra_cached.keys.key import Stage
from hydra_cached.seam import Failed, Run, Visit
from hydra_cached.shelf import Found

T = TypeVar("T")
Steps = Generator[Run, Any, T]


class Children:
    """Finds out what the children are, from what is kept of them or by running them ahead of their turn.

    Args:
        options: the cache's options.
        find: looks for what is kept under a key.
        authorised: whether Hydra would call a stage's targets, and these others, now.
    """

    def __init__(
        self,
        options: CacheOptions,
        find: Callable[[Stage, str], Found | None],
        authorised: Callable[[Stage, Any, Visit], bool],
    ) -> None:
        self._options = options
        self._find = find
        self._authorised = authorised

    def worth_tracing(self, stage: Stage, visit: Visit) -> bool:
        """Whether to find out what the children are before Hydra builds them."""
        if not stage.children:
            return False
        if self._options.mode is Mode.refresh and not stage.unstable:
            return False
        return not stage.has_missing and self._authorised(stage, (), visit)

    def outcomes(self, frame: Frame, visit: Visit, call: Call) -> Steps[dict[int, Outcome] | None]:
        """The children's results, or what stands for them; None if something does not, or not yet.

        Children that have to run whatever is stored run here. Others are left to Hydra: an error of this stage's
        own must not come after hours of work on its children. First all are had, then asked: while one is made,
        it may change another that it shares.
        """
        stage = frame.stage
        known = {id(child): self._known(child, visit, call) for child in stage.children}
        absent = [child for child in stage.children if known[id(child)] is None]
        if not all(child.unstable and not self._options.random_state for child in absent):
            return None
        ahead: list[tuple[Stage, Outcome | Failed | None]] = []
        for child in absent:
            if call.available(child) is None:
                ahead.append((child, (yield from self._run_ahead(child, visit, call))))
                if not isinstance(ahead[-1][1], Outcome):
                    break
        for child, answer in ahead:
            if answer is not None:
                frame.ready[child.shape].append(answer)
            known[id(child)] = answer if isinstance(answer, Outcome) else None
        results: dict[int, Outcome] = {}
        for child in stage.children:
            outcome = call.available(child) or known[id(child)]
            if outcome is not None and stage.aliased:
                call.look_again(outcome)
            if outcome is None or outcome.identity is None:
                return None
            results[id(child)] = outcome
        return results

    def _known(self, child: Stage, visit: Visit, call: Call) -> Outcome | None:
        """What is known of a child's result without running or loading anything."""
        shared = call.available(child)
        # A hit that restores the random state must come when its turn comes.
        if shared is not None or child.unstable or self._options.random_state:
            return shared
        if child.partial:
            inner = {id(each): self._known(each, visit, call) for each in child.children}
            known = {at: outcome for at, outcome in inner.items() if outcome is not None}
            frame = Frame(child, static=child.static_key)
            trace, _ = frame.keys(known if len(known) == len(inner) else None, None)
            return None if trace is None else Outcome(None, None, trace, pristine=frame.pristine)
        entry = self._find(child, child.static_key)
        if entry is None or not self._authorised(child, recorded_targets(entry), visit):
            return None
        return outcome_of(entry)

    def _run_ahead(self, child: Stage, visit: Visit, call: Call) -> Steps[Outcome | Failed | None]:
        """Run a child before its turn; what comes of it, result or error, waits for its turn."""
        source = child.source
        answer = yield Run(visit.child(source.node, source.convert, source.recursive), whole=True)
        return answer if isinstance(answer, Failed) else call.take_back(child)


def recorded_targets(found: Found) -> list[tuple[str, str]]:
    """Target names and the canonical names that they stood for when a kept result was computed."""
    return [(str(name), str(canonical)) for name, canonical in found.manifest.get("targets", ())]


def outcome_of(found: Found, value: Any = None) -> Outcome:
    """A kept result as the outcome of a stage; without its value, if only what is known of it matters."""
    manifest = found.manifest
    costs = {str(stage): float(seconds) for stage, seconds in manifest.get("costs", {}).items()}
    targets = frozenset(recorded_targets(found))
    return Outcome(value, manifest.get("content"), manifest.get("trace"), costs, targets)
