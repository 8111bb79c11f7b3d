"""Real engines, for tests that are not part of ``make test``: ``make test-engines`` installs and runs them.

Nothing here is collected unless ``HYDRA_CACHED_ENGINES`` is set. An engine runs for as long as its tests do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import buckets
import mounts
import pytest
from buckets import Place

sys.path.append(str(Path(__file__).parents[1]))  # for the S3 server
sys.path.append(str(Path(__file__).parents[1] / "stores"))  # for the backends of ours
sys.path.append(str(Path(__file__).parents[1] / "session"))  # for crowds of processes

collect_ignore_glob = [] if os.environ.get("HYDRA_CACHED_ENGINES") else ["test_*.py"]


@pytest.fixture(scope="session", params=["ceph", "azurite", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A remote place where of several that create one object, one succeeds."""
    start = mounts.sshd if request.param == "sftp" else getattr(buckets, request.param)
    with start(tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place that is not exclusive in all races."""
    with buckets.moto(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture(scope="session", params=["s3rver", "google"])
def unconditional(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A remote place where all succeed."""
    with getattr(buckets, request.param)(tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture(scope="session")
def two_mounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Two mounts of one file system, as two hosts would have them."""
    with mounts.gluster(tmp_path_factory.mktemp("gluster")) as started:
        yield started
