"""One ``instantiate`` call through Hydra alone and through caches, and what came of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from differential_targets import CALLS
from generated import Scenario
from hydra._internal.instantiate import _instantiate2 as internals
from hydra.utils import instantiate
from hypothesis import reject
from snapshots import error_snapshot, raw_snapshot, sharing, snapshot

from hydra_cached.active import activated, seam
from hydra_cached.config import read_options
from hydra_cached.events import Event, Kind
from hydra_cached.keys.code import CodeIndex
from hydra_cached.session import Session
from hydra_cached.shelf import EntryShelf
from hydra_cached.stores.memory import MemoryStore

_CODE = (
    CodeIndex()
)  # one for all sessions: the targets' code stays as it is, and reading it takes most of the time
ORIGINALS = {name: getattr(internals, name) for name in ("instantiate_node", "_call_target", "OmegaConf")}


@dataclass
class Outcome:
    """What came of a call: its value or error, what it left of the config, and which targets it called."""

    result: Any
    config_after: Any
    unchanged: bool
    sharing: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


def run(scenario: Scenario, function: Callable[..., Any] = instantiate) -> Outcome:
    """Call ``instantiate`` on fresh objects and look at everything that came of it."""
    try:
        config, args, kwargs = scenario.build()
    except Exception:
        reject()  # OmegaConf does not take this for a config
    before = raw_snapshot(config)
    CALLS.clear()
    shared: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = function(config, *args, **kwargs)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            calls = list(CALLS)
            result: Any = ("error", error_snapshot(error))
            if "RecursionError" in repr(result):
                reject()  # an interpolation of itself: where it is found out depends on the depth of the stack
        else:
            calls = list(CALLS)
            shared = sharing(value)
            result = ("value", snapshot(value))
            if "omegaconf.errors.Interpolation" in repr(result):
                # A target has returned part of its config, and where Hydra then put it, an interpolation of that
                # part leads nowhere. A stored result holds what it led to when the target returned.
                reject()
    after = raw_snapshot(config)
    return Outcome(result, after, before == after, shared, calls)


@contextmanager
def caching(store: MemoryStore, **options: Any) -> Iterator[Session]:
    """A session of its own on a given store."""
    session = Session(seam(), read_options(dir=None, min_seconds=0.0, **options), EntryShelf(store))
    session._index = _CODE
    with activated(session, everywhere=True):
        yield session


def hydra_is_itself() -> bool:
    """Whether Hydra's module has its own functions."""
    return all(getattr(internals, name) is function for name, function in ORIGINALS.items())


def all_kept(events: list[Event]) -> bool:
    """Whether nothing that ran would have to run again."""
    return all(
        event.kind in (Kind.HIT, Kind.SHARED) or (event.kind is Kind.RUN and event.stored) for event in events
    )


def is_subsequence(some: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(each in rest for each in some)
