"""The plan of a single job, for ``cache.plan=true`` outside of sweeps."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from hydra_cached.active import seam
from hydra_cached.config import CacheOptions
from hydra_cached.keys.code import code_index
from hydra_cached.keys.files import FileDigests
from hydra_cached.opening import open_store
from hydra_cached.sweeps.compositions import Packed
from hydra_cached.sweeps.jobs import Job
from hydra_cached.sweeps.keys import task_name
from hydra_cached.sweeps.ledger import Ledger
from hydra_cached.sweeps.stages import StageReader
from hydra_cached.sweeps.survey import survey
from hydra_cached.sweeps.tables import UNKNOWN, stages_table


def plan_of_job(config: DictConfig, options: CacheOptions, task: Any) -> str:
    """What a job would find and what it would run, node by node, as text; runs and imports nothing.

    Args:
        config: the job's config, with Hydra's node.
        options: the cache's.
        task: the app's task function.
    """
    base = str(config.hydra.runtime.cwd)
    opened = open_store(options, base) if options.dir is not None else None
    if opened is None:
        return (
            "cache.plan: nothing is kept beyond this job (cache.mode or cache.dir says so), so all stages run"
        )
    reader = StageReader(
        seam(), options, lambda name: code_index().fingerprint(name, options.code.value), FileDigests().of
    )
    ledger = Ledger(opened.store, task_name(task) or "")
    found = survey([Job(0, [], Packed(config))], reader, ledger, options)
    if not found.rows:
        return "cache.plan: the config has no target nodes"
    return "\n".join([stages_table(found.rows), "", *UNKNOWN[found.known :]])
