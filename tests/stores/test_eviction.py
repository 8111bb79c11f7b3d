"""Eviction: what goes and what stays, decided purely; and a directory that keeps itself within bounds."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hydra_cached.stores import bounded
from hydra_cached.stores.base import LINK, Entry
from hydra_cached.stores.bounded import BoundedStore
from hydra_cached.stores.eviction import Bounds, Item, evictions
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.places import LocalPlace
from hydra_cached.stores.serializers import dump, load
from hydra_cached.stores.trim import RESOLUTION, Uses, leased_keys, trim
from hydra_cached.testing import is_whole, key_of, made
from hydra_cached.units import parse_age, parse_size

NOW = 1_000_000.0
HOUR, DAY = 3600.0, 86_400.0
KEYS = [key_of(n) for n in range(12)]
TIMES = st.floats(0, NOW, allow_nan=False)


@st.composite
def directories(draw: st.DrawFn) -> list[Item]:
    """Results, notes, and links to these, to each other, and to nothing."""
    items = []
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        kind = draw(st.sampled_from(["result", "result", "result", "link", "note"]))
        items.append(
            Item(
                key,
                draw(st.integers(0, 1000)),
                seconds=draw(st.floats(0, 1e6)) if kind == "result" else 0.0,
                created=draw(TIMES),
                used=draw(st.just(0.0) | TIMES),
                link=draw(st.sampled_from(KEYS)) if kind == "link" else None,
                note=kind == "note",
            )
        )
    return items


BOUNDS = st.builds(Bounds, st.none() | st.integers(0, 5000), st.none() | st.floats(0, NOW))
STARTS = st.just(math.inf) | TIMES
KEPT = st.frozensets(st.sampled_from(KEYS))


# Decisions.


@settings(max_examples=300)
@given(directories(), BOUNDS, STARTS, KEPT)
def test_what_is_in_use_stays(
    items: list[Item], bounds: Bounds, started: float, keep: frozenset[str]
) -> None:
    """Nothing that is used or leased, or was stored or used since the run began, goes; nor what it links to."""
    gone = evictions(items, bounds, now=NOW, started=started, keep=keep)
    assert len(set(gone)) == len(gone) and set(gone) <= {item.key for item in items}
    for item in items:
        if item.key in keep or item.last >= started:
            assert item.key not in gone and item.link not in gone


@settings(max_examples=300)
@given(directories(), BOUNDS, STARTS, KEPT)
def test_bounds_are_kept_where_they_can_be(
    items: list[Item], bounds: Bounds, started: float, keep: frozenset[str]
) -> None:
    """What is left is young enough and fits, unless all that is left is protected, a note, or a link to such."""
    gone = set(evictions(items, bounds, now=NOW, started=started, keep=keep))
    left = [item for item in items if item.key not in gone]
    fixed = {item.key for item in items if item.key in keep or item.last >= started}
    fixed |= {item.link for item in items if item.key in fixed and item.link}
    if bounds.age is not None:
        assert all(NOW - item.last <= bounds.age or item.key in fixed for item in left if item.link is None)
    if bounds.size is not None and sum(item.size for item in left) > bounds.size:
        assert all(item.key in fixed or item.note or item.link or item.size == 0 for item in left)


@settings(max_examples=300)
@given(directories(), st.integers(0, 5000), STARTS, KEPT)
def test_nothing_goes_needlessly(items: list[Item], size: int, started: float, keep: frozenset[str]) -> None:
    """No result that went for size could have stayed, with its links, within the size."""
    items = [item for item in items if item.link is None]
    gone = evictions(items, Bounds(size), now=NOW, started=started, keep=keep)
    left = sum(item.size for item in items if item.key not in gone)
    assert all(left + item.size > size for item in items if item.key in gone)


@settings(max_examples=200)
@given(directories(), BOUNDS, KEPT)
def test_no_link_is_left_that_leads_nowhere(items: list[Item], bounds: Bounds, keep: frozenset[str]) -> None:
    """Links go with what they lead to, and when it went before; links to what stays, stay."""
    gone = set(evictions(items, bounds, now=NOW, keep=keep))
    results = {item.key for item in items if item.link is None} - gone
    fixed = keep | {item.link for item in items if item.key in keep}
    for item in items:
        if item.link is not None and item.key not in fixed:
            assert (item.key in gone) == (item.link not in results)


@settings(max_examples=200)
@given(directories(), BOUNDS, KEPT, st.randoms(use_true_random=False))
def test_the_order_of_a_listing_decides_nothing(
    items: list[Item], bounds: Bounds, keep: frozenset[str], chance: object
) -> None:
    """Two processes that see the same directory decide alike."""
    shuffled = list(items)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert evictions(items, bounds, now=NOW, keep=keep) == evictions(shuffled, bounds, now=NOW, keep=keep)


@settings(max_examples=200)
@given(
    st.integers(1, 1000),
    st.floats(0.001, 1e6),
    st.floats(0, NOW / 2),
    st.sampled_from(["seconds", "size", "used"]),
)
def test_of_two_the_one_that_is_worth_less_goes(size: int, seconds: float, used: float, better: str) -> None:
    """Of two that differ in one thing: what saves less, takes more room, or was used longer ago, goes."""
    one = Item(KEYS[0], size, seconds=seconds, used=used)
    change = {"seconds": seconds * 1.5, "size": size * 2, "used": used + NOW / 4}
    two = replace(one, key=KEYS[1], **{better: change[better]})  # type: ignore[arg-type]
    worse, stays = (two, one) if better == "size" else (one, two)
    assert evictions([one, two], Bounds(one.size + two.size - 1), now=NOW) == [worse.key] or better == "size"
    if better == "size":
        assume(one.size + two.size - 1 >= one.size)
        gone = evictions([one, two], Bounds(one.size + two.size - 1), now=NOW)
        assert gone == [worse.key] and stays.key not in gone


def test_a_result_that_took_a_day_outlives_many_that_took_a_second() -> None:
    """Seconds saved per byte, not size or age alone."""
    dear = Item("dear", 1000, seconds=DAY, created=NOW - DAY)
    cheap = [Item(f"cheap{n}", 100, seconds=1, created=NOW - HOUR + n) for n in range(20)]
    gone = evictions([dear, *cheap], Bounds(1500), now=NOW)
    assert gone == [f"cheap{n}" for n in range(15)]


def test_without_bounds_only_links_that_lead_nowhere_go() -> None:
    """No bound, no eviction."""
    items = [Item("a", 10**12), Item("b", 1, link="a"), Item("c", 1, link="gone"), Item("d", 1, note=True)]
    assert evictions(items, Bounds(), now=NOW) == ["c"] and not Bounds() and Bounds(0) and Bounds(None, 0)


# Sizes and ages.


@given(st.integers(0, 10**15), st.sampled_from(["", " "]), st.booleans())
def test_sizes_are_read_exactly(number: int, space: str, upper: bool) -> None:
    """Whole numbers of any unit are exact; case and a space make no difference."""
    for unit, factor in {
        "": 1,
        "B": 1,
        "kB": 1000,
        "GB": 10**9,
        "G": 10**9,
        "GiB": 2**30,
        "TB": 10**12,
    }.items():
        text = f"{number}{space}{unit}"
        assert parse_size(text.upper() if upper else text.lower()) == number * factor
    assert parse_size(number) == number


@given(st.integers(0, 10**6))
def test_ages_are_read(number: int) -> None:
    """Seconds, minutes, hours, days and weeks."""
    for unit, factor in {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}.items():
        assert parse_age(f"{number}{unit}") == number * factor
    assert parse_age("1.5h") == 5400 and parse_size("1.5TiB") == 3 * 2**39 and parse_age(0.5) == 0.5


@given(st.text(max_size=8))
def test_what_is_no_size_is_a_value_error(text: str) -> None:
    """Any text is read or is a ValueError that repeats it, never another error."""
    for parse in (parse_size, parse_age):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert repr(text) in str(error)


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "-5GB", "1e9", "nan", "inf", "1,5GB", "20 XB", "3 0d", "٣GB", True]
)
def test_what_means_nothing_is_refused(text: str) -> None:
    """Negative, empty, in exponents or other digits: refused with examples of what is right."""
    with pytest.raises(ValueError, match="such as 500MB, 20GB"):
        parse_size(text)
    with pytest.raises(ValueError, match="such as 30d, 12h"):
        parse_age(text)


# A directory.


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache")


def put(store: LocalStore, number: int, *, seconds: float = 1.0, size: int = 1000) -> str:
    entry = made(number, size)
    store.put(key_of(number), Entry({**entry.manifest, "seconds": seconds}, entry.payload))
    return key_of(number)


def unused(store: LocalStore, key: str, hours: float) -> None:
    """Make an entry look as if it had last been used some hours ago, later than it was stored."""
    Uses(store).record(key)
    then = time.time() - hours * HOUR
    os.utime(store.root / "used" / key[:2] / key, (then, then))


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let some hours pass."""
    real = time.time

    def pass_by(hours: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + hours * HOUR)

    return pass_by


