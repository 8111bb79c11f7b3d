"""Where stages of the session's tests write down that they ran."""

from __future__ import annotations

RAN: list[str] = []


def ran(name: str) -> None:
    """Write down that a stage ran."""
    RAN.append(name)
