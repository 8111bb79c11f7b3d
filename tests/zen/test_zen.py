"""hydra-zen's ways to describe and to run things, with the cache: `builds`, `zen`, `launch`, in real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project

hydra_zen = pytest.importorskip("hydra_zen")

STAGES = """
    from dataclasses import dataclass
    from recorder import ran

    @dataclass
    class Data:
        n: int
        scale: float = 1.0

        def __post_init__(self):
            ran("Data")

    def prepare(data, power=2, seed=0):
        ran("prepare")
        return [data.scale * x ** power for x in range(data.n)]

    def train(values, k=1, loss=None):
        ran("train")
        return k * sum(values) + (loss(0) if loss else 0)

    def offset(x, by=1):
        ran("offset")
        return x + by

    def twice(function):
        def doubled(*args, **named):
            return 2 * function(*args, **named)
        return doubled
"""
# One config in all of hydra-zen's ways; each stage is wrapped by hydra-zen's own target, but for the dataclass.
CONFIGS = """
    from hydra_zen import builds, make_config, store, zen
    import stages

    Data = builds(stages.Data, populate_full_signature=True, n=4)
    Prepare = builds(stages.prepare, data=Data, populate_full_signature=True, zen_meta={"note": "x"})
    Offset = builds(stages.offset, by=5, zen_partial=True, populate_full_signature=True)
    Train = builds(
        stages.train, values=Prepare, loss=Offset, populate_full_signature=True, zen_wrappers=stages.twice
    )
    Config = make_config(model=Train, name="run")
"""
ZEN_APP = """
    import sys
    from hydra_zen import store, zen
    from configs import Config

    def task(model, name):
        print("RESULT", name, model)
        return model

    if __name__ == "__main__":
        store(Config, name="config")
        store.add_to_hydra_store()
        zen(task).hydra_main(config_name="config", version_base=None, config_path=None)
"""
LAUNCH = """
    import sys
    from hydra_zen import launch, zen, instantiate
    from configs import Config

    def task(cfg):
        return instantiate(cfg.model)

    if __name__ == "__main__":
        multirun = "-m" in sys.argv
        overrides = [each for each in sys.argv[1:] if each != "-m"]
        done = launch(Config, task, overrides=overrides, multirun=multirun, version_base=None)
        jobs = done[0] if multirun else [done]
        print("RESULT", [job.return_value for job in jobs])
"""
CACHE = ("+cache=disk", "cache.min_seconds=0")
RESULT = 2 * (14.0 + 5)
ALL = ["Data", "offset", "prepare", "train"]


@pytest.fixture
def app(project: Project) -> Project:
    """Stages, their configs, and programs that run them."""
    return project.write(stages_py=STAGES, configs_py=CONFIGS, app_py=ZEN_APP, launched_py=LAUNCH)


def edit(app: Project, old: str, new: str, name: str = "stages.py") -> None:
    """Change a text in a module."""
    path: Path = app.root / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture(params=["app.py", "launched.py"])
def run(request: pytest.FixtureRequest, app: Project) -> tuple[Project, str]:
    """The app that `zen` makes of a function, and a program that calls `launch`."""
    return app, request.param


def test_hits(run: tuple[Project, str]) -> None:
    """The second run computes nothing and returns the same."""
    app, program = run
    for expected in (ALL, []):
        assert str(RESULT) in app.python(program, *CACHE)
        assert sorted(app.ran()) == expected


def test_without_the_cache(run: tuple[Project, str]) -> None:
    """Without `+cache` everything runs, each time, with the same result."""
    app, program = run
    for _ in range(2):
        assert str(RESULT) in app.python(program)
        assert sorted(app.ran()) == ALL


def test_an_edit_behind_zen_target(run: tuple[Project, str]) -> None:
    """What hydra-zen wraps is in the key: an edit of one function runs its stage, a comment runs nothing."""
    app, program = run
    app.python(program, *CACHE)
    app.ran()
    edit(app, "return k * sum(values)", "# the sum\n    return k * sum(values)")
    app.python(program, *CACHE)
    assert app.ran() == []
    edit(app, "data.scale * x ** power", "x ** power * data.scale")
    output = app.python(program, *CACHE)
    assert app.ran() == ["prepare"] and "code of stages.prepare changed" in output  # and an equal result
    edit(app, "x ** power * data.scale", "x ** power * data.scale + 1")
    assert str(2 * (18.0 + 5)) in app.python(program, *CACHE)
    assert app.ran() == ["prepare", "train", "offset"]


def test_an_edit_behind_zen_partial(run: tuple[Project, str]) -> None:
    """A partial object's function is in the key of what receives it."""
    app, program = run
    app.python(program, *CACHE)
    app.ran()
    edit(app, "return x + by", "return x - by")
    assert str(2 * (14.0 - 5)) in app.python(program, *CACHE)
    assert app.ran() == ["train", "offset"]


