"""From options to a store: which one it is, and what is put around it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from hydra_cached.config import read_options
from hydra_cached.errors import OptionError, UntrustedRoot
from hydra_cached.opening import Opened, is_remote, local_path, open_store
from hydra_cached.testing import is_whole, key_of, made

KEY = key_of(1)


def opened(**options: object) -> Opened:
    found = open_store(read_options(**options))
    assert found is not None
    return found


def place() -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    ("directory", "remote"),
    [
        ("s3://b/c", True),
        ("memory://x", True),
        (".hydra_cached", False),
        ("/a/b", False),
        ("file:///a/b", False),
    ],
)
def test_urls_lead_elsewhere(directory: str, remote: bool) -> None:
    """A URL is a remote directory, but for one that names a local file."""
    assert is_remote(directory) is remote


def test_relative_directories_are_relative_to_the_base() -> None:
    """A relative directory is below the base, an absolute one and a ``file://`` are where they say."""
    assert local_path("cache", "/base") == "/base/cache" and local_path("/a/b", "/base") == "/a/b"
    assert local_path("file:///a/b", "/base") == "/a/b"
    assert local_path("~/x", "/base") == str(Path("~/x").expanduser())


def test_off_is_no_store() -> None:
    """``mode: off`` opens nothing, whatever the rest says."""
    assert open_store(read_options(dir="nosuch://x", mode="off")) is None


def test_a_remote_store_is_written_in_the_background_unless_strict() -> None:
    """What is put has arrived when the end was waited for; with ``strict``, at once."""
    url = place()
    one = opened(dir=url)
    one.store.put(KEY, made(1, 1000))
    assert one.finish is not None
    one.finish()
    assert is_whole(opened(dir=url).store.get(KEY)) and opened(dir=place(), strict=True).finish is None


def test_readonly_takes_no_leases_and_waits_for_nothing() -> None:
    """``readonly`` has neither leases nor uploads."""
    found = opened(dir=place(), mode="readonly")
    assert found.leases is None and found.finish is None


def test_leases_without_exclusive_creation(tmp_path: Path) -> None:
    """Where nothing is created exclusively, threads of a process wait for each other, or a host's processes with
    ``local_dir``; somebody always says."""
    assert opened(dir=place()).leases is not None
    assert opened(dir=place(), local_dir=tmp_path / "tier").store.claims() is not None


def test_a_local_directory_needs_no_other_in_front(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``local_dir`` with a local ``dir`` is said to be of no use, and not made."""
    opened(dir=tmp_path / "cache", local_dir=tmp_path / "tier").store.put(KEY, made(1, 1000))
    assert "local_dir" in caplog.text and not (tmp_path / "tier").exists()


def test_bounds_of_a_tier_are_not_those_of_the_bucket(tmp_path: Path) -> None:
    """With ``local_dir``, ``max_size`` bounds that directory; the bucket keeps all."""
    url, tier = place(), tmp_path / "tier"
    for number in range(4):
        run = opened(dir=url, max_size="10kB", local_dir=tier)
        run.store.put(key_of(number), made(number, 8_000))
        assert run.finish is not None
        run.finish()
    assert len(list(opened(dir=url).store.keys())) == 4


def test_a_tier_that_others_can_write_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A local directory that cannot be trusted is done without, loudly; with ``strict`` it is an error."""
    (tmp_path / "tier").mkdir()
    (tmp_path / "tier").chmod(0o777)
    url = place()
    found = opened(dir=url, local_dir=tmp_path / "tier")
    assert "without cache.local_dir" in caplog.text
    found.store.put(KEY, made(1, 1000))
    assert is_whole(found.store.get(KEY)) and list((tmp_path / "tier").iterdir()) == []
    with pytest.raises(UntrustedRoot):
        opened(dir=url, local_dir=tmp_path / "tier", strict=True)


def test_signatures_hold_behind_a_tier(tmp_path: Path) -> None:
    """What was stored with a key is not read with another, through a tier as without."""
    url = place()
    one = opened(dir=url, signing_key="0123456789abcdef", local_dir=tmp_path / "tier")
    one.store.put(KEY, made(1, 1000))
    assert one.finish is not None
    one.finish()
    assert is_whole(one.store.get(KEY))
    for options in ({}, {"local_dir": tmp_path / "tier"}):
        other = opened(dir=url, signing_key="fedcba9876543210", **options)
        with pytest.raises(Exception, match="not signed with"):
            other.store.get(KEY)


def test_unknown_protocols_are_errors_of_the_option() -> None:
    """A protocol that nobody knows names the option that it stands in."""
    with pytest.raises(OptionError, match=r"cache\.dir"):
        opened(dir="nosuch://bucket")
