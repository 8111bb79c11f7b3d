"""What tests of sweeps share: an app, and a sweeper that writes down what the launcher returned."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from projects import Project

APP = """
    import logging, os
    from pathlib import Path
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.utils import instantiate
    from recorder import ran

    log = logging.getLogger(__name__)

    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def main(cfg):
        ran(f"job:{cfg.model.k}")
        result = instantiate(cfg.model)
        (Path(HydraConfig.get().runtime.output_dir) / "result.txt").write_text(str(result))
        log.info("the result is %s", result)
        return result

    if __name__ == "__main__":
        main()
"""
STAGES = """
    from recorder import ran

    def data(n):
        ran("data")
        return list(range(n))

    def model(data, k):
        ran("model")
        if k == 13:
            raise ValueError("unlucky")
        if k == 14:
            raise SystemExit(0)
        return sum(data) * k
"""
CONFIG = """
    defaults:
      - cache: disk
      - override hydra/launcher: cached
      - _self_
    data: {_target_: stages.data, n: 4}
    model: {_target_: stages.model, data: "${data}", k: 1}
    hydra:
      sweeper: {_target_: hydra_plugins.telling.sweeper.TellingSweeper, max_batch_size: null}
    cache: {min_seconds: 0}
"""
SWEEPER = '''
import json
from pathlib import Path
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

class TellingSweeper(BasicSweeper):
    """Hydra's basic sweeper, which writes down what the launcher returned."""

    def sweep(self, arguments):
        launch = self.launcher.launch
        rows = []
        def telling(batch, initial_job_idx):
            results = launch(batch, initial_job_idx=initial_job_idx)
            for result in results:
                hydra = result.hydra_cfg.hydra
                rows.append({
                    "number": hydra.job.num,
                    "id": hydra.job.id,
                    "overrides": list(result.overrides),
                    "k": result.cfg.model.k,
                    "status": result.status.name,
                    "value": result._return_value if result.status.name == "COMPLETED" else None,
                    "working_dir": result.working_dir,
                    "output_dir": hydra.runtime.output_dir,
                    "task_name": result.task_name,
                })
            Path("results.json").write_text(json.dumps(rows))
            return results
        self.launcher.launch = telling
        return super().sweep(arguments)
'''


@dataclass
class Sweeps:
    """An app whose sweeps are run in processes of their own."""

    project: Project

    @property
    def root(self) -> Path:
        return self.project.root

    def sweep(self, *arguments: str, launcher: str = "basic", to: str = "out", **options: Any) -> str:
        """Run a sweep; gives what it printed."""
        chosen = f"hydra/launcher@hydra.launcher.inner={launcher}"
        return self.project.python(
            "app.py", "-m", chosen, f"hydra.sweep.dir={to}", *workers(launcher), *arguments, **options
        )

    def results(self) -> list[dict[str, Any]]:
        """What the launcher returned in the last sweep, job by job."""
        found: list[dict[str, Any]] = json.loads((self.root / "results.json").read_text())
        return found

    def ran(self) -> list[str]:
        """The jobs that ran since this was asked last, by their setting; sorted."""
        return sorted(name.partition(":")[2] for name in self.project.ran() if name.startswith("job:"))


def workers(launcher: str) -> list[str]:
    return ["hydra.launcher.inner.n_jobs=2"] if launcher == "joblib" else []


PLUGINS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "optuna": "hydra_optuna_sweeper",
}


def over(*names: str) -> Any:
    """Run a test over these inner launchers, as far as they are installed."""
    return pytest.mark.parametrize(
        "launcher", [pytest.param(name, id=name, marks=installed(name)) for name in names]
    )


def installed(name: str) -> pytest.MarkDecorator:
    """Skips where the plugin of a launcher or sweeper is not installed."""
    plugin = PLUGINS.get(name)
    absent = plugin is not None and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None
    return pytest.mark.skipif(absent, reason=f"{name} is not installed")


@pytest.fixture
def sweeps(project: Project) -> Sweeps:
    project.write(app_py=APP, stages_py=STAGES, conf__config_yaml=CONFIG)
    sweeper = project.root / "hydra_plugins" / "telling" / "sweeper.py"
    sweeper.parent.mkdir(parents=True)
    (sweeper.parent / "__init__.py").touch()
    sweeper.write_text(SWEEPER)
    return Sweeps(project)
