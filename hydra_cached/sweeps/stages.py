"""The stages of a job, read from its config in the launcher: what they are, without running or importing any."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from hydra_cached import policy
from hydra_cached.call import Fingerprints
from hydra_cached.config import CacheOptions
from hydra_cached.keys.code import Fingerprint
from hydra_cached.keys.configs import below, is_cache_node, is_container, is_mapping, is_target, item_missing
from hydra_cached.keys.key import Stage
from hydra_cached.keys.reader import Reader
from hydra_cached.seam import Seam, Visit
from hydra_cached.unresolved import resolved_copy


@dataclass(frozen=True)
class StageOfJob:
    """A stage as the config alone describes it.

    Args:
        key: its static key; None if it cannot be known before it runs, or it has none.
        path: where it stands.
        target: dotted name of what is called.
        kept: whether its result will be kept if it takes long enough.
        reason: why there is no key, or why it is not kept.
        root: whether nothing that the app instantiates receives it.
        hit: whether its result is there, so that what it would receive is not wanted.
    """

    key: str | None
    path: str
    target: str
    kept: bool
    reason: str = ""
    root: bool = False
    hit: bool = False


class StageReader:
    """Reads the stages of jobs; all jobs see one state of the code.

    Args:
        seam: the seam with Hydra.
        options: the cache's.
        fingerprint: gives the fingerprint of the code behind a dotted name.
        files: gives digests of declared files by name.
    """

    def __init__(
        self,
        seam: Seam,
        options: CacheOptions,
        fingerprint: Callable[[str], Fingerprint],
        files: Callable[[str], str],
    ) -> None:
        self._seam = seam
        self._options = options
        self._code: Mapping[str, Fingerprint] = Fingerprints(fingerprint)
        self._files = files

    def of(
        self,
        config: DictConfig,
        known: Collection[str] = (),
        there: Callable[[str], bool] = lambda key: False,
    ) -> list[StageOfJob]:
        """The stages that a job would build, each once; what cannot be read is left out.

        Args:
            config: the job's config.
            known: paths that the app's jobs were seen to instantiate; all that stand in no other if there are none.
            there: whether a result is kept under a static key.
        """
        found: dict[str, StageOfJob] = {}
        for path, node in nodes_in(config, known):
            with contextlib.suppress(Exception):
                self._collect(self._read(node), path, True, there, found)
        return list(found.values())

    def _read(self, node: Any) -> Stage:
        visit = Visit(node)
        if not self._seam.lazy:
            copied, before = resolved_copy(node)
            visit = Visit(copied, before=before)
        options = self._options
        reader = Reader(
            self._code,
            self._files,
            options.share.value,
            visit.before.aliases,
            options.ignore,
            self._seam.lazy,
        )
        return reader.read(visit.node, visit.path)

    def _collect(
        self,
        stage: Stage,
        path: str,
        root: bool,
        there: Callable[[str], bool],
        found: dict[str, StageOfJob],
    ) -> None:
        sign = stage.shape if stage.obstacle is None else path
        if sign in found:
            return
        reason = policy.refusal(stage) or policy.unwanted(stage, math.inf, self._options) or ""
        key = None
        if stage.obstacle is None and policy.draws(stage, self._options):
            reason = reason or "its key holds the random state"
        elif stage.obstacle is None and stage.unstable:
            reason = reason or "something in it is not deterministic"
        elif not reason:
            key = stage.static_key
        hit = key is not None and there(key)
        found[sign] = StageOfJob(key, path, stage.target, not reason, reason, root, hit)
        for child in () if hit else stage.children:
            self._collect(child, child.path, False, there, found)


def nodes_in(config: DictConfig, known: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Target nodes of a job's config that an app may instantiate, with their paths.

    Args:
        config: the job's config.
        known: paths of which the outermost are wanted; all that stand in no other target node if there are none.
    """
    for name in config:
        if name != "hydra" and not is_cache_node(config, name):
            yield from _within(config, name, str(name), known)


def _within(container: Any, name: Any, path: str, known: Collection[str]) -> Iterator[tuple[str, Any]]:
    try:
        value: Any = None if item_missing(container, name) else container[name]
    except Exception:
        return  # an interpolation to nowhere: the app will say so, or not care
    if is_target(value) and (not known or path in known):
        yield path, value
    elif is_container(value):
        for inner in value if is_mapping(value) else range(len(value)):
            where = below(path, inner) if is_mapping(value) else f"{path}[{inner}]"
            yield from _within(value, inner, where, known)
