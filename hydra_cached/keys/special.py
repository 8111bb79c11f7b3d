"""The special keys: what a node's own config says to the cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from hydra_cached.errors import HydraCachedError
from hydra_cached.keys.configs import Overlay, is_mapping, is_sequence

RESULT, NOT_DETERMINISTIC = "_cache_result_", "_not_deterministic_"
VERSION, IGNORE, FILES = "_cache_version_", "_cache_ignore_", "_cache_files_"
SPECIAL_KEYS = (RESULT, NOT_DETERMINISTIC, VERSION, IGNORE, FILES)


class SpecialKeyError(HydraCachedError, ValueError):
    """A special key in a node's config has a value that means nothing."""

    def __init__(self, path: str, key: str, problem: str) -> None:
        super().__init__(path, key, problem)
        self.path, self.key, self.problem = path, key, problem

    def __str__(self) -> str:
        return f"{f'{self.path}.' if self.path else ''}{self.key}: {self.problem}"


@dataclass(frozen=True)
class SpecialKeys:
    """The special keys of one node.

    Args:
        cache_result: false for a result that, with all that contain it, is not cached.
        not_deterministic: overrides the decorator, where it is given.
        version: any value, part of the key; None where there is none.
        ignore: names of parameters that are left out of the key.
        files: names of files or directories, or of parameters that name one, whose content is part of the key.
    """

    cache_result: bool = True
    not_deterministic: bool | None = None
    version: Any = None
    ignore: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def read_special_keys(node: Overlay, path: str) -> SpecialKeys:
    """The special keys in a node's config.

    Raises:
        SpecialKeyError: one has a value that means nothing.
    """
    given = {key: node[key] for key in SPECIAL_KEYS if key in node and node[key] is not None}
    if not given:
        return SpecialKeys()
    for key in (RESULT, NOT_DETERMINISTIC):
        if key in given and not isinstance(given[key], bool):
            raise SpecialKeyError(path, key, f"must be true or false, not {given[key]!r}")
    lists = {}
    for key in (IGNORE, FILES):
        value = given.get(key, ())
        if not is_sequence(value) or not all(isinstance(item, str) for item in value):
            raise SpecialKeyError(path, key, f"must be a list of names, not {value!r}")
        lists[key] = tuple(value)
    return SpecialKeys(
        cache_result=given.get(RESULT, True),
        not_deterministic=given.get(NOT_DETERMINISTIC),
        version=given.get(VERSION),
        ignore=lists[IGNORE],
        files=lists[FILES],
    )


def declared_files(node: Overlay, special: SpecialKeys, path: str) -> dict[str, str]:
    """Where the declared files are, by the names under which they are declared.

    A name is that of a parameter, which names one file or several, or a path. A parameter that is null declares
    nothing.

    Raises:
        SpecialKeyError: a parameter is no path.
    """
    found: dict[str, Any] = {}
    for name in special.files:
        value = node.get(name, name)
        if is_sequence(value):
            found.update((f"{name}[{at}]", value[at]) for at in range(len(value)))
        elif value is not None:
            found[name] = value
    for name, value in found.items():
        if not isinstance(value, (str, os.PathLike)):
            raise SpecialKeyError(path, FILES, f"{name} is {_described(value)}, not a path")
    return {name: os.fsdecode(value) for name, value in found.items()}


def _described(value: Any) -> str:
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a mapping" if is_mapping(value) else f"a {type(value).__name__}"
