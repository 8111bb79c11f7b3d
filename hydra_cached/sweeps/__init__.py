"""Sweeps: what ``hydra/launcher=cached`` plans, spares, restores and hands to the launcher that it wraps."""
