"""Fingerprints of code, read from source without importing the target.

>>> CodeIndex().fingerprint("project.text.tokenize").digest  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from blake3 import blake3

from hydra_cached.keys.code import loaded, remembered
from hydra_cached.keys.code.effects import Effects
from hydra_cached.keys.code.marks import is_not_deterministic
from hydra_cached.keys.code.modules import Modules, ParsedFiles
from hydra_cached.keys.code.outcome import Outcome
from hydra_cached.keys.code.reach import Reach
from hydra_cached.keys.code.resolve import Key, Meaning, Resolver
from hydra_cached.keys.code.source import Located

Scope = Literal["project", "target", "off"]
_SCOPES = ("project", "target", "off")


@dataclass(frozen=True)
class Fingerprint:
    """What the code behind a target is.

    Attributes:
        digest: hex blake3 of the scope and the sorted parts.
        parts: what the digest consists of, by name: ``project.text.tokenize`` -> digest of its normal form,
            ``project.text:<module level>`` -> digest of statements that act on import, ``whole module
            project.plugins`` -> digest, ``scikit-learn`` -> version, ``python`` -> minor version.
        not_deterministic: the target is decorated with :func:`hydra_cached.not_deterministic`.
        files: source files that were read -> (modification time in ns, size in bytes).
        notes: what could not be followed statically, in words for a person.
    """

    digest: str
    parts: Mapping[str, str]
    not_deterministic: bool = False
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_facts(self) -> dict[str, Any]:
        """As plain JSON data, without the times of the files."""
        return {
            "digest": self.digest,
            "parts": dict(self.parts),
            "not_deterministic": self.not_deterministic,
            "files": list(self.files),
            "notes": list(self.notes),
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], modules: Modules) -> Fingerprint:
        """From such data, where the files are known to be the same."""
        files = {path: modules.files[path].stamp[:2] for path in facts["files"]}
        parts = MappingProxyType(dict(facts["parts"]))
        marked, notes = bool(facts["not_deterministic"]), tuple(facts["notes"])
        return cls(facts["digest"], parts, marked, MappingProxyType(files), notes)


class CodeNotFound(Exception):
    """The definition of a target cannot be found without running code.

    Attributes:
        target: the dotted name.
        reason: why, in words.
    """

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"no code found for {self.target}: {self.reason}"


class CodeIndex:
    """Makes fingerprints; remembers parsed files and finished fingerprints for as long as they hold.

    Threads may share it: one looks at a time. Every call looks at the times of all files that were read, so that
    an edit is noticed at the next call.

    Args:
        slow: fingerprints that took longer, in seconds, are worth remembering for other processes.
    """

    def __init__(self, slow: float = 0.02) -> None:
        self._slow = slow
        self._parsed = ParsedFiles()
        self._lock = threading.RLock()
        self._effects: Effects | None = None
        self._memo: dict[tuple[str, str], Fingerprint] = {}

    def fingerprint(
        self, target: str, scope: str = "project", memory: MutableMapping[str, str] | None = None
    ) -> Fingerprint:
        """Fingerprint the code behind a dotted name.

        Args:
            target: ``package.module.name``, also of methods of classes and of module-level objects.
            scope: ``project`` (the target and all first-party code that it reaches; distributions by
                version), ``target`` (its own definition only) or ``off`` (nothing: a constant).
            memory: texts by name, where processes remember fingerprints for each other, if anywhere.

        Raises:
            CodeNotFound: neither source nor a loaded object was found under this name.
            ValueError: no such scope.
        """
        if scope not in _SCOPES:
            raise ValueError(f"scope is {scope!r}, must be one of {', '.join(_SCOPES)}")
        with self._lock:
            if self._effects is None or not self._effects.resolver.modules.still_hold():
                self._effects = Effects(Resolver(Modules(self._parsed)))
                self._memo.clear()
            known = self._memo.get((target, scope))
            if known is not None:
                return known
            made = self._recalled(target, scope, memory) if memory is not None else None
            if made is None:
                made = self._followed(target, scope, memory)
            return made

    def _followed(self, target: str, scope: str, memory: MutableMapping[str, str] | None) -> Fingerprint:
        assert self._effects is not None
        look = _Look(self._effects, target, scope)
        start = time.perf_counter()
        try:
            with _no_collection():
                made = look.fingerprint()
        except RecursionError:
            raise CodeNotFound(target, "its code is nested too deeply to be followed") from None
        if not look.from_memory:
            self._memo[target, scope] = made
            if memory is not None and time.perf_counter() - start > self._slow:
                modules = self._effects.resolver.modules
                text = remembered.to_text(modules, made.to_facts())
                if text is not None:
                    memory[remembered.name_of(modules, target, scope)] = text
        return made

    def _recalled(self, target: str, scope: str, memory: MutableMapping[str, str]) -> Fingerprint | None:
        """What another process found, if all of it still holds."""
        assert self._effects is not None
        modules = self._effects.resolver.modules
        text = memory.get(remembered.name_of(modules, target, scope))
        facts = remembered.from_text(modules, text) if text is not None else None
        if facts is None:
            return None
        made = self._memo[target, scope] = Fingerprint.from_facts(facts, modules)
        return made


@contextmanager
def _no_collection() -> Iterator[None]:
    """Parsing makes many small objects that stay; collecting garbage meanwhile takes longer than parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                # Count what was made as old at once, or the next collection would visit all of it.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