def test_trim_keeps_what_saves_most_per_byte(store: LocalStore) -> None:
    """A directory is trimmed to its size: what is cheap and large goes first, links go along, notes stay."""
    dear, cheap = put(store, 1, seconds=100), put(store, 2, seconds=1)
    links = {key_of(10): dear, key_of(11): cheap, key_of(12): key_of(99)}
    for link, target in links.items():
        store.put(link, Entry({LINK: target}))
    store.put(key_of(20), Entry({"note": "digest"}))
    size = sum(each.size for each in store.stats())
    dry = trim(store, Bounds(size - 500), dry=True)
    assert len(list(store.keys())) == 6
    done = trim(store, Bounds(size - 500))
    assert done == dry and done.gone == (cheap, *sorted([key_of(11), key_of(12)])) and not done.failed
    assert set(store.keys()) == {dear, key_of(10), key_of(20)}
    assert done.size == sum(each.size for each in store.stats()) and done.freed == size - done.size


def test_age_counts_from_the_last_use(store: LocalStore, aged: Callable[[float], None]) -> None:
    """What was stored long ago and used lately stays; what nobody used goes."""
    used, idle = put(store, 1), put(store, 2)
    aged(100)
    BoundedStore(store, LocalPlace(store), Bounds()).get(used)
    os.utime(store.root / "used" / used[:2] / used, (time.time(), time.time()))
    assert trim(store, Bounds(age=99 * HOUR)).gone == (idle,)
    assert not trim(store, Bounds(age=99 * HOUR)).gone and list(store.keys()) == [used]


