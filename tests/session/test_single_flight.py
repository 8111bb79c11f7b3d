"""Of many that miss one key at the same time, one computes it and the others get its result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crowd import ROOT, Crowd
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hydra_cached import activate
from hydra_cached.stores.local import LocalStore

SLOW = {"_target_": "stages.slow", "seconds": 0.5}


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    made = Crowd(tmp_path / "crowd").code()
    yield made
    made.close()


def values(reports: list[dict[str, Any]]) -> set[str]:
    assert not [report["error"] for report in reports if report["error"]]
    return {str(report["value"]) for report in reports}


def said(reports: list[dict[str, Any]], words: str) -> list[str]:
    return [line for report in reports for line in report["log"] if words in line]


def test_64_processes_compute_one_key_once(crowd: Crowd) -> None:
    """64 processes that miss one key at once: exactly one executes it, all get its result, no lease is left."""
    reports = crowd.build(64, SLOW)
    assert len(reports) == 64 and len(crowd.ran()) == 1 and len(values(reports)) == 1
    assert Counter(kind for report in reports for kind in report["kinds"]) == {"RUN": 1, "HIT": 63}
    assert crowd.leases() == []


def test_an_owner_that_is_killed_is_taken_over_within_two_seconds(crowd: Crowd) -> None:
    """The owner is killed with SIGKILL: one other begins within 2 s, the rest get its result."""
    started = crowd.start(8, {"_target_": "stages.slow", "seconds": 1.5})
    [(_, owner, _)] = crowd.wait_for(1)
    time.sleep(0.7)
    os.kill(owner, signal.SIGKILL)
    killed = time.time()
    reports = crowd.reports(started)
    runs = crowd.ran()
    assert len(runs) == 2 and 0 < runs[1][2] - killed < 2.0
    assert len(reports) == 7 and len(values(reports)) == 1
    assert said(reports, "is gone; computing it here")


def test_owners_that_are_killed_one_after_the_other(crowd: Crowd) -> None:
    """Three owners in a row are killed; never do two compute at the same time, and the fourth's result is all's."""
    started = crowd.start(12, {"_target_": "stages.slow", "seconds": 0.6})
    for number in (1, 2, 3):
        os.kill(crowd.wait_for(number)[number - 1][1], signal.SIGKILL)
    reports = crowd.reports(started)
    assert len(crowd.ran()) == 4 and len(reports) == 9 and len(values(reports)) == 1


def test_nested_stages_do_not_wait_for_each_other_for_ever(crowd: Crowd) -> None:
    """16 jobs with four different tops over shared stages, asked for in different orders: each runs once."""

    def stage(name: str, **inputs: Any) -> dict[str, Any]:
        return {"_target_": "stages.slow", "seconds": 0.1, "name": name, **inputs}

    a, b = stage("a"), stage("b")
    c, d = stage("c", x=a, y=b), stage("d", x=b, y=a)
    tops = [stage("one", x=c, y=d), stage("two", x=d, y=c), stage("three", x=a, y=d), stage("four", x=b, y=c)]
    reports = crowd.build(16, *tops)
    assert len(reports) == 16 and len(values(reports)) == 4
    assert Counter(name for name, _, _ in crowd.ran()) == dict.fromkeys("abcd", 1) | dict.fromkeys(
        ["one", "two", "three", "four"], 1
    )


def test_what_is_too_quick_to_be_stored_is_not_queued_for(crowd: Crowd) -> None:
    """8 processes and a stage of 0.4 s that is not stored: after the first all run it at once, not in turn."""
    reports = crowd.build(8, {"_target_": "stages.slow", "seconds": 0.4}, min_seconds=1.0)
    assert len(values(reports)) == 8
    assert max(report["seconds"] for report in reports) < 1.6


@pytest.mark.parametrize(
    ("end", "errors"),
    [
        ("raise ValueError('no')", ("InstantiationException: ", "ValueError: no")),  # Hydra 1.3 and 1.4
        ("sys.exit(0)", ("SystemExit: 0",)),
        ("raise KeyboardInterrupt", ("KeyboardInterrupt: ",)),
    ],
)
def test_a_stage_that_fails_is_not_queued_for(crowd: Crowd, end: str, errors: tuple[str, ...]) -> None:
    """An owner that raises or exits lets go of its lease; the others fail by themselves, at once, not in turn."""
    crowd.code(f"\ndef fails():\n    note('fails')\n    time.sleep(0.3)\n    {end}\n")
    reports = crowd.build(6, {"_target_": "stages.fails"})
    assert all(report["error"].startswith(errors) for report in reports)
    assert len(crowd.ran()) == 6 and crowd.leases() == []
    assert max(report["seconds"] for report in reports) < 1.5


def test_an_owner_that_ends_its_process_is_taken_over(crowd: Crowd) -> None:
    """``os._exit(0)`` in a target stores nothing; another computes it."""
    crowd.code(
        "\ndef first():\n    note('first')\n    time.sleep(0.3)\n"
        "    if not (HERE / 'exited').exists():\n        (HERE / 'exited').touch()\n"
        "        os._exit(0)\n    return 7\n"
    )
    reports = crowd.build(6, {"_target_": "stages.first"})
    assert len(reports) == 5 and values(reports) == {"7"} and len(crowd.ran()) == 2 and crowd.leases() == []


def test_wait_seconds_ends_the_waiting(crowd: Crowd) -> None:
    """After ``wait_seconds`` a process computes itself, and says so."""
    reports = crowd.build(3, {"_target_": "stages.slow", "seconds": 1.2}, wait_seconds=0.3)
    assert len(crowd.ran()) == 3 and len(values(reports)) == 3
    assert len(said(reports, "computing it here, too")) == 2
    assert min(r["seconds"] for r in reports if said([r], "computing it here, too")) >= 0.3


def test_who_waits_says_for_whom(crowd: Crowd) -> None:
    """After a second, a process that waits logs who computes what, and in the end how long it waited."""
    reports = crowd.build(2, {"_target_": "stages.slow", "seconds": 1.6})
    [(_, owner, _)] = crowd.ran()
    [line] = said(reports, "waiting for")
    assert line.startswith(
        f"waiting for process {owner} on {os.uname().nodename}, which computes the root (stages."
    )
    assert len(said(reports, "waited 1.")) == 1


def test_refreshing_at_once_computes_once(crowd: Crowd) -> None:
    """Processes that refresh a key at the same time execute it once; the old result is served to none of them."""
    [old] = values(crowd.build(1, SLOW))
    new = values(crowd.build(6, SLOW, mode="refresh"))
    assert len(new) == 1 and old not in new and len(crowd.ran()) == 2
    assert values(crowd.build(1, SLOW)) == new


def test_processes_of_one_distributed_job_do_not_wait(crowd: Crowd) -> None:
    """Ranks that torchrun starts wait for each other in their target, so none waits for another's lease."""
    crowd.code(
        "\ndef meet(others):\n    note('meet')\n    end = time.time() + 10\n"
        "    while len((HERE / 'ran.txt').read_text().splitlines()) < others:\n"
        "        assert time.time() < end\n        time.sleep(0.01)\n    return 1\n"
    )
    reports = crowd.build(4, {"_target_": "stages.meet", "others": 4}, environment={"WORLD_SIZE": "4"})
    assert values(reports) == {"1"} and len(crowd.ran()) == 4 and crowd.leases() == []


