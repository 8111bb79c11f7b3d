"""A laboratory for sessions: modules that can be edited, configs, and builds as of one process after another."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hydra.utils import instantiate
from notebook import RAN
from omegaconf import OmegaConf

from hydra_cached import Event, activate
from hydra_cached.events import Kind
from hydra_cached.stores.local import LocalStore

LAZY = hasattr(OmegaConf, "is_tuple")  # Hydra 1.4


@dataclass
class Built:
    """What one build gave, and what happened meanwhile."""

    value: Any
    ran: list[str]
    loads: int
    events: list[Event]
    log: str

    def of(self, path: str) -> Event:
        """The last event of a node."""
        return [event for event in self.events if event.path == path][-1]

    def kinds(self, path: str) -> list[Kind]:
        """How the node's ways ended, in order."""
        return [event.kind for event in self.events if event.path == path]


@dataclass
class Lab:
    """A directory on ``sys.path`` for modules, with a cache in it."""

    root: Path
    caplog: pytest.LogCaptureFixture
    loads: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        """Where builds keep their results."""
        return self.root / "cache"

    def code(self, text: str = "", **modules: str) -> Lab:
        """Write ``stages.py`` and other modules (``pkg__a`` is ``pkg/a.py``), as seen by a new process."""
        for name, source in {"stages": text, **modules}.items() if text else modules.items():
            path = self.root / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text("from notebook import ran\n" + dedent(source))
        self.forget()
        return self

    def edit(self, old: str, new: str, module: str = "stages", *, restart: bool = True) -> Lab:
        """Change a text in a module; with ``restart``, as seen by a new process."""
        path = self.root / f"{module}.py"
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        path.write_text(text.replace(old, new))
        if restart:
            self.forget()
        return self

    def forget(self) -> None:
        """Forget the modules that were imported from here, as a new process would."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self.root)):
                del sys.modules[name]
        importlib.invalidate_caches()

    def build(self, config: Any, node: str = "", *args: Any, call: Any = None, **options: Any) -> Built:
        """Instantiate a config (YAML or data), or a node of it, in a session of its own.

        Args:
            config: the config.
            node: which node of it.
            args: positional arguments of the call.
            call: keyword arguments of the call.
            options: of the cache; ``min_seconds`` is 0 unless given.
        """
        config = OmegaConf.create(dedent(config) if isinstance(config, str) else config)
        chosen = OmegaConf.select(config, node) if node else config
        RAN.clear()
        self.loads.clear()
        self.caplog.clear()
        with activate(**{"dir": self.cache, "min_seconds": 0.0, **options}) as session:
            value = instantiate(chosen, *args, **(call or {}))
        log = "\n".join(record.getMessage() for record in self.caplog.records)
        return Built(value, list(RAN), len(self.loads), list(session.events), log)

    def alone(self, config: Any, node: str = "", *args: Any, call: Any = None) -> Any:
        """What Hydra makes of it without a cache."""
        config = OmegaConf.create(dedent(config) if isinstance(config, str) else config)
        return instantiate(OmegaConf.select(config, node) if node else config, *args, **(call or {}))

    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of all entries, links and notes in the cache."""
        store = LocalStore(self.cache)
        entries = [store.get(key) for key in store.keys()]
        return [entry.manifest for entry in entries if entry is not None]

    def manifest(self, target: str) -> dict[str, Any]:
        """The manifest of the one entry of a target."""
        found = [m for m in self.manifests() if m.get("target") == target and "trace" in m]
        assert len(found) == 1, f"{len(found)} entries of {target}"
        return found[0]

    def written(self) -> str:
        """All that the cache's manifests say, as text."""
        return json.dumps(self.manifests(), ensure_ascii=False)
