"""Early cutoff: a stage whose result stays equal lets all that follow it hit."""

from __future__ import annotations

import pytest
from laboratory import Lab

from hydra_cached.events import Kind

pytest_plugins = ("lab_fixture",)

MARKED = "from hydra_cached import not_deterministic\n    @not_deterministic\n    def "

CHAIN = """
    def one(n):
        ran("one")
        return list(range(n))

    def two(data, power=2):
        ran("two")
        return [x ** power for x in data]

    def three(data, k=1):
        ran("three")
        return sum(data) * k
"""
CONFIG = """
    one: {_target_: stages.one, n: 4}
    two: {_target_: stages.two, data: "${one}"}
    three: {_target_: stages.three, data: "${two}"}
"""


@pytest.fixture
def chain(lab: Lab) -> Lab:
    """Three stages in a row, built once."""
    lab.code(CHAIN)
    assert lab.build(CONFIG, "three").ran == ["one", "two", "three"]
    return lab


def test_a_refactored_stage_runs_alone(chain: Lab) -> None:
    """A first stage with other code and an equal result runs; the two levels above it do not."""
    chain.edit("list(range(n))", "[each for each in range(n)]")
    built = chain.build(CONFIG, "three")
    assert built.ran == ["one"] and built.value == 14
    built = chain.build(CONFIG, "three")
    assert built.ran == [] and built.value == 14
    assert built.kinds("three") == [Kind.HIT] and built.loads == 1


def test_a_refactored_middle_stage_runs_alone(chain: Lab) -> None:
    """Likewise in the middle: what is below it hits, what is above it hits."""
    chain.edit("x ** power", "pow(x, power)")
    assert chain.build(CONFIG, "three").ran == ["two"]
    assert chain.build(CONFIG, "three").ran == []


def test_another_result_runs_what_follows(chain: Lab) -> None:
    """A first stage with another result makes all that follow run."""
    chain.edit("list(range(n))", "list(range(n + 1))")
    built = chain.build(CONFIG, "three")
    assert built.ran == ["one", "two", "three"] and built.value == 30


def test_a_stage_that_swallows_the_change_stops_it(lab: Lab) -> None:
    """The first stage's result changes, the second's does not: the third hits."""
    lab.code(CHAIN.replace("x ** power for x in data", "x * 0 + 1 for x in data if x < 4"))
    lab.build(CONFIG, "three")
    lab.edit("list(range(n))", "list(range(n + 3))")
    built = lab.build(CONFIG, "three")
    assert built.ran == ["one", "two"] and built.value == 4


def test_reverting_an_edit_hits_again(chain: Lab) -> None:
    """The old code finds the old entries, with nothing run and one thing loaded."""
    chain.edit("list(range(n))", "list(range(n + 1))")
    chain.build(CONFIG, "three")
    chain.edit("list(range(n + 1))", "list(range(n))")
    built = chain.build(CONFIG, "three")
    assert built.ran == [] and built.value == 14 and built.loads == 1


def test_a_changed_parameter_with_an_equal_result(lab: Lab) -> None:
    """Not only code: a parameter that makes no difference to the result stops there, too."""
    lab.code(CHAIN.replace("def one(n):", "def one(n, chunks=1):"))
    lab.build(CONFIG, "three")
    built = lab.build(CONFIG.replace("n: 4", "n: 4, chunks: 8"), "three")
    assert built.ran == ["one"] and built.value == 14


@pytest.mark.parametrize(
    "config",
    [
        "{_target_: stages.three, data: [{_target_: stages.three, data: [1, 2]}, 3]}",
        "{_target_: stages.total, data: {a: {b: [{_target_: stages.one, n: 4}]}}}",
        "{_target_: stages.total, _convert_: all, data: {a: {b: [{_target_: stages.one, n: 4}]}}}",
        "{_target_: stages.total, _args_: [[{_target_: stages.one, n: 4}]]}",
    ],
)
def test_through_containers(lab: Lab, config: str) -> None:
    """The refactored stage may stand anywhere in lists, dicts and positional arguments."""
    lab.code(
        CHAIN
        + """
    def total(data):
        ran("total")
        return repr(data)
    """
    )
    first = lab.build(config)
    lab.edit("list(range(n))", "[each for each in range(n)]").edit("sum(data) * k", "k * sum(data)")
    second = lab.build(config)
    assert second.ran in (["one"], ["three", "three"])  # of three, code is one and the same for both
    assert second.value == first.value
    assert lab.build(config).ran == []


def test_through_a_partial_node(lab: Lab) -> None:
    """A partial object stands for its target's code and for the results that it holds."""
    lab.code(
        CHAIN
        + """
    def apply(f, n):
        ran("apply")
        return f(k=n)
    """
    )
    config = """
        _target_: stages.apply
        n: 3
        f: {_target_: stages.three, _partial_: true, data: {_target_: stages.one, n: 4}}
    """
    assert lab.build(config).ran == ["one", "apply", "three"]
    assert lab.build(config).ran == []
    lab.edit("list(range(n))", "[each for each in range(n)]")
    built = lab.build(config)
    assert built.ran == ["one"] and built.value == 18
    lab.edit("sum(data) * k", "sum(data) * k + 1")
    built = lab.build(config)
    assert built.ran == ["apply", "three"] and built.value == 19


