"""Why a stage ran although the cache knows something like it: the reason is in event, log and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from laboratory import Built, Lab
from projects import Project

from hydra_cached.events import NOTHING
from hydra_cached.shelf import RECENT

pytest_plugins = ("lab_fixture",)

CODE = """
    from project.text import tokenize

    def text(n):
        ran("text")
        return "a b " * n

    def features(text, n_iter=250, **named):
        ran("features")
        return len(tokenize(text)) * n_iter

    def score(features, k=1):
        ran("score")
        return features * k
"""
TEXT = """
    def tokenize(text):
        return text.split()
"""
CONFIG: dict[str, Any] = {
    "text": {"_target_": "stages.text", "n": 2},
    "features": {"_target_": "stages.features", "text": "${text}", "n_iter": 250},
    "score": {"_target_": "stages.score", "features": "${features}"},
}


@pytest.fixture
def project_lab(lab: Lab) -> Lab:
    """Three stages, the second of which reaches a module of its project."""
    return lab.code(CODE, project__text=TEXT)


def changed(node: str, **what: Any) -> dict[str, Any]:
    """The config with other parameters of one node."""
    return {**CONFIG, node: {**CONFIG[node], **what}}


def ran_because(built: Built) -> dict[str, str]:
    """The reasons of all that ran and was kept, by the last step of the path (which Hydra 1.3 knows otherwise)."""
    return {event.path.rpartition(".")[2]: event.miss for event in built.events if event.miss}


def test_the_first_of_its_kind(project_lab: Lab) -> None:
    """With an empty cache there is nothing to compare with, and the log does not go on about it."""
    built = project_lab.build(CONFIG, "features")
    assert ran_because(built) == {"text": NOTHING, "features": NOTHING}
    assert NOTHING not in built.log
    assert project_lab.manifest("stages.features")["miss"] == NOTHING


def test_a_changed_parameter(project_lab: Lab) -> None:
    """The parameter, its old and its new value: in the event, the log and the new entry's manifest."""
    project_lab.build(CONFIG, "features")
    built = project_lab.build(changed("features", n_iter=500), "features")
    assert built.ran == ["features"] and ran_because(built) == {"features": "n_iter: 250 → 500"}
    assert "run: features (stages.features)" in built.log and "n_iter: 250 → 500" in built.log
    assert [
        m["miss"] for m in project_lab.manifests() if m.get("target") == "stages.features" and "miss" in m
    ]
    young, old = recent(project_lab, "stages.features")
    assert young["param n_iter"] == "500" and old["param n_iter"] == "250"


def recent(lab: Lab, target: str) -> list[dict[str, str]]:
    """The parts of a target's entries that are kept for explaining misses, the youngest first."""
    (note,) = [m for m in lab.manifests() if RECENT in m and m["target"] == target]
    return [entry["parts"] for entry in note[RECENT]]


def test_a_changed_parameter_of_a_stage_below(project_lab: Lab) -> None:
    """A stage above says by its path in the config what changed below it."""
    project_lab.build(CONFIG, "score")
    built = project_lab.build(changed("features", n_iter=500), "score")
    assert ran_because(built) == {"features": "n_iter: 250 → 500", "score": "features.n_iter: 250 → 500"}


def test_a_changed_function_that_the_target_reaches(project_lab: Lab) -> None:
    """The function that was edited, by its dotted name, not the target that reached it."""
    project_lab.build(CONFIG, "score")
    project_lab.edit("text.split()", "text.split(' ')", "project/text")
    built = project_lab.build(CONFIG, "score")
    assert built.ran == ["features", "score"]
    assert set(ran_because(built).values()) == {"code of project.text.tokenize changed"}


def test_a_changed_target(project_lab: Lab) -> None:
    """The target itself; and what its code reaches since."""
    project_lab.build(CONFIG, "text")
    project_lab.edit('return "a b " * n', 'return "a b c " * n')
    assert ran_because(project_lab.build(CONFIG, "text")) == {"text": "code of stages.text changed"}
    project_lab.edit('return "a b c " * n', "return LETTERS * n").edit(
        "def text(n):", LETTERS + "def text(n):"
    )
    reason = ran_because(project_lab.build(CONFIG, "text"))["text"]
    assert "code of stages.text changed" in reason and "code of stages.LETTERS is new" in reason


LETTERS = 'LETTERS = "abc"\ndef nothing(): ...\n'


