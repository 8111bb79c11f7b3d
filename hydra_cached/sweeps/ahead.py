"""Jobs of their own for stages that many jobs share: they build these stages, and nothing else of a job."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf

from hydra_cached.errors import brief

log = logging.getLogger("hydra_cached.sweeps")
FOLDER = ".stages"  # in the sweep's directory: where these jobs have their output directories


class StageTask:
    """The task function of such jobs. It travels to their processes.

    Args:
        paths: config paths of the stages to build, by number of the job whose config it is.
    """

    def __init__(self, paths: Mapping[int, list[str]]) -> None:
        self.paths = dict(paths)

    def __call__(self, config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.utils import instantiate

        for path in self.paths[HydraConfig.get().job.num]:
            try:
                instantiate(OmegaConf.select(config, path))
            except Exception as error:
                # The jobs that want it will say so, each as it would have.
                log.warning("%s failed ahead of the jobs that share it: %s", path, brief(error))


def paths_ahead(
    pilots: list[int],
    missing: Mapping[int, frozenset[str]],
    shared: Mapping[str, str],
) -> dict[int, list[str]]:
    """What jobs for stages have to build, by number of the job whose config they take.

    Args:
        pilots: numbers of jobs that want different stages.
        missing: keys of the stages that each job wants.
        shared: paths of the stages that several want, by key; those that contain others first.
    """
    found: dict[int, list[str]] = {}
    for number in pilots:
        paths = [path for key, path in shared.items() if key in missing[number]]
        if paths:
            found[number] = paths
    return found
