"""Configs that are objects in Python modules: found, overridden, and made ready for Hydra."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf._utils import is_structured_config
from omegaconf.errors import OmegaConfBaseException

from hydra_cached.errors import ConfigModuleError
from hydra_cached.keys.canonical import importable_name

TARGET = "_target_"


def load_config(module: str, name: str = "config") -> Any:
    """The config object of a module.

    Args:
        module: dotted name, or a path to a ``.py`` file below the current directory.
        name: the object's name; may be dotted.

    Raises:
        ConfigModuleError: there is no such module, it fails to import, or has no such object.
    """
    dotted = module[:-3].replace("/", ".").lstrip(".") if module.endswith(".py") else module
    try:
        found: Any = importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name is not None and (dotted == error.name or dotted.startswith(f"{error.name}.")):
            raise ConfigModuleError(
                f"there is no module {dotted!r}: no {error.name!r} in the current directory or on the Python path"
            ) from error
        raise ConfigModuleError(f"{dotted} cannot be imported: it needs {error.name!r}: {error}") from error
    except Exception as error:
        raise ConfigModuleError(f"{dotted} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            others = [n for n, v in vars(found).items() if is_config_object(v) and not n.startswith("_")]
            hint = f"; it has {', '.join(sorted(others))}" if others else ""
            raise ConfigModuleError(f"module {dotted!r} has no object {name!r}{hint}")
        found = getattr(found, part)
    if not is_config_object(found):
        raise ConfigModuleError(f"{dotted}.{name} is a {type(found).__name__}, not a dict-like config")
    return found


def is_config_object(value: Any) -> bool:
    """Whether a value may be a config: a mapping, a list, a config of OmegaConf's, a dataclass or one of attrs'."""
    return isinstance(value, (Mapping, list)) or OmegaConf.is_config(value) or is_structured_config(value)


def prepare_config(config: Any, overrides: Sequence[str] = ()) -> Any:
    """A copy of a config for Hydra: overrides applied, callables of ``_target_`` named.

    Sub-configs that are one object stay one object, so that an override of one place holds for all.

    Args:
        config: what ``load_config`` returned; it is not changed.
        overrides: in Hydra's grammar (``a.b=1``, ``+a.c=2``, ``++a.d=3``, ``~a.e``).

    Raises:
        ConfigModuleError: an override does not fit, or a ``_target_`` has no name.
    """
    if OmegaConf.is_config(config) or is_structured_config(config):
        config = _unstructured(config)
    copied = _copy(config, "", {})
    if overrides:
        _apply(copied, overrides)
    return copied


def _copy(value: Any, path: str, known: dict[int, Any]) -> Any:
    if id(value) in known:
        return known[id(value)]
    copied: Any
    if OmegaConf.is_config(value) or (is_structured_config(value) and not isinstance(value, type)):
        value = _unstructured(value)
    if isinstance(value, Mapping):
        copied = known[id(value)] = {}
        for name, item in value.items():
            where = f"{path}.{name}" if path else str(name)
            copied[name] = _named(item, where) if name == TARGET else _copy(item, where, known)
        return copied
    if isinstance(value, (list, tuple)):
        copied = known[id(value)] = []
        copied.extend(_copy(item, f"{path}[{at}]", known) for at, item in enumerate(value))
        return copied
    return value


def _unstructured(value: Any) -> Any:
    """A config of OmegaConf's, or a dataclass, as plain containers; what OmegaConf cannot hold stays what it is."""
    try:
        return OmegaConf.to_container(OmegaConf.structured(value), resolve=False)
    except OmegaConfBaseException:
        if not dataclasses.is_dataclass(value):
            raise
        made = value() if isinstance(value, type) else value
        return {each.name: getattr(made, each.name) for each in dataclasses.fields(made)}


def _named(target: Any, path: str) -> Any:
    if isinstance(target, str) or not callable(target):
        return target
    name = importable_name(target)
    if name is None:
        raise ConfigModuleError(
            f"{path}: {target!r} cannot be found by name: a target must be a function or class at the top of a "
            "module, or a method of such a class"
        )
    return name


def convert_target_to_string(target: Any) -> Any:
    """The name by which a config refers to a callable; anything else is returned as it is."""
    if callable(target) and hasattr(target, "__qualname__"):
        return f"{target.__module__}.{target.__qualname__}"
    return target


def _apply(config: Any, overrides: Sequence[str]) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise ConfigModuleError(
            f"override {error.override!r} is not in Hydra's grammar: {error.message}"
        ) from None
    for override in parsed:
        line = str(override.input_line)
        if override.is_sweep_override():
            raise ConfigModuleError(f"override {line!r} is a sweep; a config in a module has one value each")
        if override.package is not None or "/" in override.key_or_group:
            raise ConfigModuleError(f"override {line!r} chooses from a config group; a module has none")
        _set(config, line, override)


def _set(config: Any, line: str, override: Any) -> None:
    *way, last = str(override.key_or_group).split(".")
    at = config
    for done, step in enumerate(way):
        inner = _step(at, step)
        if inner is None and (override.is_add() or override.is_force_add()) and isinstance(at, dict):
            inner = at[step] = {}
        if not isinstance(inner, (dict, list)):
            place = ".".join(way[: done + 1])
            raise ConfigModuleError(
                f"override {line!r} does not fit: there is nothing to go into at {place!r}"
            )
        at = inner
    present = _step(at, last, missing := object()) is not missing
    if override.is_delete():
        if not present:
            raise ConfigModuleError(f"override {line!r}: there is no {override.key_or_group!r} to delete")
        del at[_index(at, last)]
        return
    if not present and not (override.is_add() or override.is_force_add()):
        raise ConfigModuleError(
            f"override {line!r}: there is no {override.key_or_group!r}; to add it, write +{line}"
        )
    if present and override.is_add():
        raise ConfigModuleError(
            f"override {line!r}: {override.key_or_group!r} is there already; to replace it, write +{line}"
        )
    if isinstance(at, list) and not present:
        raise ConfigModuleError(f"override {line!r}: the list has {len(at)} items")
    at[_index(at, last)] = override.value()


def _index(at: Any, step: str) -> Any:
    return int(step) if isinstance(at, list) else step


def _step(at: Any, step: str, default: Any = None) -> Any:
    if isinstance(at, list):
        return at[int(step)] if step.isdigit() and int(step) < len(at) else default
    return at.get(step, default)
