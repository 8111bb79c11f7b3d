"""Calls within calls: targets that instantiate, sessions in sessions, threads."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import seam_targets as targets
from hydra._internal.instantiate import _instantiate2 as internals
from hydra.utils import instantiate
from omegaconf import OmegaConf
from seam_targets import HERE, calls, stages_nested

import hydra_cached
from hydra_cached import activate
from hydra_cached.execution.caching import InMemoryCache


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    calls()
    targets.LET_GO.set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_a_target_that_instantiates(tmp_path: Path) -> None:
    """What a target instantiates is cached on its own, beside the target's result."""
    config = {"_target_": f"{HERE}.outer", "_recursive_": False, "config": stages_nested()}
    with activate(tmp_path, min_seconds=0):
        assert [instantiate(config) for _ in range(2)] == [["outer", 7]] * 2
        assert calls() == ["outer", "add", "add"]
        assert instantiate(stages_nested()) == 7
        assert calls() == []


def test_recursion(tmp_path: Path) -> None:
    """A target that instantiates itself: each depth is a result of its own."""
    with activate(tmp_path, min_seconds=0):
        assert instantiate({"_target_": f"{HERE}.countdown", "number": 3}) == [3, [2, [1, [0]]]]
        assert calls() == [("countdown", number) for number in (3, 2, 1, 0)]
        assert instantiate({"_target_": f"{HERE}.countdown", "number": 4}) == [4, [3, [2, [1, [0]]]]]
        assert calls() == [("countdown", 4)]


def test_deep_configs(tmp_path: Path) -> None:
    """As deep as Hydra itself can go at the default recursion limit, less a few levels, a cache can go too."""
    config: Any = {"_target_": f"{HERE}.add", "a": 0}
    for _ in range(24):
        config = {"_target_": f"{HERE}.add", "a": config}
    with activate(tmp_path, min_seconds=0):
        assert [instantiate(config) for _ in range(2)] == [25, 25]
    assert len(calls()) == 25


def test_a_cache_of_the_callers_within_a_session(tmp_path: Path) -> None:
    """``instantiate(cache=...)`` within a session uses that cache for this call, and the session thereafter."""
    mine: InMemoryCache[str, Any] = InMemoryCache()
    node = {"_target_": f"{HERE}.Tree", "value": 1}
    with activate(tmp_path / "a", min_seconds=0):
        first = hydra_cached.instantiate(node, cache=mine)
        assert hydra_cached.instantiate(node, cache=mine) is first
        assert calls() == ["Tree"]
        assert instantiate(node) == first and calls() == ["Tree"]
        assert instantiate(node) == first and calls() == []
        assert hydra_cached.instantiate(node, cache=tmp_path / "b") == first and calls() == ["Tree"]
        assert hydra_cached.instantiate(node, cache="DISABLED") == first and calls() == ["Tree"]
        assert hydra_cached.instantiate(node) == first and calls() == []
    assert hydra_cached.instantiate(node, cache=tmp_path / "a") == first and calls() == []
    assert hydra_cached.instantiate(node, cache=mine) is first


def test_a_cache_of_the_callers_within_a_target(tmp_path: Path) -> None:
    """A target may use a cache of its own while an outer call is on its way."""
    with activate(tmp_path, min_seconds=0):
        config = {"_target_": f"{HERE}.Tree", "value": {"_target_": f"{HERE}.with_own_cache", "number": 1}}
        assert instantiate(config).value == [2, 2]
        assert calls() == ["add", "Tree"]
        assert instantiate(config).value == [2, 2]
        assert calls() == []


def test_sessions_in_sessions(tmp_path: Path) -> None:
    """The innermost session serves, and the outer one goes on when it ends."""
    node = {"_target_": f"{HERE}.add", "a": 1}
    with activate(tmp_path / "outer", min_seconds=0) as outer:
        instantiate(node)
        with activate(tmp_path / "inner", min_seconds=0) as inner:
            instantiate(node)
            instantiate(node)
        instantiate(node)
        assert calls() == ["add", "add"]
        assert [event.kind.value for event in outer.events] == ["run", "hit"]
        assert [event.kind.value for event in inner.events] == ["run", "hit"]


