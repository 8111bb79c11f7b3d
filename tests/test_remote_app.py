"""Apps whose cache is in a bucket: results are shared between hosts, and no store that fails breaks a run."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from bad_line import Faults, FlakyFileSystem
from projects import Project
from s3_server import SECRET, Bucket

import hydra_cached
from hydra_cached.cli.manage import STORAGE_OPTIONS, main
from hydra_cached.errors import OptionError, StrictError
from hydra_cached.stores import connection as connection_module
from hydra_cached.stores.base import LINK, Entry
from hydra_cached.stores.remote import RemoteStore
from hydra_cached.stores.serializers import dump
from hydra_cached.stores.signing import SignedStore

APP = """
import sys
import hydra
from hydra.utils import instantiate

@hydra.main(version_base=None, config_path=".", config_name="config")
def main(cfg):
    print("result", instantiate(cfg.model))
    if cfg.get("leave"):
        sys.exit(5)

if __name__ == "__main__":
    main()
"""
STAGES = """
from recorder import ran

def load(n):
    ran("load")
    return list(range(n))

def train(data, depth):
    ran("train")
    return sum(data) * depth
"""
CONFIG = """
model:
  _target_: stages.train
  depth: 2
  data: {_target_: stages.load, n: 100}
"""
QUICK = "cache.min_seconds=0"


@pytest.fixture
def app(project: Project) -> Project:
    return project.write(app_py=APP, stages_py=STAGES, config_yaml=CONFIG)


def test_results_are_shared_through_a_bucket(app: Project, bucket: Bucket) -> None:
    """A second run is served from the bucket; a change of the last stage runs that alone."""
    arguments = ["app.py", "+cache=disk", QUICK, *bucket.overrides]
    assert "result 9900" in app.python(*arguments) and app.ran() == ["load", "train"]
    output = app.python(*arguments)
    assert "result 9900" in output and "1 stage from the cache, nothing run" in output and app.ran() == []
    assert "result 14850" in app.python(*arguments, "model.depth=3") and app.ran() == ["train"]
    assert not (app.root / ".hydra_cached").exists()


def test_a_sweep_shares_memory(app: Project) -> None:
    """The jobs of a sweep in one process share a cache in fsspec's memory."""
    app.python("app.py", "-m", "model.depth=2,3,4", "+cache=disk", QUICK, "cache.dir=memory://here")
    assert app.ran() == ["load", "train", "train", "train"]


