"""Small file systems of a test's own, where mounting is allowed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def tmpfs(size: str) -> Iterator[Path]:
    """A small filesystem of its own, where mounting is allowed."""
    where = Path(tempfile.mkdtemp())
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], capture_output=True)
    if done.returncode:
        where.rmdir()
        pytest.skip("mounting is not allowed here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)
        where.rmdir()


needs_mount = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="needs root to mount",
)
