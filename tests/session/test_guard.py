"""The guard: a result is stored only where the code that ran is the code that its key says."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from laboratory import Lab
from projects import Project

from hydra_cached import activate
from hydra_cached.events import Kind

pytest_plugins = ("lab_fixture",)

STAGES = """
    import helpers
    RATE = 2
    TABLE = {"a": 1}
    MADE = tuple(range(3))

    class Base:
        factor = 3

    def scale(x, by=10):
        return x * by

    def stage(x):
        ran("stage")
        return scale(x) + RATE + helpers.shift(x) + Base.factor + TABLE["a"] + sum(MADE)

    def use(x):
        ran("use")
        return x
"""
HELPERS = """
    OFFSET = 1000
    def shift(x):
        return OFFSET
"""
CONFIG = "{_target_: stages.use, x: {_target_: stages.stage, x: 1}}"
EDITS = {
    "the target's body": ("stages", "scale(x) + RATE", "scale(x) - RATE"),
    "a helper's body": ("stages", "x * by", "x * by + 1"),
    "a default argument": ("stages", "by=10", "by=11"),
    "a constant": ("stages", "RATE = 2", "RATE = 3"),
    "a table": ("stages", '{"a": 1}', '{"a": 2}'),
    "a computed constant": ("stages", "range(3)", "range(4)"),
    "a class attribute": ("stages", "factor = 3", "factor = 4"),
    "a helper in another module": ("helpers", "return OFFSET", "return OFFSET + 1"),
    "a constant in another module": ("helpers", "OFFSET = 1000", "OFFSET = 1001"),
}


@pytest.fixture
def stages(lab: Lab) -> Lab:
    """Two stages, one of which reaches much."""
    return lab.code(STAGES, helpers=HELPERS)


def later(path: Path) -> None:
    """Make sure that a file's times tell that it was written again."""
    time.sleep(0.01)
    os.utime(path)


def truth(lab: Lab) -> Any:
    """What a new process would compute."""
    lab.forget()
    return lab.alone(CONFIG)


def nothing_wrong(lab: Lab, *texts: Callable[[], None]) -> None:
    """In every state of the sources, a new process gets what it would compute itself."""
    for restore in texts:
        restore()
        expected = truth(lab)
        lab.forget()
        for _ in range(2):
            assert lab.build(CONFIG).value == expected
            lab.forget()


