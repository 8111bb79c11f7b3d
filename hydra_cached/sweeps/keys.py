"""What identifies a job: its config without Hydra's own node, and all code that can be reached from it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3
from omegaconf import DictConfig

from hydra_cached.errors import HydraCachedError, brief
from hydra_cached.keys.canonical import Encoder, importable_name, tagged, type_name
from hydra_cached.keys.code import Fingerprint
from hydra_cached.keys.code.freshness import Read, loaded_names
from hydra_cached.keys.configs import (
    TARGET,
    Overlay,
    below,
    is_cache_node,
    is_container,
    is_mapping,
    item_missing,
    mapping_kind,
    sequence_kind,
    target_name,
    wrapped_names,
)
from hydra_cached.keys.special import declared_files, read_special_keys

FORMAT = b"hydra-cached job 1"
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class NoJobKey(HydraCachedError):
    """Nothing can stand for this job, so it is run; the message says why."""


@dataclass
class _Reading:
    """What was met in a job's config.

    Args:
        encoder: encodes values.
        called: names of targets, and where they stand: their code must be known.
        trusted: those of them that their config says are deterministic.
        named: other texts that may be names of code.
        files: digests of declared files.
        marked: paths of nodes that their config says are not deterministic.
    """

    encoder: Encoder = field(default_factory=Encoder)
    called: dict[str, str] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    marked: list[str] = field(default_factory=list)


class JobKeys:
    """Makes keys of jobs. Code is looked at once, so that a sweep sees one state of it.

    Args:
        task: the app's task function.
        fingerprint: gives the fingerprint of the code behind a dotted name.
        files: gives digests of declared files by name.

    Attributes:
        read: the code that was looked at, by name.
    """

    def __init__(
        self, task: Any, fingerprint: Callable[[str], Fingerprint], files: Callable[[str], str]
    ) -> None:
        self.task = task_name(task)
        self.read: dict[str, Read] = {}
        self._fingerprint = fingerprint
        self._files = files
        self._codes: dict[str, Fingerprint | Exception] = {}
        self._names: frozenset[str] = frozenset()

    def of(self, config: DictConfig, *, hidden: tuple[str, ...] = ("hydra",)) -> str:
        """The key of the job that a config describes; interpolations count by what they evaluate to.

        Args:
            config: the job's.
            hidden: names in it that do not count.

        Raises:
            NoJobKey: there is none.
        """
        if self.task is None:
            raise NoJobKey("its task function is not a function of a module")
        reading = _Reading()
        names = [name for name in config if name not in hidden and not is_cache_node(config, name)]
        try:
            parts = [self._item(config, name, str(name), reading) for name in sorted(names, key=str)]
        except NoJobKey:
            raise
        except Exception as error:
            raise NoJobKey(f"its config has no key: {brief(error)}") from error
        if reading.marked:
            raise NoJobKey(f"{reading.marked[0]} is not deterministic")
        codes = self._all_codes(reading)
        hasher = blake3(FORMAT)
        hasher.update(tagged(b"config", *(str(name).encode() for name in sorted(names, key=str))))
        for part in (*parts, *codes):
            hasher.update(tagged(b"part", part))
        for name in sorted(reading.files):
            hasher.update(tagged(b"file", name.encode(), reading.files[name].encode()))
        return hasher.hexdigest()

    def fingerprint(self, name: str) -> Fingerprint:
        """The fingerprint of the code behind a dotted name, as this sweep sees it.

        Raises:
            CodeNotFound: there is none.
        """
        found = self._code(name)
        if isinstance(found, Exception):
            raise found
        return found

    def _all_codes(self, reading: _Reading) -> list[bytes]:
        assert self.task is not None
        kinds = {importable_name(kind) or type_name(kind) for kind in reading.encoder.kinds}
        needed = {self.task, *reading.called, *kinds}
        found = {}
        for name in sorted(needed | reading.named):
            code = self._code(name)
            if isinstance(code, Fingerprint):
                found[name] = code.digest
                if code.not_deterministic and name in reading.called and name not in reading.trusted:
                    raise NoJobKey(f"{reading.called[name]} ({name}) is not deterministic")
            elif name in needed:
                raise NoJobKey(f"the code of {name} cannot be read: {brief(code)}")
        return [tagged(b"code", name.encode(), digest.encode()) for name, digest in found.items()]

    def _code(self, name: str) -> Fingerprint | Exception:
        if name not in self._codes:
            self._names = loaded_names(self._names)
            try:
                found = self._codes[name] = self._fingerprint(name)
            except Exception as error:
                self._codes[name] = error
            else:
                self.read[name] = Read(found.digest, found.files, self._names)
        return self._codes[name]

    def _item(self, container: Any, name: Any, path: str, reading: _Reading) -> bytes:
        if item_missing(container, name):
            return tagged(b"missing")
        return self._value(container[name], path, reading)

    def _value(self, value: Any, path: str, reading: _Reading) -> bytes:
        if not is_container(value):
            if isinstance(value, str) and _DOTTED.fullmatch(value):
                reading.named.add(value)
            return reading.encoder.encode(value, path)
        if not is_mapping(value):
            items = [self._item(value, at, f"{path}[{at}]", reading) for at in range(len(value))]
            return tagged(sequence_kind(value), *items)
        if TARGET in value and not item_missing(value, TARGET):
            self._node(Overlay(value), path, reading)
        pairs = sorted(
            (reading.encoder.encode(name, path), self._item(value, name, below(path, name), reading))
            for name in value
        )
        flat = (piece for pair in pairs for piece in pair)
        return tagged(b"dict", mapping_kind(value, "none"), *flat)

    def _node(self, node: Overlay, path: str, reading: _Reading) -> None:
        """Note what a node calls, which files it declares, and whether it is deterministic."""
        target = target_name(node.get(TARGET, None))
        special = read_special_keys(node, path)
        for name, file in declared_files(node, special, path).items():
            reading.files[below(path, name)] = self._files(file)
        if special.not_deterministic:
            reading.marked.append(path)
        for name in (target, *wrapped_names(target, node)):
            if special.not_deterministic is not False:
                reading.trusted.discard(name)
            elif name not in reading.called:
                reading.trusted.add(name)
            reading.called.setdefault(name, path)


def task_name(task: Any) -> str | None:
    """Dotted name of the function that an app's task is; None if it is not one that a module defines."""
    function = inspect.unwrap(task) if callable(task) else None
    if not inspect.isfunction(function):
        return None
    module, name = function.__module__, function.__qualname__
    return None if "<" in name or not module else f"{module}.{name}"
