"""Every decision of the policy, with its words."""

from __future__ import annotations

import asyncio
import collections
import csv
import functools
import io
import itertools
import math
import re
import socket
import threading
import types
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hydra_cached.config import CacheOptions
from hydra_cached.keys.key import Items, SpecialKeys, Stage
from hydra_cached.policy import refusal, uncacheable, unwanted


def stage(target: str = "pkg.make", path: str = "model", **options: Any) -> Stage:
    """A stage; ``children`` are its parameters."""
    children = options.pop("children", ())
    params = {"x": b"1"} | {f"child{at}": child for at, child in enumerate(children)}
    known: dict[str, Any] = {"names": (target,), "identity": 0, "mode": {}, "code": "c", "code_names": ()}
    return Stage(target=target, path=path, named=(), params=params, **known, **options)


UNCACHED = SpecialKeys(cache_result=False)


# Refusals: before anything runs.


def test_a_plain_stage_can_be_cached() -> None:
    """A stage with a key, whose config says nothing else, is not refused; nor is one with such children."""
    assert refusal(stage()) is None
    assert refusal(stage(children=[stage(), stage(children=[stage()])])) is None
    assert refusal(stage(partial=True)) is None and refusal(stage(not_deterministic=True)) is None


def test_a_stage_without_a_key_is_refused_for_its_problem() -> None:
    """The problem of the stage itself is the reason, word for word, whatever its children."""
    assert refusal(stage(problem="x is a lock")) == "x is a lock"
    assert refusal(stage(problem="mine", children=[stage(problem="child's")])) == "mine"
    assert refusal(stage(problem="mine", special=UNCACHED)) == "mine"


def test_a_stage_that_contains_one_without_a_key_is_refused() -> None:
    """At any depth, also inside of lists and dicts; the reason is that of the first."""
    inner = stage(problem="x is a lock")
    expected = "it contains something without a key: x is a lock"
    assert refusal(stage(children=[inner])) == expected
    assert refusal(stage(children=[stage(), stage(children=[inner]), stage(problem="later")])) == expected
    nested = Items(b"list", (), (0, 1), (b"1", Items(b"dict", (b"k",), ("k",), (inner,))))
    assert refusal(stage(children=[nested])) == expected  # type: ignore[list-item]


def test_cache_result_false_holds_for_the_stage_and_for_all_that_contain_it() -> None:
    """``_cache_result_: false`` refuses the stage itself, and by path those around it, but not its siblings."""
    inner = stage(path="model.encoder", special=UNCACHED)
    assert refusal(inner) == "its config says _cache_result_: false"
    around = "it contains model.encoder, whose config says _cache_result_: false"
    assert refusal(stage(children=[inner])) == around
    assert refusal(stage(children=[stage(children=[stage(), inner])])) == around
    own = stage(special=UNCACHED, children=[inner])
    assert refusal(own) == "its config says _cache_result_: false"
    assert refusal(stage(special=SpecialKeys(cache_result=True))) is None


# Unwanted: computed, but not worth storing.


def test_results_that_took_long_enough_are_wanted() -> None:
    """From ``min_seconds`` on, exactly included, results are stored; 0 stores all."""
    options = CacheOptions(min_seconds=1.0)
    assert unwanted(stage(), 1.0, options) is None and unwanted(stage(), 1e9, options) is None
    assert unwanted(stage(), 0.0, CacheOptions(min_seconds=0)) is None
    assert unwanted(stage(), math.inf, CacheOptions(min_seconds=math.inf)) is None


def test_results_that_were_quick_are_not() -> None:
    """The reason names the time and the option."""
    found = unwanted(stage(), 0.12345, CacheOptions(min_seconds=1.0))
    assert found == "it took 0.123 s, less than cache.min_seconds (1)"
    found = unwanted(stage(), math.nextafter(1.5, 0), CacheOptions(min_seconds=1.5))
    assert found == "it took 1.5 s, less than cache.min_seconds (1.5)"


