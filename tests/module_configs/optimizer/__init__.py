"""Configs of various kinds: a dict, and a dataclass."""

from dataclasses import dataclass

nesterov = {"type": "nesterov", "lr": 0.001}


@dataclass
class adam:
    """Names of configs are in lower case."""

    type: str = "adam"
    lr: float = 0.1
    beta: float = 0.01
