"""The config source ``py://``: Hydra's own tests of config sources, and apps that are run by command line."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest
from hydra import compose, initialize
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigSource
from hydra.test_utils.config_source_common_tests import ConfigSourceTestSuite
from omegaconf import OmegaConf
from projects import Project

from hydra_cached.errors import ConfigModuleError
from hydra_cached.module_tree import ModuleTree, composable
from hydra_plugins.hydra_cached.module_source import ModuleConfigSource


@pytest.mark.parametrize(("type_", "path"), [(ModuleConfigSource, "py://module_configs")])
class TestHydrasSuite(ConfigSourceTestSuite):  # type: ignore[misc]
    """What Hydra wants of every config source."""


def test_hydra_finds_it() -> None:
    """Hydra's scan of plugins finds the config source, once."""
    names = [each.__name__ for each in Plugins.instance().discover(ConfigSource)]
    assert names.count("ModuleConfigSource") == 1


# What a module's object becomes.


def stage(**named: Any) -> Any:
    """A target."""
    return named


def test_callables_become_names() -> None:
    """A `_target_` may be a function or a class, however deep; the config has its name."""
    made, package = composable({"_target_": stage, "x": [{"_target_": Project}], "y": {"_target_": "a.b"}})
    assert package is None
    assert made == {
        "_target_": f"{__name__}.stage",
        "x": [{"_target_": "projects.Project"}],
        "y": {"_target_": "a.b"},
    }


def test_a_shared_node_stays_one() -> None:
    """A node that is a variable stands at its shortest path, and other places refer to it, wherever all is put."""
    data = {"_target_": stage, "n": 1}
    features = {"_target_": stage, "data": data}
    made, _ = composable({"model": {"features": features, "others": [features, data]}, "data": data})
    assert OmegaConf.to_container(made) == {
        "model": {
            "features": {"_target_": f"{__name__}.stage", "data": "${...data}"},
            "others": ["${..features}", "${...data}"],
        },
        "data": {"_target_": f"{__name__}.stage", "n": 1},
    }
    whole = OmegaConf.create({"put": {"here": made}})
    OmegaConf.update(whole, "put.here.data.n", 2)
    for path in ("data", "model.features.data", "model.others[0].data", "model.others[1]"):
        assert OmegaConf.select(whole, f"put.here.{path}.n") == 2


def test_shared_values_that_are_no_nodes_are_copied() -> None:
    """Dicts and lists without a target are repeated: to change one is not to change the other."""
    common = {"lr": 1, "steps": [1, 2]}
    made, _ = composable({"a": common, "b": common})
    made.a.lr = 2
    assert made == {"a": {"lr": 2, "steps": [1, 2]}, "b": {"lr": 1, "steps": [1, 2]}}


@dataclass
class Typed:
    """A structured config."""

    n: int = 1
    _package_: ClassVar[str] = "there"


@dataclass
class WithCallable:
    """A dataclass that OmegaConf cannot hold as it is."""

    n: int = 1
    _target_: Any = stage


def test_dataclasses_stay_typed() -> None:
    """A dataclass, or an instance, keeps its types; with a callable in it, it is a plain dict with a name."""
    for each in (Typed, Typed(2)):
        made, package = composable(each)
        assert OmegaConf.get_type(made) is Typed and package == "there"
    made, package = composable(WithCallable(3))
    assert made == {"n": 3, "_target_": f"{__name__}.stage"} and package is None


def test_omegaconf_configs_keep_interpolations() -> None:
    """A DictConfig comes as it is, unresolved; the module's own object is not changed by what is done to it."""
    config = OmegaConf.create({"a": 1, "b": "${a}", "_package_": "p"})
    made, package = composable(config)
    assert package == "p" and OmegaConf.to_container(made) == {"a": 1, "b": "${a}"}
    made.a = 2
    assert config.a == 1 and config._package_ == "p"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"_target_": lambda: 1}, "_target_: .* cannot be found by name"),
        ({"a": [{"_target_": lambda: 1}]}, r"a\[0\]\._target_: .* cannot be found by name"),
        ({"_package_": 3}, "_package_ must be a text"),
    ],
)
def test_what_cannot_be_a_config(config: Any, problem: str) -> None:
    """An object that has no name, and a package that is none, are errors that say where."""
    with pytest.raises(ConfigModuleError, match=problem):
        composable(config)