def test_an_edit_of_a_zen_wrapper(run: tuple[Project, str]) -> None:
    """So is a wrapper of hydra-zen's `zen_wrappers`."""
    app, program = run
    app.python(program, *CACHE)
    app.ran()
    edit(app, "return 2 * function", "return 3 * function")
    assert str(3 * (14.0 + 5)) in app.python(program, *CACHE)
    assert app.ran() == ["train", "offset"]


def test_an_edit_of_a_dataclass(run: tuple[Project, str]) -> None:
    """A dataclass that `builds` targets counts with its methods; its equal instance stops the change."""
    app, program = run
    app.python(program, *CACHE)
    app.ran()
    edit(app, 'ran("Data")', 'ran("Data")\n        self.scale = self.scale * 1')
    app.python(program, *CACHE)
    assert app.ran() == ["Data", "prepare"]  # its class is a part of what an instance is
    edit(app, "self.scale * 1", "self.scale * 2")
    assert str(2 * (28.0 + 5)) in app.python(program, *CACHE)
    assert app.ran() == ["Data", "prepare", "train", "offset"]


def test_a_default_that_builds_filled_in(run: tuple[Project, str]) -> None:
    """`populate_full_signature` puts defaults into the config: another default is another parameter."""
    app, program = run
    app.python(program, *CACHE)
    app.ran()
    edit(app, "power=2", "power=3")
    output = app.python(program, *CACHE)
    assert str(2 * (36.0 + 5)) in output and "power: 2 → 3" in output
    assert app.ran() == ["prepare", "train", "offset"]


def test_meta_fields_do_not_count(run: tuple[Project, str]) -> None:
    """What `zen_meta` keeps from the target changes nothing that the target does."""
    app, program = run
    app.python(program, *CACHE)
    app.ran()
    edit(app, '"note": "x"', '"note": "y"', "configs.py")
    assert str(RESULT) in app.python(program, *CACHE)
    assert app.ran() == []


def test_sweeps(run: tuple[Project, str]) -> None:
    """The jobs of a sweep share the stages that they have in common, with `launch(multirun=True)`, too."""
    app, program = run
    app.python(program, *CACHE, "model.k=1,2,3", "-m")
    ran = app.ran()
    assert ran.count("Data") == ran.count("prepare") == 1 and ran.count("train") == 3
    app.python(program, *CACHE, "model.k=1,2,3", "-m")
    assert app.ran() == []


def test_zen_in_a_session(app: Project) -> None:
    """`zen(f)(config)` without any Hydra app instantiates through the session that is active."""
    app.write(
        called_py="""
            from hydra_zen import zen
            from hydra_cached import activate
            from configs import Config

            def task(model, name):
                return model

            with activate("cache", min_seconds=0) as session:
                print("RESULT", zen(task)(Config))
            print(session.summary().line())
        """
    )
    for expected in (ALL, []):
        assert f"RESULT {RESULT}" in app.python("called.py")
        assert sorted(app.ran()) == expected
