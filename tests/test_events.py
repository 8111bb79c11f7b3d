"""Every line of text that events become: the summary of a job, and the log."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

from hydra_cached.events import NOTHING, Event, Kind, Summary, summarise
from hydra_cached.logs import LogLines

KEY = "0123456789abcdef" * 4


def event(kind: Kind, **what: Any) -> Event:
    return Event(kind, what.pop("path", "model"), what.pop("target", "pkg.make"), **what)


# Summaries.


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        (Summary(), "0 stages from the cache, nothing run"),
        (Summary(hits=1, saved_seconds=2.5), "1 stage from the cache, nothing run; saved 2.5 s"),
        (Summary(hits=2, saved_seconds=0.04), "2 stages from the cache, nothing run; saved 0.0 s"),
        (Summary(runs=3), "0 stages from the cache, 3 run"),
        (Summary(runs=1, refused=2), "0 stages from the cache, 3 run"),
        (Summary(refused=1), "0 stages from the cache, 1 run"),
        (Summary(runs=3, stored=2), "0 stages from the cache, 3 run, 2 stored"),
        (Summary(shared=4), "0 stages from the cache, nothing run"),
        (Summary(failed=1), "0 stages from the cache, nothing run, 1 failed"),
        (Summary(runs=1, damaged=1), "0 stages from the cache, 1 run, 1 damaged and replaced"),
        (Summary(runs=1, run_seconds=0.049), "0 stages from the cache, 1 run"),
        (Summary(runs=1, run_seconds=0.05), "0 stages from the cache, 1 run; computed for 0.1 s"),
        (
            Summary(hits=1, saved_seconds=3, load_seconds=1),
            "1 stage from the cache, nothing run; saved 2.0 s",
        ),
        (
            Summary(hits=1, saved_seconds=1, load_seconds=3),
            "1 stage from the cache, nothing run; saved 0.0 s",
        ),
        (Summary(saved_seconds=3), "0 stages from the cache, nothing run"),
        (
            Summary(5, 4, 3, 2, 1, 6, 7, 90.0, 1.0, 4000.0),
            "5 stages from the cache, 4 run, 2 stored, 6 failed, 7 damaged and replaced; saved 1 h 06 min; "
            "computed for 1 min 30 s",
        ),
    ],
)
def test_a_job_in_one_line(summary: Summary, line: str) -> None:
    """What was served, what ran, was stored, failed or was damaged, and the time that was saved and spent."""
    assert summary.line() == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.05, "0.1 s"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (60, "1 min 00 s"),
        (61.4, "1 min 01 s"),
        (119.6, "2 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (3660, "1 h 01 min"),
        (7199, "1 h 59 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_times_are_rounded_and_never_say_sixty(seconds: float, text: str) -> None:
    """Seconds with a tenth, then minutes and seconds, then hours and minutes."""
    assert Summary(runs=1, run_seconds=seconds).line().endswith(f"computed for {text}")


def test_events_are_counted_by_kind() -> None:
    """Each kind has its count; times are summed where they mean something."""
    events = [
        event(Kind.HIT, seconds=0.5, saved=10.0),
        event(Kind.HIT, seconds=0.25, saved=5.0, stored=True),
        event(Kind.SHARED, seconds=100.0, saved=100.0),
        event(Kind.RUN, seconds=3.0, stored=True),
        event(Kind.RUN, seconds=2.0),
        event(Kind.REFUSED, seconds=4.0, stored=True),
        event(Kind.FAILED, seconds=50.0),
        event(Kind.DAMAGED, seconds=60.0),
    ]
    expected = Summary(2, 1, 2, 1, 1, 1, 1, run_seconds=9.0, load_seconds=0.75, saved_seconds=15.0)
    assert summarise(events) == summarise(iter(events)) == expected
    assert summarise([]) == Summary()


def test_events_are_values() -> None:
    """Events are equal by content, cannot be changed, and come through pickle, as from a worker process."""
    one = event(Kind.RUN, key=KEY, seconds=1.5, size=3, stored=True, reason="r", miss="m", note="n")
    assert pickle.loads(pickle.dumps(one)) == one and hash(one) == hash(one)
    with pytest.raises(AttributeError):
        one.size = 4  # type: ignore[misc]
    assert Kind("hit") is Kind.HIT and [kind.value for kind in Kind] == [
        *("hit", "shared", "run", "refused", "failed", "damaged"),
    ]


# Log lines.


def said(caplog: pytest.LogCaptureFixture, *events: Event, verbose: bool = True, least: float = 0.0) -> Any:
    """What is written to the log: pairs of level and line."""
    caplog.clear()
    lines = LogLines(verbose, least)
    with caplog.at_level(logging.DEBUG, "hydra_cached.stages"):
        for each in events:
            lines(each)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (
            event(Kind.HIT, key=KEY, seconds=0.01234, saved=12.345),
            "hit: model (pkg.make), 0.0123 s instead of 12.3 s [0123456789ab]",
        ),
        (event(Kind.SHARED, path=""), "shared: the root (pkg.make)"),
        (event(Kind.FAILED), "failed: model (pkg.make)"),
        (
            event(Kind.RUN, key=KEY, seconds=1.5, stored=True, size=4096),
            "run: model (pkg.make), 1.5 s; stored, 4096 bytes [0123456789ab]",
        ),
        (
            event(Kind.RUN, key=KEY, seconds=0.1, reason="it took 0.1 s"),
            "run: model (pkg.make), 0.1 s; it took 0.1 s [0123456789ab]",
        ),
        (event(Kind.RUN, seconds=0), "run: model (pkg.make), 0 s; not stored [no key]"),
        (
            event(Kind.RUN, key=KEY, seconds=2, stored=True, size=1, miss=NOTHING),
            f"run: model (pkg.make), 2 s; stored, 1 bytes [0123456789ab]; {NOTHING}",
        ),
    ],
)
def test_ordinary_events_are_details(caplog: pytest.LogCaptureFixture, what: Event, line: str) -> None:
    """Hits, runs, shares and failures are written when ``verbose``, else only for debugging."""
    assert said(caplog, what) == [("INFO", line)]
    assert said(caplog, what, verbose=False) == [("DEBUG", line)]


def test_a_miss_that_can_be_explained_is_news(caplog: pytest.LogCaptureFixture) -> None:
    """How a run differs from what was stored is written without ``verbose``, too."""
    what = event(Kind.RUN, key=KEY, seconds=2, stored=True, size=7, miss="x was 1")
    line = "run: model (pkg.make), 2 s; stored, 7 bytes [0123456789ab]; x was 1"
    assert said(caplog, what, verbose=False) == said(caplog, what) == [("INFO", line)]


def test_damage_is_always_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Each damaged entry is reported, with its reason."""
    what = event(Kind.DAMAGED, reason="file: broken")
    line = "model (pkg.make): the stored result cannot be used and is computed again: file: broken"
    assert said(caplog, what, what, verbose=False) == [("WARNING", line)] * 2


