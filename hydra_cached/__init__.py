"""hydra-cached makes ``hydra.utils.instantiate`` remember.

Import what you need from here; everything below is free to move. Nothing is loaded before it is used, because
Hydra's plugin scan imports this package in every app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra_cached.api import activate, instantiate
    from hydra_cached.artifacts import Artifact
    from hydra_cached.config import CacheOptions
    from hydra_cached.errors import HydraCachedError
    from hydra_cached.events import Event, Kind, Summary
    from hydra_cached.keys.canonical import register as register_canonical_form
    from hydra_cached.marks import not_deterministic
    from hydra_cached.stores.formats import register_serializer

__version__ = "0.1.0"
__all__ = [
    "Artifact",
    "CacheOptions",
    "Event",
    "HydraCachedError",
    "Kind",
    "Summary",
    "activate",
    "instantiate",
    "not_deterministic",
    "register_canonical_form",
    "register_serializer",
]

_HOMES = {
    "Artifact": ("hydra_cached.artifacts", "Artifact"),
    "CacheOptions": ("hydra_cached.config", "CacheOptions"),
    "Event": ("hydra_cached.events", "Event"),
    "HydraCachedError": ("hydra_cached.errors", "HydraCachedError"),
    "Kind": ("hydra_cached.events", "Kind"),
    "Summary": ("hydra_cached.events", "Summary"),
    "activate": ("hydra_cached.api", "activate"),
    "instantiate": ("hydra_cached.api", "instantiate"),
    "not_deterministic": ("hydra_cached.marks", "not_deterministic"),
    "register_canonical_form": ("hydra_cached.keys.canonical", "register"),
    "register_serializer": ("hydra_cached.stores.formats", "register_serializer"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value