def test_partial_objects_and_not_deterministic_results_are_never_stored() -> None:
    """However long they took, and whatever include says."""
    options = CacheOptions(min_seconds=0, include=["*"])
    assert unwanted(stage(partial=True), 1e9, options) == "a partial object is made again"
    assert unwanted(stage(not_deterministic=True), 1e9, options) == "the target is not deterministic"


@pytest.mark.parametrize(
    ("include", "exclude", "reason"),
    [
        ([], [], None),
        (["pkg.make"], [], None),
        (["pkg.*"], [], None),
        (["*.make"], [], None),
        (["other", "p?g.mak[def]"], [], None),
        (["*"], [], None),
        (["make"], [], "cache.include does not name it"),
        (["pkg"], [], "cache.include does not name it"),
        (["PKG.*"], [], "cache.include does not name it"),
        ([""], [], "cache.include does not name it"),
        ([], ["pkg.make"], "cache.exclude names it"),
        ([], ["nothing", "*.make"], "cache.exclude names it"),
        ([], ["PKG.MAKE"], None),
        (["pkg.*"], ["pkg.make"], "cache.exclude names it"),
        (["other"], ["pkg.make"], "cache.include does not name it"),
        (["pkg.*"], ["pkg.other"], None),
    ],
)
def test_include_and_exclude(include: list[str], exclude: list[str], reason: str | None) -> None:
    """Patterns match whole target names, with case; exclude wins over include."""
    assert unwanted(stage(), 1e9, CacheOptions(include=include, exclude=exclude)) == reason


def test_patterns_are_about_the_target_not_about_its_children() -> None:
    """An excluded child does not exclude the stage around it."""
    around = stage("pkg.outer", children=[stage("pkg.inner")])
    assert unwanted(around, 1e9, CacheOptions(exclude=["pkg.inner"])) is None


# Uncacheable: by the nature of the result.


async def coroutine() -> None:
    pass


async def async_generator() -> Any:
    yield 1


def traceback() -> types.TracebackType:
    try:
        raise ValueError
    except ValueError as error:
        assert error.__traceback__ is not None
        return error.__traceback__


def live() -> dict[str, tuple[Any, str]]:
    """Results that cannot be kept, and the reasons."""
    once = "an iterator, which can be read only once"
    loop = "asynchronous, and tied to its event loop"
    return {
        "generator": ((n for n in ()), "a generator, which can be read only once"),
        "coroutine": (coroutine(), loop),
        "async generator": (async_generator(), loop),
        "future": (asyncio.Future(loop=asyncio.new_event_loop()), loop),
        "asyncio lock": (asyncio.Lock(), loop),
        "asyncio queue": (asyncio.Queue(), loop),
        "asyncio event": (asyncio.Event(), loop),
        "text file": (open(__file__), "an open file"),
        "binary file": (open(__file__, "rb"), "an open file"),
        "raw file": (open(__file__, "rb", buffering=0), "an open file"),
        "text in memory": (io.StringIO("a"), "an open file"),
        "bytes in memory": (io.BytesIO(b"a"), "an open file"),
        "member of an archive": (zipfile.ZipFile(archive()).open("a"), "an open file"),
        "socket": (socket.socket(), "a socket"),
        "thread": (threading.Thread(), "a thread"),
        "timer": (threading.Timer(1, print), "a thread"),
        "lock": (threading.Lock(), "a lock"),
        "rlock": (threading.RLock(), "a lock"),
        "condition": (threading.Condition(), "a lock"),
        "event": (threading.Event(), "a lock"),
        "semaphore": (threading.Semaphore(), "a lock"),
        "bounded semaphore": (threading.BoundedSemaphore(), "a lock"),
        "barrier": (threading.Barrier(1), "a lock"),
        "module": (math, "a module"),
        "partial": (functools.partial(print), "a partial object"),
        "exception": (ValueError("a"), "an exception"),
        "interrupt": (KeyboardInterrupt(), "an exception"),
        "traceback": (traceback(), "part of a running program"),
        "frame": (traceback().tb_frame, "part of a running program"),
        "view": (memoryview(b"a"), "a view of somebody else's memory"),
        "list iterator": (iter([1]), once),
        "dict iterator": (iter({}), once),
        "string iterator": (iter("a"), once),
        "map": (map(str, []), once),
        "filter": (filter(None, []), once),
        "zip": (zip([]), once),
        "enumerate": (enumerate([]), once),
        "reversed": (reversed([]), once),
        "count": (itertools.count(), once),
        "chain": (itertools.chain(), once),
        "csv": (csv.reader([]), once),
        "matches": (re.finditer("a", "a"), once),
        "own iterator": (Once(), once),
    }