def test_refusals_are_warned_of_once_per_target_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The second refusal of one target for one reason is a detail, wherever it stands; another reason is news."""
    events = [
        event(Kind.REFUSED, reason="a"),
        event(Kind.REFUSED, reason="a", path="other"),
        event(Kind.REFUSED, reason="b"),
        event(Kind.REFUSED, reason="a", target="pkg.other"),
    ]
    assert said(caplog, *events, verbose=False) == [
        ("WARNING", "not cached: model (pkg.make): a"),
        ("DEBUG", "not cached: other (pkg.make): a"),
        ("WARNING", "not cached: model (pkg.make): b"),
        ("WARNING", "not cached: model (pkg.other): a"),
    ]


def test_refusals_that_do_not_matter_are_details(caplog: pytest.LogCaptureFixture) -> None:
    """What the config asked for, and what took too little time to be stored, is no warning; later slow ones are."""
    asked = event(Kind.REFUSED, reason="a", deliberate=True, seconds=9)
    quick = event(Kind.REFUSED, reason="a", seconds=0.9)
    slow = event(Kind.REFUSED, reason="a", seconds=1.0)
    found = said(caplog, asked, quick, slow, slow, verbose=False, least=1.0)
    assert [level for level, _ in found] == ["DEBUG", "DEBUG", "WARNING", "DEBUG"]
    found = said(caplog, asked, quick, slow, slow, least=1.0)
    assert [level for level, _ in found] == ["INFO", "INFO", "WARNING", "INFO"]


def test_notes_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A note on a run is a warning, once per target."""
    what = event(Kind.RUN, key=KEY, seconds=2, stored=True, size=7, note="it draws")
    found = said(caplog, what, what, event(Kind.RUN, target="pkg.other", note="it draws"), verbose=False)
    assert [line for level, line in found if level == "WARNING"] == [
        "model (pkg.make): it draws",
        "model (pkg.other): it draws",
    ]


def test_percent_signs_in_what_users_wrote_are_no_formats(caplog: pytest.LogCaptureFixture) -> None:
    """Paths, reasons and names with ``%`` are written as they are."""
    what = event(Kind.REFUSED, path="a%s", reason="100 %d", target="%(x)s")
    assert said(caplog, what) == [("WARNING", "not cached: a%s (%(x)s): 100 %d")]
