"""The example as a Hydra app: an ordinary one, of whose code nothing is about caching.

Try ``python example_app/app.py cache=disk``, twice.
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from digits.report import Report


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Run the pipeline, show its report, return the accuracy (for sweepers)."""
    report: Report = instantiate(cfg.pipeline)
    print(report)
    for path in report.write_pictures(Path(HydraConfig.get().runtime.output_dir)):
        print(f"wrote {path}")
    return report.score["accuracy"]


if __name__ == "__main__":
    main()
