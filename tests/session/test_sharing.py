"""Sharing: who gets the same object within a call, and that nothing is shared, or stored, beyond that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from laboratory import Lab
from omegaconf import OmegaConf

import hydra_cached
from hydra_cached import activate
from hydra_cached.execution.caching import InMemoryCache

pytest_plugins = ("lab_fixture",)

MARKED = "from hydra_cached import not_deterministic\n    @not_deterministic\n    def "

BOX = """
    class Box:
        def __init__(self, *items, **named):
            ran("Box")
            self.items, self.named = items, named

    def pair(a, b):
        ran("pair")
        return [a, b]
"""
THRICE = """
    box: {_target_: stages.Box}
    twin: {_target_: stages.Box}
    pairs:
      - {_target_: stages.pair, a: "${box}", b: "${box}"}
      - {_target_: stages.pair, a: "${box}", b: "${twin}"}
"""


def same(value: Any) -> list[bool]:
    """Which of the four places of ``THRICE`` hold the object of the first."""
    (a, b), (c, d) = value
    return [b is a, c is a, d is a]


@pytest.mark.parametrize(
    ("share", "expected", "made"),
    [
        ("reference", [True, True, False], 2),
        ("equal", [True, True, True], 1),
        ("none", [False, False, False], 4),
    ],
)
def test_who_gets_the_same_object(lab: Lab, share: str, expected: list[bool], made: int) -> None:
    """By reference: interpolations of one node; by equality: equal sub-configs; or nobody; cold."""
    lab.code(BOX)
    built = lab.build(THRICE, "pairs", share=share, exclude=["*"])
    assert same(built.value) == expected
    assert built.ran.count("Box") == made


@pytest.mark.parametrize(
    ("share", "expected"),
    [("reference", [True, True, False]), ("equal", [True, True, True]), ("none", [False, False, False])],
)
def test_the_same_objects_when_they_come_from_the_cache(lab: Lab, share: str, expected: list[bool]) -> None:
    """Warm, with the boxes in the cache and the pairs not, the same places hold the same objects."""
    lab.code(BOX)
    for _ in range(2):
        built = lab.build(THRICE, "pairs", share=share, exclude=["*.pair"])
        assert same(built.value) == expected
    assert built.ran == ["pair"] * (1 if share == "equal" else 2)


def test_within_one_result_objects_stay_the_same(lab: Lab) -> None:
    """A result that holds one object twice comes back holding one object twice."""
    lab.code(BOX)
    for _ in range(2):
        first, second = lab.build(THRICE, "pairs").value[0]
        assert first is second
        first, second = lab.build(THRICE, "pairs").value[1]
        assert first is not second


def test_one_object_twice_is_not_two_equal_ones(lab: Lab) -> None:
    """A stage that receives one object twice has another key than one that receives two equal ones."""
    lab.code(BOX)
    config = """
        box: {_target_: stages.Box}
        once: {_target_: stages.pair, a: "${box}", b: "${box}"}
        twice: {_target_: stages.pair, a: {_target_: stages.Box}, b: {_target_: stages.Box}}
    """
    for _ in range(2):
        assert (lambda a, b: a is b)(*lab.build(config, "once").value)
        assert (lambda a, b: a is not b)(*lab.build(config, "twice").value)


def test_references_within_references(lab: Lab) -> None:
    """An interpolation inside of a node that is itself referred to shares on every Hydra."""
    lab.code(BOX)
    config = """
        core: {_target_: stages.Box}
        left: {_target_: stages.Box, core: "${core}"}
        deep: {inner: {_target_: stages.Box, left: "${left}", core: "${core}", list: ["${core}"]}}
        top:
          a: "${deep.inner}"
          b: {_target_: stages.Box, again: "${deep}", core: "${core}"}
    """
    for _ in range(2):
        top = lab.build(config, "top", exclude=["*"]).value
        core = top["a"].named["core"]
        assert top["b"].named["core"] is core
        assert top["a"].named["list"][0] is core
        assert top["a"].named["left"].named["core"] is core
        assert top["b"].named["again"]["inner"] is top["a"]


def test_references_out_of_the_node_that_is_instantiated(lab: Lab) -> None:
    """Interpolations that lead to nodes beside the instantiated one are shared, too."""
    lab.code(BOX)
    config = """
        box: {_target_: stages.Box}
        app: {parts: {a: "${box}", b: "${.a}", c: "${app.parts.a}", d: "${..parts.b}"}}
    """
    parts = lab.build(config, "app.parts", exclude=["*"]).value
    assert all(parts[name] is parts["a"] for name in "bcd")


def test_other_modes_are_other_objects(lab: Lab) -> None:
    """A node that inherits another conversion is not the same object."""
    lab.code(BOX)
    config = """
        box: {_target_: stages.Box, values: [1]}
        root:
          plain: {_target_: stages.Box, box: "${box}", _convert_: all}
          config: {_target_: stages.Box, box: "${box}"}
    """
    root = lab.build(config, "root", exclude=["*"]).value
    assert type(root["plain"].named["box"].named["values"]) is list
    assert OmegaConf.is_list(root["config"].named["box"].named["values"])


# Targets that change what they share with others.

CHANGING = """
    def data(n):
        ran("data")
        return list(range(n))

    def spoil(data):
        ran("spoil")
        data.append(100)
        return "spoilt"

    def total(data, *others, **named):
        ran("total")
        return sum(data)

    def keep(data):
        ran("keep")
        return {"data": data}

    def total_of(kept, **others):
        ran("total_of")
        return sum(kept["data"])
