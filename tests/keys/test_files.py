"""Digests of declared files: by content, for whatever lies below a directory, and never out of date."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from hydra_cached.keys import files as module
from hydra_cached.keys.files import ABSENT, FileDigests

BIG = (1 << 20) + 5


def of(path: Any) -> str:
    return FileDigests().of(path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content is read."""
    seen: list[str] = []
    real = module._read

    def spy(path: Path) -> str:
        seen.append(path.name)
        return real(path)

    monkeypatch.setattr(module, "_read", spy)
    return seen


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files were written a minute ago."""
    real = time.time
    monkeypatch.setattr(module.time, "time", lambda: real() + 60)


# Files.


@pytest.mark.parametrize("size", [0, 1, 100, BIG, 5_000_000])
def test_a_file_counts_by_its_content_alone(tmp_path: Path, size: int) -> None:
    """Name, times and mode of a file do not count; its content does, to the last byte, empty or large."""
    (tmp_path / "a").write_bytes(b"x" * size)
    shutil.copy(tmp_path / "a", tmp_path / "b")
    os.chmod(tmp_path / "b", 0o600)
    os.utime(tmp_path / "b", (1, 1))
    found = of(tmp_path / "a")
    assert found == of(str(tmp_path / "b")) and len(found) == 64
    (tmp_path / "b").write_bytes(b"x" * size + b"y")
    longer = of(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"x" * size + b"z")
    assert len({found, longer, of(tmp_path / "b")}) == 3


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    """A symbolic link has the digest of its file, and another one when it leads elsewhere."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / "link").symlink_to("a")
    assert of(tmp_path / "link") == of(tmp_path / "a")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    assert of(tmp_path / "link") == of(tmp_path / "b")


@pytest.mark.parametrize("name", ["nothing", "file/below", "link", ""])
def test_what_is_not_there_is_absent(tmp_path: Path, name: str) -> None:
    """A missing file, one below a file, and a link to nowhere are absent, which is a digest of its own."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    if name:
        assert of(tmp_path / name) == ABSENT
    assert of(tmp_path / "file") != ABSENT and of(tmp_path) != ABSENT


def test_a_file_that_appears_changes_its_digest(tmp_path: Path) -> None:
    """Absent, then there, then changed, then gone: each time another digest, and the old one for the old state."""
    digests, path = FileDigests(), tmp_path / "f"
    found = [digests.of(path)]
    for text in ("one", "two", "one"):
        path.write_text(text)
        found.append(digests.of(path))
    path.unlink()
    found.append(digests.of(path))
    assert found[0] == found[4] == ABSENT and found[1] == found[3] and len(set(found)) == 3


def test_names_relative_to_the_base_and_to_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names are below the base, else the current directory; ``~`` is the home."""
    (tmp_path / "f").write_text("content")
    there = of(tmp_path / "f")
    assert FileDigests(base=str(tmp_path)).of("f") == there
    assert FileDigests(base="/nowhere").of(tmp_path / "f") == there
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert of("f") == of("~/f") == there


@pytest.mark.parametrize(
    "name", ["~nobody_of_this_name/file", "a\0b", "x" * 5000, "nothing://there", "s3:///"]
)
def test_names_that_mean_nothing_are_absent_or_oserrors(name: str) -> None:
    """Nonsense for a name breaks nothing: it is absent or an OSError, which makes the node run."""
    with contextlib.suppress(OSError):
        assert of(name) == ABSENT


