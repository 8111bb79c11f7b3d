"""The `instantiate` script: pipelines that are dicts in Python modules."""

from __future__ import annotations

import pytest
from projects import Project

STAGES = """
    from hydra_cached import not_deterministic
    from recorder import ran

    @not_deterministic
    def read(path):
        ran("read")
        with open(path) as file:
            return file.read()

    def words(text):
        ran("words")
        return text.split()

    def count(words, minimum=0):
        ran("count")
        return len([w for w in words if len(w) >= minimum])

    def report(counts, title):
        ran("report")
        return {title: list(counts)}

    def broken(words):
        ran("broken")
        raise ValueError("this stage does not work")
"""
CONFIG = """
    from pkg.stages import broken, count, read, report, words

    text = dict(_target_=read, path="text.txt")
    split = dict(_target_=words, text=text)
    config = dict(
        _target_=report,
        counts=[dict(_target_=count, words=split), dict(_target_=count, words=split, minimum=3)],
        title="words",
    )
    failing = dict(_target_=broken, words=split)
    number = 3
"""
COMMAND = ("-m", "hydra_cached.cli.instantiate")
PERSISTED = (*COMMAND, "pkg.config", "-p", "-c", "kept", "-t", "0")
ALL = ["read", "words", "count", "count", "report"]


@pytest.fixture
def pipeline(project: Project) -> Project:
    """A pipeline that reads a file, in a package."""
    (project.root / "text.txt").write_text("a few words to count")
    return project.write(pkg____init___py="", pkg__stages_py=STAGES, pkg__config_py=CONFIG)


def test_equal_sub_configs_are_computed_once(pipeline: Project) -> None:
    """In memory, by default: what two stages need is made once per run, and again in the next run."""
    output = pipeline.python(*COMMAND, "pkg.config")
    assert pipeline.ran() == ALL
    assert "total execution time" in output
    pipeline.python(*COMMAND, "pkg.config")
    assert pipeline.ran() == ALL
    assert not (pipeline.root / "cache").exists()


def test_only_what_is_not_deterministic_runs_again(pipeline: Project) -> None:
    """Persisted: the second run reads the file again and nothing else; a change of the file runs what follows."""
    pipeline.python(*PERSISTED)
    assert pipeline.ran() == ALL
    pipeline.python(*PERSISTED)
    assert pipeline.ran() == ["read"]
    (pipeline.root / "text.txt").write_text("some other words")
    pipeline.python(*PERSISTED)
    assert pipeline.ran() == ALL
    (pipeline.root / "text.txt").write_text("a few words to count")
    pipeline.python(*PERSISTED)
    assert pipeline.ran() == ["read"]


def test_an_equal_result_in_between_stops_the_change(pipeline: Project) -> None:
    """A change of the file that leaves its words equal runs the splitting, and nothing behind it."""
    pipeline.python(*PERSISTED)
    pipeline.ran()
    (pipeline.root / "text.txt").write_text("a   few\nwords to count")
    pipeline.python(*PERSISTED)
    assert pipeline.ran() == ["read", "words"]


def test_overrides_hold_wherever_a_sub_config_stands(pipeline: Project) -> None:
    """An override of a shared sub-config changes it for all that use it."""
    (pipeline.root / "other.txt").write_text("one two")
    pipeline.python(*PERSISTED)
    pipeline.ran()
    pipeline.python(*PERSISTED, "counts.0.words.text.path=other.txt")
    assert pipeline.ran() == ALL
    pipeline.python(*PERSISTED, "title=other", "+counts.0.minimum=0")
    assert pipeline.ran() == ["read", "count", "report"]


def test_partial_results_are_kept_when_a_stage_fails(pipeline: Project) -> None:
    """The run fails with the stage's own error; what came before is there the next time; the time is logged."""
    failing = (*COMMAND, "pkg.config", "-o", "failing", "-p", "-t", "0")
    output = pipeline.python(*failing, status=1)
    assert "this stage does not work" in output and "total execution time" in output
    assert pipeline.ran() == ["read", "words", "broken"]
    pipeline.python(*failing, status=1)
    assert pipeline.ran() == ["read", "broken"]
    assert (pipeline.root / "cache" / "entries").is_dir()


def test_every_flag_in_its_long_form(pipeline: Project) -> None:
    """Long flags do what the short ones do; results of excluded targets are not kept."""
    long = (
        *COMMAND,
        "pkg.config",
        "--config_object=config",
        "--persist_cache",
        "--cache_dir=kept",
        "--cache_verbose",
        "--exclude_persisting_targets=pkg.stages.words,pkg.stages.report",
        "--log_level=INFO",
        "--time_min_persist=0",
    )
    pipeline.python(*long)
    pipeline.ran()
    output = pipeline.python(*long)
    assert pipeline.ran() == ["read", "words", "report"]
    assert "hit: counts[0] (pkg.stages.count)" in output


def test_quick_results_are_not_kept_by_default(pipeline: Project) -> None:
    """Without -t only results that took a second are kept."""
    for _ in range(2):
        pipeline.python(*COMMAND, "pkg.config", "-p")
    assert pipeline.ran() == ALL * 2


def test_the_displayed_config_shows_shared_parts_once(pipeline: Project) -> None:
    """-d logs YAML: callables as dotted names, shared sub-configs under an anchor named after the shortest path."""
    output = pipeline.python(*COMMAND, "pkg.config", "-d")
    assert "_target_: pkg.stages.report" in output
    assert "words: &counts.0.words" in output
    assert "words: *counts.0.words" in output
    assert output.count("pkg.stages.words") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pkg.nothing"], "there is no module 'pkg.nothing'"),
        (["pkg.config", "-o", "confg"], "has no object 'confg'; it has config, failing, split, text"),
        (["pkg.config", "-o", "number"], "is a int, not a dict-like config"),
        (["pkg.config", "titel=x"], "there is no 'titel'; to add it, write +titel=x"),
        (["pkg.config", "+title=x"], "'title' is there already"),
        (["pkg.config", "title=a,b"], "is a sweep"),
        (["pkg.config", "title=["], "not in Hydra's grammar"),
        (["pkg.config", "-l", "LOUD"], "there is no level 'LOUD'"),
    ],
)
def test_mistakes_are_explained(pipeline: Project, arguments: list[str], message: str) -> None:
    """A wrong module, object, override or level: exit status 2 and one line that says what is wrong."""
    output = pipeline.python(*COMMAND, *arguments, status=2)
    assert message in output
    assert "Traceback" not in output
    assert pipeline.ran() == []


def test_a_module_that_fails_to_import_says_why(pipeline: Project) -> None:
    """The missing package of a config module is named, not the module itself."""
    pipeline.write(pkg__needy_py="import not_installed_here\nconfig = {}\n")
    assert "it needs 'not_installed_here'" in pipeline.python(*COMMAND, "pkg.needy", status=2)


def test_the_old_import_paths_work() -> None:
    """Programs of the first hydra-cached import what they used to."""
    from hydra_cached.execution.caching import Cache, DumpableInMemoryCache, InMemoryCache
    from hydra_cached.execution.hydra import convert_target_to_string, instantiate
    from hydra_cached.execution.hydra_utils import not_deterministic

    assert issubclass(DumpableInMemoryCache, InMemoryCache) and issubclass(InMemoryCache, Cache)
    assert convert_target_to_string(Project) == "projects.Project"
    assert convert_target_to_string("a.b") == "a.b"
    assert instantiate({"_target_": "builtins.dict", "a": 1}) == {"a": 1}
    assert not_deterministic(test_the_old_import_paths_work) is test_the_old_import_paths_work
