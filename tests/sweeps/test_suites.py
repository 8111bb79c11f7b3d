"""Hydra's own suites for launchers, for `cached` over other launchers."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

Plugins.instance()  # before the first test: Hydra's fixture gives each the singletons that were there before it
PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher"}


def inner(name: str) -> list[str]:
    """The overrides that choose an inner launcher."""
    return [f"hydra/launcher@hydra.launcher.inner={name}"]


def over(*names: str) -> list[Any]:
    """The suites' parameters for inner launchers."""
    return [pytest.param("cached", inner(name), id=name, marks=installed(name)) for name in names]


def installed(name: str) -> pytest.MarkDecorator:
    plugin = PLUGINS.get(name)
    absent = plugin is not None and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None
    return pytest.mark.skipif(absent, reason=f"the launcher {name} is not installed")


def test_the_launcher_is_found() -> None:
    """Hydra's plugin scan finds the launcher, whose class is defined where Hydra wants it."""
    found = [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]
    assert "CachedLauncher" in found


@pytest.mark.parametrize(("launcher_name", "overrides"), over("basic", *PLUGINS))
class TestLauncher(LauncherTestSuite):
    """Hydra's suite for launchers passes."""


@pytest.mark.parametrize(("launcher_name", "overrides"), over("basic", "joblib"))
class TestBatches(BatchedSweeperTestSuite):
    """Hydra's suite for sweeps in batches passes."""

    @pytest.fixture(autouse=True)
    def _two_at_once(self, overrides: list[str]) -> None:
        overrides.append("hydra.sweeper.max_batch_size=2")


def flags(name: str, cache: str = "") -> Any:
    """The integration suite's parameters for an inner launcher, with or without a cache in the app's config."""
    config = {"defaults": [{"cache": cache}]} if cache else {}
    arguments = ["-m", "hydra/launcher=cached", *inner(name)]
    return pytest.param(config, arguments, id=f"{name}-{cache or 'no cache'}", marks=installed(name))


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [flags("basic"), flags("basic", "disk"), flags("joblib", "disk"), flags("submitit_local", "disk")],
)
class TestIntegration(IntegrationTestSuite):
    """Hydra's integration suite passes, for apps in processes of their own."""
