"""Composed configs: what Hydra's check of a batch composed is not composed again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hydra_cached.sweeps.compositions import Compositions, Packed

Plugins.instance()  # before the first test: Hydra's fixture gives each the singletons that were there before it
BATCH = [["a=1"], ["a=2"]]


@pytest.fixture
def loader(tmp_path: Path, hydra_restore_singletons: None) -> Iterator[Any]:
    (tmp_path / "config.yaml").write_text("a: 0\nwhen: ${now:%f}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def _master(loader: Any) -> DictConfig:
    config: DictConfig = loader.load_configuration("config", [], RunMode.MULTIRUN)
    config.hydra.job.config_name = "config"
    return config


def _check(loader: Any, master: DictConfig) -> None:
    """Have Hydra's own code compose a batch, as sweepers do before they launch it."""
    sweeper: Any = SimpleNamespace(config=master, hydra_context=SimpleNamespace(config_loader=loader))
    Sweeper.validate_batch_is_legal(cast(Sweeper, sweeper), BATCH)


def _counted(loader: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    compose = type(loader).load_sweep_config

    def counted(self: Any, master_config: Any, sweep_overrides: Any) -> Any:
        calls.extend(sweep_overrides)
        return compose(self, master_config, sweep_overrides)

    monkeypatch.setattr(type(loader), "load_sweep_config", counted)
    return calls


def test_a_checked_job_is_composed_once(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check's config is handed on, once, and equals what composing gives."""
    master = _master(loader)
    expected = loader.load_sweep_config(master, BATCH[0])
    calls = _counted(loader, monkeypatch)
    composed = Compositions(loader)
    _check(loader, master)
    got = [composed(master, overrides) for overrides in BATCH]
    assert calls == ["a=1", "a=2"] and [config.a for config in got] == [1, 2]
    assert OmegaConf.to_container(got[0]) == OmegaConf.to_container(expected)
    assert composed(master, BATCH[0]) is not got[0] and calls == ["a=1", "a=2", "a=1"]


def test_resolved_values_are_those_of_the_sweep(loader: Any) -> None:
    """What the sweep's config has resolved since the check reads the same in the job."""
    master = _master(loader)
    composed = Compositions(loader)
    _check(loader, master)
    when = master.when
    assert composed(master, BATCH[0]).when == when


def test_configs_of_others_are_theirs(loader: Any) -> None:
    """A config that a sweeper composed for itself, and may have changed, is not taken; nor one of another sweep."""
    master = _master(loader)
    composed = Compositions(loader)
    loader.load_sweep_config(master, BATCH[0]).a = 7
    assert composed(master, BATCH[0]).a == 1
    _check(loader, master)
    other = copy.deepcopy(master)
    assert composed(other, BATCH[0]) is not None and composed(master, BATCH[1]).a == 2


def test_what_cannot_be_pickled_is_copied() -> None:
    """A config with an object that refuses to be pickled is kept, too, as it is at this moment."""
    config = OmegaConf.create({"a": 1, "lock": _Unpicklable()}, flags={"allow_objects": True})
    packed = Packed(config)
    config.a = 2
    assert packed.config().a == 1 and isinstance(packed.config().lock, _Unpicklable)


class _Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not me")

    def __deepcopy__(self, memo: Any) -> _Unpicklable:
        return self


def test_the_loader_travels_as_it_was(loader: Any) -> None:
    """While jobs are launched, the loader is Hydra's own; a second launcher takes the place of the first."""
    plain = dict(vars(loader))
    first, second = Compositions(loader), Compositions(loader)
    assert vars(loader) != plain
    with second.paused():
        assert vars(loader) == plain
    with first.paused():
        assert vars(loader) == plain
    assert first(_master(loader), BATCH[0]).a == 1
