"""The option `code`: whose code is in the key, in real runs."""

from __future__ import annotations

import fsspec
import pytest
from laboratory import Lab
from projects import Project

pytest_plugins = ("lab_fixture",)

APP = """
    import hydra
    from hydra.utils import instantiate

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg):
        print("RESULT", instantiate(cfg.model))

    if __name__ == "__main__":
        main()
"""
CACHED = ("app.py", "+cache=disk", "cache.min_seconds=0")
CODE = """
    from helper import halve

    def quarter(n):
        ran("quarter")
        return halve(halve(n))

    def top(x):
        ran("top")
        return x
"""
HELPER = """
    def halve(n):
        return n / 2
"""
CONFIG = "{_target_: stages.top, x: {_target_: stages.quarter, n: 8}}"


@pytest.fixture
def stages(lab: Lab) -> Lab:
    """A stage that reaches a helper in another module, and one above it."""
    return lab.code(CODE, helper=HELPER)


def helper(lab: Lab, result: str) -> Lab:
    """Another helper."""
    return lab.code(helper=HELPER.replace("n / 2", result))


@pytest.mark.parametrize("options", [{}, {"code": "project"}])
def test_project_counts_all_that_is_reached(stages: Lab, options: dict[str, str]) -> None:
    """The default: an edited helper runs the stage that reaches it; a comment does not."""
    stages.build(CONFIG, **options)
    assert helper(stages, "n / 2  # half").build(CONFIG, **options).ran == []
    built = helper(stages, "n / 4").build(CONFIG, **options)
    assert built.ran == ["quarter", "top"] and built.value == 0.5
    assert helper(stages, "n / 2").build(CONFIG, **options).ran == []


def test_target_counts_the_targets_own_definition(stages: Lab) -> None:
    """With `target`, an edited helper is not noticed, an edited target is."""
    assert stages.build(CONFIG, code="target").value == 2
    assert helper(stages, "n / 4").build(CONFIG, code="target").value == 2
    stages.edit("halve(halve(n))", "halve(n)")
    built = stages.build(CONFIG, code="target")
    assert built.ran == ["quarter"] and built.value == 2  # 8 / 4: an equal result, so the stage above hits
    assert built.of("x").miss == "code of stages.quarter changed"


def test_off_counts_no_code(stages: Lab) -> None:
    """With `off`, no edit is noticed, and a changed parameter is."""
    assert stages.build(CONFIG, code="off").value == 2
    stages.edit("halve(halve(n))", "n")
    built = stages.build(CONFIG, code="off")
    assert built.value == 2 and built.ran == []
    assert stages.build(CONFIG.replace("n: 8", "n: 9"), code="off").ran == ["quarter", "top"]


def test_each_finds_its_own_entries(stages: Lab) -> None:
    """What was stored under one is not served under another, which promises something else."""
    for code in ("off", "target", "project"):
        assert stages.build(CONFIG, code=code).ran[:1] == ["quarter"]
    for code in ("off", "target", "project"):
        assert stages.build(CONFIG, code=code).ran == []


def test_the_mark_counts_whatever_is_in_the_key(stages: Lab) -> None:
    """`not_deterministic` is honoured under each of them."""
    stages.edit("def quarter", "from hydra_cached import not_deterministic\n@not_deterministic\ndef quarter")
    for code in ("off", "target", "project"):
        for _ in range(2):
            assert stages.build(CONFIG, code=code).ran[0] == "quarter"


# From the command line.


@pytest.fixture
def app(project: Project) -> Project:
    """An app with one stage that reaches a helper and reads what its parameters name."""
    return project.write(
        app_py=APP,
        stages_py="""
            import fsspec
            from recorder import ran
            from helper import halve

            def model(path, n=8, num_workers=1):
                ran("model")
                with fsspec.open_files(path)[0] as file:
                    return file.read(), halve(n)
        """,
        helper_py=HELPER,
        conf__config_yaml="model: {_target_: stages.model, path: data.csv, n: 8, num_workers: 1}",
        data_csv="one",
    )


def test_code_from_the_command_line(app: Project) -> None:
    """`cache.code` takes its three values; `off` in any spelling that the shell leaves of it."""
    for code in ("project", "target", "off"):
        app.python(*CACHED, f"cache.code={code}")
        assert app.ran() == ["model"]
    app.write(helper_py=HELPER.replace("n / 2", "n / 4"))
    for code, expected in (("off", []), ("target", []), ("project", ["model"])):
        app.python(*CACHED, f"cache.code={code}")
        assert app.ran() == expected
    assert "expected one of [project, target, off]" in app.python(*CACHED, "cache.code=some", status=1)


def test_special_keys_from_the_command_line(app: Project) -> None:
    """`_cache_version_`, `_cache_ignore_` and `cache.ignore` work in an app, by override."""
    app.python(*CACHED)
    app.ran()
    for changes, expected in (
        (["+model._cache_version_=2"], ["model"]),
        (["+model._cache_version_=2"], []),
        (["+model._cache_ignore_=[num_workers]", "model.num_workers=2"], ["model"]),
        (["+model._cache_ignore_=[num_workers]", "model.num_workers=4"], []),
        (["cache.ignore=['*.num_workers']", "model.num_workers=8"], []),
        (["cache.ignore=['*.num_workers']", "model.num_workers=8", "model.n=2"], ["model"]),
        (["+model._cache_result_=false"], ["model"]),
        (["+model._cache_result_=false"], ["model"]),
        ([], []),
    ):
        app.python(*CACHED, *changes)
        assert app.ran() == expected, changes


@pytest.mark.parametrize("how", ["relative", "absolute", "directory", "url"])
def test_declared_files_from_the_command_line(app: Project, how: str) -> None:
    """What `_cache_files_` names counts by content: a file, a directory, a URL; an edit runs, a touch does not."""
    data = app.root / "data.csv"
    path = {
        "relative": "data.csv",
        "absolute": str(data),
        "directory": str(app.root / "folder"),
        "url": data.as_uri(),
    }[how]
    if how == "directory":
        (app.root / "folder" / "deep").mkdir(parents=True)
        data = app.root / "folder" / "deep" / "part"
        data.write_text("one")
        changes = [f"+model._cache_files_=[{path}]"]
    else:
        changes = ["+model._cache_files_=[path]", f"model.path='{path}'"]
    app.python(*CACHED, *changes)
    assert app.ran() == ["model"]
    for text, expected in (("one", []), ("two", ["model"]), ("one", []), ("two", [])):
        data.write_text(text)
        output = app.python(*CACHED, *changes)
        assert app.ran() == expected
        assert how == "directory" or text in output


def test_a_directory_behind_a_url(stages: Lab) -> None:
    """All that lies below a URL counts, with its names."""
    files = fsspec.filesystem("memory")
    config = "{_target_: stages.quarter, n: 8, _cache_files_: ['memory://session/folder']}"
    files.pipe("/session/folder/a", b"1")
    files.pipe("/session/folder/deep/b", b"2")
    assert stages.build(config).ran == ["quarter"]
    assert stages.build(config).ran == []
    for change in (
        lambda: files.pipe("/session/folder/deep/b", b"3"),
        lambda: files.mv("/session/folder/a", "/session/folder/c"),
        lambda: files.pipe("/session/folder/new", b""),
    ):
        change()
        assert stages.build(config).ran == ["quarter"]
        assert stages.build(config).ran == []
    files.rm("/session", recursive=True)