def test_pipes_and_devices_are_oserrors(tmp_path: Path) -> None:
    """What has no content of its own is refused at once, not read until it ends."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(OSError, match="neither"):
            of(path)


# Directories.


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree of files."""
    root = tmp_path / "tree"
    for name, text in {"a": "1", "b": "2", "sub/a": "3", "sub/deep/c": "", ".hidden": "5", "Ü": "6"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def changes() -> dict[str, Any]:
    """What can happen to a tree; each must change its digest."""

    def swap(root: Path) -> None:
        (root / "a").write_text("2")
        (root / "b").write_text("1")

    return {
        "content": lambda root: (root / "sub/a").write_text("changed"),
        "new file": lambda root: (root / "sub/new").write_text(""),
        "new directory": lambda root: (root / "empty").mkdir(),
        "removed": lambda root: (root / "b").unlink(),
        "removed, empty": lambda root: (root / "sub/deep/c").unlink(),
        "renamed": lambda root: (root / "a").rename(root / "z"),
        "moved": lambda root: (root / "a").rename(root / "sub/deep/a"),
        "directory renamed": lambda root: (root / "sub").rename(root / "sup"),
        "hidden": lambda root: (root / ".hidden").write_text("x"),
        "swapped": swap,
        "link to nowhere": lambda root: (root / "dangling").symlink_to("nowhere"),
        "case": lambda root: (root / "a").rename(root / "A"),
        "file to directory": lambda root: ((root / "a").unlink(), (root / "a").mkdir()),
    }


@pytest.mark.parametrize("change", changes())
def test_every_change_in_a_directory_counts(tree: Path, change: str) -> None:
    """Contents, names and places of files, empty directories, hidden files and broken links count."""
    digests = FileDigests()
    before = digests.of(tree)
    changes()[change](tree)
    assert digests.of(tree) != before and digests.of(tree) == of(tree)


def test_where_a_directory_lies_and_how_it_was_made_does_not_count(tree: Path, tmp_path: Path) -> None:
    """A copy under another name, with other times, made in another order, has the same digest."""
    copy = tmp_path / "other name"
    copy.mkdir()
    for path in sorted(tree.rglob("*"), reverse=True):
        if path.is_file():
            (copy / path.relative_to(tree)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(tree)).write_bytes(path.read_bytes())
    assert of(copy) == of(tree)
    (tmp_path / "link").symlink_to(tree)
    assert of(tmp_path / "link") == of(tree)


def test_files_behind_linked_directories_count(tree: Path, tmp_path: Path) -> None:
    """A directory of links to directories, as data sets are often kept, counts with the files behind them."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "big").write_text("1")
    (tree / "data").symlink_to(elsewhere)
    before = of(tree)
    (elsewhere / "big").write_text("2")
    assert of(tree) != before
    (tmp_path / "a").write_text("1")
    (tree / "file").symlink_to(tmp_path / "a")
    before = of(tree)
    (tmp_path / "a").write_text("2")
    assert of(tree) != before


def test_links_in_a_circle_come_to_an_end(tree: Path) -> None:
    """A link to a directory above, or to itself, is followed once."""
    before = of(tree)
    (tree / "sub" / "up").symlink_to(tree)
    around = of(tree)
    assert around != before and around == of(tree)
    (tree / "self").symlink_to("self")
    with contextlib.suppress(OSError):
        of(tree)


def test_pipes_in_directories_do_not_stop_the_reading(tree: Path) -> None:
    """A socket or pipe in a declared directory is noted by name and not read."""
    before = of(tree)
    os.mkfifo(tree / "pipe")
    assert of(tree) != before


def test_a_directory_is_never_a_file(tree: Path, tmp_path: Path) -> None:
    """No file has the digest of a directory, also if its content was made for that; nor is one empty the other."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing").write_bytes(b"")
    assert of(tmp_path / "empty") not in (of(tmp_path / "nothing"), ABSENT)
    assert of(tree).partition(" ")[0] == "directory"


