"""Hydra apps, run as their users run them: in processes of their own, by command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import Project

APP = """
    import hydra
    from hydra.utils import instantiate

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg):
        result = instantiate(cfg.model)
        print("RESULT", result)
        return result

    if __name__ == "__main__":
        main()
"""
STAGES = """
    from recorder import ran

    def data(n):
        ran("data")
        return list(range(n))

    def features(data, power):
        ran("features")
        return [x ** power for x in data]

    def model(features, k=1):
        ran("model")
        return sum(features) * k
"""
CONFIG = """
    defaults:
      - _self_
    data: {_target_: stages.data, n: 4}
    features: {_target_: stages.features, data: "${data}", power: 2}
    model: {_target_: stages.model, features: "${features}", k: 1}
"""
CACHED = ("app.py", "+cache=disk", "cache.min_seconds=0")


@pytest.fixture
def app(project: Project) -> Project:
    """An app that knows nothing of this project."""
    return project.write(app_py=APP, stages_py=STAGES, conf__config_yaml=CONFIG)


def test_an_app_that_knows_nothing_is_cached(app: Project) -> None:
    """`+cache=disk` alone caches an app whose `instantiate` was imported by name; the second run runs nothing."""
    assert "RESULT 14" in app.python(*CACHED)
    assert app.ran() == ["data", "features", "model"]
    output = app.python(*CACHED)
    assert "RESULT 14" in output
    assert app.ran() == []
    assert "nothing run" in output and "from the cache" in output


def test_an_override_runs_only_what_depends_on_it(app: Project) -> None:
    """A changed override of the last stage runs the last stage, one of the middle also what follows."""
    app.python(*CACHED)
    app.ran()
    assert "RESULT 28" in app.python(*CACHED, "model.k=2")
    assert app.ran() == ["model"]
    assert "RESULT 36" in app.python(*CACHED, "features.power=3")
    assert app.ran() == ["features", "model"]
    app.python(*CACHED)
    assert app.ran() == []


def test_a_sweep_computes_the_shared_stages_once(app: Project) -> None:
    """Four jobs over a setting of the last stage: the stages before it run once."""
    app.python(*CACHED, "model.k=1,2,3,4", "-m")
    ran = app.ran()
    assert sorted(ran) == ["data", "features", *["model"] * 4]
    app.python(*CACHED, "model.k=1,2,3,4", "-m")
    assert app.ran() == []


def test_a_directory_is_relative_to_where_the_app_was_started(app: Project) -> None:
    """The default directory is found again though each job has an output directory of its own."""
    app.python(*CACHED, "hydra.job.chdir=true")
    assert (app.root / ".hydra_cached" / "entries").is_dir()
    app.ran()
    app.python(*CACHED, "hydra.job.chdir=true")
    assert app.ran() == []


def test_turned_off_the_app_is_as_it_was(app: Project) -> None:
    """After cached runs, the app without `+cache` runs everything and creates nothing."""
    app.python(*CACHED)
    app.ran()
    output = app.python("app.py")
    assert app.ran() == ["data", "features", "model"]
    assert "cache" not in output


def test_a_defaults_list_chooses_the_cache(app: Project) -> None:
    """An app whose defaults list has `cache: "off"` takes `cache=disk cache.dir=...` and `cache=memory`."""
    app.write(conf__config_yaml='defaults:\n  - cache: "off"\n  - _self_\n' + CONFIG.split("- _self_\n")[1])
    (app.root / "conf" / "config.yaml").write_text(
        'defaults:\n  - cache: "off"\n  - _self_\n'
        "data: {_target_: stages.data, n: 4, _cache_version_: 1}\n"
        'features: {_target_: stages.features, data: "${data}", power: 2}\n'
        'model: {_target_: stages.model, features: "${features}", k: 1}\n'
    )
    app.python("app.py")
    assert app.ran() == ["data", "features", "model"]
    for _ in range(2):
        app.python("app.py", "cache=disk", "cache.dir=there", "cache.min_seconds=0")
    assert app.ran() == ["data", "features", "model"]
    assert (app.root / "there" / "entries").is_dir()
    app.python("app.py", "cache=memory")
    assert app.ran() == ["data", "features", "model"]


def test_an_app_whose_config_is_a_dataclass(project: Project) -> None:
    """`+cache=disk` works where the whole config is typed; other keys at its root are refused as before."""
    project.write(
        stages_py=STAGES,
        app_py="""
            from dataclasses import dataclass, field
            from typing import Any
            import hydra
            from hydra.core.config_store import ConfigStore
            from hydra.utils import instantiate
            from omegaconf import OmegaConf

            @dataclass
            class Data:
                _target_: str = "stages.data"
                n: int = 4

            @dataclass
            class Config:
                data: Data = field(default_factory=Data)
                k: int = 1

            ConfigStore.instance().store(name="config", node=Config)

            @hydra.main(version_base=None, config_path=None, config_name="config")
            def main(cfg):
                assert OmegaConf.get_type(cfg) is Config
                print("RESULT", instantiate(cfg.data), OmegaConf.to_object(cfg))

            if __name__ == "__main__":
                main()
        """,
    )
    for expected in (["data"], []):
        assert "RESULT [0, 1, 2, 3] Config(data=Data(" in project.python(*CACHED)
        assert project.ran() == expected
    project.python(*CACHED, "data.n=5,6", "-m")
    assert project.ran() == ["data", "data"]
    for wrong in ("kk=2", "cache.dri=x", "data.m=1"):
        assert "Key '" in project.python(*CACHED, wrong, status=1)
    assert "Key 'cache' not in" in project.python("app.py", "cache.dir=x", status=1)


def test_a_misspelt_option_is_hydras_own_error(app: Project) -> None:
    """Options are typed: a wrong name or value stops the composition, with Hydra's message."""
    assert "Key 'dri' not in 'CacheOptions'" in app.python(*CACHED, "cache.dri=x", status=1)
    assert "could not be converted to Float" in app.python(*CACHED, "cache.min_seconds=soon", status=1)
    assert "expected one of [readwrite" in app.python(*CACHED, "cache.mode=fast", status=1)
    assert app.ran() == []