def test_a_value_that_omegaconf_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the config and the key."""
    (tmp_path / "odd_configs.py").write_text("a = {'b': {'c': print}}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigModuleError, match=r"the config 'a' in odd_configs: .*"):
        ModuleTree("odd_configs").load("a")


# From the command line.

APP = """
    import hydra
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg):
        print("CONFIG", OmegaConf.to_yaml(cfg, resolve=False))
        if "model" in cfg:
            print("RESULT", instantiate(cfg.model))

    if __name__ == "__main__":
        main()
"""
CONFIGS = """
    from stages import load, train

    data = dict(_target_=load, n=4)
    config = dict(defaults=[{"size": "small"}, "_self_"], data=data, model=dict(_target_=train, data=data, k=2))
    hello_world = dict(message="hello", _self=1)
"""
STAGES = """
    from recorder import ran

    def load(n):
        ran("load")
        return list(range(n))

    def train(data, k):
        ran("train")
        return sum(data) * k
"""


@pytest.fixture
def app(project: Project) -> Project:
    """An app, and a package of configs beside it."""
    (project.root / "configs").mkdir(parents=True)
    (project.root / "configs" / "__init__.py").write_text(dedent(CONFIGS))
    return project.write(
        app_py=APP,
        stages_py=STAGES,
        configs__size_py="""
            small = dict(width=1)
            large = dict(width=100)
        """,
    )


def test_a_config_of_a_module(app: Project) -> None:
    """`--config-path py://configs --config-name hello_world` composes the object of that name."""
    output = app.python("app.py", "--config-path", "py://configs", "--config-name", "hello_world")
    assert "message: hello" in output
    output = app.python("app.py", "-cp", "py://configs", "-cn", "hello_world", "message=bye", "+more=1")
    assert "message: bye" in output and "more: 1" in output


def test_groups_and_overrides(app: Project) -> None:
    """Modules of the package are groups; a group's choice and values are overridden as in YAML."""
    output = app.python("app.py", "-cp", "py://configs")
    assert "width: 1\n" in output and "RESULT 12" in output
    assert "width: 100" in app.python("app.py", "-cp", "py://configs", "size=large")
    assert "width: 7" in app.python("app.py", "-cp", "py://configs", "size=large", "size.width=7")


def test_an_override_of_a_shared_node_holds_for_all(app: Project) -> None:
    """`data.n=5` changes what the model gets, for `data` is one node; on 1.4 it has its other names, too."""
    assert "RESULT 20" in app.python("app.py", "-cp", "py://configs", "data.n=5")
    if hasattr(OmegaConf, "is_tuple"):
        assert "RESULT 20" in app.python("app.py", "-cp", "py://configs", "model.data.n=5")


def test_it_is_cached(app: Project) -> None:
    """With `+cache=disk` the stages are cached, as from YAML; the group `cache` is found beside the module's."""
    cached = ("app.py", "-cp", "py://configs", "+cache=disk", "cache.min_seconds=0")
    for expected in (["load", "train"], []):
        assert "RESULT 12" in app.python(*cached)
        assert app.ran() == expected
    app.python(*cached, "model.k=3,4", "-m")
    assert app.ran() == ["train", "train"]


