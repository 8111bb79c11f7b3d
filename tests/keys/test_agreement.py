"""Whether a loaded module is what its source says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hydra_cached.keys.code.agreement import agreement

SOURCE = """
import os
from dataclasses import dataclass
from math import prod as times
from typing import TYPE_CHECKING

RATE = 2
NAMES = {"a": 1}
MADE = (1, 2)

def twice(f):
    return f

def scale(x: list[int], by: int = 10) -> "list[int]":
    return [each * by for each in x]

def tried(x):
    try:
        x()
    except ValueError: x()
    return x

class Base:
    pass

class Up:
    factor: int = 3
    def step(self, x):
        return x + 1
    def __len__(self):
        return 1

class Down:
    @staticmethod
    def at():
        return 0
    def step(self, x):
        return x - 1
"""
SAME = {
    "nothing": ("RATE = 2", "RATE = 2"),
    "a comment at the end of a line": ("RATE = 2", "RATE = 2  # per hour"),
}
OTHER = {
    "a body": ("x + 1", "x + 2"),
    "an inner function's body": ("each * by", "each + by"),
    "a default": ("= 10", "= 11"),
    "a constant": ("RATE = 2", "RATE = 2.0"),
    "a tuple": ("(1, 2)", "(1, 3)"),
    "a class attribute": ("int = 3", "int = 4"),
    "a kind of method": ("@staticmethod", "@classmethod"),
    "an import": ("import os", "import re as os"),
    "a line above": ("RATE = 2", "# a comment\nRATE = 2"),
    "what is tried": ("        x()\n    except", "        pass\n    except"),
    "a method that is gone": ("    def __len__(self):\n        return 1\n", "\n\n"),
    "a function that is gone": ("def twice(f):\n    return f\n", "\n\n"),
    "an annotation that is gone": ("by: int = 10", "by = 10"),
}
UNKNOWN = {
    "a dict, which may have been changed in place": ('{"a": 1}', '{"a": 2}'),
    "what the import computes": ("RATE = 2", "RATE = 1 + 1"),
    "an annotation": ("by: int", "by: str"),
    "an annotation of a class": ("factor: int", "factor: str"),
    "a base": ("class Up:", "class Up(Base):"),
    "a class decorator": ("\nclass Base:", "@twice\nclass Base:"),
    "a second definition": ("return x - 1\n", "return x - 1\ndef scale(x, by=10): return x\n"),
    "an attribute that is gone": ("    factor: int = 3\n", "\n"),
    "an import that is gone": ("from math import prod as times", ""),
}
# What is added to the source before it is imported, and gone from the file afterwards.
GONE = {
    "a decorator": ("\ndef scale", "@twice\ndef scale"),
    "a decorator that adds to a class": ("\nclass Up", "@dataclass\nclass Up"),
    "a base": ("class Up", "class Up(Base)"),
    "a method": ("        return x - 1\n", "        return x - 1\n    def __len__(self): return 2\n"),
    "a second definition": ("        return x - 1\n", "        return x - 1\ndef twice(f): return 1\n"),
    "an attribute of a function": ("        return x - 1\n", "        return x - 1\nscale.rate = 3\n"),
    "a value that was given twice": ("        return x - 1\n", "        return x - 1\nRATE = 3\n"),
    "a value": ("        return x - 1\n", "        return x - 1\nOTHER = 3\n"),
    "an import": ("        return x - 1\n", "        return x - 1\nfrom math import prod as sum\n"),
}


@pytest.mark.parametrize(
    ("edit", "verdict"),
    [(edit, verdict) for edits, verdict in ((SAME, True), (OTHER, False), (UNKNOWN, None)) for edit in edits],
)
def test_verdicts(tmp_path: Path, edit: str, verdict: bool | None) -> None:
    """Edits are seen, or what is loaded is not vouched for."""
    old, new = {True: SAME, False: OTHER, None: UNKNOWN}[verdict][edit]
    assert old in SOURCE
    assert _verdict(tmp_path, SOURCE, SOURCE.replace(old, new)) is verdict


@pytest.mark.parametrize("edit", GONE)
def test_what_is_gone(tmp_path: Path, edit: str) -> None:
    """What is loaded is not vouched for where the source has less than it had: it would not be looked for."""
    assert GONE[edit][0] in SOURCE
    assert _verdict(tmp_path, SOURCE.replace(*GONE[edit]), SOURCE) is not True


def test_methods_that_swap_bodies(tmp_path: Path) -> None:
    """Two methods of one name are not taken for each other."""
    down = "return x - 1"
    swapped = SOURCE.replace("return x + 1", down)[: -len(down) - 1] + "return x + 1\n"
    assert _verdict(tmp_path, SOURCE, swapped) is False


def _verdict(folder: Path, before: str, after: str) -> bool | None:
    path = folder / "agreed.py"
    path.write_text(before)
    spec = importlib.util.spec_from_file_location("agreed", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path.write_text(after)
    return agreement(module, str(path))