def test_readonly_and_refresh(app: Project) -> None:
    """`readonly` uses what is there and writes nothing; `refresh` computes again and replaces."""
    app.python(*CACHED, "cache.mode=readonly")
    assert not (app.root / ".hydra_cached").exists()
    app.python(*CACHED)
    app.ran()
    app.python(*CACHED, "cache.mode=readonly", "model.k=5")
    assert app.ran() == ["model"]
    app.python(*CACHED, "cache.mode=refresh")
    assert app.ran() == ["data", "features", "model"]
    app.python(*CACHED)
    assert app.ran() == []


def test_results_survive_a_failure_of_a_later_stage(app: Project) -> None:
    """What was computed before a stage failed is there when the run is tried again."""
    app.write(
        stages_py=STAGES.replace(
            "return sum(features) * k",
            'import os\n        if "FAIL" in os.environ:\n            raise ValueError("no")\n'
            "        return sum(features) * k",
        )
    )
    app.python(*CACHED, status=1, FAIL="1")
    assert app.ran() == ["data", "features", "model"]
    app.python(*CACHED)
    assert app.ran() == ["model"]


def test_a_target_that_exits_is_not_a_result(app: Project) -> None:
    """`sys.exit(0)` in a target stores nothing; what came before is kept."""
    app.write(
        stages_py=STAGES.replace(
            "return sum(features) * k",
            'import os, sys\n        if "EXIT" in os.environ:\n            sys.exit(0)\n'
            "        return sum(features) * k",
        )
    )
    app.python(*CACHED, EXIT="1")
    assert app.ran() == ["data", "features", "model"]
    assert "RESULT 14" in app.python(*CACHED)
    assert app.ran() == ["model"]


