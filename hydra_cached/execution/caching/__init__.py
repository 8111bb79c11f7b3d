"""Old import path of the cache objects."""

from hydra_cached.object_cache import Cache, DumpableInMemoryCache, InMemoryCache

__all__ = ["Cache", "DumpableInMemoryCache", "InMemoryCache"]
