"""Warm runs of real apps, each in a process of its own: what is served imports nothing, and still is authorised."""

from __future__ import annotations

import json

import hydra
import pytest
from laboratory import LAZY
from projects import Project

APP = """
    import json, sys
    import hydra
    from hydra.utils import instantiate

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg):
        result = instantiate(cfg.model)
        print("RESULT", result)
        print("IMPORTED", json.dumps(sorted(name for name in sys.modules if name.startswith("heavy"))))

    if __name__ == "__main__":
        main()
"""
SLOW = """
    import time
    from pathlib import Path

    with open(Path(__file__).parent / "imported.txt", "a") as file:
        file.write(__name__ + "\\n")
    time.sleep(0.3)
"""
CONFIG = """
    data: {_target_: heavy_data.load, n: 4}
    model: {_target_: heavy_model.train, data: "${data}", k: 1, helper: {_target_: heavy_model.Helper}}
"""
CACHED = ("app.py", "+cache=disk", "cache.min_seconds=0")


@pytest.fixture
def heavy(project: Project) -> Project:
    """An app, the modules of whose targets take their time to import, and write down that they were."""
    head = "\n".join(line[4:] for line in SLOW.splitlines())
    project.write(app_py=APP, conf__config_yaml=CONFIG)
    (project.root / "heavy_data.py").write_text(f"{head}\ndef load(n):\n    return list(range(n))\n")
    (project.root / "heavy_model.py").write_text(
        f"{head}\nfrom heavy_tool import add\n\n\nclass Helper:\n    pass\n\n\n"
        "def train(data, k, helper):\n    return add(data) * k\n"
    )
    (project.root / "heavy_tool.py").write_text(f"{head}\ndef add(data):\n    return sum(data)\n")
    return project


def imported(project: Project) -> list[str]:
    """The slow modules that were imported since this was asked last."""
    path = project.root / "imported.txt"
    names = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return names


def listed(output: str) -> list[str]:
    """The slow modules that were loaded at the end of a run, by its own account."""
    (line,) = [line for line in output.splitlines() if line.startswith("IMPORTED")]
    return list(json.loads(line.removeprefix("IMPORTED ")))


def test_a_hit_imports_nothing(heavy: Project) -> None:
    """The second run imports no target's module; an edit of a helper is noticed without importing it."""
    assert "RESULT 6" in heavy.python(*CACHED)
    assert imported(heavy) == ["heavy_data", "heavy_model", "heavy_tool"]
    output = heavy.python(*CACHED)
    assert "RESULT 6" in output and imported(heavy) == [] and listed(output) == []
    path = heavy.root / "heavy_tool.py"
    path.write_text(path.read_text().replace("return sum(data)", "# the sum\n    return sum(data)"))
    assert imported(heavy) == [] and "RESULT 6" in heavy.python(*CACHED) and imported(heavy) == []


def test_only_what_runs_is_imported(heavy: Project) -> None:
    """A changed parameter of the last stage imports its module, not that of the stage below it."""
    heavy.python(*CACHED)
    imported(heavy)
    assert "RESULT 12" in heavy.python(*CACHED, "model.k=2")
    assert imported(heavy) == ["heavy_model", "heavy_tool"]


@pytest.mark.skipif(hydra.__version__ == "1.3.2", reason="Hydra 1.3.2 has no target policy")
def test_what_hydra_would_refuse_is_refused_without_importing_the_rest(heavy: Project) -> None:
    """A warm run of a pipeline with a blocklisted target in it raises Hydra's error, though all was stored."""
    source = (heavy.root / "app.py").read_text()
    (heavy.root / "heavy_data.py").write_text("from shutil import move as load\n")
    (heavy.root / "conf" / "config.yaml").write_text(
        "data: {_target_: heavy_data.load, _args_: [a, b]}\n"
        'model: {_target_: heavy_model.train, data: "${data}", k: 1, helper: {_target_: heavy_model.Helper}}\n'
    )
    path = heavy.root / "heavy_model.py"
    path.write_text(path.read_text().replace("add(data) * k", "str(data)"))
    (heavy.root / "a").write_text("x")
    permission, environment = "", {}
    if not LAZY:
        environment = {"HYDRA_INSTANTIATE_ALLOWLIST_OVERRIDE": "heavy_data.load:shutil.move"}
    else:
        permission = "_execution_whitelist_=UNSAFE_DISABLE_EXECUTION_CHECKS"
        head = "from hydra._internal.execution_policy import UNSAFE_DISABLE_EXECUTION_CHECKS\n"
        (heavy.root / "app.py").write_text(head + source.replace("(cfg.model)", f"(cfg.model, {permission})"))
    assert "RESULT b" in heavy.python(*CACHED, **environment)
    assert "RESULT b" in heavy.python(*CACHED, **environment)  # a hit: there is nothing to move any more
    (heavy.root / "app.py").write_text(source)
    imported(heavy)
    output = heavy.python(*CACHED, status=1)
    assert "RESULT" not in output and "shutil.move" in output
