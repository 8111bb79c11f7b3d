"""Job numbers: launchers number the jobs of a call one by one; jobs that are left over have numbers with gaps."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override

_NAMING = threading.Lock()  # for launchers that compose in threads


class NumberedJobs:
    """A config loader that gives jobs their own numbers, whatever number the launcher sets.

    It travels to the jobs' processes with the context that it is in.

    Args:
        loader: Hydra's.
        launcher: the node ``hydra.launcher`` of the sweep, of which the launcher that asks has been told another.

    Attributes:
        numbers: from the number that the launcher will set to the job's own.
        folder: where in the sweep's directory jobs have their output directories, if not where the config says.
    """

    def __init__(self, loader: Any, launcher: DictConfig, folder: str | None = None) -> None:
        self.loader = loader
        self.folder = folder
        self.numbers: dict[int, int] = {}
        self._launcher = OmegaConf.to_container(launcher)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "loader":  # asked for while it is unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """A job's config, whose number cannot be set to anything but the job's own."""
        with _named(master_config, self._launcher):
            config: DictConfig = self.loader.load_sweep_config(master_config, sweep_overrides)
        if self.numbers:
            OmegaConf.set_readonly(config.hydra, False)
            with flag_override(config.hydra, ["no_deepcopy_set_nodes", "struct"], [True, False]):
                numbered = _NumberedJob(config.hydra.job, self.numbers)
                del config.hydra["job"]
                config.hydra["job"] = numbered
        if self.folder is not None:
            with flag_override(config.hydra, ["readonly", "struct"], False):
                config.hydra.sweep.subdir = f"{self.folder}/${{hydra.job.num}}"
        return config


def with_launcher(config: DictConfig, launcher: Any) -> DictConfig:
    """A copy of a sweep's config that names another launcher."""
    copied = copy.deepcopy(config)
    OmegaConf.set_readonly(copied, False)
    _set_launcher(copied, launcher)
    return copied


@contextmanager
def _named(config: DictConfig, launcher: Any) -> Iterator[None]:
    """Have a sweep's config name another launcher for a while: a copy of it would take longer than to compose."""
    with _NAMING:
        before = config.hydra.launcher
        _set_launcher(config, launcher)
        try:
            yield
        finally:
            _set_launcher(config, before)


def _set_launcher(config: DictConfig, launcher: Any) -> None:
    with flag_override(config.hydra, ["readonly", "struct"], False):
        config.hydra.launcher = launcher


class _NumberedJob(DictConfig):
    """The node ``hydra.job``, until Hydra copies it.

    Args:
        job: the node as it was composed.
        numbers: see ``NumberedJobs``.
    """

    def __init__(self, job: DictConfig, numbers: Mapping[int, int]) -> None:
        super().__init__(job)
        self.__dict__["_numbers"] = numbers

    def __setattr__(self, key: str, value: Any) -> None:
        if key == "num" and value in self._numbers_known():
            given, value = value, self._numbers_known()[value]
            super().__setattr__("id", own_id(self.get("id"), self.get("name"), given, value))
        super().__setattr__(key, value)

    def __setitem__(self, key: Any, value: Any) -> None:
        if key in ("num", "id"):
            setattr(self, key, value)
        else:
            super().__setitem__(key, value)

    def _numbers_known(self) -> Mapping[int, int]:
        known: Mapping[int, int] = self.__dict__.get("_numbers", {})
        return known


def own_id(given: Any, name: Any, number: int, own: int) -> Any:
    """A job's id under its own number, for launchers that make ids of numbers.

    Args:
        given: the id.
        name: the job's name, which launchers put before the number.
        number: the number that it was made of, if it was.
        own: the job's own number.
    """
    if str(given) == str(number):
        return str(own)
    return f"{name}_{own}" if given == f"{name}_{number}" else given


def runs_of(numbers: Sequence[int]) -> list[list[int]]:
    """Positions of numbers, in groups in which each number is one more than the one before."""
    groups: list[list[int]] = []
    for at, number in enumerate(numbers):
        if groups and number == numbers[groups[-1][-1]] + 1:
            groups[-1].append(at)
        else:
            groups.append([at])
    return groups
