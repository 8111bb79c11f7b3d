"""The launcher ``hydra/launcher=cached``, which wraps another one. The work is done in ``hydra_cached.sweeps``."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_cached.config import put_into_config_store
from hydra_cached.sweeps.options import LauncherOptions

put_into_config_store("hydra/launcher", "cached", LauncherOptions)


class CachedLauncher(Launcher):
    """Runs what is missing of a sweep, once, through another launcher; the rest is restored.

    Args:
        options: see ``LauncherOptions``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._sweep: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra_cached.sweeps.options import launcher_options
        from hydra_cached.sweeps.run import Sweep

        self._sweep = Sweep(hydra_context, task_function, config, launcher_options(self._options))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        results: Sequence[JobReturn] = self._sweep.launch(job_overrides, initial_job_idx)
        return results
