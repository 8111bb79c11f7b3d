"""The keys inside of a node's config: what each does, what is said of wrong ones, and that no target sees them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from laboratory import Lab

from hydra_cached.events import Kind
from hydra_cached.keys.special import SPECIAL_KEYS, SpecialKeyError

pytest_plugins = ("lab_fixture",)

STAGES = """
    from hydra_cached import not_deterministic

    def take(*args, **named):
        ran("take")
        return (args, named)

    @not_deterministic
    def look(**named):
        ran("look")
        return named

    def read(path, **named):
        ran("read")
        import fsspec
        from pathlib import Path
        if "://" in str(path):
            return fsspec.open(path).open().read()
        path = Path(path)
        return path.read_text() if path.is_file() else sorted(each.name for each in path.rglob("*"))

    def use(x=None, **named):
        ran("use")
        return x
"""
ALL_OF_THEM = {
    "_cache_result_": True,
    "_not_deterministic_": False,
    "_cache_version_": 3,
    "_cache_ignore_": ["b"],
    "_cache_files_": [],
}


@pytest.fixture
def stages(lab: Lab) -> Lab:
    """A laboratory with the stages above."""
    return lab.code(STAGES)


@pytest.mark.parametrize(
    "options", [{}, {"mode": "off"}, {"mode": "readonly"}, {"min_seconds": 9}, {"dir": None}]
)
@pytest.mark.parametrize(
    "modes",
    [
        {},
        {"_recursive_": False},
        {"_convert_": "all"},
        {"_args_": [1, 2]},
        {"_not_deterministic_": True},
        {"_cache_result_": False},
    ],
)
def test_they_never_reach_the_target(stages: Lab, options: dict[str, Any], modes: dict[str, Any]) -> None:
    """The target gets its parameters and nothing of ours, cold and warm, also with the cache off."""
    config = {"_target_": "stages.take", "a": 1, "b": 2, **ALL_OF_THEM, **modes}
    for _ in range(2):
        args, named = stages.build(config, **options).value
        assert (tuple(args), named) == (tuple(modes.get("_args_", ())), {"a": 1, "b": 2})


@pytest.mark.parametrize("mode", ["readwrite", "off"])
def test_they_never_reach_partial_and_nested_targets(stages: Lab, mode: str) -> None:
    """Nor a partial object's keywords, nor targets inside of others, nor those given at the call."""
    partial = stages.build(
        {"_target_": "stages.take", "_partial_": True, "a": 1, **ALL_OF_THEM}, mode=mode
    ).value
    assert partial.keywords == {"a": 1}
    nested = {"_target_": "stages.take", "x": [{"_target_": "stages.take", "a": 1, **ALL_OF_THEM}]}
    _, named = stages.build(nested, mode=mode).value
    assert list(named) == ["x"] and named["x"][0][1] == {"a": 1}
    _, named = stages.build({"_target_": "stages.take"}, call={"a": 1, **ALL_OF_THEM}, mode=mode).value
    assert named == {"a": 1}


def test_the_version_is_part_of_the_key(stages: Lab) -> None:
    """Another `_cache_version_`, of any kind, is another entry; the old one is still there."""
    versions = [None, 1, 1.0, "1", True, "v2", [1, 2], {"a": 1}]
    config = {"_target_": "stages.take", "a": 1}
    for version in versions:
        assert stages.build({**config, "_cache_version_": version}).ran == ["take"], version
    for version in versions:
        assert stages.build({**config, "_cache_version_": version}).ran == [], version
    assert stages.build(config).ran == []


def test_the_version_of_a_child_counts(stages: Lab) -> None:
    """A bumped version below runs that stage; the stage above hits if the result is equal."""
    config = "{_target_: stages.use, x: {_target_: stages.take, _cache_version_: 1}}"
    assert stages.build(config).ran == ["take", "use"]
    assert stages.build(config.replace("1}", "2}")).ran == ["take"]


def test_a_version_of_the_call(stages: Lab) -> None:
    """It can be given at the call."""
    for _ in range(2):
        for version in (1, 2):
            built = stages.build("{_target_: stages.take, a: 1}", call={"_cache_version_": version})
    assert built.ran == []
    assert len([m for m in stages.manifests() if "trace" in m]) == 2


def test_ignored_parameters(stages: Lab) -> None:
    """What `_cache_ignore_` names is left out of the key, whatever it is: values, objects, nested targets."""
    base = {"_target_": "stages.use", "x": 1, "_cache_ignore_": ["n", "callback", "not_there"]}
    assert stages.build({**base, "n": 1}).ran == ["use"]
    assert stages.build({**base, "n": 2}).ran == []
    assert stages.build(base).ran == []
    assert stages.build(base, call={"callback": lambda: 1}).ran == []
    assert stages.build({**base, "n": {"_target_": "stages.take"}}).ran == []
    assert stages.build({**base, "x": 2, "n": {"_target_": "stages.take"}}).ran == ["take", "use"]
    assert stages.build({**base, "x": 3, "n": {"_target_": "stages.look"}}).ran == ["look", "use"]
    assert stages.build({**base, "x": 3}).ran == []
    assert stages.build({**base, "x": 4}).ran == ["use"]


