"""Whole sessions on real stores: of many processes that miss one key at once, one computes it."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buckets import Place
from crowd import Crowd

SLOW = {"_target_": "stages.slow", "seconds": 3.0}
TREE = {"_target_": "stages.slow", "seconds": 2.0, "name": "top", "a": SLOW, "b": {**SLOW, "name": "other"}}


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    made = Crowd(tmp_path / "crowd").code()
    yield made
    made.close()


def at(place: Place) -> dict[str, Any]:
    """The options for a new directory in a place."""
    new = place.new()
    return {"dir": new.url, "storage_options": new.options}


def values(reports: list[dict[str, Any]]) -> set[str]:
    assert not [report["error"] for report in reports if report["error"]]
    return {str(report["value"]) for report in reports}


def kinds(reports: list[dict[str, Any]]) -> Counter[str]:
    return Counter(kind for report in reports for kind in report["kinds"])


def test_eight_processes_compute_each_stage_once(crowd: Crowd, place: Place) -> None:
    """Of a tree of three stages, eight processes execute each once between them; the ninth finds all."""
    options = at(place)
    reports = crowd.build(8, TREE, **options)
    assert len(reports) == 8 and len(values(reports)) == 1
    assert sorted(name for name, _, _ in crowd.ran()) == ["other", "slow", "top"]
    later = crowd.build(1, TREE, **options)
    assert values(later) == values(reports) and kinds(later) == {"HIT": 1}


def test_an_owner_that_is_killed_is_taken_over(crowd: Crowd, place: Place) -> None:
    """The process that computes is killed with SIGKILL: one other computes, the rest get its result."""
    started = crowd.start(5, {"_target_": "stages.slow", "seconds": 4.0}, **at(place))
    [(_, owner, _)] = crowd.wait_for(1, 60)
    time.sleep(1.5)  # the others have come to wait
    os.kill(owner, signal.SIGKILL)
    reports = crowd.reports(started, 120)
    assert len(crowd.ran()) == 2 and len(reports) == 4 and len(values(reports)) == 1


def test_eight_processes_on_two_mounts_compute_a_stage_once(
    crowd: Crowd, two_mounts: tuple[Path, Path]
) -> None:
    """Four on each of two mounts of one file system, as on two hosts: one executes, and all get its result."""
    name = uuid.uuid4().hex
    started = [crowd.start(4, SLOW, dir=str(mount / name)) for mount in two_mounts]
    reports = [report for each in started for report in crowd.reports(each)]
    assert len(reports) == 8 and len(crowd.ran()) == 1 and len(values(reports)) == 1


def test_an_owner_on_another_mount_is_taken_over(crowd: Crowd, two_mounts: tuple[Path, Path]) -> None:
    """The process that computes on one mount is killed: one on the other computes, and all there get its result."""
    name, slow = uuid.uuid4().hex, {"_target_": "stages.slow", "seconds": 4.0}
    first = crowd.start(1, slow, dir=str(two_mounts[0] / name))
    [(_, owner, _)] = crowd.wait_for(1, 60)
    others = crowd.start(4, slow, dir=str(two_mounts[1] / name))
    time.sleep(2.5)
    assert len(crowd.ran()) == 1
    os.kill(owner, signal.SIGKILL)
    assert crowd.reports(first) == []
    reports = crowd.reports(others, 120)
    assert len(reports) == 4 and len(crowd.ran()) == 2 and len(values(reports)) == 1


def test_without_exclusive_creation_results_are_right(crowd: Crowd, unconditional: Place) -> None:
    """Where nothing can be claimed, several may compute the same: each has a result, and the ninth finds one."""
    options = at(unconditional)
    reports = crowd.build(8, SLOW, **options)
    assert len(reports) == 8 and 1 <= len(crowd.ran()) <= 8
    later = crowd.build(1, SLOW, **options)
    assert values(later) <= values(reports) and kinds(later) == {"HIT": 1}