@pytest.mark.parametrize("bytecode", [False, True])
@pytest.mark.parametrize("edit", EDITS)
def test_edited_between_import_and_call(
    stages: Lab, edit: str, bytecode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is edited after its import runs as it was: the result is used, not stored, and that is said."""
    monkeypatch.setattr(sys, "dont_write_bytecode", not bytecode)
    module, old, new = EDITS[edit]
    importlib.import_module("stages")
    before = stages.alone(CONFIG)
    sources = {name: (stages.root / f"{name}.py").read_text() for name in ("stages", "helpers")}
    stages.edit(old, new, module, restart=False)
    later(stages.root / f"{module}.py")
    built = stages.build(CONFIG)
    assert built.value == before and built.ran == ["stage", "use"]
    assert [event.kind for event in built.events] == [Kind.REFUSED, Kind.REFUSED]
    assert built.log.count("not cached: x (stages.stage): ") == 1
    assert f"{module}.py" in built.of("x").reason
    edited = {name: (stages.root / f"{name}.py").read_text() for name in sources}

    def write(texts: dict[str, str]) -> Callable[[], None]:
        def act() -> None:
            for name, text in texts.items():
                (stages.root / f"{name}.py").write_text(text)
                later(stages.root / f"{name}.py")

        return act

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for cached in stages.root.rglob("*.pyc"):
        cached.unlink()
    nothing_wrong(stages, write(edited), write(sources), write(edited))


@pytest.mark.parametrize("edit", EDITS)
def test_edited_while_the_target_runs(stages: Lab, edit: str) -> None:
    """Likewise when the module is edited while its target runs; so for what depends on the result."""
    module, old, new = EDITS[edit]
    stages.code(
        STAGES.replace('ran("stage")', 'ran("stage"); edit()') + "\n    edit = print\n", helpers=HELPERS
    )

    def run() -> Any:
        stages.edit(old, new, module, restart=False)
        later(stages.root / f"{module}.py")

    with activate(stages.cache, min_seconds=0) as session:
        importlib.import_module("stages").edit = run
        from hydra.utils import instantiate
        from omegaconf import OmegaConf

        value = instantiate(OmegaConf.create(CONFIG))
    assert [event.kind for event in session.events] == [Kind.REFUSED, Kind.REFUSED]
    assert all("was changed" in event.reason for event in session.events)
    assert not [m for m in stages.manifests() if "trace" in m]
    assert truth(stages) != value


def test_a_declared_file_changed_while_the_target_runs(lab: Lab) -> None:
    """A result of half the old file and half the new one is not stored under either."""
    data = lab.root / "data.txt"
    lab.code(
        """
    from pathlib import Path

    def read(path):
        ran("read")
        text = Path(path).read_text()
        if text == "old":
            Path(path).write_text("new")
        return text
    """
    )
    config = {"_target_": "stages.read", "path": str(data), "_cache_files_": ["path"]}
    data.write_text("old")
    built = lab.build(config)
    assert built.value == "old" and not built.of("").stored
    assert "data.txt was changed while it ran" in built.log
    assert built.log.count("not cached") == 1
    built = lab.build(config)
    assert built.value == "new" and built.of("").stored
    data.write_text("old")
    assert lab.build(config).ran == ["read"]


def test_what_is_imported_by_the_call_is_stored(stages: Lab) -> None:
    """Modules that this process wrote just now and Hydra imports are stored: there is nothing to doubt."""
    built = stages.build(CONFIG)
    assert all(event.stored for event in built.events) and built.log == ""


@pytest.mark.parametrize("bytecode", [False, True])
def test_what_was_imported_after_it_was_written_is_stored(
    lab: Lab, bytecode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are modules that were imported before the first call, where all that they bind can be compared."""
    monkeypatch.setattr(sys, "dont_write_bytecode", not bytecode)
    lab.code(
        """
    import logging
    import os.path as where
    from typing import TypeVar

    T = TypeVar("T")
    log = logging.getLogger(__name__)
    __all__ = ["stage"]
    RATE, SHIFT = 2, -1.5
    NAMES = ("a", "b")

    class Thing:
        size: int = 3
        def __init__(self, n=1):
            self.n = n
        @property
        def twice(self):
            return self.n * 2
        @staticmethod
        def one():
            return 1

    def stage(x, *, by=2, name=None):
        ran("stage")
        return [y * by for y in range(x)]

    if __name__ == "__main__":
        stage(3)
    """
    )
    importlib.import_module("stages")
    assert lab.build("{_target_: stages.stage, x: 3}").of("").stored


def test_what_changes_itself_at_run_time_is_stored(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters and memos that a module keeps are no edits, in this session and in the next."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    lab.code(
        """
    MEMO = {}
    COUNT = 0
    LAST = None

    def stage(x):
        global COUNT, LAST
        ran("stage")
        COUNT += 1
        LAST = x
        MEMO[x] = x
        return x
    """
    )
    for x in range(4):
        assert lab.build({"_target_": "stages.stage", "x": x}).of("").stored, x


def test_reload(stages: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `importlib.reload` the new code is what runs and what is stored."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    stages.build(CONFIG)
    stages.edit("x * by", "x * by + 1", restart=False)
    later(stages.root / "stages.py")
    assert not stages.build(CONFIG).of("x").stored
    importlib.reload(sys.modules["stages"])
    built = stages.build(CONFIG)
    assert built.ran == ["stage", "use"] and built.of("x").stored
    assert built.value == truth(stages)


EDITS_THAT_DO_NOT_COUNT = {
    "a comment": ("stages", "RATE = 2", "RATE = 2  # per hour"),
    "a docstring": ("helpers", "return OFFSET", "'Shifted.'\n    return OFFSET"),
    "another function": ("helpers", "OFFSET = 1000", "OFFSET = 1000\ndef other(): return 1"),
}


@pytest.mark.parametrize("edit", EDITS_THAT_DO_NOT_COUNT)
def test_an_edit_that_does_not_count(stages: Lab, edit: str) -> None:
    """Once code was seen to be what is loaded, edits that leave its fingerprint as it is do not matter."""
    module, old, new = EDITS_THAT_DO_NOT_COUNT[edit]
    stages.build(CONFIG)
    stages.edit(old, new, module, restart=False)
    later(stages.root / f"{module}.py")
    assert stages.build(CONFIG).ran == []
    other = CONFIG.replace("x: 1", "x: 2")
    assert all(event.stored for event in stages.build(other).events)
    stages.edit("RATE = 2", "RATE = 3", restart=False)
    later(stages.root / "stages.py")
    built = stages.build(other)
    assert not built.of("x").stored and "was changed after it had been imported" in built.of("x").reason


def test_within_one_session(stages: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits between the calls of one session are seen, refused until a reload, and stored after it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    node = OmegaConf.create(CONFIG)
    with activate(stages.cache, min_seconds=0) as session:
        first = instantiate(node)
        for old, new in ((2, 33), (33, 444), (444, 5555)):
            stages.edit(f"RATE = {old}", f"RATE = {new}", restart=False)
            later(stages.root / "stages.py")
            assert instantiate(node) == first + old - 2
            assert not session.events[-1].stored
            importlib.reload(sys.modules["stages"])
            assert instantiate(node) == first + new - 2
            assert session.events[-1].stored
        stages.edit("RATE = 5555", "RATE = 2", restart=False)
        later(stages.root / "stages.py")
        assert instantiate(node) == first  # that is what it says now
        assert session.events[-1].kind is Kind.HIT


def test_a_file_with_an_old_time(stages: Lab) -> None:
    """A module that is replaced after its import by a file that looks older (`cp -p`, `rsync -t`) is noticed."""
    old = time.time_ns() - 10**13
    for name in ("stages", "helpers"):
        os.utime(stages.root / f"{name}.py", ns=(old, old))
    importlib.import_module("stages")
    before = stages.alone(CONFIG)
    stages.edit("RATE = 2", "RATE = 3", restart=False)
    os.utime(stages.root / "stages.py", ns=(old - 5, old - 5))
    built = stages.build(CONFIG)
    assert built.value == before and not any(event.stored for event in built.events)


def test_an_edit_within_the_second(project: Project) -> None:
    """Python itself runs stale bytecode after an edit of equal length within a second: that is not stored."""
    project.write(
        stages_py="def stage():\n    return 'old'\n",
        app_py="""
        from hydra.utils import instantiate
        from hydra_cached import activate
        with activate("cache", min_seconds=0) as session:
            print(instantiate({"_target_": "stages.stage"}), session.events[-1].stored)
        """,
    )
    environment = {"PYTHONDONTWRITEBYTECODE": ""}
    source = project.root / "stages.py"
    second = (time.time_ns() // 10**9 - 100) * 10**9
    os.utime(source, ns=(second, second))
    project.python("-c", "import stages", **environment)
    compiled = next(project.root.rglob("stages.*.pyc"))
    os.utime(compiled, ns=(second + 1000, second + 1000))
    source.write_text("def stage():\n    return 'new'\n")
    os.utime(source, ns=(second + 5000, second + 5000))
    assert project.python("app.py", **environment).startswith("old False\n")
    compiled.unlink()
    assert project.python("app.py", **environment) == "new True\n"


def test_the_guard_is_strict_when_asked(stages: Lab) -> None:
    """With `strict`, it is an error."""
    importlib.import_module("stages")
    stages.edit("RATE = 2", "RATE = 3", restart=False)
    later(stages.root / "stages.py")
    with pytest.raises(Exception, match=r"x \(stages.stage\) could not be stored.*stages.py was changed"):
        stages.build(CONFIG, strict=True)


def test_secrets_in_the_names_of_files(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the guard says hides secrets as everything else does."""
    folder = lab.root / "s3cr3t-folder"
    folder.mkdir()
    monkeypatch.setenv("VAULT", str(folder))
    lab.code(
        """
    def read(path):
        open(path, "a").write("x")
        return 1
    """
    )
    config = "{_target_: stages.read, path: '${oc.env:VAULT}/file', _cache_files_: [path]}"
    built = lab.build(config, verbose=True)
    assert "was changed while it ran" in built.log
    assert "s3cr3t" not in built.log and "s3cr3t" not in built.of("").reason