def test_what_cannot_be_read_is_not_evicted(store: LocalStore) -> None:
    """Entries of other versions, and somebody's files, are not ours to remove."""
    put(store, 1)
    store.path(key_of(1)).write_bytes(b"somebody else's, which is long enough to be an entry" * 10)
    assert not trim(store, Bounds(0, 0.0)).gone and list(store.keys()) == [key_of(1)]


def test_a_trimmed_entry_lives_on_where_it_is_mapped(store: LocalStore) -> None:
    """An array that was mapped from an entry stays whole when the entry is evicted, or replaced."""
    np = pytest.importorskip("numpy")
    array = np.arange(1_000_000)
    for undo in (lambda: trim(store, Bounds(0)), lambda: put(store, 1, size=9_000_000)):
        store.put(key_of(1), Entry({}, dump(array)))
        entry = store.get(key_of(1))
        assert entry is not None and entry.payload is not None
        found = load(entry.payload)
        undo()
        found[0] = 7
        assert np.array_equal(found[1:], array[1:])


def test_entries_that_cannot_be_removed_are_named(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that the system does not let go is no error, and counts as there."""
    key = put(store, 1)

    def refuse(self: LocalStore, key: str) -> bool:
        raise PermissionError(key)

    monkeypatch.setattr(LocalStore, "delete", refuse)
    done = trim(store, Bounds(0))
    assert done.failed == (key,) and not done.gone and done.size > 0


# The times of uses.


def test_uses_are_recorded_once_an_hour(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, aged: Callable[[float], None]
) -> None:
    """A hit leaves a mark of its time beside the entry, and not again within the hour; the entry is not touched."""
    key = put(store, 1)
    before = store.path(key).stat()
    reader = BoundedStore(store, LocalPlace(store), Bounds())
    assert not Uses(store).times()
    reader.get(key)
    first = Uses(store).times()
    assert set(first) == {key} and abs(first[key] - time.time()) < 60
    unused(store, key, 0.5)
    half = Uses(store).times()
    for other in (reader, BoundedStore(store, LocalPlace(store), Bounds())):
        other.get(key)
        assert Uses(store).times() == half
    unused(store, key, 2)
    BoundedStore(store, LocalPlace(store), Bounds()).get(key)
    assert time.time() - Uses(store).times()[key] < RESOLUTION
    after = store.path(key).stat()
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def test_uses_that_cannot_be_recorded_do_no_harm(store: LocalStore) -> None:
    """A hit is a hit, whatever is in the way of the mark."""
    key = put(store, 1)
    (store.root / "used").write_text("in the way")
    entry = BoundedStore(store, LocalPlace(store), Bounds()).get(key)
    assert entry is not None and is_whole(entry)


def test_marks_go_with_their_entries(store: LocalStore) -> None:
    """What is evicted, or was deleted, leaves no mark behind."""
    keys = [put(store, n) for n in range(3)]
    for key in keys:
        Uses(store).record(key)
    store.delete(keys[0])
    trim(store, Bounds(0), keep=[keys[1]])
    assert set(Uses(store).times()) == {keys[1]}


def test_links_and_notes_are_not_marked(store: LocalStore) -> None:
    """Only results have uses that matter."""
    store.put(key_of(1), Entry({LINK: key_of(2)}))
    BoundedStore(store, LocalPlace(store), Bounds()).get(key_of(1))
    assert not (store.root / "used").exists()


# A store that keeps its bounds.


def filled(store: LocalStore, number: int, aged: Callable[[float], None]) -> None:
    for each in range(number):
        put(store, each, size=10_000)
    aged(2)


def test_puts_keep_a_directory_within_its_size(store: LocalStore, aged: Callable[[float], None]) -> None:
    """Entries of earlier runs make room for this one's, down to nine tenths of the size."""
    filled(store, 20, aged)
    run = BoundedStore(store, LocalPlace(store), Bounds(100_000))
    run.put(key_of(100), made(100, 10_000))
    total = sum(each.size for each in store.stats())
    assert 60_000 < total <= 90_000 and run.get(key_of(100)) is not None


def test_what_a_run_used_or_wrote_or_holds_a_lease_of_stays(
    store: LocalStore, aged: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    """However little room there is; the log says so once."""
    filled(store, 10, aged)
    run = BoundedStore(store, LocalPlace(store), Bounds(10))
    used = [run.get(key_of(n)) for n in (3, 4)]
    claims = run.claims()
    assert (
        claims is not None and claims.create(key_of(5), "somebody") and leased_keys(store.root) == {key_of(5)}
    )
    for n in range(100, 103):
        run.put(key_of(n), made(n, 10_000))
    assert all(used) and set(store.keys()) == {key_of(n) for n in (3, 4, 5, 100, 101, 102)}
    assert caplog.text.count("cache.max_size is 10") == 1


def test_what_is_younger_than_the_run_stays(store: LocalStore, aged: Callable[[float], None]) -> None:
    """What another process stored since this run began is not taken from it."""
    filled(store, 3, aged)
    aged(-1)
    run = BoundedStore(store, LocalPlace(store), Bounds(10))
    aged(0)
    put(store, 50)
    run.put(key_of(100), made(100, 0))
    assert set(store.keys()) >= {key_of(50), key_of(100)}


def test_not_every_put_looks_at_everything(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, aged: Callable[[float], None]
) -> None:
    """A listing a minute in a directory, whoever makes it, or after a twentieth of the size was written."""
    looks = []
    real = bounded.trim
    monkeypatch.setattr(bounded, "trim", lambda *a, **k: looks.append(1) or real(*a, **k))
    runs = [BoundedStore(store, LocalPlace(store), Bounds(10**6, DAY)) for _ in range(2)]
    for n in range(40):
        runs[n % 2].put(key_of(n), made(n, 0))
    assert len(looks) == 1
    runs[0].put(key_of(50), made(50, 60_000))
    assert len(looks) == 2
    aged(1)
    runs[1].put(key_of(51), made(51, 0))
    assert len(looks) == 3


def test_a_directory_within_bounds_is_not_opened(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as sizes and times fit, no manifest is read."""
    put(store, 1)
    monkeypatch.setattr(LocalStore, "manifest", lambda *args: pytest.fail("a manifest was read"))
    bounds = Bounds(10**6, DAY)
    assert trim(store, bounds, goal=bounds).gone == ()


@pytest.mark.parametrize("error", [PermissionError("no"), OSError("broken")])
def test_trimming_that_fails_fails_no_put(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: OSError
) -> None:
    """The result is stored all the same, and the log says once why the bounds are not kept."""

    def fail(*args: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(bounded, "trim", fail)
    run = BoundedStore(store, LocalPlace(store), Bounds(10))
    for n in range(3):
        run.put(key_of(n), made(n, 100))
    assert len(list(store.keys())) == 3 and caplog.text.count("cannot be kept within its bounds") == 1


def test_evictions_are_logged(
    store: LocalStore, caplog: pytest.LogCaptureFixture, aged: Callable[[float], None]
) -> None:
    """How many results went, and what that frees."""
    filled(store, 5, aged)
    with caplog.at_level(logging.INFO):
        BoundedStore(store, LocalPlace(store), Bounds(20_000)).put(key_of(9), made(9, 0))
    assert "results were evicted" in caplog.text
