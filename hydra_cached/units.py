"""Sizes and times as people write them: ``20GB``, ``30d``."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", re.ASCII)
_SIZES = {
    "": 1,
    "b": 1,
    **{f"{prefix}{ending}": 1000**power for power, prefix in enumerate("kmgtp", 1) for ending in ("", "b")},
    **{f"{prefix}{ending}": 1024**power for power, prefix in enumerate("kmgtp", 1) for ending in ("i", "ib")},
}
_TIMES = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_size(text: str | int) -> int:
    """Bytes: ``20GB`` and ``20G`` are 20 · 1000³, ``20GiB`` is 20 · 1024³, a number alone is bytes.

    Raises:
        ValueError: it is no size; the message says what it should be.
    """
    return int(_parsed(text, _SIZES, "a size such as 500MB, 20GB or 1.5TiB, or a number of bytes"))


def parse_age(text: str | int | float) -> float:
    """Seconds: ``90s``, ``15m``, ``12h``, ``30d``, ``2w``, a number alone is seconds.

    Raises:
        ValueError: it is no span of time; the message says what it should be.
    """
    return _parsed(text, _TIMES, "a time such as 30d, 12h, 15m or 2w, or a number of seconds")


def _parsed(text: str | int | float, units: dict[str, int], expected: str) -> float:
    match = None if isinstance(text, bool) else _NUMBER.fullmatch(str(text))
    unit = None if match is None else units.get(match[2].lower())
    if match is None or unit is None:
        raise ValueError(f"must be {expected}, not {text!r}")
    # Whole numbers stay exact, however large.
    return int(match[1]) * unit if match[1].isdecimal() else float(match[1]) * unit
