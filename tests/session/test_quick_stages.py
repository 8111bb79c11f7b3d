"""Stages that are too quick to be stored, in front of slow ones: what they made counts, not how."""

from __future__ import annotations

import pytest
from laboratory import Lab

pytest_plugins = ("lab_fixture",)

CODE = """
    import time

    def grid(n):
        ran("grid")
        return list(range(n))

    def scaled(data, k=2):
        ran("scaled")
        return [each * k for each in data]

    def train(data):
        ran("train")
        time.sleep(0.06)
        return sum(data)

    def spoil(data):
        ran("spoil")
        time.sleep(0.06)
        data.append(1)
        return sum(data)
"""
CONFIG = """
    _target_: stages.train
    data: {_target_: stages.scaled, data: {_target_: stages.grid, n: 4}}
"""


@pytest.mark.parametrize("edit", [("list(range(n))", "[n for n in range(n)]"), ("* k for", "* int(k) for")])
def test_a_refactored_quick_stage_lets_the_slow_one_behind_it_hit(lab: Lab, edit: tuple[str, str]) -> None:
    """Quick stages run again when their code changes; an equal result makes the slow stage hit, for good."""
    lab.code(CODE)
    assert lab.build(CONFIG, min_seconds=0.05).ran == ["grid", "scaled", "train"]
    lab.edit(*edit)
    built = lab.build(CONFIG, min_seconds=0.05)
    assert built.ran == ["grid", "scaled"] and built.value == 12
    assert lab.build(CONFIG, min_seconds=0.05).ran == []


def test_another_result_of_a_quick_stage_runs_the_slow_one(lab: Lab) -> None:
    """And back to the first entry when it is what it was."""
    lab.code(CODE)
    lab.build(CONFIG, min_seconds=0.05)
    lab.edit("k=2", "k=3")
    assert lab.build(CONFIG, min_seconds=0.05).value == 18
    lab.edit("k=3", "k=1 + 1")
    built = lab.build(CONFIG, min_seconds=0.05)
    assert built.ran == ["grid", "scaled"] and built.value == 12


def test_what_the_slow_stage_does_to_its_argument_does_not_count(lab: Lab) -> None:
    """The argument counts as it was when the stage got it."""
    lab.code(CODE)
    config = CONFIG.replace("train", "spoil")
    assert lab.build(config, min_seconds=0.05).value == 13
    lab.edit("list(range(n))", "[n for n in range(n)]")
    built = lab.build(config, min_seconds=0.05)
    assert built.ran == ["grid", "scaled"] and built.value == 13


def test_what_has_no_digest_is_told_by_its_code(lab: Lab) -> None:
    """Where nothing can take the digest of a quick result, the slow stage hits as long as the code is the same."""
    lab.code(
        CODE
        + """
    import threading

    def locked(n):
        ran("locked")
        return {n: threading.Lock()}

    def wait(data):
        ran("wait")
        time.sleep(0.06)
        return len(data)
    """
    )
    config = "{_target_: stages.wait, data: {_target_: stages.locked, n: 4}}"
    assert lab.build(config, min_seconds=0.05).ran == ["locked", "wait"]
    assert lab.build(config, min_seconds=0.05).ran == []
    lab.edit("return {n:", "return {n + 0:")
    assert lab.build(config, min_seconds=0.05).ran == ["locked", "wait"]