def test_the_current_directory_is_searched(app: Project, tmp_path: Path) -> None:
    """A module in the directory from which the app is started is found, though the app lies elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text("config = {'message': 'from here'}\n")
    here = Project(tmp_path / "elsewhere")
    assert "from here" in here.python(str(app.root / "app.py"), "-cp", "py://mine")


def test_dotted_names_and_slashes(app: Project) -> None:
    """A module within a package is named with dots or slashes."""
    for name in ("configs.size", "configs/size"):
        assert "width: 100" in app.python("app.py", "-cp", f"py://{name}", "-cn", "large")


def test_as_a_module(app: Project) -> None:
    """Likewise for an app that is run with `python -m`, in a package or not."""
    app.write(pkg__app_py=APP)
    (app.root / "pkg" / "__init__.py").write_text("")
    for module in ("app", "pkg.app"):
        assert "RESULT 12" in app.python("-m", module, "-cp", "py://configs")


def test_in_the_decorator_and_in_the_search_path(app: Project) -> None:
    """`@hydra.main(config_path="py://…")` and `hydra.searchpath=[py://…]` take it, too."""
    app.write(decorated_py=APP.replace('config_path="conf"', 'config_path="py://configs"'))
    assert "RESULT 12" in app.python("decorated.py")
    app.write(conf__config_yaml="defaults: [size: large]\n")
    assert "width: 100" in app.python("app.py", "hydra.searchpath=[py://configs]")


def test_from_the_compose_api(app: Project) -> None:
    """`hydra.initialize(config_path="py://…")` takes it, too."""
    app.write(
        composed_py="""
            from hydra import compose, initialize
            with initialize(version_base=None, config_path="py://configs"):
                print(compose("hello_world").message)
        """
    )
    assert "hello" in app.python("composed.py")


def test_directories_are_directories(app: Project) -> None:
    """An app whose configs are files is none of our business, whatever its directory is called."""
    app.write(conf__config_yaml="message: from a file\n")
    assert "from a file" in app.python("app.py")
    (app.root / "py:").mkdir()
    (app.root / "py:" / "configs").mkdir()
    (app.root / "py:" / "configs" / "config.yaml").write_text("message: odd\n")
    assert "odd" in app.python("app.py", "-cp", "py:/configs")


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("confgs", "config", ["no module 'confgs'", "did you mean configs?"]),
        ("configs.sise", "large", ["no module 'sise' in configs", "did you mean size?"]),
        ("configs", "hello_wrld", ["hello_wrld", "did you mean hello_world?"]),
        ("broken", "config", ["broken cannot be imported", "nonsense"]),
        ("wrong", "config", ["'config' in wrong"]),
    ],
)
def test_errors_say_what_is_there(app: Project, path: str, name: str, expected: list[str]) -> None:
    """A missing module or config is an error with names that are like it; a broken one says why; no traceback."""
    app.write(broken_py="import nonsense\n", wrong_py="config = {'_target_': lambda: 1}\n")
    output = app.python("app.py", "-cp", f"py://{path}", "-cn", name, status=1)
    for text in expected:
        assert text in output
    assert "Traceback" not in output


def test_options_of_a_group_are_listed(app: Project) -> None:
    """A missing option of a group is Hydra's own error, which lists the module's configs."""
    output = app.python("app.py", "-cp", "py://configs", "size=medium", status=1)
    assert "large" in output and "small" in output


def test_nothing_is_imported_that_was_not_asked_for(app: Project) -> None:
    """Without `py://` nothing of ours that is heavy, and no module of the app's, is imported for it."""
    look = "import sys; assert not {'hydra_cached.module_tree', 'configs'} & set(sys.modules); print"
    app.write(conf__config_yaml="a: 1\n", look_py=APP.replace("print", look, 1))
    assert "a: 1" in app.python("look.py")


def test_sys_path_is_only_added_to_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What can be imported already is found where it was."""
    monkeypatch.setattr(
        sys, "path", [path for path in sys.path if os.path.abspath(path or ".") != str(tmp_path)]
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert not ModuleTree("nothing_like_this").exists()
    assert sys.path == [*before, str(tmp_path)]


def test_compose_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that has other configs, too, a module's are found by name."""
    with initialize(version_base=None, config_path="py://module_configs"):
        imagenet = {"name": "imagenet", "path": "/datasets/imagenet"}
        assert compose("config_with_defaults_list") == {"dataset": imagenet, "key": "value"}
        assert compose("primary_config", overrides=["+optimizer=adam"]).optimizer.beta == 0.01