@pytest.fixture
def without_rights() -> Iterator[Path]:
    """A directory for which another user acts; where the tests run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    where = Path(tempfile.mkdtemp())
    os.chmod(where, 0o755)
    yield where
    os.seteuid(0)
    shutil.rmtree(where)


def test_what_cannot_be_read_is_an_oserror(without_rights: Path) -> None:
    """A file or a directory below that may not be read is an error, not left out."""
    (without_rights / "sub").mkdir()
    (without_rights / "sub" / "file").write_text("x")
    (without_rights / "secret").write_text("x")
    os.chmod(without_rights / "secret", 0o600)
    os.seteuid(65534)
    with pytest.raises(OSError):
        of(without_rights / "secret")
    with pytest.raises(OSError):
        of(without_rights)
    os.seteuid(0)
    (without_rights / "secret").unlink()
    os.chmod(without_rights / "sub", 0o700)
    os.seteuid(65534)
    with pytest.raises(OSError):
        of(without_rights)


# Not read twice, and never out of date.


def test_a_large_file_that_has_settled_is_read_once(tmp_path: Path, reads: list[str], later: None) -> None:
    """Asked again, the digest of a large file that did not change is known."""
    (tmp_path / "f").write_bytes(b"x" * BIG)
    digests = FileDigests()
    assert digests.of(tmp_path / "f") == digests.of(tmp_path / "f") == blake3(b"x" * BIG).hexdigest()
    assert reads == ["f"]


def test_a_memory_spares_the_next_process_the_reading(tmp_path: Path, reads: list[str], later: None) -> None:
    """With a memory that lasts, another FileDigests does not read either; without one it does."""
    (tmp_path / "f").write_bytes(b"x" * BIG)
    memory: dict[str, str] = {}
    first = FileDigests(memory).of(tmp_path / "f")
    assert FileDigests(memory).of(tmp_path / "f") == first and reads == ["f"]
    assert of(tmp_path / "f") == first and reads == ["f", "f"]
    assert str(tmp_path) not in str(memory)  # nothing of the name is in the memory


def test_a_file_written_just_now_is_read_again(tmp_path: Path) -> None:
    """Same size, same inode, same times: a file that may have been written twice in a tick is not trusted."""
    path, digests = tmp_path / "f", FileDigests()
    seen = set()
    for n in range(20):
        with open(path, "r+b" if path.exists() else "wb") as file:
            file.write(bytes([n]) * BIG)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        seen.add(digests.of(path))
    assert len(seen) == 20


def test_a_time_of_last_write_that_was_set_back_does_not_deceive(tmp_path: Path, later: None) -> None:
    """``touch -d`` or ``rsync -t`` after a change of the same size: the time of last change tells."""
    path, digests = tmp_path / "f", FileDigests()
    path.write_bytes(b"a" * BIG)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    before = digests.of(path)
    time.sleep(0.02)  # more than a tick of the filesystem's clock
    with open(path, "r+b") as file:
        file.write(b"b" * BIG)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert digests.of(path) != before


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path, later: None) -> None:
    """Another file of the same size and times in its place has its own digest."""
    path, digests = tmp_path / "f", FileDigests()
    path.write_bytes(b"a" * BIG)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    before = digests.of(path)
    (tmp_path / "g").write_bytes(b"b" * BIG)
    os.utime(tmp_path / "g", (1_000_000_000, 1_000_000_000))
    (tmp_path / "g").replace(path)
    assert digests.of(path) != before


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: None
) -> None:
    """What was read of a file in motion does not stand for either of its states later."""
    path, digests = tmp_path / "f", FileDigests()
    path.write_bytes(b"a" * BIG)
    real = module._read

    def slow(name: Path) -> str:
        found = real(name)
        path.write_bytes(b"b" * BIG)
        return found

    monkeypatch.setattr(module, "_read", slow)
    digests.of(path)
    monkeypatch.undo()
    assert digests.of(path) == blake3(b"b" * BIG).hexdigest()


def test_a_file_that_shrinks_while_it_is_read_does_not_kill_the_process(tmp_path: Path) -> None:
    """Truncating a file that is mapped would end in SIGBUS: files are read, not mapped."""
    code = """
import sys, threading
from hydra_cached.keys.files import FileDigests
path = sys.argv[1]
stop = threading.Event()
def shrink():
    while not stop.is_set():
        with open(path, "wb") as file:
            file.truncate(80_000_000)
            file.truncate(0)
thread = threading.Thread(target=shrink)
thread.start()
for _ in range(40):
    FileDigests().of(path)
