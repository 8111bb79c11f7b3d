"""Old import path of ``instantiate``."""

from hydra_cached.api import DISABLED as DONT_CACHE
from hydra_cached.api import instantiate
from hydra_cached.module_config import convert_target_to_string

__all__ = ["DONT_CACHE", "convert_target_to_string", "instantiate"]
