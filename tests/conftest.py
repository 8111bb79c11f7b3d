"""Fixtures that all tests may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import RECORDER, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project, in which ``from recorder import ran`` is possible."""
    return Project(tmp_path / "project").write(recorder_py=RECORDER)