stop.set()
thread.join()
"""
    path = tmp_path / "f"
    path.write_bytes(b"")
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_large_files_are_not_read_into_memory(tmp_path: Path) -> None:
    """A file of 300 MB, written just now, is read piece by piece."""
    path = tmp_path / "f"
    with open(path, "wb") as file:
        file.truncate(300_000_000)
    tracemalloc.start()
    try:
        of(path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_threads_may_ask_at_once(tmp_path: Path, later: None) -> None:
    """One FileDigests serves many threads with one answer."""
    (tmp_path / "f").write_bytes(b"x" * BIG)
    digests, found = FileDigests(), []
    threads = [threading.Thread(target=lambda: found.append(digests.of(tmp_path / "f"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [blake3(b"x" * BIG).hexdigest()] * 8


# URLs.


@pytest.fixture
def bucket() -> Iterator[Any]:
    """fsspec's memory filesystem, emptied afterwards."""
    fsspec = pytest.importorskip("fsspec")
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/bucket/a", b"1")
    filesystem.pipe("/bucket/sub/b", b"2")
    yield filesystem
    filesystem.rm("/bucket", recursive=True)


def test_urls_count_by_content(bucket: Any) -> None:
    """Objects and prefixes have digests that follow their contents and names; what is not there is absent."""
    digests = FileDigests()
    whole, one = digests.of("memory://bucket"), digests.of("memory://bucket/a")
    assert digests.of("memory://bucket/") == whole and digests.of("memory://bucket/none") == ABSENT
    bucket.pipe("/bucket/a", b"3")
    assert digests.of("memory://bucket") != whole and digests.of("memory://bucket/a") != one
    bucket.pipe("/bucket/a", b"1")
    assert digests.of("memory://bucket") == whole and digests.of("memory://bucket/a") == one
    bucket.mv("/bucket/a", "/bucket/z")
    assert digests.of("memory://bucket") not in (whole, ABSENT)


def test_a_file_has_one_digest_by_name_and_by_url(bucket: Any, tmp_path: Path) -> None:
    """Where a file is kept does not count."""
    (tmp_path / "a").write_bytes(b"1")
    assert of(tmp_path / "a") == of("memory://bucket/a") == of(f"file://{tmp_path}/a")


def test_errors_of_filesystems_are_oserrors(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a filesystem raises, also at a missing driver, is an OSError, which makes the node run."""
    with pytest.raises(OSError, match="neverheardof"):
        of("neverheardof://bucket/a")

    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("no credentials")

    monkeypatch.setattr(type(bucket), "info", fail)
    with pytest.raises(OSError, match="no credentials"):
        of("memory://bucket/a")


def test_what_a_filesystem_says_for_sure_spares_the_reading(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object with an ETag is read once per ETag."""
    opened, tag = [], ["one"]
    real_open, real_info = type(bucket).open, type(bucket).info

    def spy(self: Any, path: str, mode: str = "rb", *rest: Any, **options: Any) -> Any:
        opened.extend(["read"] if mode == "rb" else [])
        return real_open(self, path, mode, *rest, **options)

    monkeypatch.setattr(type(bucket), "open", spy)
    monkeypatch.setattr(type(bucket), "info", lambda *a, **k: {**real_info(*a, **k), "ETag": tag[0]})
    digests = FileDigests()
    first = digests.of("memory://bucket/a")
    assert digests.of("memory://bucket/a") == first and len(opened) == 1
    bucket.pipe("/bucket/a", b"9")
    tag[0] = "two"
    assert digests.of("memory://bucket/a") != first and len(opened) == 2


def test_a_parameter_that_lists_files_declares_each(project: Any) -> None:
    """``_cache_files_: [paths]`` with several paths: each file's content is in the key."""
    project.write(
        stage_py="def total(paths): return sum(int(open(path).read()) for path in paths)\n",
        story_py="""
        import hydra_cached
        from hydra.utils import instantiate

        node = {"_target_": "stage.total", "paths": ["a.txt", "b.txt"], "_cache_files_": ["paths"]}
        with hydra_cached.activate(dir="cache", min_seconds=0):
            print("total", instantiate(node))
        """,
        a_txt="1",
        b_txt="2",
    )
    environment = {"PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{project.root}"}
    assert "total 3" in project.python("story.py", **environment)
    project.write(b_txt="5")
    assert "total 6" in project.python("story.py", **environment)
