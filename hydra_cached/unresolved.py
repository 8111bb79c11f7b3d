"""Configs before their interpolations are resolved: what refers to what, and what comes from the environment.

Only looks, never evaluates: a resolver may be called once, by Hydra, and must not be called by us. OmegaConf has
no public way to look at a node that is an interpolation, so this and the seam are where its private names stand.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

_NODE_REFERENCE = re.compile(r"\$\{(\.*[^:{}$\s]+)\}")
_ENVIRONMENT = re.compile(r"oc\.env\s*:\s*['\"]?([A-Za-z_][A-Za-z0-9_]*)")
_DEEPEST = 64  # references of references, and containers in containers that are copied


@dataclass(frozen=True)
class Unresolved:
    """What resolving a config makes invisible.

    Args:
        aliases: ``id`` of a node that was an interpolation of a container, to that container.
        secrets: texts in it that came from environment variables.
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
        self._environment = Environment(config)
        self._references = [(*reference, _shadow(reference[2], 0)) for reference in _references_in(config)]

    def resolved(self) -> Unresolved:
        """What was what, to be asked once the config has been resolved."""
        aliases: dict[int, Any] = {}
        for parent, key, target, shadow in self._references:
            _note_aliases(parent._get_node(key), target, shadow, aliases)
        return Unresolved(aliases, self._environment.texts())


def resolved_copy(node: Any) -> tuple[Any, Unresolved]:
    """A node as Hydra 1.3 will have it when it builds it: a copy without interpolations, and what these were.

    Raises:
        OmegaConfBaseException: an interpolation in it cannot be resolved.
    """
    copied = copy.deepcopy(node)
    copied._set_parent(node._get_parent())
    OmegaConf.set_readonly(copied, False)
    copies = Copies(copied)
    OmegaConf.resolve(copied)
    return copied, copies.resolved()


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


class Environment:
    """What a config takes from environment variables (``${oc.env:NAME}``), itself or through other nodes.

    Args:
        config: a container that is not resolved yet.
    """

    def __init__(self, config: Any) -> None:
        self._values: set[str] = set()
        self._places: list[tuple[Any, Any]] = []  # a container, and a key in it whose value comes from there
        self._pending = [config]
        self._asked: dict[int, tuple[Any, bool]] = {}
        seen: dict[int, Any] = {}
        while self._pending:
            container = self._pending.pop()
            if id(container) in seen:
                continue
            seen[id(container)] = container
            for key, child in _items(container):
                if self._is_from_environment(child):
                    self._places.append((container, key))
                elif isinstance(child, (DictConfig, ListConfig)) and not child._is_interpolation():
                    self._pending.append(child)

    def texts(self) -> tuple[str, ...]:
        """The variables' values and what was made of them, to be asked once the config is resolved.

        On Hydra 1.4, which resolves nothing, this evaluates what Hydra is about to evaluate.
        """
        found = set(self._values)
        for container, key in self._places:
            try:
                found.update(_texts_in(container[key]))
            except Exception:
                continue  # Hydra will say what is wrong with it
        return tuple(sorted(found))

    def _is_from_environment(self, node: Any) -> bool:
        text = node._value()
        if not isinstance(text, str) or "${" not in text:
            return False
        if id(node) not in self._asked:
            self._asked[id(node)] = node, False  # for what refers to itself
            self._asked[id(node)] = node, self._looks_at(text, node._get_parent())
        return self._asked[id(node)][1]

    def _looks_at(self, text: str, parent: Any) -> bool:
        names = _ENVIRONMENT.findall(text)
        found = "oc.env" in text
        if text.count("oc.env") > len(names):
            names = list(os.environ)  # a name is computed: it may be any
        self._values.update(os.environ.get(name, "") for name in names)
        for reference in _NODE_REFERENCE.findall(text):
            try:
                target = _step_to(parent, reference)
            except Exception:
                continue  # Hydra's own resolving will say what is wrong with it
            if isinstance(target, (DictConfig, ListConfig)) and not target._is_interpolation():
                self._pending.append(target)
            elif target is not None and self._is_from_environment(target):
                found = True
        return found


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, (DictConfig, ListConfig)):
        value = OmegaConf.to_container(value)
    if isinstance(value, (dict, list, tuple)):
        inner = [*value.values(), *value] if isinstance(value, dict) else value
        return [text for each in inner for text in _texts_in(each)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