class _Look:
    """One fingerprint in the making."""

    def __init__(self, effects: Effects, target: str, scope: str) -> None:
        self.effects = effects
        self.resolver = effects.resolver
        self.modules = effects.resolver.modules
        self.target = target
        self.scope = scope
        self.from_memory = False
        self.files: set[str] = set()
        self.names = tuple(target.split("."))

    def fingerprint(self) -> Fingerprint:
        if not all(name.isidentifier() for name in self.names):
            raise CodeNotFound(self.target, "not a dotted name")
        located = self.modules.locate(self.names[0])
        if located is not None and located.owner != "first-party":
            return self._made({} if self.scope == "off" else self._version_parts(self.target))
        meanings = self._meanings(self.names)
        if not meanings:
            return self._from_memory()
        parts: dict[str, str] = {}
        notes: set[str] = set()
        if self.scope == "project":
            reach = Reach(self.effects)
            reach.need(self.names[0], self.names[1:])
            outcome = Outcome(reach)
            parts, notes = outcome.parts(), outcome.notes()
            self.files.update(outcome.files())
        elif self.scope == "target":
            for meaning in meanings:
                parts.update(self._own_parts(meaning))
        for meaning in meanings:
            if meaning.key is not None:
                self.files.add(self.modules.paths[meaning.key[0]])
        return self._made(parts, is_not_deterministic(self.resolver, meanings), notes)

    def _from_memory(self) -> Fingerprint:
        """For what has no source: notebooks, ``exec``, names that were set by computed code."""
        self.from_memory = True
        if self.modules.locate(self.target) is not None:
            raise CodeNotFound(self.target, "it is a module")
        try:
            found = loaded.find(self.target)
        except LookupError as error:
            known = self.modules.locate(self.names[0]) is not None
            reason = "its source does not define it, and it is not loaded either" if known else str(error)
            raise CodeNotFound(self.target, reason) from None
        marked = loaded.is_marked(found)
        if self.scope == "off":
            return self._made({}, marked)
        digests = loaded.Loaded(self._static_parts, deep=self.scope == "project")
        try:
            digests.add(found, self.target)
        except loaded.Opaque as error:
            raise CodeNotFound(self.target, str(error)) from None
        note = f"{self.target}: no source: taken from the loaded object"
        return self._made(digests.parts, marked, {note})

    def _static_parts(self, name: str) -> dict[str, str] | None:
        """Parts for what an object in memory names, if it has source or a distribution."""
        names = tuple(name.split("."))
        located = self.modules.locate(names[0])
        if located is None:
            return None
        if located.owner == "stdlib":
            return {}
        if located.owner == "third-party":
            return self._version_parts(name)
        if not self.modules.is_first_party(names[0]):
            return {}
        if self.modules.locate(name) is None and not self._meanings(names):
            return None
        reach = Reach(self.effects)
        reach.need(names[0], names[1:])
        outcome = Outcome(reach)
        self.files.update(outcome.files())
        return outcome.parts()

    def _made(
        self, parts: dict[str, str], marked: bool = False, notes: set[str] | None = None
    ) -> Fingerprint:
        state = blake3(self.scope.encode())
        for name in sorted(parts):
            state.update(f"\0{name}\0{parts[name]}".encode("utf-8", "surrogatepass"))
        files = {path: self.modules.files[path].stamp[:2] for path in sorted(self.files) if path}
        shown = MappingProxyType(dict(sorted(parts.items())))
        return Fingerprint(
            state.hexdigest(), shown, marked, MappingProxyType(files), tuple(sorted(notes or ()))
        )

    def _meanings(self, names: tuple[str, ...]) -> list[Meaning]:
        found = self.resolver.from_module(names[0], names[1:]) if self.modules.locate(names[0]) else []
        return [meaning for meaning in found if meaning.key is None or self._is_bound(meaning.key)]

    def _is_bound(self, key: Key) -> bool:
        module = self.modules.get(key[0])
        if module is None:
            return False
        return bool(module.live_binders(key[1]) or module.opaque or module.live_binders("__getattr__"))

    def _own_parts(self, meaning: Meaning) -> dict[str, str]:
        if meaning.key is None:
            return self._version_parts(meaning.external)
        module = self.modules.get(meaning.key[0])
        assert module is not None
        digests = [unit.form(module, False, False).digest for unit in module.live_binders(meaning.key[1])]
        own = module.opaque or blake3("\0".join(digests).encode()).hexdigest()[:32]
        return {".".join(meaning.key): own}

    def _version_parts(self, name: str) -> dict[str, str]:
        """Parts for what is not the project's own: distribution and version."""
        pieces = name.split(".")
        found: Located | None = None
        for count in range(1, len(pieces) + 1):
            located = self.modules.locate(".".join(pieces[:count]))
            if located is None:
                break
            found = located
        if found is None or found.owner == "stdlib":
            return {"python": f"{sys.version_info.major}.{sys.version_info.minor}"} if found else {}
        if found.distribution is None:
            return {}
        return {found.distribution[0]: found.distribution[1]}


@functools.cache
def code_index() -> CodeIndex:
    """The index of this process: what it remembers holds for as long as the files do, whatever session asks."""
    return CodeIndex()
