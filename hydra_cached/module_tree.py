"""Python modules as a tree of configs, for Hydra's search path: groups are modules, configs are objects in them.

The config ``model/big`` below the module ``configs`` is the object ``big`` in the module ``configs.model``, or the
object ``config`` in the module ``configs.model.big``.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_cached.errors import ConfigModuleError, brief
from hydra_cached.module_config import TARGET, is_config_object, prepare_config

OBJECT = "config"  # the object that a module named like a config holds it in
PACKAGE = "_package_"  # the key, or class attribute, that says where in the whole config it goes
_NAME = re.compile(r"[A-Za-z_]\w*|\d+")
_MISSING = object()


class ModuleTree:
    """The configs in a module and in the modules below it, which are imported when something in them is asked for.

    Args:
        root: dotted name of the module; slashes will do, too.
    """

    def __init__(self, root: str) -> None:
        self.root = root.replace("/", ".").strip(".")
        if os.getcwd() not in map(os.path.abspath, sys.path):
            # Behind all else: what is found now stays what it is.
            sys.path.append(os.getcwd())

    def exists(self) -> bool:
        """Whether there is such a module, be it one that cannot be imported."""
        return bool(self.root) and _is_there(self.root)

    def explanation(self) -> str:
        """What to say of a root that does not exist: what was not found, and what is there with a name like it."""
        parent, _, last = self.root.rpartition(".")
        if parent and _is_there(parent):
            near = _near(last, [name for _, name, _ in _modules_in(_imported(parent))])
            return f"there is no module {last!r} in {parent}{near}"
        first = self.root.partition(".")[0]
        near = _near(first, [module.name for module in pkgutil.iter_modules([os.getcwd(), *sys.path[:1]])])
        return f"there is no module {first!r} in the current directory or on the Python path{near}"

    def is_group(self, path: str) -> bool:
        """Whether there is a module at a path such as ``model``."""
        return self._module(path) is not None

    def is_config(self, path: str) -> bool:
        """Whether there is a config at a path such as ``model/big``."""
        return self._find(path) is not _MISSING

    def groups(self, path: str) -> list[str]:
        """Names of the modules in a package."""
        module = self._module(path)
        return [] if module is None else sorted(name for _, name, _ in _modules_in(module))

    def configs(self, path: str) -> list[str]:
        """Names of the configs in a group."""
        module = self._module(path)
        if module is None:
            return []
        found = {name for name, value in vars(module).items() if _is_own_config(module, name, value)}
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        found |= {name for _, name, _ in _modules_in(module) if self.is_config(prefix + name)}
        return sorted(found)

    def near(self, path: str) -> list[str]:
        """Configs of the same group whose names are like one that there is not."""
        group, _, name = _plain(path).rpartition("/")
        return difflib.get_close_matches(name, self.configs(group), n=3)

    def load(self, path: str) -> tuple[DictConfig, str | None]:
        """A config for Hydra's composition, and the package that it asks for.

        Raises:
            ConfigModuleError: there is no such config, or OmegaConf cannot hold what is in it.
        """
        found = self._find(path)
        if found is _MISSING:
            raise ConfigModuleError(
                f"there is no config {path!r} in {self.root}{_near_names(self.near(path))}"
            )
        try:
            return composable(found)
        except (ConfigModuleError, OmegaConfBaseException) as error:
            raise ConfigModuleError(f"the config {path!r} in {self.root}: {brief(error)}") from error

    def _module(self, path: str) -> types.ModuleType | None:
        names = [name for name in path.split("/") if name]
        dotted = ".".join([self.root, *names])
        if not all(name.isidentifier() for name in dotted.split(".")) or not _is_there(dotted):
            return None
        return _imported(dotted)

    def _find(self, path: str) -> Any:
        group, _, name = _plain(path).rpartition("/")
        module = self._module(group) if name.isidentifier() else None
        if module is None:
            return _MISSING
        value = vars(module).get(name)
        if not name.startswith("_") and is_config_object(value) and not isinstance(value, list):
            return value
        own = self._module(_plain(path))
        value = None if own is None else vars(own).get(OBJECT)
        return value if is_config_object(value) and not isinstance(value, list) else _MISSING


def composable(config: Any) -> tuple[DictConfig, str | None]:
    """A config object as Hydra composes it, and the package that it asks for.

    Callables of ``_target_`` become their names. A node that stands in several places becomes one, at its shortest
    path, to which the other places refer by relative interpolation: it stays one stage, and an override of it holds
    for all. A dataclass stays typed, unless there are callables in it.
    """
    package: Any = getattr(config, PACKAGE, None) if not isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or isinstance(config, DictConfig):
        try:
            made = OmegaConf.structured(config)
        except OmegaConfBaseException:
            made = OmegaConf.create(_referring(prepare_config(config)))
    else:
        made = OmegaConf.create(_referring(prepare_config(config)))
    if not isinstance(config, type) and isinstance(config, Mapping) and PACKAGE in config:
        package = config[PACKAGE]
        del made[PACKAGE]
    if package is not None and not isinstance(package, str):
        raise ConfigModuleError(f"{PACKAGE} must be a text such as '_global_', not {package!r}")
    assert isinstance(made, DictConfig)
    return made, package


def _referring(config: Any) -> Any:
    """A copy in which each node stands once, and interpolations in its other places."""
    places: dict[int, tuple[Any, ...]] = {}
    level: list[tuple[Any, tuple[Any, ...]]] = [(config, ())]
    while level:  # breadth first: the first path found is a shortest one
        below: list[tuple[Any, tuple[Any, ...]]] = []
        for value, path in level:
            if id(value) not in places and isinstance(value, (dict, list)):
                places[id(value)] = path
                items = value.items() if isinstance(value, dict) else enumerate(value)
                below.extend((item, (*path, name)) for name, item in items)
        level = below

    def copied(value: Any, path: tuple[Any, ...]) -> Any:
        place = places.get(id(value), path)
        if place != path and TARGET in value and all(_NAME.fullmatch(str(name)) for name in place):
            common = next(at for at, (mine, its) in enumerate(zip(path, place, strict=False)) if mine != its)
            return "${" + "." * (len(path) - common) + ".".join(map(str, place[common:])) + "}"
        if isinstance(value, dict):
            return {name: copied(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [copied(item, (*path, at)) for at, item in enumerate(value)]
        return value

    return copied(config, ())


def _plain(path: str) -> str:
    """A config's path without the suffix that Hydra puts to names of files."""
    return path.strip("/").removesuffix(".yaml")


