"""Publishing: deciding whether a computed result is kept, keeping it, and saying why it had to be computed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from hydra_cached import policy, random_state
from hydra_cached.call import Call, Frame, Outcome
from hydra_cached.config import CacheOptions, Mode
from hydra_cached.errors import NotStorable, StrictError, brief
from hydra_cached.explain import Parts, parts_of, reason_of_miss
from hydra_cached.keys.code.freshness import LoadedCode, Read
from hydra_cached.keys.content import content_digest
from hydra_cached.keys.files import FileDigests
from hydra_cached.keys.key import Stage
from hydra_cached.secrets import named_in_environment
from hydra_cached.shelf import Shelf

log = logging.getLogger("hydra_cached.publish")
_REMEMBERED = 8  # entries of one target whose parts are kept for explaining the next miss
_PATHS = 32  # and nodes, of each of which the youngest is kept
DRAWS = (
    "its target draws from the global random state, which a hit would not move on; "
    "name it in cache.random_state to have the state before in its key and the state after restored"
)


@dataclass(frozen=True)
class Published:
    """What became of a computed result.

    Args:
        digest: digest of its content, if it was taken.
        size: bytes stored.
        stored: whether it was.
        problem: why it could not be stored though policy wants it.
        reason: why it was not stored, for whatever reason.
        miss: how its key differs from the nearest that is stored.
        note: something else that a person should know.
        doubtful: whether other code made it, or other files went into it, than its key says.
    """

    digest: str | None = None
    size: int = 0
    stored: bool = False
    problem: str | None = None
    reason: str = ""
    miss: str = ""
    note: str = ""
    doubtful: bool = False


class Publisher:
    """Keeps results.

    Args:
        shelf: where.
        options: the cache's options.
        files: digests of declared files.
        loaded: what is known of the modules that are loaded.
        facts: what else a manifest says, for a stage's frame (targets, policy, times).
        secrets: texts that must not be shown; more may come.
    """

    def __init__(
        self,
        shelf: Shelf,
        options: CacheOptions,
        files: FileDigests,
        loaded: LoadedCode,
        facts: Callable[[Frame], Mapping[str, Any]],
        secrets: Iterable[str],
    ) -> None:
        self._shelf = shelf
        self._options = options
        self._files = files
        self._facts = facts
        self._secrets = secrets
        self._loaded = loaded
        self.writes = options.mode in (Mode.readwrite, Mode.refresh)
        self.written: set[str] = set()  # keys that this session wrote, which `refresh` may read again

    def publish(
        self, call: Call, frame: Frame, value: Any, trace: str | None, static: str | None
    ) -> Published:
        """Decide whether a computed result is kept, and keep it before anybody can change it.

        Args:
            call: the call that it belongs to.
            frame: its stage, and how the computation went.
            value: the result.
            trace: the key of what it was computed from; None if that is not known.
            static: the key of its config and code, if that led to the same.

        Raises:
            StrictError: with ``strict``, if it should be kept and cannot be.
        """
        stage, unwanted = frame.stage, self._unwanted(frame)
        asked_for = self._asked_for(call, frame)
        doubt = self._moved(call, stage) if unwanted is None or asked_for else None
        problem = self._problem(call, frame, value, trace, doubt, unwanted is None)
        digest: str | None = None
        try:
            if problem is None and unwanted is None and trace is not None:
                return self._keep(call, frame, value, trace, static)
            if asked_for:
                digest = self.digest(call, value)
        except NotStorable as error:
            if stage.not_deterministic or unwanted is None:
                problem = problem or f"its result cannot be pickled: {error}"
        except Exception as error:
            # Stores raise what they like: errors of their own, of their client, MemoryError.
            problem = f"the cache cannot be written: {brief(error)}"
        if problem is not None:
            self.insist(frame, problem)
        return Published(
            digest, problem=problem, reason=problem or unwanted or "", doubtful=doubt is not None
        )

    def insist(self, frame: Frame, problem: str) -> None:
        """With ``strict``, raise a ``StrictError`` for a problem with a result that policy says to keep."""
        stage = frame.stage
        if self._options.strict and self._unwanted(frame) is None:
            where = f"{stage.path or 'the root'} ({stage.target})"
            raise StrictError(f"{where} could not be stored, with cache.strict set: {problem}")

    def _unwanted(self, frame: Frame) -> str | None:
        """Why a result shall not be kept; None if it shall."""
        unwanted = policy.unwanted(frame.stage, frame.seconds, self._options)
        return "cache.mode is readonly" if unwanted is None and not self.writes else unwanted

    def _asked_for(self, call: Call, frame: Frame) -> bool:
        """Whether the digest of a result that is not kept must be taken now, because it is asked for later.

        Not for whatever is quick: that it can be compared would cost more than to make it again.
        """
        stage, dependant = frame.stage, call.dependant
        if stage.partial:
            return False
        if stage.not_deterministic or call.is_shared(stage):
            return True
        return dependant is not None and (dependant.aliased or frame.seconds >= self._options.min_seconds)

    def digest(self, call: Call, value: Any) -> str:
        """Digest of a value's content as it is now; raises ``NotStorable`` if there is none."""
        return self._shelf.digest(value, self._content(call))

    def _content(self, call: Call) -> Callable[[Any], str | None]:
        """What takes digests of contents; functions and classes in them count by their code."""
        return lambda value: content_digest(value, lambda name: call.fingerprints[name].digest)

    def link(self, key: str | None, target: str) -> None:
        """Make a result be found under a second key."""
        if key is not None and key != target and self.writes:
            try:
                self._shelf.link(key, target)
                self.written.add(key)
            except Exception as error:
                log.warning("the cache cannot be written: %s", brief(error))

    def _problem(
        self, call: Call, frame: Frame, value: Any, trace: str | None, doubt: str | None, wanted: bool
    ) -> str | None:
        """Why a result cannot be kept though its stage has a key."""
        if frame.changed:
            return "its config evaluates to something else each time"
        if doubt is not None and wanted:
            return doubt
        if trace is None and not frame.stage.not_deterministic:
            return "it receives a result that nothing can stand for"
        if not wanted:
            return None
        if frame.registered:
            return f"a call registered the resolver {min(frame.registered)}, which a hit would not"
        changed = frame.given.changed(lambda name: call.fingerprints[name].digest)
        if changed is not None:
            return f"its target changed {changed}, which it was handed, and which a hit would not"
        return policy.uncacheable(value)

    def _moved(self, call: Call, stage: Stage) -> str | None:
        """The guard: code and declared files must still be what the key says."""
        code: dict[str, Read] = {}
        pending = [stage]
        seen: set[str] = set()
        while pending:
            each = pending.pop()
            if each.shape in seen:
                continue
            seen.add(each.shape)
            pending.extend(each.children)
            for name in each.code_names:
                found = call.fingerprints[name]
                code[name] = Read(found.digest, found.files, call.fingerprints.loaded[name])
            for name, path in each.file_names.items():
                if self._files.of(path) != each.files[name]:
                    return f"the file {path} was changed while it ran"
        return self._loaded.disagreement(code.values())

    def _keep(self, call: Call, frame: Frame, value: Any, trace: str, static: str | None) -> Published:
        stage = frame.stage
        parts = self._parts(call, frame)
        stored = self._recent(stage)
        notes = sorted({note for name in stage.code_names for note in call.fingerprints[name].notes})
        miss = reason_of_miss(parts, self._comparable(stage, stored))
        if self._options.mode is Mode.refresh:
            miss = "cache.mode is refresh"
        manifest: dict[str, Any] = {
            "target": stage.target,
            "path": stage.path,
            "trace": trace,
            "seconds": frame.seconds,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
            "miss": miss,
            "parts": parts,
            **({"notes": notes} if notes else {}),
            **({"random_state": random_state.capture()} if frame.before is not None else {}),
            **self._facts(frame),
        }
        size = self._shelf.keep(
            trace, value, manifest, self._content(call), frame.places(), frame.given.reference
        )
        self.written.add(trace)
        self.link(static, trace)
        self._remember(stage, trace, parts, stored)
        note = DRAWS if frame.drew and frame.before is None else ""
        return Published(manifest["content"], size, stored=True, miss=miss, note=note)

    def _parts(self, call: Call, frame: Frame) -> Parts:
        stage = frame.stage
        received = frame.received() or {}
        results = {
            child.path: received[id(child)].digest or ""
            for child in stage.children
            if id(child) in received and (child.unstable or not received[id(child)].pristine)
        }
        parts = parts_of(
            stage,
            code=lambda name: call.fingerprints[name].parts,
            results={path: digest for path, digest in results.items() if digest},
            secrets=[*self._secrets, *named_in_environment()],
        )
        if frame.before is not None:
            parts["random state"] = random_state.digest(frame.before)
        return parts

    def _recent(self, stage: Stage) -> list[dict[str, Any]]:
        """Parts of the entries of a target that were stored last."""
        try:
            return self._shelf.recent(stage.target)
        except Exception as error:
            log.debug("what was stored before of %s cannot be read: %s", stage.target, brief(error))
            return []

    def _comparable(self, stage: Stage, stored: list[dict[str, Any]]) -> list[Parts]:
        """What to compare a stage with: the same node of earlier runs, if there is one; never its siblings."""
        earlier = [entry for entry in stored if entry["key"] not in self.written]
        same = [entry for entry in earlier if entry.get("path") == stage.path]
        return [entry["parts"] for entry in same or earlier]

    def _remember(self, stage: Stage, key: str, parts: Parts, stored: list[dict[str, Any]]) -> None:
        entries = [{"key": key, "path": stage.path, "parts": parts}]
        entries += [entry for entry in stored if entry.get("parts") != parts]
        # Of a target that many nodes name, the youngest of each, lest a run forget what the last one stored.
        youngest = list({entry.get("path"): entry for entry in reversed(entries)}.values())[::-1][:_PATHS]
        try:
            self._shelf.remember(
                stage.target, [e for at, e in enumerate(entries) if at < _REMEMBERED or e in youngest]
            )
        except Exception as error:
            log.debug("what was stored of %s cannot be noted: %s", stage.target, brief(error))


def costs_of(frame: Frame) -> dict[str, float]:
    """Seconds that a stage and each that it received took, one that several received once."""
    costs: dict[str, float] = {}
    for outcome in _inner(frame):
        costs.update(outcome.costs)
    if frame.stage.obstacle is None:
        costs[frame.stage.shape[:16]] = round(frame.seconds, 6)
    return costs


def targets_of(frame: Frame) -> frozenset[tuple[str, str]]:
    """Names and canonical names of all targets that were called for a stage."""
    return frozenset(frame.resolved).union(*(outcome.targets for outcome in _inner(frame)))


def _inner(frame: Frame) -> list[Outcome]:
    return [outcome for outcomes in frame.outcomes.values() for outcome in outcomes]
