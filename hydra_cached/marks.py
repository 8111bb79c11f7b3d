"""Marks that users put on their targets."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")
MARK = "__hydra_cached_not_deterministic__"


def not_deterministic(target: T) -> T:
    """Mark a function or class whose result may differ each time, so that it is run again each time.

    The digest of its result stands in the keys of everything that depends on it: an equal result makes the rest
    hit. Use it for what reads files, tables or clocks. ``_not_deterministic_`` in a node's config overrides it.

    Args:
        target: the function or class; it is returned unchanged but for an attribute.
    """
    setattr(target, MARK, True)
    return target


def is_not_deterministic(target: Any) -> bool:
    """Whether a loaded object bears the mark itself (a subclass of a marked class does not inherit it)."""
    return bool(getattr(target, "__dict__", {}).get(MARK, False))