def test_ignored_positional_arguments_are_not_meant(stages: Lab) -> None:
    """Only names are ignored; `_args_` is a name like others."""
    base = {"_target_": "stages.take", "_cache_ignore_": ["_args_"]}
    stages.build({**base, "_args_": [1]})
    assert stages.build({**base, "_args_": [2]}).ran == []
    assert stages.build({"_target_": "stages.take", "_args_": [2]}).ran == ["take"]


def test_ignore_patterns_of_the_cache(stages: Lab) -> None:
    """`cache.ignore` leaves out parameters by their paths, on all levels."""
    config = "a: {_target_: stages.use, x: {_target_: stages.use, num_workers: 1, m: {num_workers: 1, y: 1}}}"
    options = {"ignore": ["*.num_workers"]}
    assert stages.build(config, "a", **options).ran == ["use", "use"]
    assert stages.build(config.replace("num_workers: 1", "num_workers: 8"), "a", **options).ran == []
    assert stages.build(config.replace("y: 1", "y: 2"), "a", **options).ran == ["use"]
    assert stages.build("{_target_: stages.use, x: 1, num_workers: 1}", **options).ran == ["use"]
    assert stages.build("{_target_: stages.use, x: 1, num_workers: 2}", **options).ran == []
    assert stages.build("{_target_: stages.use, x: 1, workers: 2}", **options).ran == ["use"]


def test_a_result_that_is_not_cached(stages: Lab) -> None:
    """`_cache_result_: false` runs each time, and so does whatever contains it, deliberately and in silence."""
    config = """
        _target_: stages.use
        x: [{_target_: stages.use, x: {_target_: stages.take, _cache_result_: false}}]
        y: {_target_: stages.look, _not_deterministic_: false}
    """
    for expected in (["take", "use", "look", "use"], ["take", "use", "use"]):
        built = stages.build(config)
        assert built.ran == expected
        assert "not cached" not in built.log
        assert built.of("x[0].x").kind is Kind.REFUSED and built.of("x[0].x").deliberate
        assert "_cache_result_: false" in built.of("x[0].x").reason
        assert "contains x[0].x" in built.of("").reason and built.of("").deliberate
    assert [m["target"] for m in stages.manifests() if "trace" in m] == ["stages.look"]


def test_not_deterministic_both_ways(stages: Lab) -> None:
    """The key overrides the decorator: a marked target is cached with false, an unmarked one runs with true."""
    assert stages.build("{_target_: stages.look, _not_deterministic_: false}").ran == ["look"]
    assert stages.build("{_target_: stages.look, _not_deterministic_: false}").ran == []
    assert stages.build("{_target_: stages.look}").ran == ["look"]
    above = "{_target_: stages.use, x: {_target_: stages.take, _not_deterministic_: true}}"
    assert stages.build(above).ran == ["take", "use"]
    assert stages.build(above).ran == ["take"]
    assert stages.build(above, call={"_not_deterministic_": True}).ran == ["take", "use"]


# Files.


def test_a_declared_file_counts_by_its_content(stages: Lab) -> None:
    """Named by its parameter or by its path: an edit misses, a touch hits, the old content hits again."""
    data = stages.root / "data.csv"
    by_name = {"_target_": "stages.read", "path": str(data), "_cache_files_": ["path"]}
    by_path = {"_target_": "stages.read", "path": str(data), "_cache_files_": [str(data)]}
    for config in (by_name, by_path):
        data.write_text("one")
        assert stages.build(config).value == "one"
        os.utime(data, (1, 1))
        assert stages.build(config).ran == []
        data.write_text("two")
        assert stages.build(config).value == "two"
        data.write_text("one")
        built = stages.build(config)
        assert built.value == "one" and built.ran == []


def test_a_declared_directory(stages: Lab) -> None:
    """Content, names and new files of a directory count; a rename inside of it, too."""
    folder = stages.root / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "deep" / "b").write_text("2")
    config = {"_target_": "stages.read", "path": str(folder), "_cache_files_": ["path"]}
    stages.build(config)
    assert stages.build(config).ran == []
    for change in (
        lambda: (folder / "deep" / "b").write_text("3"),
        lambda: (folder / "a").rename(folder / "c"),
        lambda: (folder / "deep" / "new").write_text(""),
        lambda: (folder / "c").unlink(),
    ):
        change()
        assert stages.build(config).ran == ["read"]
        assert stages.build(config).ran == []