def _is_there(dotted: str) -> bool:
    """Whether there is a module, without importing it (but its parents)."""
    try:
        return importlib.util.find_spec(dotted) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and (dotted == error.name or dotted.startswith(f"{error.name}.")):
            return False
        raise ConfigModuleError(f"{dotted} cannot be looked up: {error}") from error
    except ValueError:
        return dotted in sys.modules  # ``__main__`` has no spec
    except Exception as error:
        raise ConfigModuleError(f"{dotted} cannot be looked up: {brief(error)}") from error


def _imported(dotted: str) -> types.ModuleType:
    try:
        return importlib.import_module(dotted)
    except Exception as error:
        raise ConfigModuleError(f"{dotted} cannot be imported: {brief(error)}") from error


def _modules_in(module: types.ModuleType) -> Iterator[pkgutil.ModuleInfo]:
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            yield found


def _is_own_config(module: types.ModuleType, name: str, value: Any) -> bool:
    """Whether to list it: not what is private, nor dataclasses that are only imported."""
    if name.startswith("_") or not is_config_object(value) or isinstance(value, list):
        return False
    return not isinstance(value, type) or value.__module__ == module.__name__


def _near(name: str, others: list[str]) -> str:
    return _near_names(difflib.get_close_matches(name, others, n=3))


def _near_names(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""
