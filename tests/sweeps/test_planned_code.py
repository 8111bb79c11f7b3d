"""The code that stands in the keys of jobs, on its way to their processes."""

from __future__ import annotations

import pickle
from types import MappingProxyType

from hydra_cached.keys.code.freshness import Read
from hydra_cached.sweeps.code import PlannedCode


def test_it_travels_small() -> None:
    """Plain pickle takes it, files that names share travel once, and what is loaded here stays here."""
    files = MappingProxyType({f"/project/module_{number}.py": (number, 9) for number in range(150)})
    reads = {f"project.name_{number}": Read("d" * 64, files, frozenset({"sys"})) for number in range(20)}
    packed = pickle.dumps(PlannedCode(reads, "project"))
    assert len(packed) < 20_000
    again = pickle.loads(packed)
    assert again.problem() is not None  # there are no such files
    assert pickle.dumps(again) == packed
