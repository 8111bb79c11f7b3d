"""Composed configs of jobs: what Hydra composed to check a batch is not composed again to plan it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf


class Packed:
    """A config as it is at this moment, pickled, as Hydra sends it to other processes.

    That takes 1 ms and 12 kB, where a live config of a job takes 0.3 MB in thousands of objects: with a thousand of
    them, Python's garbage collector doubles the time that composing takes.

    Args:
        config: the config; what cannot be pickled is copied.
    """

    def __init__(self, config: DictConfig) -> None:
        try:
            self._kept: bytes | DictConfig = pickle.dumps(config, pickle.HIGHEST_PROTOCOL)
        except Exception:
            self._kept = copy.deepcopy(config)

    def config(self) -> DictConfig:
        """The config, which is the caller's."""
        kept = self._kept
        config: DictConfig = pickle.loads(kept) if isinstance(kept, bytes) else copy.deepcopy(kept)
        return config


class Compositions:
    """Composes jobs' configs with Hydra's loader, each once: here, or before, while a sweeper checks the batch.

    Args:
        loader: Hydra's config loader, which the sweeper has, too. It is listened to except while ``paused``.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._leave()
        self._compose = loader.load_sweep_config
        self._kept: dict[tuple[str, ...], tuple[DictConfig, Packed]] = {}
        self._listen()

    def __call__(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        """The config of a job, which is the caller's.

        Args:
            master: the sweep's config.
            overrides: the job's.
        """
        of, packed = self._kept.pop(tuple(overrides), (None, None))
        if packed is None or of is not master:
            composed: DictConfig = self._compose(master, overrides)
            return composed
        config = packed.config()
        OmegaConf.copy_cache(from_config=master, to_config=config)  # what was resolved since then
        return config

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the loader as it was, for it travels to other processes; what was kept is forgotten afterwards."""
        self._leave()
        try:
            yield
        finally:
            self._kept.clear()
            self._listen()

    def _listen(self) -> None:
        self._loader.load_sweep_config = self._composed

    def _leave(self) -> None:
        listening = vars(self._loader).get("load_sweep_config")
        if isinstance(getattr(listening, "__self__", None), Compositions):
            del self._loader.load_sweep_config

    def _composed(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        config: DictConfig = self._compose(master_config, sweep_overrides)
        self._kept[tuple(sweep_overrides)] = master_config, Packed(config)
        return config