def test_a_target_may_run_its_own_config_in_workers(crowd: Crowd) -> None:
    """Processes that a target starts do not wait for it: it waits for them (as in Lightning's DDP)."""
    crowd.code(
        "\ndef parent():\n    import subprocess\n    note('parent')\n"
        "    if len((HERE / 'ran.txt').read_text().splitlines()) == 1:\n"
        f"        command = [sys.executable, {str(ROOT / 'tests/session/crowd.py')!r}, *sys.argv[1:]]\n"
        "        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=20)\n    return 1\n"
    )
    reports = crowd.build(1, {"_target_": "stages.parent"})
    assert values(reports) == {"1"} and len(crowd.ran()) == 2


def test_a_target_may_instantiate_its_own_config(crowd: Crowd) -> None:
    """A target that instantiates an equal config within itself does not wait for itself."""
    crowd.code(
        "\ndepth = []\n\ndef again():\n    from hydra.utils import instantiate\n    note('again')\n"
        "    depth.append(1)\n    return 1 if len(depth) == 3 else instantiate({'_target_': 'stages.again'})\n"
    )
    assert values(crowd.build(1, {"_target_": "stages.again"})) == {"1"}
    assert crowd.leases() == []


def test_a_forked_child_does_not_have_its_parents_lease(crowd: Crowd) -> None:
    """A child that a target forks and that unwinds leaves the lease alone, and can hold one of its own."""
    crowd.code(
        "\ndef forks():\n    note('forks')\n    if os.fork() == 0:\n"
        "        from hydra.utils import instantiate\n"
        "        instantiate({'_target_': 'stages.slow', 'seconds': 0.2, 'name': 'inner'})\n"
        "        note('leases:%d' % len(os.listdir(HERE / 'cache' / 'leases')))\n"
        "        os.close(1)\n        raise SystemExit\n    os.wait()\n"
        "    note('leases:%d' % len(os.listdir(HERE / 'cache' / 'leases')))\n    time.sleep(0.3)\n    return 1\n"
    )
    started = crowd.start(3, {"_target_": "stages.forks"})
    assert values(crowd.reports(started)) == {"1"}
    assert [name for name, _, _ in crowd.ran()] == ["forks", "inner", "leases:1", "leases:1"]
    assert crowd.leases() == []


def test_leases_that_fail_cost_work_and_nothing_else(crowd: Crowd) -> None:
    """Where leases cannot be kept, each process computes, stores, says so once, and the values are right."""
    (crowd.root / "cache").mkdir()
    (crowd.root / "cache" / "leases").write_text("somebody's file")
    two = {"_target_": "stages.slow", "seconds": 0.2, "x": SLOW}
    reports = crowd.build(4, two)
    assert len(crowd.ran()) == 8 and len(values(reports)) == 4
    assert all(len(said([report], "leases do not work")) == 1 for report in reports)
    assert len(values(crowd.build(2, two))) == 1 and len(crowd.ran()) == 8


