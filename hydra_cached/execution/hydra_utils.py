"""Old import path of ``not_deterministic``."""

from hydra_cached.marks import not_deterministic

__all__ = ["not_deterministic"]
