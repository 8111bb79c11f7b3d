"""The fixture ``lab``; a module of its own, because pytest loads it as a plugin."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from laboratory import Lab

from hydra_cached import shelf


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Lab]:
    """A laboratory that leaves nothing behind."""
    root = tmp_path / "lab"
    root.mkdir()
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    caplog.set_level(logging.INFO, "hydra_cached")
    made = Lab(root, caplog)
    load = shelf.load

    def counted(payload: Any, *context: Any) -> Any:
        made.loads.append(payload.format)
        return load(payload, *context)

    monkeypatch.setattr(shelf, "load", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield made
    made.forget()
