"""Trust: directories that others can write to, files of others, groups that share on purpose."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hydra.utils import instantiate
from projects import Project

import hydra_cached
from hydra_cached.errors import UntrustedEntry, UntrustedRoot
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.trust import PRIVATE, SHARED, Access, exposure
from hydra_cached.testing import is_whole, key_of, made

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners and modes")
root_only = pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="needs root, to be several users")
ANN, BOB, EVE, TEAM = 61001, 61002, 61003, 61000  # user numbers, and a group of ann's and bob's
KEY, OTHER = key_of(1), key_of(2)
REPOSITORY = Path(__file__).parents[2]
CONFIG = {"_target_": "fractions.Fraction", "numerator": 3, "denominator": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache directory with an entry in it."""
    LocalStore(tmp_path / "cache").put(KEY, made(1, 100))
    return tmp_path / "cache"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def loosen(path: Path, bits: int) -> None:
    """Let others write to a directory; as root, a group that is not root's own."""
    if bits & 0o020 and os.geteuid() == 0:
        os.chown(path, -1, TEAM)
    path.chmod(mode(path) | bits)


# Which directories are refused.


def test_what_we_make_is_trusted(root: Path) -> None:
    """A directory that this user made, in one that only this user or a sticky bit rules, is nobody else's."""
    assert exposure(root) is None and exposure(root / "not" / "there") is None


@root_only
@pytest.mark.parametrize("bits", [0o020, 0o002, 0o1002])
@pytest.mark.parametrize("which", ["cache", "cache/entries"])
def test_a_root_that_others_can_write_to_is_refused(root: Path, which: str, bits: int) -> None:
    """Group and world, in the root or where its entries lie; a sticky bit does not help, for one can add."""
    loosen(root.parent / which, bits)
    store = LocalStore(root)
    for use in (lambda: store.get(KEY), lambda: store.put(OTHER, made(1, 0)), store.admit):
        with pytest.raises(UntrustedRoot, match="can be written to by") as caught:
            use()
    assert "cache.signing_key" in str(caught.value) and "cache.shared" in str(caught.value)
    assert store.get(OTHER) is None  # a miss needs no trust
    for access in (SHARED, Access(others=True)):
        entry = LocalStore(root, access).get(KEY)
        assert entry is not None and is_whole(entry)


@root_only
def test_a_root_that_belongs_to_somebody_else_is_refused(root: Path) -> None:
    """Root itself does not read what another user may have planted; that user reads what root made."""
    os.chown(root, EVE, -1)
    with pytest.raises(UntrustedRoot, match=f"belongs to user {EVE}"):
        LocalStore(root).get(KEY)
    with mock.patch("os.geteuid", return_value=EVE):
        assert exposure(root) is None


@root_only
@pytest.mark.parametrize("bits", [0o020, 0o002])
@pytest.mark.parametrize("there", [True, False])
def test_a_parent_that_others_can_write_to_is_refused(root: Path, bits: int, there: bool) -> None:
    """Who can write to a directory above can put another in the cache's place, unless it has a sticky bit."""
    parent = root.parent
    cache = root if there else parent / "deep" / "new"
    loosen(parent, bits)
    assert str(parent) in str(exposure(cache))
    with pytest.raises(UntrustedRoot):
        LocalStore(cache).put(KEY, made(1, 0))
    parent.chmod(mode(parent) | stat.S_ISVTX)
    assert exposure(cache) is None
    LocalStore(cache).put(KEY, made(1, 0))


def test_links_on_the_way_are_followed(root: Path, tmp_path: Path) -> None:
    """Neither where a link lies nor where it leads to may be open to others."""
    way = tmp_path / "way"
    way.mkdir(mode=0o700)
    (way / "link").symlink_to(root)
    assert exposure(way / "link") is None
    way.chmod(0o707)
    assert str(way) in str(exposure(way / "link"))
    way.chmod(0o700)
    tmp_path.chmod(0o707)
    assert str(tmp_path) in str(exposure(way / "link"))


def test_a_root_that_somebody_made_after_the_job_began_is_refused(tmp_path: Path) -> None:
    """Trust is asked for again when something is read: a directory can come to be in between."""
    store = LocalStore(tmp_path / "cache")
    store.admit()
    LocalStore(store.root).put(KEY, made(1, 0))
    store.root.chmod(0o777)
    with pytest.raises(UntrustedRoot):
        store.get(KEY)


def test_a_group_of_one_is_not_others(root: Path) -> None:
    """Many systems give each user a group of the same name, and let it write: that is the user alone."""

    def exposed(**group: Any) -> bool:
        user = SimpleNamespace(pw_name="ann", pw_gid=TEAM)
        record = SimpleNamespace(**{"gr_name": "ann", "gr_mem": []} | group)
        status = SimpleNamespace(st_uid=os.geteuid(), st_gid=TEAM, st_mode=0o40770)
        with (
            mock.patch("pwd.getpwuid", return_value=user),
            mock.patch("grp.getgrgid", return_value=record),
            mock.patch.object(Path, "stat", return_value=status),
        ):
            return exposure(root) is not None

    assert not exposed() and not exposed(gr_mem=["ann"])
    assert exposed(gr_mem=["bob"]) and exposed(gr_name="team") and exposed(gr_mem=["ann", "bob"])