def test_sessions_may_end_in_any_order(tmp_path: Path) -> None:
    """Of two overlapping sessions the first may end first; Hydra is itself only when both have."""
    original = internals.instantiate_node
    first, second = activate(tmp_path / "a", min_seconds=0), activate(tmp_path / "b", min_seconds=0)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert internals.instantiate_node is not original
    instantiate({"_target_": f"{HERE}.add", "a": 1})
    instantiate({"_target_": f"{HERE}.add", "a": 1})
    assert calls() == ["add"]
    second.__exit__(None, None, None)
    assert internals.instantiate_node is original
    instantiate({"_target_": f"{HERE}.add", "a": 1})
    assert calls() == ["add"]


def test_other_threads_are_cached_too(tmp_path: Path) -> None:
    """A session serves all threads, those that ran before it began included."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(len, "").result()
        with activate(tmp_path, min_seconds=0):
            node = {"_target_": f"{HERE}.add", "a": 1}
            assert [pool.submit(instantiate, node).result() for _ in range(2)] == [2, 2]
            assert instantiate(node) == 2
        assert calls() == ["add"]
        assert pool.submit(instantiate, node).result() == 2
        assert calls() == ["add"]


def test_threads_do_not_meet(tmp_path: Path) -> None:
    """Calls of several threads at once have their own stages: no result reaches another's config."""
    barrier = threading.Barrier(8)

    def work(number: int) -> list[Any]:
        barrier.wait()
        found = []
        for round_ in range(15):
            config = OmegaConf.create(
                {
                    "_target_": f"{HERE}.Tree",
                    "value": {"_target_": f"{HERE}.add", "a": number, "b": round_},
                    "left": {"_target_": f"{HERE}.Tree", "value": {"_target_": f"{HERE}.add", "a": round_}},
                    "right": "${left}",
                }
            )
            found.append(instantiate(config))
        return found

    with activate(tmp_path, min_seconds=0), ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            for number, found in enumerate(pool.map(work, range(8))):
                for round_, tree in enumerate(found):
                    assert tree.value == number + round_
                    assert tree.left.value == tree.right.value == round_ + 1


def test_a_cache_of_a_thread_is_its_own(tmp_path: Path) -> None:
    """A caller's cache object serves that call only, not what other threads do meanwhile."""
    mine: InMemoryCache[str, Any] = InMemoryCache()
    targets.LET_GO.clear()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hydra_cached.instantiate, {"_target_": f"{HERE}.slow", "number": 1}, cache=mine)
        while not targets.CALLS:
            pass
        assert [instantiate({"_target_": f"{HERE}.add", "a": 1}) for _ in range(2)] == [2, 2]
        targets.LET_GO.set()
        assert running.result() == ("slow", 1)
    assert calls() == [("slow", 1), "add", "add"]
    assert len(mine) == 1


def test_a_target_that_begins_a_session(tmp_path: Path) -> None:
    """A target may activate a cache of its own around what it instantiates."""
    with activate(tmp_path / "outer", min_seconds=0):
        for _ in range(2):
            node = {"_target_": f"{HERE}.begins_a_session", "directory": str(tmp_path / "inner")}
            assert instantiate({"_target_": f"{HERE}.Tree", "value": node}).value == [2, 2]
        assert calls() == ["add", "Tree"]


def test_a_task_that_outlives_its_session(tmp_path: Path) -> None:
    """What was started within a session and goes on after its end is served by none, nor by the dead one."""
    node = {"_target_": f"{HERE}.add", "a": 1}

    async def later(go: asyncio.Event) -> Any:
        await go.wait()
        return [instantiate(node), instantiate(node)]

    async def main() -> None:
        go = asyncio.Event()
        with activate(tmp_path / "a", min_seconds=0) as first:
            task = asyncio.create_task(later(go))
            await asyncio.sleep(0)
        with activate(tmp_path / "b", min_seconds=0) as second:
            go.set()
            assert await task == [2, 2]
        assert not first.events
        assert [event.kind.value for event in second.events] == ["run", "hit"]

    asyncio.run(main())
