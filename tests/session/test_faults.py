"""Whatever happens to the store, a session gives what running without a cache gives."""

from __future__ import annotations

import contextlib
import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

import hydra_cached
from hydra_cached.active import activated
from hydra_cached.api import session_over
from hydra_cached.config import read_options
from hydra_cached.shelf import StoreNotes
from hydra_cached.stores.signing import SignedStore
from hydra_cached.testing import Fault, FaultyStore

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FAULTS = st.lists(st.sampled_from([None, None, *Fault]), max_size=40)
SECRET = "a secret of more than sixteen characters"


def rows(count: int, path: str = "") -> list[int]:
    """Numbers; perhaps more of them, from a file."""
    return [*range(count), *(map(int, Path(path).read_text().split()) if path else [])]


def scaled(data: list[int], by: float) -> Any:
    """An array."""
    return np.array(data) * by


def clock() -> int:
    """Is run each time, and says the same each time."""
    return 7


def joined(**parts: Any) -> dict[str, Any]:
    """All of its arguments, in a new object."""
    return {name: np.asarray(part).tolist() for name, part in parts.items()}


def pipeline(path: Path, number: int) -> Any:
    """A few stages: shared, nested, with a file, with one that is not deterministic."""
    path.write_text("10 20")
    here = f"{__name__}."
    return OmegaConf.create(
        {
            "rows": {"_target_": here + "rows", "count": number},
            "filed": {"_target_": here + "rows", "count": 1, "path": str(path), "_cache_files_": ["path"]},
            "clock": {"_target_": here + "clock", "_not_deterministic_": True},
            "top": {
                "_target_": here + "joined",
                "one": {"_target_": here + "scaled", "data": "${rows}", "by": 0.5},
                "two": {"_target_": here + "scaled", "data": "${filed}", "by": 2},
                "again": "${rows}",
                "late": {"_target_": here + "scaled", "data": ["${clock}"], "by": 1.0},
            },
        }
    )


class Surprises(logging.Handler):
    """Fails where the cache met something that nobody had thought of, and left the stage to Hydra alone."""

    def emit(self, record: logging.LogRecord) -> None:
        if "please report this" in record.getMessage():
            raise AssertionError("the cache was surprised") from (record.exc_info or [None, None])[1]


def built(store: Any, config: Any, **options: Any) -> Any:
    """What a session over the store makes of a config; nothing that happens may surprise it."""
    session = session_over(store, read_options(min_seconds=0, wait_seconds=0.05, **options))
    logger, surprises = logging.getLogger("hydra_cached"), Surprises()
    logger.addHandler(surprises)
    logger.propagate = False  # warnings are right, and many
    try:
        with activated(session, everywhere=False):
            return instantiate(config).top
    finally:
        logger.propagate = True
        logger.removeHandler(surprises)


def alone(config: Any) -> Any:
    """What it is without a cache."""
    return hydra_cached.instantiate(config, cache="DISABLED").top


@settings(deadline=None, max_examples=60)
@given(FAULTS, FAULTS, st.sampled_from(["readwrite", "refresh", "readonly"]), st.booleans())
@example([Fault.FAILS_ODDLY] * 40, [Fault.FAILS_ODDLY] * 40, "readwrite", False)
@example([Fault.FLIPPED] * 40, [Fault.CUT] * 40, "refresh", True)
def test_results_are_right_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any], mode: str, signed: bool
) -> None:
    """Over any two sequences of faults, in any mode: no wrong value, no exception that reaches the pipeline."""
    faulty = FaultyStore()
    store = SignedStore(faulty, [SECRET]) if signed else faulty
    path = tmp_path_factory.getbasetemp() / "numbers.txt"
    right = {number: alone(pipeline(path, number)) for number in (3, 4)}
    assert right[3] != right[4]
    for faults, number, how in [
        (first, 3, "readwrite"),
        (second, 3, mode),
        ([], 4, mode),
        ([], 3, "readwrite"),
    ]:
        faulty.plan(faults)
        assert built(store, pipeline(path, number), mode=how) == right[number], faulty


@pytest.mark.parametrize("fault", Fault)
def test_notes_are_forgotten_where_the_store_fails(fault: Fault) -> None:
    """A digest of a file that the store should remember is right or not there; nothing but ``KeyError``."""
    store = FaultyStore()
    notes = StoreNotes(store, writes=True)
    for plan in ([fault], [None, fault], [fault, fault]):
        store.plan(plan)
        notes["a file"] = "its digest"
        with contextlib.suppress(KeyError):
            assert notes["a file"] == "its digest"
    store.plan([fault])
    with contextlib.suppress(KeyError):
        del notes["a file"]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("at", range(12))
def test_one_fault_at_any_operation(tmp_path: Path, fault: Fault, at: int) -> None:
    """Each kind of fault at each of the first operations, of a cold and of a warm run."""
    store, config = FaultyStore(), pipeline(tmp_path / "numbers.txt", 3)
    right = alone(config)
    for _ in range(2):
        store.plan([None] * at + [fault])
        assert built(store, config) == right, store
    store.plan([])
    assert built(store, config) == right, store


def test_a_store_that_never_works(tmp_path: Path) -> None:
    """Where every single operation fails, the run is a run without a cache."""
    config = pipeline(tmp_path / "numbers.txt", 3)
    right = alone(config)
    for fault in Fault:
        store = FaultyStore(itertools.repeat(fault))
        for _ in range(2):
            assert built(store, config) == right, store
