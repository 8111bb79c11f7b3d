"""Global random state: with ``cache.random_state``, cold and warm runs go on with the same numbers."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import pytest
from laboratory import Built, Lab
from projects import Project

from hydra_cached.events import Kind

pytest_plugins = ("lab_fixture",)

DRAWING = """
    import random
    import numpy as np

    def draw(n):
        ran("draw")
        return [random.random() for _ in range(n)] + np.random.rand(n).tolist() + [random.gauss(0, 1)]

    def fixed(n):
        ran("fixed")
        return n

    def use(values, more=None):
        ran("use")
        return values[0]
"""
ALL = ["*"]


def seed(number: int) -> None:
    """Seed what there is."""
    random.seed(number)
    np.random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)


def after() -> list[Any]:
    """The numbers that come next."""
    return [random.random(), random.gauss(0, 1), *np.random.rand(2), np.random.standard_normal()]


def seeded(lab: Lab, number: int, config: str, node: str = "", **options: Any) -> tuple[Built, list[Any]]:
    """Build after seeding; and what comes next."""
    seed(number)
    built = lab.build(config, node, **{"random_state": ALL, **options})
    return built, after()


DRAW = "{_target_: stages.draw, n: 3}"
USE = 'draw: {_target_: stages.draw, n: 3}\nuse: {_target_: stages.use, values: "${draw}"}'


def test_cold_and_warm_go_on_with_the_same_numbers(lab: Lab) -> None:
    """A hit gives what the run gave and leaves `random` and numpy where the run left them; so does no cache."""
    lab.code(DRAWING)
    seed(1)
    value = lab.alone(DRAW)
    rest = after()
    for expected in (["draw"], [], []):
        built, then = seeded(lab, 1, DRAW)
        assert (built.value, then) == (value, rest)
        assert built.ran == expected


def test_another_seed_misses(lab: Lab) -> None:
    """Another state before is another key."""
    lab.code(DRAWING)
    first, _ = seeded(lab, 1, DRAW)
    second, _ = seeded(lab, 2, DRAW)
    assert second.ran == ["draw"] and second.value != first.value
    assert seeded(lab, 1, DRAW)[0].value == first.value
    assert seeded(lab, 2, DRAW)[0].ran == []


def test_through_dependants(lab: Lab) -> None:
    """Stages in a row: each hit goes on from the state that the one before left."""
    lab.code(DRAWING)
    cold, numbers = seeded(lab, 1, USE, "use")
    warm, again = seeded(lab, 1, USE, "use")
    assert warm.ran == [] and (warm.value, again) == (cold.value, numbers)
    other, _ = seeded(lab, 2, USE, "use")
    assert other.value != cold.value


def test_a_stage_above_one_that_draws(lab: Lab) -> None:
    """Naming only the target that draws is enough: what contains it depends on the state as well."""
    lab.code(DRAWING)
    named = {"random_state": ["stages.draw"]}
    cold, numbers = seeded(lab, 1, USE, "use", **named)
    other, others = seeded(lab, 2, USE, "use", **named)
    assert other.value != cold.value and others != numbers
    for number, expected, then in ((1, cold, numbers), (2, other, others)):
        warm, again = seeded(lab, number, USE, "use", **named)
        assert warm.ran == [] and (warm.value, again) == (expected.value, then)


def test_an_equal_result_from_another_state(lab: Lab) -> None:
    """A stage whose draws do not show in its result still moves the generators, for those above it, too."""
    lab.code(DRAWING.replace("+ [random.gauss(0, 1)]", "and [5]"))
    for number in (1, 2, 1, 2):
        seed(number)
        value = lab.alone(USE, "use")
        rest = after()
        built, then = seeded(lab, number, USE, "use", random_state=["stages.draw"])
        assert (built.value, then) == (value, rest)


def test_a_stage_that_draws_after_one_that_hits(lab: Lab) -> None:
    """A changed second stage draws what it would have drawn after the first had run."""
    lab.code(DRAWING)
    pair = """
        - {_target_: stages.draw, n: 3}
        - {_target_: stages.draw, n: 2}
    """
    seeded(lab, 1, pair)
    changed = pair.replace("n: 2", "n: 4")
    seed(1)
    value = lab.alone(changed)
    built, _ = seeded(lab, 1, changed)
    assert built.ran == ["draw"] and list(built.value) == list(value)


def test_targets_that_are_not_named_are_as_ever(lab: Lab) -> None:
    """A target that is not named hits in any state, and its hit moves nothing."""
    lab.code(DRAWING)
    lab.build("{_target_: stages.fixed, n: 1}", random_state=["*.draw"])
    seed(3)
    before = random.getstate()
    assert lab.build("{_target_: stages.fixed, n: 1}", random_state=["*.draw"]).ran == []
    assert random.getstate() == before


def test_a_target_that_draws_is_noted_once(lab: Lab) -> None:
    """Without the option, a note says once per target that it draws; not for a target that does not."""
    lab.code(DRAWING)
    config = "[{_target_: stages.draw, n: 1}, {_target_: stages.draw, n: 2}, {_target_: stages.fixed, n: 1}]"
    built = lab.build(config)
    assert built.log.count("draws from the global random state") == 1
    assert "stages.draw" in built.log and "cache.random_state" in built.log
    assert "draws" in built.of("[0]").note and not built.of("[2]").note
    assert "draws from the global random state" not in lab.build(config, random_state=ALL, dir=None).log


def test_a_state_that_cannot_be_restored_is_a_miss(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose state cannot be set leaves the generators as they were; the stage runs."""
    from hydra_cached import random_state

    lab.code(DRAWING)
    cold, numbers = seeded(lab, 1, DRAW)
    real = np.random.set_state

    def refuse(state: Any) -> None:
        if state[1][0] != refused:
            real(state)
        else:
            raise ValueError("no such generator")

    refused = -1
    for manifest in lab.manifests():
        if "random_state" in manifest:
            refused = manifest["random_state"]["numpy"][1][0]
    monkeypatch.setattr(np.random, "set_state", refuse)
    built, then = seeded(lab, 1, DRAW)
    assert built.ran == ["draw"] and (built.value, then) == (cold.value, numbers)
    assert built.kinds("")[0] is Kind.DAMAGED
    assert random_state.capture()


def test_a_library_that_the_target_brings_along(project: Project) -> None:
    """A generator that is seeded by chance, in a library that only the target imports, makes no hit."""
    project.write(
        stages_py="""
        import random, numpy as np
        from recorder import ran

        def draw(n):
            ran("draw")
            return [random.random(), float(np.random.rand())]
        """,
        app_py="""
        import random, sys
        from hydra.utils import instantiate
        from hydra_cached import activate
        random.seed(1)
        with activate("cache", min_seconds=0, random_state=["*"]):
            print(instantiate({"_target_": "stages.draw", "n": 1}))
        """,
    )
    first, second = project.python("app.py"), project.python("app.py")
    assert first.split(",")[0] == second.split(",")[0]
    assert first != second
    assert project.ran() == ["draw", "draw"]
