"""The node ``hydra.launcher`` of ``hydra/launcher=cached``: its options, their types and defaults.

A plain dataclass and nothing heavy: Hydra's plugin scan imports this module in every app.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import MISSING


@dataclass
class LauncherOptions:
    """The typed node ``hydra.launcher``.

    Args:
        inner: the launcher that does the launching, chosen with ``hydra/launcher@hydra.launcher.inner=...``.
        dedupe: jobs that are equal (config and code) run once. False for noisy objectives: repeats stay separate.
        resume: jobs that completed before, in this sweep or another, are not run again.
        stages: config paths of stages that several jobs share, to be run ahead as jobs of their own.
    """

    _target_: str = "hydra_plugins.hydra_cached.launcher.CachedLauncher"
    _recursive_: bool = False
    inner: Any = MISSING
    dedupe: bool = True
    resume: bool = True
    stages: list[str] = field(default_factory=list)
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"/hydra/launcher@inner": "basic"}])


def launcher_options(given: Mapping[str, Any]) -> LauncherOptions:
    """The options that a launcher was made with; what Hydra keeps for itself is left out."""
    known = {option.name for option in fields(LauncherOptions)}
    values = {name: value for name, value in given.items() if name in known}
    values["stages"] = [str(path) for path in values.get("stages") or ()]
    return LauncherOptions(**values)