def test_a_declared_file_that_is_not_there(stages: Lab) -> None:
    """That it is missing is part of the key, and that it comes into being changes it."""
    data = stages.root / "later.csv"
    config = {"_target_": "stages.use", "x": str(data), "_cache_files_": ["x"]}
    assert stages.build(config).ran == ["use"]
    assert stages.build(config).ran == []
    data.write_text("")
    assert stages.build(config).ran == ["use"]
    data.unlink()
    assert stages.build(config).ran == []


def test_several_files_of_one_parameter(stages: Lab) -> None:
    """A parameter may list files; each counts."""
    files = [stages.root / name for name in "ab"]
    for file in files:
        file.write_text("1")
    config = {"_target_": "stages.use", "x": [str(file) for file in files], "_cache_files_": ["x"]}
    stages.build(config)
    assert stages.build(config).ran == []
    files[1].write_text("2")
    assert stages.build(config).ran == ["use"]


def test_a_file_on_a_filesystem_of_fsspec(stages: Lab) -> None:
    """A URL is read through fsspec."""

    def write(text: bytes) -> None:
        with fsspec.open("memory://session/data", "wb") as file:
            file.write(text)

    config = {"_target_": "stages.read", "path": "memory://session/data", "_cache_files_": ["path"]}
    for text, expected in ((b"1", ["read"]), (b"1", []), (b"2", ["read"]), (b"1", [])):
        write(text)
        built = stages.build(config)
        assert built.value == text and built.ran == expected


def test_a_file_by_content_alone(stages: Lab) -> None:
    """A parameter that is declared and ignored counts by content, wherever the file lies."""
    base = {"_target_": "stages.read", "_cache_files_": ["path"], "_cache_ignore_": ["path"]}
    for name in ("a", "b"):
        (stages.root / name).write_text("same")
    assert stages.build({**base, "path": str(stages.root / "a")}).ran == ["read"]
    assert stages.build({**base, "path": str(stages.root / "b")}).ran == []
    (stages.root / "b").write_text("other")
    assert stages.build({**base, "path": str(stages.root / "b")}).value == "other"


def test_files_are_relative_to_where_the_target_is(
    stages: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative name is meant as the target would open it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "near").write_text("1")
    config = "{_target_: stages.read, path: near, _cache_files_: [path]}"
    stages.build(config)
    (tmp_path / "near").write_text("2")
    assert stages.build(config).value == "2"


def test_a_parameter_without_a_file(stages: Lab) -> None:
    """A declared parameter that is null declares nothing."""
    (stages.root / "None").write_text("1")
    config = "{_target_: stages.use, x: null, _cache_files_: [x]}"
    assert stages.build(config).ran == ["use"]
    assert stages.build(config).ran == []


WRONG = [
    ("_cache_result_", 1, "must be true or false, not 1"),
    ("_cache_result_", "no", "must be true or false, not 'no'"),
    ("_not_deterministic_", "yes", "must be true or false, not 'yes'"),
    ("_not_deterministic_", [], "must be true or false"),
    ("_cache_ignore_", "n", "must be a list of names, not 'n'"),
    ("_cache_ignore_", 3, "must be a list of names, not 3"),
    ("_cache_ignore_", {"n": 1}, "must be a list of names"),
    ("_cache_ignore_", ["n", 2], "must be a list of names"),
    ("_cache_files_", "data.csv", "must be a list of names, not 'data.csv'"),
    ("_cache_files_", True, "must be a list of names"),
    ("_cache_files_", [None], "must be a list of names"),
    ("_cache_files_", ["n"], "n is the number 5, not a path"),
    ("_cache_files_", ["d"], "d is a mapping, not a path"),
    ("_cache_files_", ["t"], "t is a mapping, not a path"),
    ("_cache_files_", ["l"], "l\\[1\\] is the number 2, not a path"),
]


@pytest.mark.parametrize("place", ["", "a.b", "a.c[0]", "a.d.x"])
@pytest.mark.parametrize(("key", "value", "problem"), WRONG)
def test_wrong_values_are_errors_that_say_where(
    stages: Lab, place: str, key: str, value: Any, problem: str
) -> None:
    """A special key with a value that means nothing stops the run, naming the node and the key."""
    more = {"n": 5, "d": {"p": 1}, "t": {"_target_": "stages.use"}, "l": ["a", 2]}
    wrong = {"_target_": "stages.use", **more, key: value}
    root = (
        wrong
        if not place
        else {
            "a": {
                "b": wrong if place == "a.b" else 1,
                "c": [wrong if place == "a.c[0]" else 1],
                "d": {"_target_": "stages.use", "x": wrong if place == "a.d.x" else 1},
            }
        }
    )
    escaped = place.replace("[", r"\[").replace("]", r"\]")
    where = f"{escaped}[.]{key}" if place else key
    with pytest.raises(SpecialKeyError, match=f"^{where}: .*{problem}"):
        stages.build(root)


def test_special_keys_are_known_by_all_their_names() -> None:
    """These are all there are."""
    assert set(SPECIAL_KEYS) == set(ALL_OF_THEM)
