"""Results that are never cached, each with its reason; and what strict and min_seconds make of that."""

from __future__ import annotations

import pytest
from laboratory import Lab

from hydra_cached.errors import StrictError
from hydra_cached.events import Kind

pytest_plugins = ("lab_fixture",)

MAKERS = """
    import asyncio, collections, csv, functools, io, itertools, os, queue, re, socket, sqlite3, subprocess, sys
    import tempfile, threading, types

    class Grumpy:
        def __reduce__(self):
            raise RuntimeError("not me")

    class Reading:
        def __init__(self):
            self.file = open(os.devnull)

    class Numbers:
        def __init__(self):
            self.at = 0
        def __iter__(self):
            return self
        def __next__(self):
            self.at += 1
            return self.at

    def generator():
        yield 1

    async def coroutine():
        return 1

    MAKERS = {
        "generator": (generator, "read only once"),
        "iterator": (lambda: iter([1, 2]), "read only once"),
        "zip": (lambda: zip([1], [2]), "read only once"),
        "map": (lambda: map(str, [1]), "read only once"),
        "count": (lambda: itertools.count(), "read only once"),
        "own_iterator": (Numbers, "read only once"),
        "csv_reader": (lambda: csv.reader(["a,b"]), "read only once"),
        "file": (lambda: open(os.devnull), "an open file"),
        "bytes_io": (lambda: io.BytesIO(b"x"), "an open file"),
        "temporary_file": (lambda: tempfile.NamedTemporaryFile(), ""),
        "holder_of_a_file": (Reading, "pickle"),
        "socket": (lambda: socket.socket(), "a socket"),
        "lock": (threading.Lock, "a lock"),
        "rlock": (threading.RLock, "a lock"),
        "condition": (threading.Condition, "a lock"),
        "event": (threading.Event, "a lock"),
        "thread": (lambda: threading.Thread(target=print), "a thread"),
        "queue": (queue.Queue, ""),
        "module": (lambda: os, "a module"),
        "partial": (lambda: functools.partial(int, base=2), "a partial object"),
        "exception": (lambda: ValueError("x"), "an exception"),
        "view": (lambda: memoryview(b"x"), "memory"),
        "connection": (lambda: sqlite3.connect(":memory:"), "pickle"),
        "grumpy": (Grumpy, "RuntimeError: not me"),
        "coroutine": (coroutine, "asynchronous"),
        "list_of_generators": (lambda: [generator()], "pickle"),
        "dict_of_files": (lambda: {"a": open(os.devnull)}, "pickle"),
        "list_of_modules": (lambda: [os], ""),
        "list_of_locks": (lambda: [threading.Lock()], "pickle"),
    }

    def make(what):
        ran(what)
        return MAKERS[what][0]()

    def use(it):
        ran("use")
        return type(it).__name__
"""
WHAT = [
    line.split('"')[1] for line in MAKERS.split("MAKERS = {")[1].split("}")[0].splitlines() if '": (' in line
]
WHAT.append("dict_of_files")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", [what for what in dict.fromkeys(WHAT) if what != "list_of_modules"])
def test_what_lives_only_now_is_not_cached(lab: Lab, what: str) -> None:
    """It is handed over as it was made, each time made anew, and the reason is said."""
    lab.code(MAKERS)
    for _ in range(2):
        built = lab.build({"_target_": "stages.make", "what": what})
        assert built.ran == [what]
        event = built.of("")
        assert event.kind is Kind.REFUSED and not event.stored and event.reason
        assert not event.deliberate
        import stages

        assert stages.MAKERS[what][1] in event.reason
        assert f"not cached: the root (stages.make): {event.reason}" in built.log
    if what in ("generator", "iterator", "zip", "map"):
        assert len(list(built.value)) >= 1  # nobody has read it


def test_a_reason_is_said_once_per_target(lab: Lab) -> None:
    """Two nodes of one target that are refused for the same reason make one line; another reason, another."""
    lab.code(MAKERS)
    made = [
        {"_target_": "stages.make", "what": what}
        for what in ("generator", "iterator", "zip", "lock", "rlock")
    ]
    log = lab.build(made).log
    assert log.count("not cached") == 3
    assert log.count("read only once") == 2  # a generator is one thing, an iterator another


