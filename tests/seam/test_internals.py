"""A Hydra whose internals are not known is left alone, with an error that says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHANGES = {
    "another parameter": "def instantiate_node(node, *args, convert=0, recursive=0, partial=0, extra=0): pass",
    "fewer parameters": "def instantiate_node(node, *args): pass",
    "no function": "instantiate_node = 3",
    "another call": "def _call_target(_target_, _partial_, args, kwargs, full_key, extra, more, most): pass",
    "no call": "del module._call_target",
}
SCRIPT = """
import sys
import hydra._internal.instantiate._instantiate2 as module
change = {change!r}
if change.startswith("del"):
    exec(change)
else:
    exec(change, module.__dict__)
before = dict(module.__dict__)
import hydra_cached
from hydra_cached.errors import UnknownHydraError

try:
    with hydra_cached.activate({directory!r}):
        print("activated")
except UnknownHydraError as error:

    assert "hydra-cached does not know the internals of Hydra" in str(error), error
    same = all(module.__dict__[name] is value for name, value in before.items())
    print("refused", same and set(module.__dict__) == set(before))
"""


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_unknown_internals_are_refused(tmp_path: Path, change: str) -> None:
    """Where a signature is another or a function is gone, activation says so and touches nothing."""
    script = SCRIPT.format(change=change, directory=str(tmp_path / "cache"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.stdout.strip() == "refused True", done.stdout + done.stderr
    assert not (tmp_path / "cache").exists()
