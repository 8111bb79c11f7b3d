"""Whether a loaded module is what its source says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from hydra_cached.keys.code.agreement import agreement

SOURCE = """
import os
from typing import TYPE_CHECKING

RATE = 2
NAMES = {"a": 1}
MADE = (1, 2)

def scale(x, by=10):
    return [each * by for each in x]

class Up:
    factor = 3
    def step(self, x):
        return x + 1

class Down:
    @staticmethod
    def at():
        return 0
    def step(self, x):
        return x - 1
"""
SAME = {
    "nothing": ("RATE = 2", "RATE = 2"),
    "a comment": ("RATE = 2", "# per hour\n\nRATE = 2"),
    "spaces": ("x + 1", "(x +  1)"),
    "another function": ("RATE = 2", "RATE = 2\nif TYPE_CHECKING: import re"),
}
OTHER = {
    "a body": ("x + 1", "x + 2"),
    "an inner function's body": ("each * by", "each + by"),
    "a default": ("by=10", "by=11"),
    "a constant": ("RATE = 2", "RATE = 2.0"),
    "a tuple": ("(1, 2)", "(1, 3)"),
    "a class attribute": ("factor = 3", "factor = 4"),
    "a kind of method": ("@staticmethod", "@classmethod"),
    "an import": ("import os", "import re as os"),
}
UNKNOWN = {
    "a dict, which may have been changed in place": ('{"a": 1}', '{"a": 2}'),
    "what the import computes": ("RATE = 2", "RATE = 1 + 1"),
    "a decorator": ("@staticmethod", "@os.cache"),
}


@pytest.mark.parametrize(
    ("edit", "verdict"),
    [(edit, verdict) for edits, verdict in ((SAME, True), (OTHER, False), (UNKNOWN, None)) for edit in edits],
)
def test_verdicts(tmp_path: Path, edit: str, verdict: bool | None) -> None:
    """Edits that change what is computed are seen, or not vouched for; others do not matter."""
    assert _verdict(tmp_path, *(SAME | OTHER | UNKNOWN)[edit]) is verdict


@pytest.mark.skipif(sys.version_info < (3, 11), reason="code does not say which class it stands in")
def test_methods_that_swap_bodies(tmp_path: Path) -> None:
    """Two methods of one name are not taken for each other."""
    down = "return x - 1"
    swapped = SOURCE.replace("return x + 1", down)[: -len(down) - 1] + "return x + 1\n"
    assert _verdict(tmp_path, SOURCE, swapped) is False


def _verdict(folder: Path, old: str, new: str) -> bool | None:
    path = folder / "agreed.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("agreed", path)
    assert spec is not None and spec.loader is not None and old in SOURCE
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path.write_text(SOURCE.replace(old, new))
    return agreement(module, str(path))
