"""The config group ``cache`` with its options ``off``, ``memory`` and ``disk``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

from hydra_cached.config import CacheOptions, Mode, Share


def _callbacks() -> dict[str, Any]:
    return {"callbacks": {"hydra_cached": {"_target_": "hydra_cached.callback.CacheCallback"}}}


@dataclass
class _Option:
    """An option of the group: the typed node ``cache``, and the callback that reads it."""

    cache: CacheOptions = field(default_factory=CacheOptions)
    hydra: dict[str, Any] = field(default_factory=_callbacks)


def _store() -> None:
    store = ConfigStore.instance()
    options = {
        "disk": CacheOptions(),
        # Nothing is written to a disk, so there is no reason to let quick results go.
        "memory": CacheOptions(dir=None, share=Share.equal, min_seconds=0.0),
        "off": CacheOptions(mode=Mode.off),
    }
    # YAML reads a bare `off` as false, so that `- cache: off` in a defaults list asks for this name.
    options["False"] = options["off"]
    for name, node in options.items():
        store.store(group="cache", name=name, node=_Option(node), package="_global_", provider="hydra-cached")


_store()


class CacheSearchPath(SearchPathPlugin):
    """Makes Hydra import this module, which puts the config group into its config store."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Nothing to add: the group lives in the config store."""
