"""The launcher that is wrapped: it is set up as if it had been chosen, and gives jobs their own numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_cached.sweeps.ahead import FOLDER, StageTask
from hydra_cached.sweeps.jobs import Job
from hydra_cached.sweeps.numbers import NumberedJobs, with_launcher

# Launchers that run one job after the other, so that several calls are as good as one.
_ONE_BY_ONE = ("hydra._internal.core_plugins.basic_launcher.BasicLauncher",)
# Launchers with a fixed number of workers that take the next job when they have done one.
_POOLS = (
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
)


class Inner:
    """A wrapped launcher.

    Args:
        context: Hydra's.
        task: the task function of the jobs.
        config: the sweep's.

    Attributes:
        one_by_one: whether it runs one job after the other.
        pool: whether it has a fixed number of workers.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self._context = context
        self._config = config
        # Before it is copied: what the sweeper will resolve must come out the same in the copy.
        OmegaConf.select(config, "hydra.sweep.dir")
        self._own_config = with_launcher(config, config.hydra.launcher.inner)
        self._loader = NumberedJobs(context.config_loader, config.hydra.launcher)
        self._launcher = self._made(self._loader, task)
        target = str(config.hydra.launcher.inner.get("_target_"))
        self.one_by_one, self.pool = target in _ONE_BY_ONE, target in _POOLS

    def launch(self, jobs: Sequence[Job]) -> Sequence[JobReturn]:
        """Run jobs, in one call and in this order, under their own numbers."""
        return self._launched(self._launcher, self._loader, jobs)

    def launch_all(self, groups: Sequence[Sequence[Job]]) -> list[tuple[Job, JobReturn]]:
        """Run groups of jobs, a call for each; gives each job's result.

        A call that raises does not keep the others from being made: one call for all would not have. What it
        raised is raised in the end.
        """
        results: list[tuple[Job, JobReturn]] = []
        failure: Exception | None = None
        for group in groups:
            try:
                results.extend(zip(group, self.launch(group), strict=True))
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return results

    def launch_stages(self, jobs: Sequence[Job], paths: Mapping[int, list[str]]) -> None:
        """Build stages of jobs, and nothing else of these.

        Args:
            jobs: the jobs whose configs are taken.
            paths: of the stages, by number of the job.
        """
        loader = NumberedJobs(self._context.config_loader, self._config.hydra.launcher, FOLDER)
        self._launched(self._made(loader, StageTask(paths)), loader, jobs)

    def _made(self, loader: NumberedJobs, task: TaskFunction) -> Launcher:
        return Plugins.instance().instantiate_launcher(
            hydra_context=dataclasses.replace(self._context, config_loader=cast(Any, loader)),
            task_function=task,
            config=self._own_config,
        )

    def _launched(self, launcher: Launcher, loader: NumberedJobs, jobs: Sequence[Job]) -> Sequence[JobReturn]:
        numbers = [job.number for job in jobs]
        given = range(numbers[0], numbers[0] + len(numbers))
        loader.numbers = {} if numbers == list(given) else dict(zip(given, numbers, strict=True))
        OmegaConf.copy_cache(self._config, self._own_config)
        return launcher.launch([list(job.overrides) for job in jobs], initial_job_idx=numbers[0])
