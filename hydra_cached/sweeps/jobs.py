"""Jobs of a batch: composed in the launcher as they will be in their own processes."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus
from omegaconf import DictConfig, OmegaConf, flag_override

from hydra_cached.errors import brief
from hydra_cached.sweeps.compositions import Packed
from hydra_cached.sweeps.keys import JobKeys, NoJobKey
from hydra_cached.sweeps.ledger import Done
from hydra_cached.sweeps.numbers import own_id

# Where outputs go is not what is computed: in a job's key, these all read the same.
_PLACES = ("runtime.output_dir", "run.dir", "sweep.dir", "sweep.subdir", "job.id")


@dataclass
class Job:
    """One job of a batch.

    Args:
        number: its number in the sweep.
        overrides: its command-line overrides.
        packed: its composed config, with Hydra's node; None if it cannot be composed here.
        output_dir: where its outputs will go, as far as that is known before it is launched.
        identity: what is the same for equal jobs; None if nothing can stand for it.
        key: of its record in the ledger; None without identity.
        reason: why it has none.
    """

    number: int
    overrides: Sequence[str]
    packed: Packed | None = None
    output_dir: str = ""
    identity: str | None = None
    key: str | None = None
    reason: str = ""


def compose(
    composed: Callable[[DictConfig, list[str]], DictConfig],
    master: DictConfig,
    overrides: Sequence[str],
    number: int,
    keys: JobKeys | None = None,
    named: bool = False,
) -> Job:
    """Compose a job as its launcher will. What cannot be composed is left to the launcher, which will say why.

    Args:
        composed: composes a job's config for us, from the sweep's and the job's overrides.
        master: the sweep's config.
        overrides: the job's.
        number: the job's.
        keys: makes its key; None if nobody wants one.
        named: whether the launcher puts the job's name before its number to make its id, as most do.
    """
    job = Job(number, overrides)
    try:
        config = composed(master, list(overrides))
        _set(config, "job.num", number)
        _set(config, "job.id", f"{config.hydra.job.name}_{number}" if named else str(number))
        with hydra_config(config):
            if keys is not None:
                job.identity, job.reason = _identity(config, keys)
            job.output_dir = os.path.abspath(_output_dir(config))
            _set(config, "runtime.output_dir", job.output_dir)
        job.packed = Packed(config)
    except Exception as error:
        job.reason = f"it cannot be composed: {brief(error)}"
    return job


def _identity(config: DictConfig, keys: JobKeys) -> tuple[str | None, str]:
    nodes = {path: _raw(config, path) for path in _PLACES}
    try:
        for path in _PLACES:
            _set(config, path, f"<{path}>")
        return keys.of(config), ""
    except NoJobKey as error:
        return None, str(error)
    finally:
        for path, value in nodes.items():
            _set(config, path, value)


def _raw(config: DictConfig, path: str) -> Any:
    """What stands at a path of Hydra's node, interpolations as they are written."""
    parent, _, name = path.rpartition(".")
    node = OmegaConf.to_container(OmegaConf.select(config.hydra, parent), resolve=False)
    assert isinstance(node, dict)
    return node[name]


def _set(config: DictConfig, path: str, value: Any) -> None:
    with flag_override(config.hydra, ["readonly", "struct"], False):
        OmegaConf.update(config.hydra, path, value)


@contextmanager
def hydra_config(config: DictConfig) -> Iterator[None]:
    """Have ``${hydra:…}`` mean a job's config."""
    singleton: Any = HydraConfig.instance()
    before = singleton.cfg
    singleton.cfg = config
    try:
        yield
    finally:
        singleton.cfg = before


def _output_dir(config: DictConfig) -> str:
    sweep = config.hydra.sweep
    return os.path.join(str(sweep.dir), str(sweep.subdir))


def restored(job: Job, done: Done) -> JobReturn:
    """What the launcher would have returned for a job that was not run, because it, or an equal one, was before.

    Args:
        job: the job.
        done: the one that was run.
    """
    assert job.packed is not None
    config = job.packed.config()
    _set(config, "job.id", own_id(done.id, done.name, done.number, job.number))
    singleton: Any = HydraConfig.instance()
    before = singleton.cfg
    try:
        singleton.set_config(config)
        hydra = copy.deepcopy(singleton.cfg)
        overrides: Any = OmegaConf.to_container(config.hydra.overrides.task)
        directory = _output_dir(config)
    finally:
        singleton.cfg = before
    with flag_override(config, ["readonly", "struct"], False):
        del config["hydra"]
    result = JobReturn(
        overrides=overrides,
        cfg=config,
        hydra_cfg=hydra,
        working_dir=directory if done.in_output_dir else os.getcwd(),
        task_name=JobRuntime.instance().get("name"),
        status=JobStatus.COMPLETED,
    )
    result.return_value = done.value
    return result


def handed_on(job: Job, result: JobReturn, number: int) -> JobReturn:
    """What an equal job's result is for a job that was not run.

    Args:
        job: the job that was not run.
        result: the other's.
        number: the other's.
    """
    other = result.hydra_cfg
    name = str(other.hydra.job.name) if other is not None else ""
    job_id = other.hydra.job.id if other is not None else None
    inside = other is not None and result.working_dir != os.getcwd()
    own = restored(job, Done(None, "", number, job_id, name, inside))
    return replace(
        result,
        overrides=own.overrides,
        cfg=own.cfg,
        hydra_cfg=own.hydra_cfg,
        working_dir=own.working_dir,
    )
