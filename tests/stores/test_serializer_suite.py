"""Values that results are often made of pass the suite that others' serializers are held to."""

from __future__ import annotations

import collections
import enum
import threading
from collections.abc import Sequence
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


class Table:
    """What pickle refuses: it holds a lock."""

    def __init__(self, name: str, numbers: Any) -> None:
        self.name, self.numbers, self.lock = name, numbers, threading.Lock()


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


class Halves:
    """Writes a table's name and its numbers, which it keeps where they are."""

    def dump(self, value: Table) -> Sequence[Any]:
        return [value.name.encode(), memoryview(value.numbers).cast("B")]

    def load(self, pieces: Sequence[memoryview]) -> Table:
        return Table(bytes(pieces[0]).decode(), np.frombuffer(pieces[1], dtype="f8"))


class TestRegistered(SerializerSuite):
    """A type with a serializer of its own; pickle would refuse it."""

    format = PICKLE
    serializers = {Table: Halves()}

    def examples(self) -> list[Any]:
        return [Table("small", np.arange(3.0)), Table("ü", np.arange(400_000.0))]

    def same(self, one: Any, other: Any) -> bool:
        return one.name == other.name and np.array_equal(one.numbers, other.numbers)

    def spoil(self, value: Any) -> None:
        value.numbers[:] = -1


class TestFunctions(SerializerSuite):
    """What only cloudpickle writes."""

    format = CLOUDPICKLE

    def examples(self) -> list[Any]:
        bound = 5
        return [lambda x: x + bound]

    def same(self, one: Any, other: Any) -> bool:
        return bool(one(2) == other(2) == 7)
