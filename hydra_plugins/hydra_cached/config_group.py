"""The config group ``cache`` with its options ``off``, ``memory`` and ``disk``."""

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from hydra_cached.config import CacheOptions, Mode, Share, put_into_config_store

# No dataclasses in this module: the plugin scan of Hydra 1.3 runs it outside of sys.modules, where they fail.
CALLBACK = {"callbacks": {"hydra_cached": {"_target_": "hydra_cached.callback.CacheCallback"}}}
OPTIONS = {
    "disk": CacheOptions(),
    # Nothing is written to a disk, so there is no reason to let quick results go.
    "memory": CacheOptions(dir=None, share=Share.equal, min_seconds=0.0),
    "off": CacheOptions(mode=Mode.off),
}


OPENING = "hydra/hydra_cached_opening"


def store_options() -> None:
    """Put the group into Hydra's config store; the ``cache`` node of each option is typed."""
    # An app whose whole config is a dataclass takes no further key at its root, unless the root is opened first. A
    # flag of what is merged is set on what it is merged into; when all is composed, Hydra closes the root again.
    opening = OmegaConf.create({}, flags={"struct": False})
    put_into_config_store(OPENING, "root", opening, package="_global_")
    for name, options in OPTIONS.items():
        typed = OmegaConf.structured(options)
        # Its names are the file system's: they need no plus on the command line.
        OmegaConf.set_struct(typed.storage_options, False)
        node: dict[str, Any] = {
            "defaults": [{f"/{OPENING}@_global_": "root"}, "_self_"],
            "cache": typed,
            "hydra": CALLBACK,
        }
        put_into_config_store("cache", name, node, package="_global_")


store_options()


class CacheSearchPath(SearchPathPlugin):
    """Makes Hydra import this module, which puts the config group into its config store."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Nothing to add: the group lives in the config store."""
