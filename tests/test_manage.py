"""The command ``hydra-cached``: what it prints, what it exits with, and what it leaves as it was."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from hydra_cached.cli.manage import main
from hydra_cached.stores.base import LINK, Entry
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.serializers import dump
from hydra_cached.stores.signing import SignedStore
from hydra_cached.stores.trim import Uses

KEYS = [f"{n:02x}" * 32 for n in range(10)]
SECRET = "a key that is long enough"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """The cache in the current directory, with three results, a link and a note in it."""
    monkeypatch.chdir(tmp_path)
    found = LocalStore(".hydra_cached")
    for n in range(3):
        put(found, n)
    found.put(KEYS[8], Entry({LINK: KEYS[1]}))
    found.put(KEYS[9], Entry({"note": "digest of a file"}))
    return found


def put(store: Any, number: int, value: Any = b"x" * 1000) -> None:
    manifest = {"target": f"stages.f{number}", "seconds": float(number), "created": "2026-01-01T00:00:00"}
    store.put(KEYS[number], Entry(manifest, dump(value)))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out + err


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def flip(path: Path) -> None:
    """Change the last byte, and put the times back: what a failing disk does."""
    times, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


Capture = pytest.CaptureFixture[str]


# verify


def test_verify_finds_nothing_wrong_with_what_is_right(store: LocalStore, capsys: Capture) -> None:
    """Whole entries, links and notes: exit status 0."""
    assert run(capsys, "verify") == (0, "4 checked, 0 damaged\n")
    assert run(capsys, "verify", "--json") == (0, "[]\n")


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_verify_reports_damage_and_repairs_nothing(store: LocalStore, capsys: Capture, size: int) -> None:
    """A flip that no hit would see, and one that it would: reported, exit status 1, and all is left as it was."""
    put(store, 5, b"x" * size)
    flip(store.path(KEYS[5]))
    before = snapshot(store.root)
    for _ in range(2):
        status, text = run(capsys, "verify")
        assert status == 1 and "5 checked, 1 damaged" in text and KEYS[5][:16] in text
        assert "payload is not the one that was stored" in text
    status, text = run(capsys, "verify", "--json")
    assert status == 1 and [record["key"] for record in json.loads(text)] == [KEYS[5]]
    assert snapshot(store.root) == before


def test_verify_reports_what_cannot_be_unpickled(store: LocalStore, capsys: Capture) -> None:
    """An entry whose bytes are right and whose class is gone is found, too."""
    from hydra_cached.stores.base import Payload

    store.put(KEYS[5], Entry({"target": "f"}, Payload("pickle5", b"cgone_module\nGone\n.")))
    status, text = run(capsys, "verify")
    assert status == 1 and "gone_module" in text


def test_verify_names_what_is_foreign_and_links_that_lead_nowhere(store: LocalStore, capsys: Capture) -> None:
    """Neither is an error: exit status 0."""
    for n in (2, 1):
        store.path(KEYS[n]).write_bytes(b"somebody else's")
    store.delete(KEYS[1])
    status, text = run(capsys, "verify")
    assert status == 0 and "1 foreign" in text and "it does not begin as an entry does" in text
    assert "1 results that links lead to are gone, which does no harm" in text


def test_verify_checks_signatures(
    store: LocalStore, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the key, whatever is not signed is reported; the key comes from the environment, and is not shown."""
    monkeypatch.setenv("THE_KEY", SECRET)
    put(SignedStore(store, [SECRET]), 0)
    status, text = run(capsys, "--signing-key-from", "THE_KEY", "verify")
    # Two results, a link and a note.
    assert status == 1 and "5 checked, 4 damaged" in text and "is not signed" in text and SECRET not in text
    for key in (KEYS[1], KEYS[2], KEYS[8], KEYS[9]):
        store.delete(key)
    assert run(capsys, "--signing-key-from", "THE_KEY", "verify") == (0, "1 checked, 0 damaged\n")
    assert "1 checked" in run(capsys, "verify")[1]


