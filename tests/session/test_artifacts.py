"""Results that are files: kept with the result, and put back where the run that is served wants them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from projects import Project

from hydra_cached import Artifact, activate
from hydra_cached.events import Kind

ran: list[str] = []
content = ["one"]


@pytest.fixture(autouse=True)
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran.clear()
    content[:] = ["one"]


def write(out: str, epochs: int = 1, size: int = 1) -> Artifact:
    ran.append("write")
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content[0] * size)
    return Artifact(path)


def write_tree(out: str) -> dict[str, Any]:
    ran.append("write_tree")
    root = Path(out)
    (root / "empty").mkdir(parents=True)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "weights.bin").write_bytes(bytes(range(256)))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "latest").symlink_to("deep/er")
    return {"model": Artifact(root), "loss": 0.5}


def read(model: Any) -> str:
    ran.append("read")
    return Path(model).read_text()


def pass_on(model: Any) -> str:
    ran.append("pass_on")
    return os.fspath(model)


def lost(out: str) -> Artifact:
    return Artifact(out)


def node(target: Any, **params: Any) -> dict[str, Any]:
    return {"_target_": f"{__name__}.{target.__name__}", **params}


def built(config: Any, **options: Any) -> Any:
    with activate("cache", min_seconds=0, **options) as session:
        value = instantiate(config)
        built.kinds = [event.kind for event in session.events]  # type: ignore[attr-defined]
        return value


def test_a_file_that_is_gone_comes_back() -> None:
    """The file is put back under its path, with its content; the target does not run."""
    config = node(write, out="models/a.txt")
    assert Path(built(config)).read_text() == "one"
    Path("models/a.txt").unlink()
    Path("models").rmdir()
    found = built(config)
    assert isinstance(found, Artifact) and Path(found) == Path("models/a.txt").absolute()
    assert found.path.read_text() == "one" and ran == ["write"]


def test_a_large_file_comes_back() -> None:
    """So is one that is not read into memory but mapped."""
    config = node(write, out="a.txt", size=9_000_000)
    built(config)
    Path("a.txt").unlink()
    assert Path(built(config)).read_text() == "one" * 9_000_000 and ran == ["write"]


def test_a_file_that_was_overwritten_is_replaced() -> None:
    """As the target would have done."""
    config = node(write, out="a.txt")
    built(config)
    Path("a.txt").write_text("two")
    assert Path(built(config)).read_text() == "one" and ran == ["write"]


def test_a_directory_comes_back() -> None:
    """Files, empty directories, links and the right to execute come back, inside of a larger result."""
    config = node(write_tree, out="tree")
    before = built(config)
    os.rename("tree", "moved")
    found = built(config)
    assert found == before and ran == ["write_tree"]
    root = Path(found["model"])
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == sorted(
        str(path.relative_to("moved")) for path in Path("moved").rglob("*")
    )
    assert (root / "deep/er/weights.bin").read_bytes() == bytes(range(256))
    assert os.access(root / "run.sh", os.X_OK) and os.readlink(root / "latest") == "deep/er"


def test_a_directory_that_has_other_files_in_it_is_left_alone() -> None:
    """What the directory holds would not be the result: the target decides, and nothing is removed."""
    config = node(write_tree, out="tree")
    built(config)
    os.rename("tree", "moved")
    Path("tree").mkdir()
    Path("tree/notes.txt").write_text("mine")
    with pytest.raises(Exception, match="exists"):
        for child in ("empty", "deep"):
            Path("tree", child).mkdir()  # so that the target fails, as it would have without a cache
        built(config)
    assert Path("tree/notes.txt").read_text() == "mine" and ran == ["write_tree"] * 2


def test_where_the_next_run_wants_it() -> None:
    """Below a parameter that is left out of the key, it is put where that parameter points now."""
    config = node(write, out="first/a.txt", _cache_ignore_=["out"])
    built(config)
    found = built({**config, "out": "second/b.txt"})
    assert Path(found) == Path("second/b.txt").absolute() and Path(found).read_text() == "one"
    assert ran == ["write"]


def test_a_changed_place_is_seen_by_who_depends_on_it() -> None:
    """A stage that gets an artifact at another place runs again, unless the config says not to care."""
    config = node(pass_on, model=node(write, out="a.txt"))
    assert built(config) == str(Path("a.txt").absolute())
    config["model"]["out"] = "b.txt"
    assert built(config) == str(Path("b.txt").absolute())
    assert ran == ["write", "pass_on"] * 2


def test_who_depends_on_it_is_keyed_by_its_content() -> None:
    """A stage that reads the file hits when the file is written again with the same content, and only then."""
    config = node(read, model=node(write, out="a.txt"))
    assert built(config) == "one"
    config["model"]["epochs"] = 2
    assert built(config) == "one" and ran == ["write", "read", "write"]
    content[0] = "two"
    config["model"]["epochs"] = 3
    assert built(config) == "two" and ran == ["write", "read", "write", "write", "read"]


def test_a_file_that_is_not_there_is_not_kept() -> None:
    """A path to nothing is a result that cannot be stored, and that is said."""
    with activate("cache", min_seconds=0) as session:
        instantiate(node(lost, out="nowhere"))
    assert [event.kind for event in session.events] == [Kind.REFUSED]
    assert "nowhere" in session.events[0].reason


def test_a_place_that_cannot_be_written_is_a_miss() -> None:
    """A file stands where a directory is wanted: reported, and left to the target."""
    config = node(write, out="models/a.txt", _cache_ignore_=["out"])
    built(config)
    Path("file").write_text("mine")
    with pytest.raises(Exception, match="File exists"):
        built({**config, "out": "file/a.txt"})
    assert Path("file").read_text() == "mine" and ran == ["write"] * 2


def test_in_memory_too() -> None:
    """A cache that lives for a block puts files back as well."""
    config = node(write, out="a.txt")
    with activate(None, min_seconds=0):
        instantiate(config)
        Path("a.txt").unlink()
        assert Path(instantiate(config)).read_text() == "one"


APP = """
    from pathlib import Path
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.utils import instantiate
    from recorder import ran
    from hydra_cached import Artifact

    def train(depth):
        ran("train")
        path = Path(HydraConfig.get().runtime.output_dir, "models", "model.txt")
        path.parent.mkdir()
        path.write_text(f"a model of depth {depth}")
        return Artifact(path)

    @hydra.main(version_base=None, config_path=None, config_name="config")
    def main(config):
        model = Path(instantiate(config.model))
        assert model.is_relative_to(HydraConfig.get().runtime.output_dir)
        print(model.read_text())

    from hydra.core.config_store import ConfigStore
    ConfigStore.instance().store("config", {"model": {"_target_": "__main__.train", "depth": 3}})
    main()
"""


def test_every_job_has_its_file_in_its_own_directory(project: Project) -> None:
    """A file of a job's output directory is put into the output directory of the job that is served."""
    project.write(app_py=APP)
    for day in ("monday", "tuesday"):
        said = project.python("app.py", "+cache=disk", "cache.min_seconds=0", f"hydra.run.dir=outputs/{day}")
        assert "a model of depth 3" in said
    assert project.ran() == ["train"]
    for day in ("monday", "tuesday"):
        assert (project.root / "outputs" / day / "models" / "model.txt").is_file()


def test_checking_a_cache_writes_no_files(project: Project) -> None:
    """``hydra-cached verify`` reads artifacts and puts them nowhere."""
    project.write(app_py=APP)
    project.python("app.py", "+cache=disk", "cache.min_seconds=0", "hydra.run.dir=outputs/a")
    (project.root / "outputs" / "a" / "models" / "model.txt").unlink()
    project.python("-m", "hydra_cached.cli.manage", "--dir", ".hydra_cached", "verify")
    assert not list(project.root.rglob("model.txt"))
