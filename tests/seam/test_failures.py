"""What targets raise passes through unchanged, and leaves session and Hydra fit for the next call."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.instantiate import _instantiate2 as internals
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from seam_targets import HERE, OLD, calls, stages_nested

from hydra_cached import activate
from hydra_cached.events import Kind
from hydra_cached.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    calls()
    with warnings.catch_warnings(), activate(tmp_path, min_seconds=0) as session:
        warnings.simplefilter("ignore")
        yield session


def still_works() -> bool:
    """Whether a nested call is computed, then served."""
    calls()
    config = {"_target_": f"{HERE}.Tree", "value": stages_nested()}
    results = [instantiate(config) for _ in range(2)]
    return results[0] == results[1] and results[0].value == 7


# Hydra 1.4 adds notes to what targets raise. Before Python 3.11 there were none.
SAYS_WHERE = OLD or hasattr(BaseException, "add_note")


def where(error: BaseException) -> str:
    return str(error) + "\n".join(getattr(error, "__notes__", []))


def test_errors_say_where(session: Session) -> None:
    """The full key of the failing node is in the message (1.3) or the notes (1.4), cold and warm."""
    config = OmegaConf.create(
        {"a": {"b": [1, {"_target_": f"{HERE}.target", "c": {"_target_": f"{HERE}.fails"}}]}}
    )
    for _ in range(2):
        with pytest.raises(InstantiationException if OLD else ValueError) as caught:
            instantiate(config.a)
        assert not SAYS_WHERE or "full_key: a.b[1].c" in where(caught.value)
        assert "on purpose" in where(caught.value)
        assert isinstance(caught.value.__cause__ if OLD else caught.value, ValueError)
    assert still_works()


def test_errors_are_not_cached(session: Session) -> None:
    """A target that failed is called again, and its later result is kept."""
    with pytest.raises(Exception, match="the first time"):
        instantiate({"_target_": f"{HERE}.fails_once"})
    assert [instantiate({"_target_": f"{HERE}.fails_once"}) for _ in range(2)] == ["at last"] * 2
    assert calls() == ["fails_once"] * 2


def test_what_was_done_before_a_failure_is_kept(session: Session) -> None:
    """Stages that ran before a later one failed are served when the job is started again."""
    config = {
        "_target_": f"{HERE}.target",
        "a": {"_target_": f"{HERE}.add", "a": 1},
        "b": {"_target_": f"{HERE}.fails_once"},
    }
    with pytest.raises(Exception, match="the first time"):
        instantiate(config)
    assert instantiate(config)[2] == {"a": 2, "b": "at last"}
    assert calls() == ["add", "fails_once", "fails_once", "target"]


@pytest.mark.parametrize("name, error", [("interrupted", KeyboardInterrupt), ("leaves", SystemExit)])
def test_interruptions_pass(session: Session, name: str, error: Any) -> None:
    """Ctrl-C and ``sys.exit`` in a nested target pass as they are, are never taken for a result, and leave the
    session usable."""
    config = {"_target_": f"{HERE}.target", "a": {"_target_": f"{HERE}.{name}"}}
    for _ in range(2):
        with pytest.raises(error):
            instantiate(config)
    assert calls() == [name] * 2
    assert not any(event.stored for event in session.events)
    assert [event.kind for event in session.events] == [Kind.FAILED] * 4
    assert still_works()


def test_errors_of_hydra_itself(session: Session) -> None:
    """What Hydra says of targets that cannot be found or called comes unchanged, and before children run."""
    child = {"_target_": f"{HERE}.add", "a": 1}
    for target in ("seam_targets.nowhere", "no_such_module.x", f"{HERE}.HERE", "", 5):
        config = {"a": {"_target_": target, "child": child}}
        with pytest.raises(Exception) as cached:
            instantiate(config)
        with pytest.raises(type(cached.value)) as alone:
            _alone(config)
        assert where(alone.value) == where(cached.value)
        assert calls() == []
    assert still_works()


def _alone(config: Any) -> Any:
    from hydra_cached import instantiate as with_options

    return with_options(config, cache="DISABLED")


def test_errors_come_in_hydras_order(session: Session) -> None:
    """Of two failing children, the one that Hydra would build first is the one that is reported."""
    early = {"_target_": f"{HERE}.add", "_partial_": True, "a": {"_target_": f"{HERE}.fails"}}
    late = {"_target_": f"{HERE}.interrupted"}
    for first in (early, {"_target_": f"{HERE}.HERE"}, {"x": [{"_target_": f"{HERE}.fails"}]}):
        with pytest.raises(Exception) as caught:
            instantiate({"_target_": f"{HERE}.target", "a": first, "b": late})
        assert "full_key: a" in where(caught.value) or not OLD
        assert "interrupted" not in calls()


def test_a_target_may_survive_a_failure(session: Session) -> None:
    """A target that catches the failure of what it instantiates itself has a result like any other."""
    config = {"_target_": f"{HERE}.swallow", "_recursive_": False, "config": {"_target_": f"{HERE}.fails"}}
    expected = "survived InstantiationException" if OLD else "survived ValueError"
    assert [instantiate(config) for _ in range(2)] == [expected] * 2
    assert calls() == ["swallow", "fails"]


def test_tracebacks_are_short(session: Session) -> None:
    """Between the caller's line and the target stand only few frames of ours."""
    with pytest.raises(Exception) as caught:
        instantiate({"_target_": f"{HERE}.fails"})
    frames = traceback.extract_tb(caught.value.__traceback__)
    ours = [frame for frame in frames if "hydra_cached" in frame.filename]
    assert ours == []
    assert sum(frame.filename == internals.__file__ for frame in frames) <= 6