def install(site: Path, version: str) -> None:
    """Put a distribution ``scikit-new`` with a module ``sknew`` where an installer would."""
    for old in site.glob("*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    metadata = site / f"scikit_new-{version}.dist-info"
    metadata.mkdir(parents=True)
    (site / "sknew.py").write_text("def fit(n=1):\n    return n\n")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: scikit-new\nVersion: {version}\n")
    (metadata / "RECORD").write_text("sknew.py,,\n")


def test_another_version_of_a_package(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that the target uses, by the name and the versions that people know; going back hits."""
    site = lab.root / "site-packages"
    install(site, "1.7.1")
    monkeypatch.syspath_prepend(str(site))
    lab.code("import sknew\ndef model(n):\n    ran('model')\n    return sknew.fit(n)\n")
    config = {"model": {"_target_": "stages.model", "n": 1}, "fit": {"_target_": "sknew.fit"}}
    assert lab.build(config).ran == ["model"]
    install(site, "1.7.2")
    lab.forget()
    built = lab.build(config)
    assert ran_because(built) == dict.fromkeys(config, "scikit-new 1.7.1 → 1.7.2")
    assert lab.manifests() and "scikit-new 1.7.1 → 1.7.2" in built.log
    install(site, "1.7.1")
    lab.forget()
    assert lab.build(config).ran == []


@pytest.mark.parametrize("named", ["path", "{data}"])
def test_a_changed_file(lab: Lab, named: str) -> None:
    """A declared file, by where it lies, whether it was named by its parameter or by its path."""
    lab.code("def read(path):\n    ran('read')\n    return open(path).read()\n")
    data = lab.root / "train.csv"
    config = {"_target_": "stages.read", "path": str(data), "_cache_files_": [named.format(data=data)]}
    data.write_text("1")
    lab.build(config)
    data.write_text("2")
    assert ran_because(lab.build(config)) == {"": f"file {data} changed"}


def test_a_bumped_version(project_lab: Lab) -> None:
    """`_cache_version_` is named like a parameter."""
    project_lab.build(changed("text", _cache_version_=1), "text")
    built = project_lab.build(changed("text", _cache_version_=2), "text")
    assert ran_because(built) == {"text": "_cache_version_: 1 → 2"}


def test_another_mode(lab: Lab) -> None:
    """The modes that a node inherits are named like the keys that set them."""
    lab.code("def show(x):\n    ran('show')\n    return repr(x)\n")
    lab.build({"_target_": "stages.show", "x": [1]})
    built = lab.build({"_target_": "stages.show", "x": [1], "_convert_": "all"})
    assert ran_because(built) == {"": "_convert_: none → all"}


def test_parameters_that_come_and_go(project_lab: Lab) -> None:
    """A parameter that was not there before, and one that is there no more."""
    project_lab.build(changed("features", seed=1), "features")
    built = project_lab.build(changed("features", depth=2), "features")
    assert ran_because(built) == {"features": "depth: 2 is new; seed: 1 is gone"}


def test_another_target_below(lab: Lab) -> None:
    """A nested target that was exchanged is named with its path."""
    lab.code("def a(n): return n\ndef b(n): return n + 1\ndef top(x):\n    return x\n")
    lab.build({"_target_": "stages.top", "x": {"_target_": "stages.a", "n": 1}})
    built = lab.build({"_target_": "stages.top", "x": {"_target_": "stages.b", "n": 1}})
    assert built.of("").miss.startswith("x._target_: stages.a → stages.b")
    assert "code of stages.b is new" in built.of("").miss


def test_another_result_of_what_is_run_each_time(lab: Lab) -> None:
    """Where a result, not config, is in the key, the reason says whose result changed."""
    lab.code(
        """
    def look():
        return open(__file__.replace("stages.py", "table")).read()

    def use(table):
        ran("use")
        return table
    """
    )
    config = {"_target_": "stages.use", "table": {"_target_": "stages.look", "_not_deterministic_": True}}
    (lab.root / "table").write_text("1")
    lab.build(config)
    (lab.root / "table").write_text("2")
    assert lab.build(config).of("").miss == "the result of table changed"


def test_more_than_three_differences(project_lab: Lab) -> None:
    """Three are told, parameters before code, the others counted."""
    project_lab.build(changed("features", a=1, b=1, c=1), "features")
    project_lab.edit("text.split()", "text.split(' ')", "project/text")
    built = project_lab.build(changed("features", a=2, b=2, c=2), "features")
    assert ran_because(built) == {"features": "a: 1 → 2; b: 1 → 2; c: 1 → 2; and 1 more"}
    built = project_lab.build(changed("features", a=2, b=3, c=3, n_iter=9), "features")
    assert ran_because(built) == {"features": "b: 2 → 3; c: 2 → 3; n_iter: 250 → 9"}


def test_the_nearest_of_several(project_lab: Lab) -> None:
    """What is compared is the entry with the fewest differences, not the youngest; of equals, the youngest."""
    for a, b in ((1, 1), (2, 2), (3, 3), (4, 4)):
        project_lab.build(changed("features", a=a, b=b), "features")
    built = project_lab.build(changed("features", a=2, b=9), "features")
    assert ran_because(built) == {"features": "b: 2 → 9"}
    built = project_lab.build(changed("features", a=8, b=8), "features")
    assert ran_because(built) == {"features": "a: 2 → 8; b: 9 → 8"}


def test_siblings_are_not_what_a_stage_is_compared_with(project_lab: Lab) -> None:
    """Nodes of one target that one run stores are new, not changed; in the next, each is compared with itself."""
    config = {f"n{at}": {"_target_": "stages.score", "features": at, "k": 10 * at} for at in range(20)}
    built = project_lab.build(config)
    assert set(ran_because(built).values()) == {NOTHING} and built.log == ""
    for at in (3, 16):
        config[f"n{at}"]["k"] = 7
    built = project_lab.build(config)
    assert ran_because(built) == {"n3": "k: 30 → 7", "n16": "k: 160 → 7"}
    built = project_lab.build({"other": {**config["n16"], "k": 8}})
    assert ran_because(built) == {"other": "k: 7 → 8"}


def test_what_is_remembered_of_a_target_is_bounded(project_lab: Lab) -> None:
    """After many runs, the eight youngest are compared with."""
    for a in range(12):
        project_lab.build(changed("features", a=a), "features")
    assert [parts["param a"] for parts in recent(project_lab, "stages.features")] == [
        str(a) for a in range(11, 3, -1)
    ]


def test_an_entry_that_is_gone(project_lab: Lab) -> None:
    """An entry that was removed, and refreshing, are reasons of their own."""
    project_lab.build(CONFIG, "text")
    built = project_lab.build(CONFIG, "text", mode="refresh")
    assert ran_because(built) == {"text": "cache.mode is refresh"}
    for path in (project_lab.cache / "entries").rglob("*"):
        if path.is_file() and RECENT.encode() not in path.read_bytes():
            path.unlink()
    assert ran_because(project_lab.build(CONFIG, "text")) == {"text": "its entry is gone"}


def test_long_values_are_cut_and_told_apart(project_lab: Lab) -> None:
    """Of a long text a beginning is shown, with a mark that tells two of them apart."""
    project_lab.build(changed("features", words="x" * 500 + "1"), "features")
    built = project_lab.build(changed("features", words="x" * 500 + "2"), "features")
    reason = ran_because(built)["features"]
    assert reason.startswith("words: 'xxx") and len(reason) < 260
    old, new = reason.removeprefix("words: ").split(" → ")
    assert old != new


def test_secrets_are_not_shown(project_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason says that a secret may have changed, never what it was or is."""
    monkeypatch.setenv("DB_URL", "first-long-secret")
    config = changed("features", password="hunter2-xyzzy", url="${oc.env:DB_URL}")
    project_lab.build(config, "features")
    monkeypatch.setenv("DB_URL", "other-long-secret")
    built = project_lab.build(changed("features", password="0ther-pa55", url="${oc.env:DB_URL}"), "features")
    assert built.ran == ["features"]
    assert ran_because(built) == {"features": "a secret parameter may have changed, or its entry is gone"}
    for secret in ("hunter2", "0ther", "first-long", "other-long"):
        assert secret not in project_lab.written() + built.log


def test_the_command_shows_what_the_key_of_a_real_run_is_made_of(project: Project) -> None:
    """`hydra-cached show` of an app's entry names parameters, code across modules, versions, files, the reason."""
    project.write(
        app_py="""
            import hydra
            from hydra.utils import instantiate

            @hydra.main(version_base=None, config_path=None, config_name="config")
            def main(cfg):
                instantiate(cfg.model)

            if __name__ == "__main__":
                main()
        """,
        config_yaml="""
            data: {_target_: lab.stages.load, path: data.csv, _cache_files_: [path]}
            model: {_target_: lab.stages.train, data: "${data}", depth: 3, password: hunter2-xyzzy}
        """,
        lab__text_py="SPLIT = ','\ndef parse(text):\n    return text.split(SPLIT)\ndef unused(): ...\n",
        lab__stages_py="""
            import numpy as np
            from lab.text import parse

            def load(path):
                return parse(open(path).read())

            def train(data, depth, password):
                return np.ones(depth) * len(data)
        """,
        data_csv="1,2,3",
    )
    cached = ("app.py", "--config-dir=.", "+cache=disk", "cache.min_seconds=0")
    project.python(*cached)
    project.python(*cached, "model.depth=4")
    listing = project.python("-m", "hydra_cached.cli.manage", "ls")
    keys = {line.split()[1]: line.split()[0] for line in listing.splitlines()[1:]}
    shown = project.python("-m", "hydra_cached.cli.manage", "show", keys["lab.stages.load"])
    assert "lab.text.parse" in shown and "lab.text.SPLIT" in shown and "unused" not in shown
    assert "declared files" in shown and "data.csv" in shown
    trained = [line.split()[0] for line in listing.splitlines() if "train" in line]
    both = [project.python("-m", "hydra_cached.cli.manage", "show", key) for key in trained]
    (shown,) = [text for text in both if NOTHING not in text]
    assert "numpy" in shown and "depth" in shown and "data._target_" in shown
    assert "lab.text.parse" in shown  # reached by the stage below it
    assert "hunter2" not in shown and "(secret)" in shown
    assert "depth: 3 → 4" in shown
