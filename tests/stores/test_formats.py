"""Serializers of single types: registered, or found as entry points of installed packages."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from projects import Project

from hydra_cached import activate, register_serializer
from hydra_cached.errors import DamagedEntry
from hydra_cached.stores import formats
from hydra_cached.stores.base import Payload
from hydra_cached.stores.serializers import PICKLE, dump, load


class Model:
    """What pickle refuses: it holds a lock."""

    def __init__(self, weights: bytes) -> None:
        self.weights = weights
        self.lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and bytes(other.weights) == bytes(self.weights)


class Special(Model):
    """A subclass, which may hold more."""


class ModelSerializer:
    """Two pieces: the halves of the weights."""

    def dump(self, value: Model) -> Sequence[bytes]:
        half = len(value.weights) // 2
        return value.weights[:half], value.weights[half:]

    def load(self, pieces: Sequence[memoryview]) -> Model:
        return Model(b"".join(pieces))


class ArraySerializer:
    """Keeps the piece that it is given."""

    def dump(self, value: Any) -> Sequence[Any]:
        return [np.ascontiguousarray(value).view(np.uint8)]

    def load(self, pieces: Sequence[memoryview]) -> Any:
        return np.frombuffer(pieces[0], dtype=np.float64)


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[formats.Formats]:
    """The registry as it is, and back to that afterwards."""
    given = dict(formats.FORMATS._given)
    yield formats.FORMATS
    formats.FORMATS._given = given
    formats.FORMATS._by_type.clear()


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_instances_come_back_wherever_they_stand(weights: list[bytes]) -> None:
    """At the top of a result, in lists and in attributes; one object stays one."""
    register_serializer(Model, ModelSerializer())
    models = [Model(each) for each in weights]
    value = {"all": models, "again": list(models)}
    found = load(dump(value))
    assert found == value
    assert all(one is two for one, two in zip(found["all"], found["again"], strict=True))
    assert load(dump(Model(b"abc"))) == Model(b"abc")


def test_only_the_type_itself_is_written_so() -> None:
    """A subclass may hold what the serializer does not know."""
    register_serializer(Model, ModelSerializer())
    with pytest.raises(Exception, match="lock"):
        dump(Special(b"a"))


def test_a_type_can_be_named() -> None:
    """So that it need not be imported to register its serializer."""
    register_serializer(f"{__name__}.Model", ModelSerializer())
    assert load(dump([Model(b"abc")])) == [Model(b"abc")]


def test_large_pieces_are_not_copied() -> None:
    """A large piece is one of the payload's buffers, and is handed to the serializer as it lies there."""
    register_serializer(np.ndarray, ArraySerializer())
    value = np.arange(1000.0)
    payload = dump(value)
    assert [memoryview(buffer).nbytes for buffer in payload.buffers] == [8000]
    kept = Payload(payload.format, bytes(payload.stream), [bytearray(payload.buffers[0])])
    found = load(kept)
    assert np.array_equal(found, value) and np.shares_memory(found, np.frombuffer(kept.buffers[0]))


def test_without_its_serializer_an_entry_is_a_miss(own: formats.Formats) -> None:
    """A result that was written by a serializer that is not there any more is reported, and computed again."""
    register_serializer(Model, ModelSerializer())
    payload = dump(Model(b"abc"))
    own._given.clear()
    with pytest.raises(DamagedEntry, match=r"no serializer for .*Model"):
        load(payload)


def make(weights: str) -> Model:
    made.append(weights)
    return Model(weights.encode())


made: list[str] = []


def test_results_that_pickle_refuses_can_be_cached(tmp_path: Path) -> None:
    """With a serializer for its type, a stage's result is stored, and served."""
    register_serializer(Model, ModelSerializer())
    made.clear()
    for _ in range(2):
        with activate(tmp_path, min_seconds=0):
            assert instantiate({"_target_": f"{__name__}.make", "weights": "abc"}) == Model(b"abc")
    assert made == ["abc"]


def test_installed_packages_bring_serializers(project: Project) -> None:
    """The entry-point group is read; one that cannot be loaded is reported, and does no harm."""
    project.write(
        models_py="""
            import threading
            class Model:
                def __init__(self, n): self.n, self.lock = n, threading.Lock()
            class Broken: pass
            class Writes:
                def dump(self, value): return [bytes([value.n])]
                def load(self, pieces): return Model(pieces[0][0])
        """,
        check_py="""
            from models import Broken, Model
            from hydra_cached.stores.serializers import dump, load
            assert load(dump([Model(7)]))[0].n == 7
            assert type(load(dump(Broken()))) is Broken
        """,
    )
    info = project.root / "models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hydra_cached.serializers]\nmodels.Model = models:Writes\nmodels.Broken = models:Nowhere\n"
    )
    said = project.python("check.py")
    assert "the serializer models:Nowhere for models.Broken cannot be loaded" in said


def test_what_has_no_serializer_is_pickled() -> None:
    """Standard pickle, as ever."""
    assert dump([1, {"a": Path("b")}]).format == PICKLE
