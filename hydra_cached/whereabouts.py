"""What the places of a stage's artifacts are relative to in this run."""

from __future__ import annotations

import sys

from hydra_cached.artifacts import Places
from hydra_cached.keys.key import Stage
from hydra_cached.seam import Visit


def places_of(stage: Stage, visit: Visit) -> Places:
    """The values of a stage's parameters that are left out of its key and may be paths; the job's directory."""
    parameters = {}
    for name in {*map(str, visit.node), *visit.overrides} - stage.params.keys():
        if not name.startswith("_"):
            try:
                value = visit.overrides[name] if name in visit.overrides else visit.node[name]
            except Exception:  # a missing value, an interpolation to nowhere: what Hydra will say is not ours
                continue
            if isinstance(value, str) and value:
                parameters[name] = value
    return Places(parameters, _job())


def _job() -> str | None:
    """The output directory of the Hydra job that this process runs."""
    module = sys.modules.get("hydra.core.hydra_config")
    if module is None or not module.HydraConfig.initialized():
        return None
    try:
        directory = module.HydraConfig.get().runtime.output_dir
    except Exception:  # a config of Hydra's that somebody has set by hand, without this
        return None
    return directory if isinstance(directory, str) else None