def archive() -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a", "content")
    return file


class Once:
    """An iterator of somebody's."""

    def __iter__(self) -> Once:
        return self

    def __next__(self) -> int:
        raise StopIteration


class Batches(Once):
    """An iterator that begins again, as data loaders do: it has a length."""

    def __len__(self) -> int:
        return 3


@pytest.fixture
def made() -> Any:
    """The live results, closed afterwards."""
    values = live()
    yield values
    values["coroutine"][0].close()
    values["future"][0].get_loop().close()
    for value, _ in values.values():
        if isinstance(value, (io.IOBase, socket.socket)):
            value.close()


def test_results_that_live_only_once_or_only_here_are_refused(made: Any) -> None:
    """Each kind of live result is refused with its own words."""
    for name, (value, reason) in made.items():
        assert uncacheable(value) == f"its result is {reason}", name


@dataclass
class Thing:
    x: int = 1


def test_everything_else_may_be_kept() -> None:
    """Data, containers, lazy ranges, classes, functions and loaders with a length are not refused."""
    kept = [
        *(
            None,
            True,
            0,
            1.5,
            1j,
            "a",
            b"a",
            bytearray(b"a"),
            (),
            [],
            {},
            set(),
            frozenset(),
            range(3),
            slice(1),
        ),
        *(
            Thing(),
            Thing,
            print,
            len,
            lambda: 1,
            Path("a"),
            Batches(),
            collections.deque(),
            collections.Counter(),
        ),
        *(
            {}.keys(),
            {}.items(),
            collections.ChainMap(),
            collections.UserList(),
            types.SimpleNamespace(),
            ...,
        ),
        *(
            Once,
            type,
            object(),
            re.compile("a"),
            [iter([])],
            {"a": threading.Thread},
            math.sin,
            NotImplemented,
        ),
    ]
    for value in kept:
        assert uncacheable(value) is None, value


def test_arrays_frames_and_tensors_may_be_kept() -> None:
    """They have an ``__iter__``, and are no iterators."""
    np = pytest.importorskip("numpy")
    for value in (np.zeros(3), np.float64(1), np.random.default_rng(0)):
        assert uncacheable(value) is None
    pd = pytest.importorskip("pandas")
    assert uncacheable(pd.DataFrame()) is None and uncacheable(pd.Series([1])) is None
    torch = pytest.importorskip("torch")
    for value in (torch.zeros(1), torch.nn.Linear(1, 1), torch.utils.data.DataLoader([1, 2])):
        assert uncacheable(value) is None


def test_the_result_is_not_touched() -> None:
    """Deciding neither iterates nor asks the result anything: a lazy proxy that raises is not woken up."""

    class Sleeping:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(f"woken up by {name}")

        def __iter__(self) -> Any:
            raise RuntimeError("iterated")

        def __len__(self) -> int:
            raise RuntimeError("counted")

        def __bool__(self) -> bool:
            raise RuntimeError("asked")

    assert uncacheable(Sleeping()) is None
    numbers = iter([1, 2])
    uncacheable(numbers)
    assert list(numbers) == [1, 2]
