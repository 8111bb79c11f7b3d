"""Fixtures that all tests may use."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from projects import RECORDER, Project
from s3_server import Bucket, running

# The same examples at every run, so that a run says something about a change. To hunt: HYPOTHESIS_RANDOM=1.
settings.register_profile("same", derandomize="HYPOTHESIS_RANDOM" not in os.environ)
settings.load_profile("same")


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
