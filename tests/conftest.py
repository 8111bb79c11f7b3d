"""Fixtures that all tests may use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import RECORDER, Project
from s3_server import Bucket, running


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project, in which ``from recorder import ran`` is possible."""
    return Project(tmp_path / "project").write(recorder_py=RECORDER)


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    """A bucket of a real S3 server on this machine."""
    with running() as bucket:
        yield bucket


@pytest.fixture
def bucket(s3: Bucket) -> Bucket:
    """A place of the test's own in the bucket."""
    return s3.below(uuid.uuid4().hex)
