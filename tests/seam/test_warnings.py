"""Hydra 1.4 warns of calls without a whitelist: just so with a cache, and at the caller's line."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from seam_targets import HERE, OLD, calls

from hydra_cached import activate

pytestmark = pytest.mark.skipif(OLD, reason="the warnings came with Hydra 1.4")
NODE = {
    "_target_": f"{HERE}.target",
    "a": {"_target_": f"{HERE}.add", "a": 1},
    "b": [{"_target_": f"{HERE}.add", "a": 1}],
}


def warned(function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[tuple[str, int, str]]:
    """File, line and text of what is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    return [(each.filename, each.lineno, str(each.message)) for each in caught]


def call(config: Any, **kwargs: Any) -> Any:
    return instantiate(config, **kwargs)  # the line that warnings name


LINE = inspect.getsourcelines(call)[1] + 1


def test_warnings_name_the_callers_line_on_misses(tmp_path: Path) -> None:
    """The same warnings in the same order, of the same file and line, as without a cache."""
    alone = warned(call, NODE)
    assert {(file, line) for file, line, _ in alone} == {(__file__, LINE)}
    for share in ("none", "reference", "equal"):
        with activate(tmp_path / share, min_seconds=0, share=share):
            assert sorted(set(warned(call, NODE))) == sorted(set(alone))


def test_warnings_name_the_callers_line_on_hits(tmp_path: Path) -> None:
    """A hit warns of every target that it spares, at the caller's line."""
    alone = warned(call, NODE)
    with activate(tmp_path, min_seconds=0):
        call(NODE)
        calls()
        hit = warned(call, NODE)
        assert calls() == []
    assert sorted(set(hit)) == sorted(set(alone))
    assert {(file, line) for file, line, _ in hit} == {(__file__, LINE)}


def test_hits_of_nested_nodes_name_the_callers_line(tmp_path: Path) -> None:
    """Also where only children are served."""
    with activate(tmp_path, min_seconds=0):
        call(NODE["a"])
        calls()
        config = {"x": NODE["a"], "y": {"_target_": f"{HERE}.target", "n": NODE["a"]}}
        found = warned(call, config)
        assert calls() == ["target"]
    assert {(file, line) for file, line, _ in found} == {(__file__, LINE)}
    assert sorted(set(found)) == sorted(set(warned(call, config)))


def test_no_warning_where_hydra_has_none(tmp_path: Path) -> None:
    """With a whitelist nothing is warned of, cold or warm."""
    with activate(tmp_path, min_seconds=0):
        for _ in range(2):
            assert warned(call, NODE, _execution_whitelist_=f"{HERE}.*") == []


def test_errors_for_warnings(tmp_path: Path) -> None:
    """Under ``-W error`` a hit raises where a call would have, and leaves the session usable."""
    with activate(tmp_path, min_seconds=0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = call(NODE)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(2):
                with pytest.raises(Warning):
                    call(NODE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            calls()
            assert call(NODE) == first
            assert calls() == []
