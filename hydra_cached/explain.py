"""Why a stage was not served: what its key is made of, and how that differs from what was stored before.

Pure functions from data to data. The parts of a key are recorded by name in manifests; two sets of parts are
compared, and the differences are worded for a person. Values that look secret never get this far: they are left
out when parts are made.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath

from blake3 import blake3

from hydra_cached.events import NOTHING
from hydra_cached.keys.canonical import type_name
from hydra_cached.keys.configs import below
from hydra_cached.keys.key import MISSING, Items, Leaf, Part, Stage
from hydra_cached.secrets import SECRET, holds_secret, looks_secret, redacted

Parts = dict[str, str]

_DIGEST = re.compile(r"[0-9a-f]{32,}")
_LONGEST = 80


def parts_of(
    stage: Stage,
    *,
    code: Callable[[str], Mapping[str, str]],
    results: Mapping[str, str],
    secrets: Iterable[str] = (),
) -> Parts:
    """The parts of a stage's key, by name.

    Args:
        stage: the stage.
        code: gives the parts of the fingerprint of a name.
        results: digests of results by path, for those stages in it whose result, not config, is in the key.
        secrets: texts that must not be shown, such as the values of environment variables that were read.

    Returns:
        ``param model.depth`` to its shown value, ``code project.f`` to a digest, ``version numpy`` to a version,
        ``file data.csv`` and ``result path`` to digests, and ``mode convert`` and its like.
    """
    writer = _Writer(tuple(text for text in secrets if text), code)
    for name, value in stage.mode.items():
        writer.parts[f"mode {name}"] = str(value)
    writer.stage(stage, "", hidden=any(looks_secret(step) for step in re.split(r"[.\[\]]", stage.path)))
    writer.parts.update((f"result {path}", digest) for path, digest in results.items())
    return writer.parts


class _Writer:
    def __init__(self, secrets: tuple[str, ...], code: Callable[[str], Mapping[str, str]]) -> None:
        self.parts: Parts = {}
        self._secrets = secrets
        self._code = code
        self._seen: dict[str, str] = {}

    def stage(self, stage: Stage, at: str, hidden: bool = False) -> None:
        if at and stage.shape in self._seen:
            self.parts[f"param {at}"] = f"= {self._seen[stage.shape]}"
            return
        self._seen[stage.shape] = at
        for name in stage.code_names:
            for part, digest in self._code(name).items():
                kind = "code" if _DIGEST.fullmatch(digest) else "version"
                self.parts[f"{kind} {part}"] = digest
        if at:
            self.parts[f"param {at}._target_"] = stage.target
        if stage.version is not MISSING:
            self.part(stage.version, below(at, "_cache_version_"), hidden)
        for name, digest in stage.files.items():
            self.parts[f"file {self._text(stage.file_names.get(name, name))}"] = digest
        for name, param in stage.params.items():
            self.part(param, below(at, name), hidden or looks_secret(name))

    def part(self, part: Part, at: str, hidden: bool) -> None:
        if isinstance(part, Stage):
            self.stage(part, at, hidden)
        elif isinstance(part, Leaf):
            self.parts[f"param {at}"] = SECRET if hidden else self._leaf(part)
        elif not part.parts:
            self.parts[f"param {at}"] = "[]" if part.kind in (b"list", b"tuple") else "{}"
        else:
            self.items(part, at, hidden)

    def items(self, items: Items, at: str, hidden: bool) -> None:
        sequence = items.kind in (b"list", b"tuple")
        for name, inner in zip(items.names, items.parts, strict=True):
            where = f"{at}[{name}]" if sequence else below(at, self._text(str(name)))
            self.part(inner, where, hidden or looks_secret(name))

    def _leaf(self, leaf: Leaf) -> str:
        value = leaf.value
        if isinstance(value, enum.Enum):
            return f"{type_name(type(value))}.{value.name}"
        if value is None or isinstance(value, (bool, int, float, str, PurePath)):
            return self._text(str(value), leaf)
        return f"{type_name(type(value))} {blake3(leaf.code).hexdigest()[:12]}"

    def _text(self, text: str, leaf: Leaf | None = None) -> str:
        if holds_secret(text, self._secrets):
            return SECRET
        text = redacted(text)
        if leaf is not None and isinstance(leaf.value, str):
            text = repr(text)
        if len(text) > _LONGEST:
            mark = blake3(leaf.code if leaf else text.encode()).hexdigest()[:12]
            text = f"{text[:_LONGEST]}… {mark}"
        return text


def differences(now: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """What differs between two sets of parts, the most telling first, one phrase each.

    ``features.n_iter: 250 → 500``, ``code of project.text.tokenize changed``, ``scikit-learn 1.7.1 → 1.7.2``,
    ``file data/train.csv changed``, ``the result of text changed``.
    """
    phrases: list[tuple[int, str]] = []
    for name in sorted({*now, *before}):
        new, old = now.get(name), before.get(name)
        if new != old:
            kind, _, what = name.partition(" ")
            phrases.append((_ORDER.index(kind), _PHRASES[kind](what, old, new)))
    return [phrase for _, phrase in sorted(phrases, key=lambda pair: pair[0])]


def _param(what: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{what}: {new} is new"
    if new is None:
        return f"{what}: {old} is gone"
    return f"{what}: {old} → {new}"


def _version(what: str, old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return f"{what} {new or old} is {'new' if old is None else 'not needed any more'}"
    return f"{what} {old} → {new}"


def _changed(label: str) -> Callable[[str, str | None, str | None], str]:
    def phrase(what: str, old: str | None, new: str | None) -> str:
        fate = "is new" if old is None else "is not reached any more" if new is None else "changed"
        return f"{label}{what} {fate}"

    return phrase


_ORDER = ["param", "mode", "code", "version", "file", "result", "random"]
_PHRASES: dict[str, Callable[[str, str | None, str | None], str]] = {
    "param": _param,
    "mode": lambda what, old, new: f"_{what}_: {old} → {new}",
    "code": _changed("code of "),
    "version": _version,
    "file": _changed("file "),
    "result": _changed("the result of "),
    "random": lambda what, old, new: "the global random state before it differs",
}


def reason_of_miss(now: Mapping[str, str], stored: Sequence[Mapping[str, str]]) -> str:
    """One line: how a stage differs from the nearest of those that were stored.

    Args:
        now: the stage's parts.
        stored: parts of entries of the same target, the youngest first.
    """
    if not stored:
        return NOTHING
    nearest = min((differences(now, parts) for parts in stored), key=len)
    if not nearest:
        if SECRET in now.values():
            return "a secret parameter may have changed, or its entry is gone"
        return "its entry is gone"
    shown = "; ".join(nearest[:3])
    return shown if len(nearest) <= 3 else f"{shown}; and {len(nearest) - 3} more"