"""


def test_a_consumer_of_a_changed_object_is_not_stored_as_of_the_unchanged(lab: Lab) -> None:
    """A stage that received what a sibling had changed is no hit for one that receives it as it was made."""
    lab.code(CHANGING)
    config = """
        data: {_target_: stages.data, n: 4}
        both:
          - {_target_: stages.spoil, data: "${data}"}
          - {_target_: stages.total, data: "${data}"}
        alone: {_target_: stages.total, data: "${data}"}
    """
    assert list(lab.build(config, "both").value) == ["spoilt", 106]
    built = lab.build(config, "alone")
    assert built.value == 6 and built.ran == ["total"]


@pytest.mark.parametrize("order", ["data, spoilt", "spoilt, data"])
def test_an_argument_that_another_argument_changed(lab: Lab, order: str) -> None:
    """When the sibling does no longer change it, the stage that received both runs again.

    The sibling's result is equal, so that only what the stage really received tells the difference.
    """
    lab.code(CHANGING)
    nodes = {"data": '"${data}"', "spoilt": '{_target_: stages.spoil, data: "${data}"}'}
    arguments = ", ".join(f"{name}: {nodes[name]}" for name in order.split(", "))
    config = f"""
        data: {{_target_: stages.data, n: 4}}
        top: {{_target_: stages.total, {arguments}}}
    """
    assert lab.build(config, "top").value == 106
    lab.edit("data.append(100)", "pass")
    built = lab.build(config, "top")
    assert built.value == 6 and built.ran == ["spoil", "total"]


def test_an_argument_that_holds_what_another_changed(lab: Lab) -> None:
    """Likewise when the changed object is inside of another stage's result."""
    lab.code(CHANGING)
    config = """
        data: {_target_: stages.data, n: 4}
        top:
          _target_: stages.total_of
          kept: {_target_: stages.keep, data: "${data}"}
          spoilt: {_target_: stages.spoil, data: "${data}"}
    """
    assert lab.build(config, "top").value == 106
    lab.edit('{"data": data}', '{"data": list(data)}')
    built = lab.build(config, "top")
    assert built.value == 6 and "total_of" in built.ran


def test_the_same_with_stages_that_are_too_quick_to_store(lab: Lab) -> None:
    """Likewise when only the last stage takes long enough to be stored."""
    lab.code(CHANGING)
    lab.edit('ran("total_of")', 'ran("total_of"); import time; time.sleep(0.06)')
    config = """
        data: {_target_: stages.data, n: 4}
        top:
          _target_: stages.total_of
          kept: {_target_: stages.keep, data: "${data}"}
          spoilt: {_target_: stages.spoil, data: "${data}"}
    """
    assert lab.build(config, "top", min_seconds=0.05).value == 106
    lab.edit('{"data": data}', '{"data": list(data)}')
    built = lab.build(config, "top", min_seconds=0.05)
    assert built.value == 6 and "total_of" in built.ran


def test_quick_stages_that_share_do_not_keep_a_slow_one_from_hitting(lab: Lab) -> None:
    """Where nobody changes anything, a slow stage over quick ones that share hits with nothing run."""
    lab.code(CHANGING)
    lab.edit('ran("total_of")', 'ran("total_of"); import time; time.sleep(0.06)')
    config = """
        data: {_target_: stages.data, n: 4}
        top:
          _target_: stages.total_of
          kept: {_target_: stages.keep, data: "${data}"}
          again: {_target_: stages.keep, data: "${data}"}
          data: "${data}"
    """
    lab.build(config, "top", min_seconds=0.05)
    built = lab.build(config, "top", min_seconds=0.05)
    assert built.value == 6 and built.ran == []


def test_a_target_that_changes_its_own_argument(lab: Lab) -> None:
    """What a stage made of an object that it changed is stored under the object as it received it."""
    lab.code(CHANGING)
    config = "{_target_: stages.spoil, data: {_target_: stages.data, n: 4}}"
    lab.build(config)
    assert lab.build(config).ran == []
    assert lab.build("{_target_: stages.data, n: 4}").value == [0, 1, 2, 3]
    lab.edit('return "spoilt"', "return data")
    assert lab.build(config).value == [0, 1, 2, 3, 100]
    assert lab.build("{_target_: stages.data, n: 4}").value == [0, 1, 2, 3]