@pytest.mark.parametrize("value", [None, "", "short"])
def test_a_key_that_is_none_is_wrong_usage(
    store: LocalStore, capsys: Capture, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """A variable that is not set, is empty, or holds no key: exit status 2, never a check without a key."""
    if value is not None:
        monkeypatch.setenv("THE_KEY", value)
    status, text = run(capsys, "--signing-key-from", "THE_KEY", "verify")
    assert status == 2 and "cache.signing_key" in text and "checked" not in text


# gc


def test_gc_without_bounds_removes_what_leads_nowhere(store: LocalStore, capsys: Capture) -> None:
    """Results stay; a link to one that was removed goes."""
    assert run(capsys, "gc")[1].startswith("0 removed, 0 B; ")
    store.delete(KEYS[1])
    status, text = run(capsys, "gc")
    assert status == 0 and text.startswith("1 removed") and set(store.keys()) == {KEYS[0], KEYS[2], KEYS[9]}


def test_gc_removes_what_is_worth_least(store: LocalStore, capsys: Capture) -> None:
    """The result that took no time goes, then the one that took a second, with its link; notes stay."""
    size = sum(each.size for each in store.stats())
    assert run(capsys, "gc", "--max-size", str(size - 1))[0] == 0
    assert set(store.keys()) == {KEYS[1], KEYS[2], KEYS[8], KEYS[9]}
    run(capsys, "gc", "--max-size", "2kB")
    assert set(store.keys()) == {KEYS[2], KEYS[9]}
    run(capsys, "gc", "--max-size", "0")
    assert set(store.keys()) == {KEYS[9]}


def test_a_dry_run_removes_nothing_and_says_what_would_go(store: LocalStore, capsys: Capture) -> None:
    """The same is then done without ``--dry-run``; JSON has the keys and the sizes."""
    before = snapshot(store.root)
    status, text = run(capsys, "gc", "--max-size", "0", "--dry-run")
    assert status == 0 and all(key[:16] in text for key in KEYS[:3]) and "4 would be removed" in text
    planned = json.loads(run(capsys, "gc", "--max-size", "0", "--dry-run", "--json")[1])
    assert snapshot(store.root) == before
    assert json.loads(run(capsys, "gc", "--max-size", "0", "--json")[1]) == planned
    assert (
        set(planned["gone"]) == {*KEYS[:3], KEYS[8]} and planned["freed"] > 3000 and planned["failed"] == []
    )


def test_gc_goes_by_the_last_use(store: LocalStore, capsys: Capture) -> None:
    """``--max-age`` counts from when somebody was served a result, or it was stored."""
    assert "0 removed" in run(capsys, "gc", "--max-age", "1h")[1]
    status, text = run(capsys, "gc", "--max-age", "0")
    assert status == 0 and re.match("5 removed", text) and not list(store.keys())


def test_gc_spares_what_is_under_lease(store: LocalStore, capsys: Capture) -> None:
    """What some process is about to compute again stays."""
    store.claims().create(KEYS[0], "somebody")
    run(capsys, "gc", "--max-size", "0")
    assert KEYS[0] in set(store.keys())


def test_gc_forgets_marks_of_uses(store: LocalStore, capsys: Capture) -> None:
    """The marks that hits leave go with their entries."""
    Uses(store).record(KEYS[0])
    run(capsys, "gc", "--max-size", "0")
    assert not Uses(store).times()


@pytest.mark.parametrize(
    "flags", [["--max-size", "20XB"], ["--max-age", "3 months"], ["--max-size"], ["--no"]]
)
def test_gc_refuses_what_means_nothing(store: LocalStore, capsys: Capture, flags: list[str]) -> None:
    """Wrong sizes and ages: exit status 2 with an example, and nothing is removed."""
    before = snapshot(store.root)
    status, text = run(capsys, "gc", *flags)
    assert status == 2 and snapshot(store.root) == before
    if len(flags) == 2:
        assert "such as" in text and flags[1] in text


def test_gc_that_cannot_remove_says_so(
    store: LocalStore, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 1, and which entries they are."""

    def refuse(self: LocalStore, key: str) -> bool:
        raise PermissionError(key)

    monkeypatch.setattr(LocalStore, "delete", refuse)
    status, text = run(capsys, "gc", "--max-size", "0")
    assert status == 1 and f"{KEYS[2][:16]}: cannot be removed" in text and "0 removed" in text


# The rest.


@pytest.mark.parametrize("command", ["ls", "stats", "verify", "gc"])
def test_a_directory_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys: Capture, command: str) -> None:
    """Exit status 2, and the directory is not made."""
    status, text = run(capsys, "--dir", str(tmp_path / "none"), command)
    assert status == 2 and "--dir" in text and not (tmp_path / "none").exists()


def test_looking_sets_nothing_aside(store: LocalStore, capsys: Capture) -> None:
    """``ls``, ``stats`` and ``show`` report damage and leave it where it is; ``ls`` exits with 1 then."""
    store.path(KEYS[1]).write_bytes(b"HYDCACHE")
    before = snapshot(store.root)
    assert run(capsys, "ls")[0] == 1 and run(capsys, "stats")[0] == 0
    assert run(capsys, "show", KEYS[1][:8])[0] == 1
    assert snapshot(store.root) == before


def test_ls_shows_what_is_foreign(store: LocalStore, capsys: Capture) -> None:
    """As what it is, each of them, and that is not wrong."""
    for n in (1, 2):
        store.path(KEYS[n]).write_bytes(b"somebody else's")
    status, text = run(capsys, "ls")
    assert status == 0 and text.count("does not begin as an entry does") == 2
    assert json.loads(run(capsys, "stats", "--json")[1])["foreign"] == 2


def test_a_directory_of_others_can_be_listed(store: LocalStore, capsys: Capture) -> None:
    """Listing runs no code, so it needs no trust; ``--shared`` says that verify may unpickle."""
    store.root.chmod(0o777)
    assert run(capsys, "ls")[0] == 0 and "stages.f1" in run(capsys, "ls")[1]
    assert "nothing was unpickled" in run(capsys, "verify")[1]
    assert "nothing was unpickled" not in run(capsys, "--shared", "verify")[1]