# Which files are refused.


@root_only
def test_files_of_others_are_not_read_from_a_cache_of_one_s_own(root: Path) -> None:
    """A file that was planted while the directory was open stays its planter's: it is reported, never read."""
    os.chown(LocalStore(root).path(KEY), EVE, -1)
    for _ in range(2):
        with pytest.raises(UntrustedEntry, match=f"belongs to user {EVE}"):
            LocalStore(root).get(KEY)
    LocalStore(root).put(KEY, made(2, 0))
    assert is_whole(LocalStore(root).get(KEY))  # type: ignore[arg-type]


def test_files_that_others_can_write_to_are_not_read(root: Path) -> None:
    """Nor is one whose mode lets others change it."""
    LocalStore(root).path(KEY).chmod(0o666)
    with pytest.raises(UntrustedEntry, match="everybody"):
        LocalStore(root).get(KEY)
    assert LocalStore(root).path(KEY).exists()


# What a job does.


def cached(root: Path, **options: Any) -> tuple[int, int]:
    """How often a stage hit and ran, when it was asked for twice."""
    with hydra_cached.activate(root, min_seconds=0, **options) as session:
        assert [instantiate(CONFIG) for _ in range(2)] == [0.75, 0.75]
    return session.summary().hits, session.summary().runs


def test_a_job_runs_without_a_cache_that_others_can_write_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The job computes all, stores nothing, and an error in its log says why; with strict, it is an exception."""
    root = tmp_path / "cache"
    root.mkdir()
    root.chmod(0o777)
    with caplog.at_level(logging.ERROR, "hydra_cached"):
        assert cached(root) == (0, 2)
    assert f"The job runs without a cache: {root} can be written to by everybody" in caplog.text
    assert os.listdir(root) == []
    with pytest.raises(UntrustedRoot):
        cached(root, strict=True)


@pytest.mark.parametrize("options", [{"shared": True}, {"signing_key": "k" * 32}])
def test_who_says_so_may_use_it(tmp_path: Path, options: dict[str, Any]) -> None:
    """With ``shared`` or a ``signing_key`` the directory is used."""
    root = tmp_path / "cache"
    root.mkdir()
    root.chmod(0o777)
    assert cached(root, **options) == (1, 1) and cached(root, **options) == (2, 0)


APP = """
import hydra
from hydra.utils import instantiate

@hydra.main(version_base=None, config_name=None)
def main(config):
    print("made", instantiate({"_target_": "fractions.Fraction", "numerator": 3, "denominator": 4}))

main()
"""


def test_an_app_runs_without_a_cache_that_others_can_write_to(project: Project) -> None:
    """The job ends well and says why it had no cache."""
    project.write(app_py=APP)
    (project.root / "open").mkdir()
    (project.root / "open").chmod(0o777)
    said = project.python("app.py", "+cache=disk", "cache.dir=open", "cache.min_seconds=0")
    assert "made 3/4" in said and not os.listdir(project.root / "open")
    assert "The job runs without a cache" in said and "can be written to by everybody" in said


def test_an_app_takes_its_key_from_the_environment(project: Project) -> None:
    """The options work on the command line; the key is in no file that the job leaves, and not in what it says."""
    project.write(app_py=APP)
    secret = "the key of this test"
    options = ["cache.signing_key=${oc.env:THE_KEY}", "cache.max_size=1GB", "cache.max_age=30d"]
    for served in ("0 stages from the cache, 1 run, 1 stored", "1 stage from the cache"):
        command = ["app.py", "+cache=disk", "cache.min_seconds=0", "cache.shared=true", *options]
        said = project.python(*command, THE_KEY=secret)
        assert "made 3/4" in said and served in said and secret not in said
    files = [path for path in project.root.rglob("*") if path.is_file()]
    assert files and not any(secret.encode() in path.read_bytes() for path in files)
    said = project.python(*command, THE_KEY="")
    assert "made 3/4" in said and "The job runs without a cache: cache.signing_key: is empty" in said


def test_verify_unpickles_nothing_that_others_may_have_planted(root: Path) -> None:
    """``hydra-cached verify`` in such a directory checks digests, and says that it went no further."""
    trap = root.parent / "ran"
    LocalStore(root).put(OTHER, planted(trap))
    root.chmod(0o777)
    command = [sys.executable, "-m", "hydra_cached.cli.manage", "--dir", str(root), "verify"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert "nothing was unpickled" in done.stdout and not trap.exists()
    root.chmod(0o700)
    subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert trap.exists()


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def planted(path: Path) -> Any:
    """An entry that would create a file."""
    import pickle

    from hydra_cached.stores.base import Entry, Payload

    return Entry({"target": "fractions.Fraction"}, Payload("pickle5", pickle.dumps(Trap(path), 5)))


# Shared on purpose.


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_what_is_made_in_a_shared_cache_is_the_group_s(tmp_path: Path, mask: int) -> None:
    """Directories are 2770 and files 0660, whatever the umask, from the first that is missing."""
    store = LocalStore(tmp_path / "deep" / "cache", SHARED)
    before = os.umask(mask)
    try:
        store.put(KEY, made(1, 0))
    finally:
        os.umask(before)
    assert all(mode(path) == 0o660 for path in store.root.rglob("*") if path.is_file())
    made_by_us = [path for path in (tmp_path / "deep").rglob("*") if path.is_dir() and path.name != ".swept"]
    assert made_by_us and all(mode(path) == 0o2770 for path in [tmp_path / "deep", *made_by_us])


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach."""
    where = Path(tempfile.mkdtemp())
    where.chmod(0o755)
    yield where
    shutil.rmtree(where)