def test_jobs_of_a_sweep_do_not_share_objects(app: Project) -> None:
    """What one job does to its result does not reach the next job, though both run in one process."""
    app.write(
        app_py=APP.replace(
            'print("RESULT", result)', 'data = instantiate(cfg.data); print("DATA", data); data.append(99)'
        )
    )
    output = app.python(*CACHED, "model.k=1,2", "-m")
    assert output.count("DATA [0, 1, 2, 3]\n") == 2
    output = app.python("app.py", "+cache=memory", "model.k=1,2", "-m")
    assert output.count("DATA [0, 1, 2, 3]\n") == 2


def test_a_cache_that_cannot_be_written_does_not_break_the_run(app: Project) -> None:
    """A directory that cannot be made makes the run slower, and is reported."""
    (app.root / "file").write_text("not a directory")
    output = app.python("app.py", "+cache=disk", "cache.dir=file/below", "cache.min_seconds=0")
    assert "RESULT 14" in output
    assert "cannot be written" in output


def test_strict_makes_that_an_error(app: Project) -> None:
    """With `strict`, a result that should be stored and cannot be stops the run."""
    (app.root / "file").write_text("not a directory")
    arguments = ("app.py", "+cache=disk", "cache.dir=file/below", "cache.min_seconds=0", "cache.strict=true")
    assert "with cache.strict set" in app.python(*arguments, status=1)


def test_quick_results_are_not_stored(app: Project) -> None:
    """With the default `min_seconds`, stages of milliseconds run again and leave no entry."""
    app.python("app.py", "+cache=disk")
    app.python("app.py", "+cache=disk")
    assert app.ran() == ["data", "features", "model"] * 2
    assert not list((app.root / ".hydra_cached").glob("entries/*/*"))


def test_include_and_exclude(app: Project) -> None:
    """Glob patterns over target names say whose results are stored."""
    app.python(*CACHED, "cache.exclude=['*.data']")
    app.python(*CACHED, "cache.exclude=['*.data']", "features.power=3")
    assert app.ran() == ["data", "features", "model", "data", "features", "model"]
    app.python(*CACHED, "cache.dir=other", "cache.include=['*.features']")
    app.python(*CACHED, "cache.dir=other", "cache.include=['*.features']", "model.k=7")
    assert app.ran() == ["data", "features", "model", "model"]


def test_the_manage_command_lists_and_shows(app: Project) -> None:
    """`hydra-cached ls|show|stats|verify|rm` tell what is in the directory, as text and as JSON."""
    app.python(*CACHED)
    manage = ("-m", "hydra_cached.cli.manage")
    listed = json.loads(app.python(*manage, "ls", "--json"))
    assert {row["target"] for row in listed if not row["link"]} == {
        "stages.data",
        "stages.features",
        "stages.model",
    }
    key = next(row["key"] for row in listed if row["target"] == "stages.model")
    assert json.loads(app.python(*manage, "show", key[:12], "--json"))["path"] == "model"
    assert "features.power" in app.python(*manage, "show", key[:12])
    assert "0 damaged" in app.python(*manage, "verify")
    assert "stages.data" in app.python(*manage, "stats")
    path = app.root / ".hydra_cached" / "entries" / key[:2] / key
    path.write_bytes(path.read_bytes()[:-1])
    assert "1 damaged" in app.python(*manage, "verify", status=1)
    assert "removed" in app.python(*manage, "rm", "--all")
    assert json.loads(app.python(*manage, "ls", "--json")) == []
    app.python(*manage, "show", "ffff", status=2)
    app.python(*manage, "--dir", "nowhere", "ls", status=2)


def test_a_damaged_entry_is_a_reported_miss(app: Project) -> None:
    """An entry that was cut short is computed again, said so, and replaced."""
    app.python(*CACHED)
    app.ran()
    for path in Path(app.root / ".hydra_cached" / "entries").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1])
    output = app.python(*CACHED)
    assert "RESULT 14" in output and "cannot be used and is computed again" in output
    assert app.ran() == ["data", "features", "model"]
    app.python(*CACHED)
    assert app.ran() == []