def test_under_recursive_false_the_nested_code_counts(lab: Lab) -> None:
    """A target that instantiates its config itself runs again when the nested target's code changes."""
    lab.code(
        CHAIN
        + """
    from hydra.utils import instantiate

    def outer(inner):
        ran("outer")
        return instantiate(inner)
    """
    )
    config = "{_target_: stages.outer, _recursive_: false, inner: {_target_: stages.one, n: 4}}"
    assert lab.build(config).ran == ["outer", "one"]
    assert lab.build(config).ran == []
    lab.edit("list(range(n))", "list(range(n))[::-1]")
    built = lab.build(config)
    assert built.ran == ["outer", "one"] and built.value == [3, 2, 1, 0]


def test_through_stages_that_are_too_quick_to_store(lab: Lab) -> None:
    """A quick stage between two slow ones runs again, and lets the slow one that follows hit."""
    lab.code(CHAIN.replace('ran("one")', 'ran("one"); import time; time.sleep(0.06)'))
    lab.edit('ran("three")', 'ran("three"); import time; time.sleep(0.06)')
    assert lab.build(CONFIG, "three", min_seconds=0.05).ran == ["one", "two", "three"]
    assert lab.build(CONFIG, "three", min_seconds=0.05).ran == []
    lab.edit("list(range(n))", "[each for each in range(n)]")
    built = lab.build(CONFIG, "three", min_seconds=0.05)
    assert built.ran == ["one", "two"] and built.value == 14


def test_a_hit_loads_no_children(lab: Lab) -> None:
    """A stage that hits, by static key or by its children's results, loads nothing but itself."""
    lab.code(
        """
    from hydra_cached import not_deterministic

    @not_deterministic
    def look():
        ran("look")
        return 7

    def big(n):
        ran("big")
        return [0] * n

    def top(look, big):
        ran("top")
        return look + len(big)
    """
    )
    config = """
        _target_: stages.top
        look: {_target_: stages.look}
        big: {_target_: stages.big, n: 1000}
    """
    assert lab.build(config).ran == ["look", "big", "top"]
    built = lab.build(config)
    assert built.ran == ["look"] and built.loads == 1 and built.value == 1007
    lab.edit("return 7", "return 8")
    built = lab.build(config)
    assert built.ran == ["look", "top"] and built.loads == 1 and built.value == 1008
    lab.edit("return 8", "return 3 + 4")
    built = lab.build(config)
    assert built.ran == ["look"] and built.loads == 1 and built.value == 1007


def test_above_what_is_not_deterministic_on_all_levels(lab: Lab) -> None:
    """Below two stages in a row: the equal result of what runs each time lets both hit."""
    lab.code(CHAIN.replace("def one", MARKED + "one"))
    assert lab.build(CONFIG, "three").ran == ["one", "two", "three"]
    assert lab.build(CONFIG, "three").ran == ["one"]
    lab.edit("list(range(n))", "list(range(n))[::-1]")
    built = lab.build(CONFIG, "three")
    assert built.ran == ["one", "two", "three"]  # the second's result is another list
    lab.edit("list(range(n))[::-1]", "sorted(range(n))")
    assert lab.build(CONFIG, "three").ran == ["one"]


def test_results_without_a_canonical_form(lab: Lab) -> None:
    """Instances of classes are compared by their pickled bytes: equal ones stop a change."""
    lab.code(
        """
    class Model:
        def __init__(self, weights):
            self.weights = weights

    def train(n):
        ran("train")
        return Model([n, n])

    def evaluate(model):
        ran("evaluate")
        return sum(model.weights)
    """
    )
    config = "{_target_: stages.evaluate, model: {_target_: stages.train, n: 2}}"
    assert lab.build(config).ran == ["train", "evaluate"]
    lab.edit("Model([n, n])", "Model([n] * 2)")
    assert lab.build(config).ran == ["train"]
    lab.edit("Model([n] * 2)", "Model([n] * 3)")
    built = lab.build(config)
    assert built.ran == ["train", "evaluate"] and built.value == 6


def test_equal_results_of_other_types_do_not_stop_a_change(chain: Lab) -> None:
    """`1.0` for `1` and a tuple for a list are other results."""
    chain.edit("list(range(n))", "tuple(range(n))")
    assert chain.build(CONFIG, "three").ran == ["one", "two"]
    chain.edit("tuple(range(n))", "[float(x) for x in range(n)]")
    built = chain.build(CONFIG, "three")
    assert built.ran == ["one", "two", "three"] and isinstance(built.value, float)


def test_after_a_cutoff_the_next_run_needs_nothing(chain: Lab) -> None:
    """What was found by its children's results is found by config and code alone next time."""
    chain.edit("list(range(n))", "[each for each in range(n)]")
    assert chain.build(CONFIG, "three").ran == ["one"]
    (chain.root / "cache").rename(chain.root / "elsewhere")
    (chain.root / "elsewhere").rename(chain.root / "cache")
    built = chain.build(CONFIG, "three", mode="readonly")
    assert [event.kind for event in built.events] == [Kind.HIT] and built.loads == 1


def test_readonly_cuts_off_without_writing(chain: Lab) -> None:
    """In a cache that is only read, a cutoff works and leaves no trace."""
    before = sorted(chain.cache.rglob("*"))
    chain.edit("list(range(n))", "[each for each in range(n)]")
    for _ in range(2):
        assert chain.build(CONFIG, "three", mode="readonly").ran == ["one"]
    assert sorted(chain.cache.rglob("*")) == before


def test_a_failing_stage_after_a_cutoff(chain: Lab) -> None:
    """A stage that raises stores nothing; corrected, it runs on what is there."""
    chain.edit("sum(data) * k", "1 // 0")
    with pytest.raises(Exception, match="by zero"):
        chain.build(CONFIG, "three")
    chain.edit("1 // 0", "sum(data) * k * 2")
    built = chain.build(CONFIG, "three")
    assert built.ran == ["three"] and built.value == 28
