"""Configs in Python modules: ``--config-path py://configs``, and ``py://`` in ``hydra.searchpath``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.errors import CompactHydraException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

if TYPE_CHECKING:
    import builtins

    from hydra_cached.module_tree import ModuleTree

SCHEME = "py"
# What Hydra makes of ``--config-path py://x``, which it takes for a directory beside the app.
_MANGLED = re.compile(r"(?:^|.*[/\\])py:[/\\]{1,2}(?P<module>[^:]+)$")


class ModuleConfigLoadError(ConfigLoadError, CompactHydraException):
    """A module that should hold a config cannot be used; Hydra prints it without a traceback."""


class ModuleSearchPath(SearchPathPlugin):
    """Gives a main config path with the scheme ``py`` back its meaning."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Correct what Hydra has joined with the directory of the app."""
        for element in search_path.get_path():
            found = _MANGLED.match(element.path or "")
            if found and element.provider == "main" and not os.path.isdir(element.path or ""):
                element.path = f"{SCHEME}://{found['module']}"


class ModuleConfigSource(ConfigSource):
    """Modules as config groups, and dict-like objects in them as configs."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider=provider, path=path)
        self._missed: builtins.list[str] = []

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def available(self) -> bool:
        """Whether the module exists; of an app's own config path, an error says what there is instead."""
        with _Errors():
            if self._tree().exists():
                return True
            if self.provider == "main":
                raise ModuleConfigLoadError(f"{self.full_path()}: {self._tree().explanation()}")
        return False

    def is_group(self, config_path: str) -> bool:
        with _Errors():
            return self._tree().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        with _Errors():
            found = self._tree().is_config(config_path)
        if not found:
            self._missed.append(config_path)
        return found

    def load_config(self, config_path: str) -> ConfigResult:
        with _Errors():
            config, package = self._tree().load(config_path)
        return ConfigResult(self.provider, self.full_path(), config, {"package": package})

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        with _Errors():
            groups = self._tree().groups(config_path) if results_filter is not ObjectType.CONFIG else []
            configs = self._tree().configs(config_path) if results_filter is not ObjectType.GROUP else []
        return sorted({*groups, *configs})

    def __repr__(self) -> str:
        """What Hydra shows when it has not found a config: the names that are like those it looked for."""
        try:
            near = [name for path in self._missed for name in self._tree().near(path)]
        except Exception:
            near = []
        hint = f" (did you mean {' or '.join(dict.fromkeys(near))}?)" if near else ""
        return f"{super().__repr__()}{hint}"

    def _tree(self) -> ModuleTree:
        from hydra_cached.module_tree import ModuleTree

        return ModuleTree(self.path)


class _Errors:
    """Turns our errors into Hydra's, which it prints without a traceback."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        from hydra_cached.errors import ConfigModuleError

        if isinstance(error, ConfigModuleError):
            raise ModuleConfigLoadError(str(error)) from error