def test_what_is_made_of_it_is_cached_where_that_can_be(lab: Lab) -> None:
    """A stage above a lock or a generator is cached by its config, as far as its own result can be kept."""
    lab.code(MAKERS)
    config = {"_target_": "stages.use", "it": {"_target_": "stages.make", "what": "lock"}}
    assert lab.build(config).ran == ["lock", "use"]
    built = lab.build(config)
    assert built.ran == [] and built.value == "lock"


def test_none_is_a_result(lab: Lab) -> None:
    """A cached None is no miss."""
    lab.code('def nothing():\n    ran("nothing")\n')
    assert lab.build("{_target_: stages.nothing}").value is None
    built = lab.build("{_target_: stages.nothing}")
    assert built.ran == [] and built.value is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", ["generator", "lock", "grumpy"])
def test_strict_makes_it_an_error(lab: Lab, what: str) -> None:
    """With `strict`, a result that should be stored and cannot be is an error that says where and why."""
    lab.code(MAKERS)
    with pytest.raises(StrictError, match=r"a\.b \(stages\.make\) could not be stored.*strict"):
        lab.build({"a": {"b": {"_target_": "stages.make", "what": what}}}, strict=True)


def test_strict_asks_only_for_what_policy_wants(lab: Lab) -> None:
    """With `strict`, what is quick, excluded or not to be cached by its own config is no error."""
    lab.code(MAKERS)
    config = {"_target_": "stages.make", "what": "lock"}
    lab.build(config, strict=True, min_seconds=5)
    lab.build(config, strict=True, exclude=["*.make"])
    lab.build(config, strict=True, include=["*.use"])
    lab.build(config, strict=True, mode="readonly")
    lab.build({**config, "_cache_result_": False}, strict=True)
    lab.build({**config, "_not_deterministic_": True}, strict=True, exclude=["*"])
    lab.build({**config, "_partial_": True}, strict=True)


def test_strict_and_a_stage_without_a_key(lab: Lab) -> None:
    """With `strict`, an argument that nothing can stand for is an error, too; it names the parameter."""
    lab.code(MAKERS)
    import threading

    with pytest.raises(StrictError, match=r"the root \(stages\.use\) .*it is a"):
        lab.build({"_target_": "stages.use"}, call={"it": threading.Lock()}, strict=True)
    assert lab.build({"_target_": "stages.use"}, call={"it": threading.Lock()}).value == "lock"


def test_an_argument_without_a_canonical_form_is_said_with_its_path(lab: Lab) -> None:
    """Never a partial key: the stage is not cached, and the log names the parameter."""
    lab.code(MAKERS)
    import threading

    for _ in range(2):
        built = lab.build({"a": {"_target_": "stages.use"}}, "a", call={"it": {"x": [threading.Lock()]}})
        assert built.ran == ["use"]
        assert "a.it.x[0] is a _thread.lock, which has no canonical form" in built.log


def test_min_seconds_counts_the_targets_own_time(lab: Lab) -> None:
    """A quick stage above a slow one is not stored, however long both took."""
    lab.code(
        """
    import time

    def slow(seconds):
        ran("slow")
        time.sleep(seconds)
        return seconds

    def quick(x):
        ran("quick")
        return x
    """
    )
    config = "{_target_: stages.quick, x: {_target_: stages.slow, seconds: 0.12}}"
    built = lab.build(config, min_seconds=0.1)
    assert built.of("x").stored and not built.of("").stored
    assert "less than cache.min_seconds (0.1)" in built.of("").reason
    assert built.of("").seconds < 0.1 <= built.of("x").seconds
    assert lab.build(config, min_seconds=0.1).ran == ["quick"]


def test_what_quick_targets_are_refused_for_is_no_warning(lab: Lab) -> None:
    """A lock that took no time would not have been stored anyway: nothing to warn of."""
    lab.code(MAKERS)
    built = lab.build({"_target_": "stages.make", "what": "lock"}, min_seconds=1)
    assert "not cached" not in built.log
