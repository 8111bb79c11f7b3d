"""Targets of the seam's tests; each call is written down in ``CALLS``."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import hydra
import hydra.utils
from hydra.utils import instantiate as bound_early  # before any session: that is the point
from omegaconf import OmegaConf, open_dict, read_write

from hydra_cached import activate, not_deterministic
from hydra_cached import instantiate as instantiate_cached
from hydra_cached.execution.caching import InMemoryCache

HERE = __name__
OLD = not hasattr(OmegaConf, "is_tuple")  # Hydra 1.3
POLICY = hydra.__version__ != "1.3.2"
CALLS: list[Any] = []
TICKS: list[int] = []
LET_GO = threading.Event()

aliased_os = os  # `seam_targets.aliased_os.rename` is `os.rename`


def calls() -> list[Any]:
    """What was called since this was asked last."""
    made = list(CALLS)
    CALLS.clear()
    return made


def target(*args: Any, **kwargs: Any) -> Any:
    CALLS.append("target")
    return ("target", args, kwargs)


def add(a: int, b: int = 1) -> int:
    CALLS.append("add")
    return a + b


@not_deterministic
def tick() -> int:
    CALLS.append("tick")
    return TICKS.pop(0)


@not_deterministic
def failing_tick() -> int:
    CALLS.append("failing_tick")
    raise OSError("no clock")


def first(a: Any) -> Any:
    CALLS.append("first")
    return a


def fails(*args: Any, **kwargs: Any) -> Any:
    CALLS.append("fails")
    raise ValueError("on purpose")


def fails_once(*args: Any, **kwargs: Any) -> Any:
    CALLS.append("fails_once")
    if CALLS.count("fails_once") == 1:
        raise ValueError("the first time")
    return "at last"


def interrupted(*args: Any, **kwargs: Any) -> Any:
    CALLS.append("interrupted")
    raise KeyboardInterrupt


def leaves(status: int = 0) -> Any:
    CALLS.append("leaves")
    raise SystemExit(status)


def outer(config: Any) -> Any:
    """Instantiates the config that it was handed."""
    CALLS.append("outer")
    return ["outer", bound_early(config)]


def countdown(number: int) -> Any:
    """Instantiates itself with a smaller number."""
    CALLS.append(("countdown", number))
    if number == 0:
        return [0]
    return [number, bound_early({"_target_": f"{HERE}.countdown", "number": number - 1})]


def swallow(config: Any) -> Any:
    """Survives a failure of the config that it instantiates."""
    CALLS.append("swallow")
    try:
        return bound_early(config)
    except Exception as error:
        return f"survived {type(error).__name__}"


def slow(number: int) -> Any:
    CALLS.append(("slow", number))
    LET_GO.wait(5)
    return ("slow", number)


def returns_function(name: str) -> Any:
    """Returns a function of ``os``, found by name."""
    CALLS.append("returns_function")
    return getattr(os, name)


def stages_nested() -> Any:
    return {"_target_": f"{HERE}.add", "a": {"_target_": f"{HERE}.add", "a": 1}, "b": 5}


@dataclass
class Point:
    x: int = 0
    y: int = 0

    def __post_init__(self) -> None:
        CALLS.append("Point")


class Tree:
    def __init__(self, value: Any, left: Any = None, right: Any = None) -> None:
        CALLS.append("Tree")
        self.value, self.left, self.right = value, left, right

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Tree) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Keeper:
    """Keeps what it was called with, as it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        CALLS.append("Keeper")
        self.args, self.kwargs = args, kwargs


class Uncopyable:
    """Can be neither copied nor pickled."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise NotImplementedError("no copies")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotImplementedError("no pickles")


class IncompatibleWithOmegaConf:
    """An object of a type that OmegaConf does not know; equal by value."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, IncompatibleWithOmegaConf) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def box_of(value: Any) -> SimpleNamespace:
    """An object of the caller's; of equal boxes one is not the other."""
    return SimpleNamespace(value=value)


def fill(box: Any) -> Any:
    """Changes what it is passed."""
    CALLS.append("fill")
    box.value += 1
    return box.value


def set_deep(part: Any) -> None:
    CALLS.append("set_deep")
    with read_write(part):
        part.deep.x = 2


def add_key(part: Any) -> None:
    CALLS.append("add_key")
    with read_write(part), open_dict(part):
        part.deep.y = 1


def guarded(part: Any) -> bool:
    CALLS.append("guarded")
    return bool(OmegaConf.is_readonly(part))


def register(name: str) -> str:
    CALLS.append("register")
    OmegaConf.register_new_resolver(name, lambda: 1)
    return name


def doubled(function: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return [result, result]

    return wrapper


def with_own_cache(number: int) -> Any:
    mine: InMemoryCache[str, Any] = InMemoryCache()
    node = {"_target_": f"{HERE}.add", "a": number}
    return [instantiate_cached(node, cache=mine) for _ in range(2)]


def begins_a_session(directory: str) -> Any:
    with activate(directory, min_seconds=0):
        return [bound_early({"_target_": f"{HERE}.add", "a": 1}) for _ in range(2)]
