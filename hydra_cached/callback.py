"""The Hydra callback that activates the cache in a job's own process, whatever launcher started it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from hydra_cached.config import CacheOptions, Mode, options_of

if TYPE_CHECKING:
    from hydra_cached.session import Session

log = logging.getLogger("hydra_cached")
LAUNCHER = "hydra_plugins.hydra_cached.launcher.CachedLauncher"


class CacheCallback(Callback):
    """Activates the cache that the config's ``cache`` node describes, for as long as a job lasts.

    A cache that cannot be had makes the run slower, not broken: it is reported, and the job goes on without.
    """

    def __init__(self) -> None:
        self._session: Session | None = None
        self._stop: Callable[[], None] | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        launcher = OmegaConf.select(config, "hydra.launcher._target_")
        if OmegaConf.select(config, "cache.plan") and launcher != LAUNCHER:
            # Not an Exception: Hydra would make a warning of it, and run the sweep.
            raise SystemExit(
                "cache.plan: sweeps are planned by the launcher `cached`; add hydra/launcher=cached"
            )

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        from hydra_cached.active import start
        from hydra_cached.api import open_session

        self._end()
        try:
            options = options_of(config)
            if options.plan:
                self._plan(config, options, kwargs.get("task_function"))
            base = OmegaConf.select(config, "hydra.runtime.cwd")
            self._session = open_session(options, base=base)
            self._stop = start(self._session, everywhere=True)
        except Exception as error:
            log.error("The job runs without a cache: %s", error)

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        session = self._session
        self._end()
        if session is not None and session.options.mode is not Mode.off:
            log.info("cache: %s", session.summary().line())

    def _plan(self, config: DictConfig, options: CacheOptions, task: Any) -> None:
        """Print what would be done, and end the program."""
        from hydra_cached.sweeps.single import plan_of_job

        print(plan_of_job(config, options, task))
        raise SystemExit(0)

    def _end(self) -> None:
        if self._stop is not None:
            self._stop()
        self._session = self._stop = None
