"""Values that results are often made of pass the suite that others' serializers are held to."""

from __future__ import annotations

import collections
import enum
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from hydra_cached.stores.serializers import CLOUDPICKLE, PICKLE
from hydra_cached.testing import SerializerSuite

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


@dataclass
class Model:
    """Somebody's class."""

    name: str
    weights: list[float] = field(default_factory=list)


class Colour(enum.Enum):
    """Somebody's enum."""

    RED = 1


class TestPlain(SerializerSuite):
    """Plain data, and instances of classes."""

    format = PICKLE

    def examples(self) -> list[Any]:
        counts = collections.Counter("hydra")
        return [
            None,
            0,
            1.5,
            "ü",
            b"x" * 70_000,
            [],
            {"a": [1, (2,), {3}]},
            counts,
            Colour.RED,
            Model("m", [0.5]),
        ]

    def spoil(self, value: Any) -> None:
        if isinstance(value, Model):
            value.weights.append(1.0)
        elif isinstance(value, dict):
            value.clear()

    def refused(self) -> list[Any]:
        return [threading.Lock(), (each for each in "abc")]


class TestArrays(SerializerSuite):
    """Arrays: of any layout, writable, and also so large that they are mapped."""

    format = PICKLE

    def examples(self) -> list[Any]:
        small = np.arange(24, dtype="i2").reshape(2, 3, 4)
        transposed = np.asfortranarray(np.arange(200_000.0).reshape(400, 500))
        records = np.zeros(3, dtype=[("x", "f4"), ("name", "U3")])
        return [
            small,
            small.copy()[:, ::2],
            transposed,
            np.zeros((0, 3)),
            np.array(["a", "ü"]),
            records,
            np.arange(400_000),
        ]

    def same(self, one: Any, other: Any) -> bool:
        return (
            one.dtype == other.dtype
            and np.array_equal(one, other)
            and one.flags.writeable == other.flags.writeable
        )

    def spoil(self, value: Any) -> None:
        value[...] = 0


class TestTables(SerializerSuite):
    """Tables."""

    format = PICKLE

    def examples(self) -> list[Any]:
        dates = pd.date_range("2020", periods=3, name="day")
        mixed = pd.DataFrame(
            {"x": [1, 2, 3], "y": ["a", None, "c"], "z": pd.Categorical(list("aba"))}, index=dates
        )
        return [mixed, mixed["x"], pd.DataFrame(), pd.DataFrame(np.arange(400_000.0).reshape(-1, 4))]

    def same(self, one: Any, other: Any) -> bool:
        return bool(one.equals(other) and one.index.equals(other.index))

    def spoil(self, value: Any) -> None:
        if len(value):
            value.iloc[0] = value.iloc[1]


class TestFunctions(SerializerSuite):
    """What only cloudpickle writes."""

    format = CLOUDPICKLE

    def examples(self) -> list[Any]:
        bound = 5
        return [lambda x: x + bound]

    def same(self, one: Any, other: Any) -> bool:
        return bool(one(2) == other(2) == 7)