SETUP = """
import grp, logging, os, pwd, sys
sys.path[:0] = {paths!r}
from hydra_cached.testing import is_whole, key_of, made
from hydra_cached.errors import *
from hydra_cached.stores.bounded import BoundedStore
from hydra_cached.stores.places import LocalPlace
from hydra_cached.stores.eviction import Bounds
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.trim import trim
from hydra_cached.stores.trust import PRIVATE, SHARED
# All is imported: this interpreter may lie where the user cannot go.
os.setgroups({groups})
os.setgid({user})
os.setuid({user})
os.umask({mask})
KEY, OTHER = key_of(1), key_of(2)
directory = LocalStore({root!r}, {access})
store = BoundedStore(directory, LocalPlace(directory), Bounds(10**9))
"""


def as_user(user: int, root: Path, code: str, *, mask: int = 0o022, access: str = "SHARED") -> str:
    """Run code as a real user; ann and bob are in the team, and neither has it for its own group."""
    setup = SETUP.format(
        paths=[str(REPOSITORY), str(Path(__file__).parent)],
        groups=[TEAM] if user in (ANN, BOB) else [],
        user=user,
        mask=mask,
        root=str(root),
        access=access,
    )
    command = [sys.executable, "-c", setup + dedent(code)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@root_only
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_two_users_of_one_group_share_a_cache(place: Path, mask: int) -> None:
    """Each reads, replaces, notes the use of, sets aside, evicts and deletes what the other made."""
    root = place / "cache"
    root.mkdir()
    os.chown(root, ANN, TEAM)
    root.chmod(0o2770)
    as_user(ANN, root, "for n in range(20): store.put(key_of(n), made(n, 100))", mask=mask)
    uses = as_user(
        BOB,
        root,
        """
        for n in range(20): assert is_whole(store.get(key_of(n)))
        store.put(KEY, made(99, 100))
        path = directory.path(OTHER)
        path.write_bytes(path.read_bytes()[:-1])
        try:
            store.get(OTHER)
        except DamagedEntry as error:
            print(error)
        assert store.delete(key_of(3))
        claims = store.claims()
        assert claims.create(KEY, "bob")
        """,
        mask=mask,
    )
    assert "set aside" in uses
    as_user(
        ANN,
        root,
        """
        assert store.get(KEY).manifest["seed"] == 99 and store.get(OTHER) is store.get(key_of(3)) is None
        store.put(OTHER, made(5, 100))
        os.utime(directory.root / "used" / KEY[:2] / KEY)  # noted by bob
        claims = store.claims()
        claims.touch(KEY)
        assert not claims.create(KEY, "ann") and claims.read(KEY)[0] == "bob" and claims.drop(KEY, "bob")
        """,
        mask=mask,
    )
    as_user(
        BOB, root, "assert len(trim(directory, Bounds(0)).gone) == 19 and not list(store.keys())", mask=mask
    )


@root_only
def test_who_is_not_in_the_group_gets_nothing(place: Path) -> None:
    """A shared cache is open to its group, and to nobody else."""
    root = place / "cache"
    root.mkdir()
    os.chown(root, ANN, TEAM)
    root.chmod(0o2770)
    as_user(ANN, root, "store.put(KEY, made(1, 100))")
    as_user(
        EVE,
        root,
        """
        for use in (lambda: store.get(KEY), lambda: store.put(KEY, made(2, 0)), lambda: list(store.keys())):
            try:
                use()
            except OSError:
                continue
            sys.exit("eve got in")
        """,
    )


@root_only
def test_a_cache_of_somebody_else_s_is_refused_by_real_users(place: Path) -> None:
    """Bob neither reads what eve offers him, nor writes into it."""
    root = place / "cache"
    root.mkdir()
    os.chown(root, EVE, EVE)
    root.chmod(0o777)
    as_user(EVE, root, "store.put(KEY, made(1, 100)); os.system('chmod -R a+rwX ' + str(directory.root))")
    for refused in ("store.get(KEY)", "store.put(OTHER, made(1, 0))"):
        said = as_user(
            BOB,
            root,
            f"""
            try:
                {refused}
            except UntrustedRoot as error:
                print("refused:", error)
            """,
            access="PRIVATE",
        )
        assert f"refused: {root} belongs to user {EVE}" in said


def test_private_is_the_default() -> None:
    """Who says nothing shares nothing."""
    assert LocalStore("x").access == PRIVATE == Access(0o700, 0o600, exact=False, others=False)