def test_a_local_tier_from_the_command_line(app: Project, bucket: Bucket) -> None:
    """With ``local_dir`` the second run of a host needs nothing from the bucket; another host finds all there."""
    arguments = ["app.py", "+cache=disk", QUICK, *bucket.overrides]
    app.python(*arguments, "cache.local_dir=tier")
    assert app.ran() == ["load", "train"] and (app.root / "tier" / "entries").is_dir()
    dead = bucket.options | {"endpoint_url": f"http://127.0.0.1:{free_port()}"}
    away = ["app.py", "+cache=disk", QUICK, *Bucket(bucket.url, dead).overrides, "cache.local_dir=tier"]
    assert "result 9900" in app.python(*away) and app.ran() == []
    app.python(*arguments, "cache.local_dir=another")
    assert app.ran() == []


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_dead_store_makes_a_run_slower_not_broken(app: Project, bucket: Bucket) -> None:
    """With nobody at the bucket's address the app computes what it should, soon, and says so, once, loudly."""
    dead = Bucket(bucket.url, bucket.options | {"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    begin = time.monotonic()
    output = app.python("app.py", "+cache=disk", QUICK, *dead.overrides)
    assert "result 9900" in output and app.ran() == ["load", "train"]
    assert time.monotonic() - begin < 60
    assert output.count("is left alone, so that nothing is served") == 1 and SECRET not in output


def test_an_app_that_exits_has_uploaded(app: Project, bucket: Bucket) -> None:
    """``sys.exit`` within the job loses no result, though Hydra tells no callback of it."""
    arguments = ["app.py", "+cache=disk", QUICK, *bucket.overrides]
    app.python(*arguments, "+leave=true", status=5)
    assert app.ran() == ["load", "train"]
    app.python(*arguments)
    assert app.ran() == []


def test_many_processes_compute_once(app: Project, bucket: Bucket) -> None:
    """Of several apps that start together on an empty bucket one computes each stage; the others wait for it."""
    app.write(stages_py=STAGES.replace("return list", "import time; time.sleep(4)\n    return list"))
    command = [sys.executable, "app.py", "+cache=disk", "cache.min_seconds=1", *bucket.overrides]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(
            command, cwd=app.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=300)[0].decode() for process in processes]
    assert all("result 9900" in output for output in outputs), outputs
    assert app.ran().count("load") == 1


def test_a_signing_key_decides_what_is_served(app: Project, bucket: Bucket) -> None:
    """What another key signed is not served from a bucket, and is replaced."""
    arguments = ["app.py", "+cache=disk", QUICK, *bucket.overrides, "cache.local_dir=tier"]
    one, other = "cache.signing_key=0123456789abcdef-one", "cache.signing_key=0123456789abcdef-other"
    app.python(*arguments, one)
    assert app.ran() == ["load", "train"]
    app.python(*arguments, one)
    assert app.ran() == []
    assert "not signed with" in app.python(*arguments, other) and app.ran() == ["load", "train"]
    app.python(*arguments, other)
    assert app.ran() == []


def test_what_cannot_be_opened_is_said(app: Project) -> None:
    """A protocol that is not there is an error in the log, which says what to do; the app runs."""
    output = app.python("app.py", "+cache=disk", "cache.dir=nosuch://bucket")
    assert "runs without a cache" in output and "nosuch" in output and "result 9900" in output


# In one process.


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(FlakyFileSystem, "faults", Faults())
    monkeypatch.setattr(connection_module, "PAUSE", 0.01)
    return f"flaky://{uuid.uuid4().hex}"


def test_the_next_stage_does_not_wait_for_an_upload(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first result is uploaded, which takes long, the second stage runs; at the end both are there."""
    from hydra.utils import instantiate

    second = threading.Event()
    waited: list[bool] = []

    def before(name: str, path: str) -> None:
        if name == "pipe" and "/entries/" in path and not second.is_set():
            waited.append(second.wait(60))

    FlakyFileSystem.faults.before = before
    with hydra_cached.activate(place, min_seconds=0) as session:
        assert instantiate({"_target_": "builtins.sum", "_args_": [[1, 2]]}) == 3
        assert instantiate({"_target_": "builtins.sum", "_args_": [[3, 4]]}) == 7
        # Found here, while it is on its way.
        assert instantiate({"_target_": "builtins.sum", "_args_": [[1, 2]]}) == 3
        assert session.summary().hits == 1 and session.summary().stored == 2
        second.set()
    assert waited == [True] * len(waited) and waited
    assert len(list(RemoteStore(place).keys())) >= 2


def test_with_strict_an_upload_that_fails_fails_the_stage(place: str) -> None:
    """``strict`` waits for each upload: what policy says to store and cannot be is an error of that stage."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    def before(name: str, path: str) -> None:
        if name == "pipe" and "/entries/" in path:
            raise PermissionError("read only")

    FlakyFileSystem.faults.before = before
    config = {"_target_": "builtins.sum", "_args_": [[1, 2]]}
    with (
        hydra_cached.activate(place, min_seconds=0, strict=True),
        pytest.raises((StrictError, InstantiationException), match=r"cannot be written|strict"),
    ):
        instantiate(config)
    with hydra_cached.activate(place, min_seconds=0):
        assert instantiate(config) == 3


def test_readonly_writes_nothing_there(place: str, tmp_path: Path) -> None:
    """``readonly`` serves from a bucket, fills the local tier, and writes nothing to the bucket."""
    from hydra.utils import instantiate

    config = {"_target_": "builtins.sum", "_args_": [[1, 2]]}
    with hydra_cached.activate(place, min_seconds=0):
        instantiate(config)
    before = sorted(RemoteStore(place).keys())
    with hydra_cached.activate(place, min_seconds=0, mode="readonly", local_dir=tmp_path / "tier") as session:
        instantiate(config)
        instantiate({"_target_": "builtins.sum", "_args_": [[5]]})
        assert session.summary().hits == 1
    assert sorted(RemoteStore(place).keys()) == before and (tmp_path / "tier" / "entries").is_dir()


@pytest.mark.parametrize(
    "options",
    [
        {"storage_options": ["key"]},
        {"storage_options": {1: "x"}},
        {"local_dir": "s3://bucket"},
        {"local_dir": 3},
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any]) -> None:
    """Options of the wrong kind are errors, which show no values of storage options."""
    with pytest.raises(OptionError), hydra_cached.activate("memory://x", **options):
        pass


def test_storage_options_are_not_shown() -> None:
    """Options with secrets have a repr without them."""
    from hydra_cached.config import read_options

    assert SECRET not in repr(read_options(dir="s3://b", storage_options={"secret": SECRET}))


# The command.


@pytest.fixture
def filled(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> RemoteStore:
    """Three results, a link and a note in a bucket."""
    monkeypatch.setenv(STORAGE_OPTIONS, json.dumps(bucket.options))
    store = RemoteStore(bucket.url, bucket.options)
    for number in range(3):
        manifest = {"target": f"stages.f{number}", "seconds": 1.0 + number, "created": "2026-01-01T00:00:00"}
        store.put(key(number), Entry(manifest, dump(b"x" * 1000)))
    store.put(key(8), Entry({LINK: key(1)}))
    store.put(key(9), Entry({"note": "digest of a file"}))
    return store


def key(number: int) -> str:
    return f"{number:02x}" * 32


def command(capsys: pytest.CaptureFixture[str], bucket: Bucket, *arguments: str) -> tuple[int, str]:
    try:
        status = main(["--dir", bucket.url, *arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out + err


def test_looking_into_a_bucket(
    capsys: pytest.CaptureFixture[str], bucket: Bucket, filled: RemoteStore
) -> None:
    """``ls``, ``show``, ``stats`` and ``verify`` say of a bucket what they say of a directory."""
    status, output = command(capsys, bucket, "ls", "--json")
    assert status == 0 and sorted(row["key"] for row in json.loads(output)) == [
        key(0),
        key(1),
        key(2),
        key(8),
    ]
    assert {row["size"] > 1000 for row in json.loads(output) if not row["link"]} == {True}
    status, output = command(capsys, bucket, "show", key(8)[:6], "--json")
    assert status == 0 and json.loads(output)["target"] == "stages.f1"
    status, output = command(capsys, bucket, "stats", "--json")
    assert status == 0 and json.loads(output)["entries"] == 3 and json.loads(output)["seconds"] == 6.0
    assert command(capsys, bucket, "verify") == (0, "4 checked, 0 damaged\n")


def test_damage_in_a_bucket_is_found(
    capsys: pytest.CaptureFixture[str], bucket: Bucket, filled: RemoteStore
) -> None:
    """``verify`` finds a flipped byte of a payload, ``ls`` one of a manifest; both exit with 1."""

    def flip(number: int, place: int) -> None:
        names = ("entries", key(number)[:2], key(number))
        data = bytearray(filled.connection.call(lambda fs, path: fs.cat_file(path), *names))
        data[place] ^= 1
        filled.connection.call(lambda fs, path: fs.pipe_file(path, bytes(data)), *names)

    flip(0, -1)
    assert command(capsys, bucket, "ls")[0] == 0 and command(capsys, bucket, "verify")[0] == 1
    flip(1, 70)
    status, output = command(capsys, bucket, "ls")
    assert status == 1 and "s3://" in output


def test_removing_from_a_bucket(
    capsys: pytest.CaptureFixture[str], bucket: Bucket, filled: RemoteStore
) -> None:
    """``gc`` removes what is worth least and what leads nowhere; ``rm`` what it is told to."""
    status, output = command(capsys, bucket, "gc", "--max-size", "3KB", "--dry-run")
    assert status == 0 and "would be removed" in output and len(list(filled.keys())) == 5
    assert command(capsys, bucket, "gc", "--max-size", "3KB")[0] == 0
    assert sorted(filled.keys()) == sorted([key(1), key(2), key(8), key(9)]) or key(2) in set(filled.keys())
    assert command(capsys, bucket, "gc", "--max-age", "1d")[0] == 0 and key(2) in set(filled.keys())
    assert command(capsys, bucket, "rm", key(2))[0] == 0 and key(2) not in set(filled.keys())
    assert command(capsys, bucket, "rm", "--all")[0] == 0 and list(filled.keys()) == []


def test_signatures_of_a_bucket(
    capsys: pytest.CaptureFixture[str], bucket: Bucket, filled: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key, what is not signed with it is damaged, also in lists that fetch no payloads."""
    monkeypatch.setenv("KEY", "0123456789abcdef-key")
    SignedStore(filled, ["0123456789abcdef-key"]).put(key(5), Entry({"target": "t"}, dump([1])))
    status, output = command(capsys, bucket, "--signing-key-from", "KEY", "ls", "--json")
    rows = {row["key"]: row["damage"] for row in json.loads(output)}
    assert status == 1 and rows[key(5)] == "" and "not signed" in rows[key(0)]


@pytest.mark.parametrize("options", ["{", "[1]", "3", '"secretsecret"'])
def test_storage_options_that_are_no_object(
    capsys: pytest.CaptureFixture[str], bucket: Bucket, options: str
) -> None:
    """What is no JSON object is wrong usage, and not quoted."""
    status, output = command(capsys, bucket, "--storage-options", options, "ls")
    assert status == 2 and "secretsecret" not in output and "JSON object" in output


def test_a_dead_bucket(
    capsys: pytest.CaptureFixture[str], bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    """A bucket that does not answer is an error, with exit status 1, and no traceback."""
    dead = json.dumps(bucket.options | {"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with caplog.at_level(logging.CRITICAL):
        status, output = command(capsys, bucket, "--storage-options", dead, "ls")
    assert status == 1 and "s3://" in output and SECRET not in output