def test_an_object_changed_above_what_runs_each_time(lab: Lab) -> None:
    """Objects below a stage that runs each time are asked as they are when they are received."""
    lab.code(CHANGING.replace("def data", MARKED + "data"))
    config = """
        data: {_target_: stages.data, n: 4}
        top:
          _target_: stages.total_of
          kept: {_target_: stages.keep, data: "${data}"}
          spoilt: {_target_: stages.spoil, data: "${data}"}
    """
    assert lab.build(config, "top").value == 106
    lab.edit('{"data": data}', '{"data": list(data)}')
    assert lab.build(config, "top").value == 6
    assert lab.build(config, "top").value == 6


# Between calls and jobs.


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_nothing_is_shared_between_calls(lab: Lab, tmp_path: Path, where: str) -> None:
    """What a caller does to its result reaches no later call, first call included, in no kind of cache."""
    lab.code(CHANGING)
    config = OmegaConf.create({"_target_": "stages.keep", "data": {"_target_": "stages.data", "n": 3}})
    from hydra.utils import instantiate

    with activate(tmp_path / "c" if where == "disk" else None, min_seconds=0):
        results = []
        for _ in range(3):
            result = instantiate(config)
            assert result == {"data": [0, 1, 2]}
            result["data"].append(1)
            results.append(result)
        assert len({id(result["data"]) for result in results}) == 3


def test_arrays_are_fresh_and_writable(lab: Lab, tmp_path: Path) -> None:
    """Arrays come back writable, and writing to one reaches no later call."""
    lab.code(
        """
    import numpy as np

    def array(n):
        return np.zeros(n)
    """
    )
    from hydra.utils import instantiate

    for n in (4, 400_000):
        for directory in (tmp_path / "c", None):
            with activate(directory, min_seconds=0):
                for _ in range(3):
                    result = instantiate({"_target_": "stages.array", "n": n})
                    assert result.sum() == 0
                    result += 1


def test_a_cache_object_hands_out_the_same_objects(lab: Lab) -> None:
    """`instantiate(cfg, cache=obj)` gives the same objects call after call: the caller asked for it."""
    lab.code(BOX)
    cache: InMemoryCache[str, Any] = InMemoryCache()
    config = OmegaConf.create({"_target_": "stages.pair", "a": {"_target_": "stages.Box"}, "b": 1})
    first = hydra_cached.instantiate(config, cache=cache)
    second = hydra_cached.instantiate(config, cache=cache)
    assert second is first and second[0] is first[0]
    assert hydra_cached.instantiate(config.a, cache=cache) is first[0]
    assert hydra_cached.instantiate(config, cache=InMemoryCache()) is not first


def test_a_cache_object_takes_what_cannot_be_pickled(lab: Lab) -> None:
    """Objects that cannot be pickled can be kept as objects, and so can what is made of them."""
    lab.code(
        """
    def local(n):
        ran("local")
        import threading
        class Local:
            def __init__(self):
                self.lock, self.n = threading.Lock(), n
        return Local()

    def use(it):
        ran("use")
        return it.n
    """
    )
    from notebook import RAN

    cache: InMemoryCache[str, Any] = InMemoryCache()
    config = OmegaConf.create({"_target_": "stages.use", "it": {"_target_": "stages.local", "n": 3}})
    RAN.clear()
    assert [hydra_cached.instantiate(config, cache=cache) for _ in range(2)] == [3, 3]
    assert RAN == ["local", "use"]


def test_one_node_that_runs_twice_is_two_results(lab: Lab) -> None:
    """With `share=none`, two references to one node that runs each time are told apart by their results."""
    lab.code(
        """
    from hydra_cached import not_deterministic
    NEXT = []

    @not_deterministic
    def take():
        return NEXT.pop(0)

    def pair(a, b):
        ran("pair")
        return [a, b]
    """
    )
    import importlib

    config = 'take: {_target_: stages.take}\npair: {_target_: stages.pair, a: "${take}", b: "${take}"}'
    for numbers in ([1, 2], [2, 2], [1, 2], [1, 1], [2, 1], [2, 1]):
        importlib.import_module("stages").NEXT[:] = numbers
        assert lab.build(config, "pair", share="none").value == numbers


def test_what_runs_each_time_is_not_run_less_for_being_equal(lab: Lab) -> None:
    """With `share=none` every node that is not deterministic runs, whatever hits above it."""
    lab.code(
        """
    from hydra_cached import not_deterministic

    @not_deterministic
    def look(name="a"):
        ran("look")
        return 1

    def use(x, k):
        ran("use")
        return x + k
    """
    )
    config = """
        - {_target_: stages.use, k: 1, x: {_target_: stages.look}}
        - {_target_: stages.use, k: 2, x: {_target_: stages.look}}
    """
    for share in ("none", "reference"):
        lab.build(config, share=share)
        assert lab.build(config, share=share).ran == ["look", "look"]
        changed = config.replace("k: 2", f"k: {share}".replace("none", "3").replace("reference", "4"))
        assert lab.build(changed, share=share).ran == ["look", "look", "use"]
    assert lab.build(config, share="equal").ran == ["look"]
