"""Configs before their interpolations are resolved: what refers to what, and what comes from the environment.

Only looks, never evaluates: a resolver may be called once, by Hydra, and must not be called by us. OmegaConf has
no public way to look at a node that is an interpolation, so this and the seam are where its private names stand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig

_NODE_REFERENCE = re.compile(r"\$\{(\.*[^:{}$\s]+)\}")
_ENVIRONMENT = re.compile(r"oc\.env\s*:\s*['\"]?([A-Za-z_][A-Za-z0-9_]*)")
_DEEPEST = 64  # references of references, and containers in containers that are copied


@dataclass(frozen=True)
class Unresolved:
    """What resolving a config makes invisible.

    Args:
        aliases: ``id`` of a node that was an interpolation of a container, to that container.
        secrets: values of environment variables that it referred to.
    """

    aliases: Mapping[int, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


NOTHING = Unresolved()


class Copies:
    """The interpolations of a config that will be copies of what they refer to once it is resolved.

    Args:
        config: a container that is not resolved yet.
    """

    def __init__(self, config: Any) -> None:
        self._secrets = tuple(environment_values(config))
        self._references = [(*reference, _shadow(reference[2], 0)) for reference in _references_in(config)]

    def resolved(self) -> Unresolved:
        """What was what, to be asked once the config has been resolved."""
        aliases: dict[int, Any] = {}
        for parent, key, target, shadow in self._references:
            _note_aliases(parent._get_node(key), target, shadow, aliases)
        return Unresolved(aliases, self._secrets)


Reference = tuple[Any, Any, Any]  # a container, a key in it, and the container that stands there by reference


def _references_in(config: Any) -> list[Reference]:
    """Each interpolation of a container in a config that is not resolved yet.

    Only plain references (``${a.b}``, ``${..b}``) are followed, by looking and without evaluating: a resolver is
    called once, by Hydra.
    """
    found: list[Reference] = []
    pending = [config]
    while pending:
        parent = pending.pop()
        for key, child in _items(parent):
            if child._is_interpolation():
                target = _referred(child)
                if target is not None:
                    found.append((parent, key, target))
            elif isinstance(child, (DictConfig, ListConfig)):
                pending.append(child)
    return found


def _items(container: Any) -> list[tuple[Any, Any]]:
    content = container.__dict__.get("_content")
    if isinstance(content, dict):
        return list(content.items())
    return list(enumerate(content)) if isinstance(content, list) else []


def _shadow(target: Any, depth: int) -> dict[Any, tuple[Any, Any]]:
    """For a container that will be copied: the containers in it, by key, each with the same again."""
    inner: dict[Any, tuple[Any, Any]] = {}
    for key, child in _items(target) if depth < _DEEPEST else ():
        meant = _referred(child) if child._is_interpolation() else child
        if isinstance(meant, (DictConfig, ListConfig)):
            inner[key] = (meant, _shadow(meant, depth + 1))
    return inner


def _note_aliases(copied: Any, target: Any, shadow: Mapping[Any, Any], found: dict[int, Any]) -> None:
    """Note of a copy, and of all containers in it, what they are copies of."""
    found[id(copied)] = target
    for key, child in _items(copied):
        if key in shadow and isinstance(child, (DictConfig, ListConfig)):
            meant, deeper = shadow[key]
            _note_aliases(child, meant, deeper, found)


def _referred(node: Any) -> Any:
    """The container that an interpolation stands for in the end; None if it stands for anything else."""
    for _ in range(_DEEPEST):
        reference = _NODE_REFERENCE.fullmatch(str(node._value()))
        if reference is None:
            return None
        try:
            node = _step_to(node._get_parent(), reference.group(1))
        except Exception:
            return None  # Hydra's own resolving will say what is wrong with it
        if node is None:
            return None
        if not node._is_interpolation():
            container = isinstance(node, (DictConfig, ListConfig)) and not node._is_none()
            return node if container and not node._is_missing() else None
    return None


def _step_to(parent: Any, reference: str) -> Any:
    from omegaconf._utils import split_key

    node, reference = parent._resolve_key_and_root(reference)
    for part in split_key(reference):
        if node._is_interpolation():
            node = _referred(node)
        if not isinstance(node, (DictConfig, ListConfig)):
            return None
        step: Any = int(part) if isinstance(node, ListConfig) else part
        node = node._get_node(step)
    return node


def environment_values(node: Any) -> list[str]:
    """Values of the environment variables that a config refers to (``${oc.env:NAME}``)."""
    found: set[str] = set()
    pending = [node]
    while pending:
        for _, child in _items(pending.pop()):
            if isinstance(child, (DictConfig, ListConfig)) and not child._is_interpolation():
                pending.append(child)
            elif isinstance(text := child._value(), str):
                for name in _ENVIRONMENT.findall(text):
                    found.update(value for value in (os.environ.get(name),) if value)
    return sorted(found)