def test_readonly_takes_no_leases(crowd: Crowd) -> None:
    """A session that stores nothing neither waits nor writes."""
    reports = crowd.build(3, SLOW, mode="readonly")
    assert len(values(reports)) == 3 and not (crowd.root / "cache").exists()


def test_a_stage_seen_to_be_quick_takes_no_second_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a session knows that a stage is too quick to be stored, it spends no lease on it."""
    taken = _count_leases(monkeypatch)
    config = OmegaConf.create([{"_target_": "builtins.list", "_args_": [[1, 2]]}] * 5)
    with activate(tmp_path, min_seconds=1.0, share="none"):
        for _ in range(3):
            assert instantiate(config) == [[1, 2]] * 5
    assert len(taken) == 1


def _count_leases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from hydra_cached.stores.claims import LocalClaims

    taken: list[str] = []
    create = LocalClaims.create

    def counted(self: LocalClaims, name: str, text: str) -> bool:
        taken.append(name)
        return create(self, name, text)

    monkeypatch.setattr(LocalClaims, "create", counted)
    return taken


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_threads_of_one_process_wait_too(crowd: Crowd, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 threads of one session: one executes; each gets an object of its own."""
    monkeypatch.syspath_prepend(crowd.root)
    monkeypatch.delitem(sys.modules, "stages", raising=False)
    crowd.code("\ndef listed():\n    return [slow(0.5)]\n")
    found: list[Any] = []
    barrier = threading.Barrier(16)

    def build() -> None:
        barrier.wait()
        found.append(instantiate(OmegaConf.create({"_target_": "stages.listed"})))

    with activate(None if where == "memory" else crowd.root / "cache", min_seconds=0):
        threads = [threading.Thread(target=build) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    sys.modules.pop("stages", None)
    assert len(found) == 16 and len({str(each) for each in found}) == 1 and len(crowd.ran()) == 1
    assert len({id(each) for each in found}) == 16


def test_two_apps_on_one_cache_compute_once(crowd: Crowd) -> None:
    """Three runs of a ``@hydra.main`` app, started at the same time, execute each stage once between them."""
    (crowd.root / "app.py").write_text(
        "import hydra\nfrom hydra.utils import instantiate\n\n@hydra.main(None, 'config', version_base=None)\n"
        "def main(cfg):\n    print(instantiate(cfg.top))\n\nif __name__ == '__main__':\n    main()\n"
    )
    (crowd.root / "config.yaml").write_text(
        "top: {_target_: stages.slow, seconds: 0.2, name: top, x: {_target_: stages.slow, seconds: 1.5}}\n"
        "hydra: {run: {dir: 'out/${oc.env:NUMBER}'}}\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [
        sys.executable,
        "app.py",
        "--config-path",
        str(crowd.root),
        "+cache=disk",
        "cache.min_seconds=0.1",
    ]
    apps = [
        subprocess.Popen(
            command, cwd=crowd.root, env={**env, "NUMBER": str(n)}, stdout=subprocess.PIPE, text=True
        )
        for n in range(3)
    ]
    lines = {
        next(line for line in app.communicate(timeout=60)[0].splitlines() if line.startswith("top "))
        for app in apps
    }
    assert len(lines) == 1 and sorted(name for name, _, _ in crowd.ran()) == ["slow", "top"]


def test_a_run_goes_on_when_the_disk_is_full(crowd: Crowd) -> None:
    """On a tmpfs without room for an entry, or for a lease, runs end with the right result and a warning."""
    mount = Path(tempfile.mkdtemp(prefix="hc-full-"))
    options = ["-o", "size=64k,mode=700", "tmpfs", str(mount)]
    if subprocess.run(["mount", "-t", "tmpfs", *options], capture_output=True).returncode != 0:
        mount.rmdir()
        pytest.skip("mounting is not allowed here")
    try:
        crowd.code("\ndef large(n):\n    note('large')\n    return b'x' * n\n")
        config = {"_target_": "builtins.len", "_args_": [{"_target_": "stages.large", "n": 100_000}]}
        [report] = crowd.build(1, config, dir=str(mount / "cache"))
        assert report["value"] == 100_000 and said([report], "No space left")
        store = LocalStore(mount / "cache")
        kept = list(store.keys())
        with open(mount / "rest", "wb", buffering=0) as file:
            while _write(file):
                pass
        [report] = crowd.build(
            1, {**config, "_args_": [{"_target_": "stages.large", "n": 99_999}]}, dir=str(mount / "cache")
        )
        assert report["value"] == 99_999 and report["error"] == ""
        assert [name for name, _, _ in crowd.ran()] == ["large", "large"]
        assert sorted(store.keys()) == sorted(kept) and all(store.get(key) for key in kept)
        assert not list(mount.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", str(mount)], check=True)
        mount.rmdir()


def _write(file: Any) -> int:
    try:
        return int(file.write(bytes(512)))
    except OSError:
        return 0
