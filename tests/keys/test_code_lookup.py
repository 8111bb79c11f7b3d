"""Where code is found, whose it is, and what happens when there is no source."""

from __future__ import annotations

import ast
import importlib.machinery
import json
import os
import subprocess
import sys
import threading
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from hydra_cached.keys.code import CodeIndex, CodeNotFound, Fingerprint

SCRIPT = """\
    import json, sys
    from hydra_cached.keys.code import CodeIndex
    SIZE = {size}

    def helper(x):
        return x {sign} 1

    def f(x):
        return helper(x)

    class Kind:
        def run(self):
            return helper(SIZE)

    def late():
        return LATE

    if __name__ == "__main__":
        LATE = {size}
        found = {{}}
        for name in ("f", "Kind.run", "late"):
            one = CodeIndex().fingerprint("__main__." + name)
            found[name] = [one.digest, dict(one.parts), one.not_deterministic, list(one.notes)]
        print(json.dumps(found))
"""


GOLD = """\
    import functools
    import math as m
    from dataclasses import dataclass, field

    SIZES = {"a": 1, "b": 2.5, "c": [1j, None, True, ..., b"x", "\u00e9"], **{}}
    SIZES["d"] = -0x10 ** 2

    @dataclass(frozen=True)
    class Row:
        name: "str"
        tags: list = field(default_factory=list)

        @property
        def size(self):
            return f"{self.name!r:>{len(self.tags)}}{{}}" f"{m.pi:.2f}"

    async def rows(source, /, *rest, limit=1_000, **more):
        async with source as opened:
            return [row async for row in opened if row and (size := len(row)) > limit]

    @functools.lru_cache(maxsize=None)
    def target(x, y=SIZES, *, z=lambda a, *b: a @ b):
        global COUNT
        match x:
            case Row(name="a", tags=[first, *others]) | {"k": first, **others} if others:
                return first
            case -1 | None | str():
                COUNT += 1
        try:
            del x[1:2, ::3]
        except (ValueError, KeyError) as error:
            raise RuntimeError(*error.args) from error
        else:
            yield from rows
        finally:
            assert x is not y, "same"
        while not x < y <= 3:
            x //= 2 if x else ~y
            continue
        return {k: v for k, v in z}, {i for i in x}, (yield), rows

    COUNT = 0
"""
GOLD_PARTS = {
    "gold.COUNT": "347e23d9ddb70d6c9bb4a2b2719d123b",
    "gold.Row": "20ccd6aff3cf0901a02f464b1be7d3bd",
    "gold.SIZES": "ea91457b910168bc710b32c6e136211e",
    "gold.dataclass": "523ed8e30e4f0bdd08bb88b937cea6c7",
    "gold.field": "4a9f670e7b64c032fe4cf5c86a7945e0",
    "gold.functools": "481e29fc7aacc5d7ceea6542d259ce94",
    "gold.m": "0368ba285bf9509a418712d96551549e",
    "gold.rows": "530134c453867c41ea8f413de979dfbf",
    "gold.target": "2c63e30f9cbe9949d3f4ee503e36b067",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory on the search path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    assert set(sys.modules) - before <= {"made_in_memory"}, "something was imported"
    sys.modules.pop("made_in_memory", None)


def put(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def look(target: str, scope: str = "project") -> Fingerprint:
    return CodeIndex().fingerprint(target, scope)


def run(source: str, *arguments: str, cwd: Path, name: str = "script.py") -> str:
    path = put(cwd, name, source)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=True
    ).stdout


# Whose it is.


@pytest.mark.parametrize(
    "target", ["math.sqrt", "builtins.int", "json.dumps", "collections.abc.Mapping", "time.time"]
)
def test_the_standard_library_is_pythons_minor_version(target: str) -> None:
    """A target of the standard library is identified by the minor version of Python, and no file is read."""
    found = look(target)
    assert dict(found.parts) == {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    assert not found.files


@pytest.mark.parametrize("scope", ["project", "target"])
def test_a_third_party_target_is_a_distribution_and_its_version(scope: str) -> None:
    """A third-party target is identified by distribution name and version, and no file is read."""
    import importlib.metadata

    found = look("pytest.fixture", scope)
    assert dict(found.parts) == {"pytest": importlib.metadata.version("pytest")}
    assert not found.files


def install(site: Path, name: str, version: str, files: dict[str, str], direct: bool = False) -> Path:
    """Lay out an installed distribution as pip does."""
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    for path, text in files.items():
        put(site, path, text)
    put(
        site,
        f"{metadata.name}/METADATA",
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n",
    )
    put(site, f"{metadata.name}/RECORD", "".join(f"{path},sha256={hash(t)},1\n" for path, t in files.items()))
    if direct:
        put(site, f"{metadata.name}/direct_url.json", '{"url": "file:///x"}')
    return metadata


def test_the_distribution_is_found_whatever_it_is_called(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of a module is found by name, by its list of files, and for parts of namespace packages."""
    site = root / "site-packages"
    install(site, "scikit-new", "1.7.1", {"sknew/__init__.py": "def fit(): pass\n"})
    install(site, "other", "3", {"sk/__init__.py": "", "single.py": "def f(): pass\n"})
    install(site, "spaced-a", "1", {"spaced/a/__init__.py": "def f(): pass\n"})
    install(site, "spaced-b", "2", {"spaced/b/__init__.py": "def f(): pass\n"})
    monkeypatch.syspath_prepend(str(site))
    assert dict(look("sknew.fit").parts) == {"scikit-new": "1.7.1"}
    assert dict(look("single.f").parts) == {"other": "3"}
    assert dict(look("spaced.a.f").parts) == {"spaced-a": "1"}
    put(root, "app.py", "import spaced.b\nfrom sknew import fit\ndef f(): return spaced.b.f(), fit()\n")
    parts = look("app.f").parts
    assert parts["scikit-new"] == "1.7.1" and parts["spaced-b"] == "2" and "spaced-a" not in parts


def test_an_upgrade_in_a_living_process_is_noticed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of a distribution changes fingerprints of the same index."""
    site = root / "site-packages"
    old = install(site, "tool", "1.0", {"tool/__init__.py": "def f(): pass\n"})
    monkeypatch.syspath_prepend(str(site))
    put(root, "app.py", "import tool\ndef f(): return tool.f()\n")
    index = CodeIndex()
    assert index.fingerprint("app.f").parts["tool"] == "1.0"
    for file in old.iterdir():
        file.unlink()
    old.rmdir()
    install(site, "tool", "1.1", {"tool/__init__.py": "def f(): pass\n"})
    assert index.fingerprint("app.f").parts["tool"] == "1.1"


def test_a_distribution_from_a_checkout_is_more_than_its_version(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed from a directory or URL, the list of files counts, for the version need not change."""
    site = root / "site-packages"
    install(site, "tool", "1.0", {"tool/__init__.py": "def f(): pass\n"}, direct=True)
    monkeypatch.syspath_prepend(str(site))
    before = look("tool.f").parts["tool"]
    install(site, "tool", "1.0", {"tool/__init__.py": "def f(): return 2\n"}, direct=True)
    after = look("tool.f").parts["tool"]
    assert before != after and before.startswith("1.0 ")


def test_a_stray_module_in_site_packages_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no distribution has installed has no version, so its source counts."""
    path = put(root, "site-packages/stray.py", "def f(): return 1\n")
    monkeypatch.syspath_prepend(str(path.parent))
    before = look("stray.f").digest
    path.write_text("def f(): return 2\n")
    assert look("stray.f").digest != before


def test_a_module_of_the_project_may_be_called_like_the_standard_librarys(root: Path) -> None:
    """A first-party file in front of a standard module of that name is first-party."""
    put(root, "this.py", "def f(): return 1\n")
    assert "this.f" in look("this.f").parts


# Where it is.


def test_an_editable_install_by_path_file_is_first_party(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source that a .pth file points at is the project's own, also when metadata lies beside it."""
    put(root, "checkout/src/lib/__init__.py", "def f(): return 1\n")
    put(root, "checkout/src/lib.egg-info/PKG-INFO", "Name: lib\nVersion: 1\n")
    put(root, "checkout/src/lib.egg-info/top_level.txt", "lib\n")
    monkeypatch.syspath_prepend(str(root / "checkout/src"))
    assert "lib.f" in look("lib.f").parts


def test_an_editable_install_by_finder_is_first_party(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source that a setuptools finder on sys.meta_path points at is found, submodules too."""
    put(root, "checkout/code/__init__.py", "from .inner import f\n")
    put(root, "checkout/code/inner.py", "def f(): return 1\n")
    finder = types.new_class("_EditableFinder")
    finder.__module__ = "__editable___mapped_1_0_finder"

    def find_spec(fullname: str, path: object = None, target: object = None) -> object:
        from importlib.util import spec_from_file_location

        if fullname == "mapped":
            return spec_from_file_location(fullname, root / "checkout/code/__init__.py")
        return None

    finder.find_spec = staticmethod(find_spec)  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    assert "mapped.inner.f" in look("mapped.f").parts


def test_zip_archives_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source inside a zip archive on the search path is read without importing it."""
    digests = []
    for value in (1, 2):
        archive = root / f"code{value}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped/__init__.py", "from zipped.inner import f\n")
            file.writestr("zipped/inner.py", f"def f(): return {value}\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(archive))
            found = look("zipped.f")
            assert "zipped.inner.f" in found.parts and str(archive) in found.files
            digests.append(found.digest)
    assert digests[0] != digests[1]


def test_a_module_that_gets_in_front_is_noticed(root: Path) -> None:
    """A package that comes to hide a module of the same name changes fingerprints of the same index."""
    put(root, "lib.py", "def f(): return 1\n")
    put(root, "app.py", "import lib\ndef f(): return lib.f()\n")
    index = CodeIndex()
    before = index.fingerprint("app.f").digest
    put(root, "lib/__init__.py", "def f(): return 2\n")
    assert index.fingerprint("app.f").digest != before


def test_an_edit_that_leaves_time_and_size_alone_is_noticed(root: Path) -> None:
    """Two edits within one tick of the clock, of equal length, are told apart."""
    path = put(root, "app.py", "def f(): return 1\n")
    index = CodeIndex()
    before = index.fingerprint("app.f").digest
    stat = path.stat()
    path.write_text("def f(): return 2\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert index.fingerprint("app.f").digest != before


def test_files_are_those_that_were_read(root: Path) -> None:
    """The files of a fingerprint are its modules' and their packages', with time and size."""
    put(root, "pkg/__init__.py", "")
    a = put(root, "pkg/a.py", "from . import b\ndef f(): return b.g()\n")
    put(root, "pkg/b.py", "def g(): return 1\n")
    put(root, "pkg/c.py", "def h(): return 1\n")
    found = look("pkg.a.f")
    assert sorted(os.path.relpath(path, root) for path in found.files) == [
        "pkg/__init__.py",
        "pkg/a.py",
        "pkg/b.py",
    ]
    assert found.files[str(a)] == (a.stat().st_mtime_ns, a.stat().st_size)
    assert list(look("pkg.a.f", "target").files) == [str(a)]


def test_an_extension_module_of_the_project_counts_as_a_file(root: Path) -> None:
    """What a build has put beside the sources has no source to read: its content counts."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    built = root / f"fast{suffix}"
    built.write_bytes(b"one")
    put(root, "app.py", "import fast\ndef f(): return fast.f()\n")
    before, alone = look("app.f"), look("fast.f")
    assert before.notes == ("fast: no source that can be parsed: the whole module counts",)
    built.write_bytes(b"two")
    assert look("app.f").digest != before.digest and look("fast.f").digest != alone.digest
    assert look("fast.f", "target").digest != look("app.f", "target").digest


def test_a_touched_file_is_the_same_code_with_a_new_time(root: Path) -> None:
    """A new time without a new content leaves the digest alone, and the fingerprint tells the new time."""
    path = put(root, "app.py", "def f(): return 1\n")
    index = CodeIndex()
    before = index.fingerprint("app.f")
    os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    after = index.fingerprint("app.f")
    assert after.digest == before.digest and after.files[str(path)][0] == 1_000_000_000


def test_digests_are_the_same_on_every_supported_python(root: Path) -> None:
    """Golden digests: code has one normal form, on every Python and in every later version of hydra-cached.

    If this fails because the normal form was changed on purpose, every stored entry is lost: say so in CHANGELOG.
    """
    put(root, "gold.py", GOLD)
    assert dict(look("gold.target").parts) == GOLD_PARTS


def test_broken_source_counts_as_it_stands(root: Path) -> None:
    """A module that cannot be parsed is reached as a whole, with a note; as a target it is no code."""
    broken = put(root, "broken.py", "def f(:\n")
    put(root, "app.py", "import broken\ndef f(): return broken.f()\n")
    before = look("app.f")
    assert before.notes == ("broken: no source that can be parsed: the whole module counts",)
    broken.write_text("def f(::\n")
    assert look("app.f").digest != before.digest


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module_at_all.f", "no module no_such_module_at_all"),
        ("pkg.f", "its source does not define it, and it is not loaded either"),
        ("pkg", "it is a module"),
        ("pkg.mod", "it is a module"),
        ("pkg..mod", "not a dotted name"),
    ],
)
def test_code_that_is_not_there_is_an_error_that_says_so(root: Path, target: str, reason: str) -> None:
    """The error carries the target and the reason."""
    put(root, "pkg/__init__.py", "")
    put(root, "pkg/mod.py", "")
    with pytest.raises(CodeNotFound) as caught:
        look(target)
    assert (caught.value.target, caught.value.reason) == (target, reason)


def test_a_scope_that_does_not_exist_is_an_error() -> None:
    """A misspelt scope is an error of its own."""
    with pytest.raises(ValueError, match="scope is 'everything'"):
        look("math.sqrt", "everything")


def test_scope_off_is_one_digest_for_all(root: Path) -> None:
    """Without code in the key, all targets have the same digest; the mark is still seen."""
    put(
        root,
        "app.py",
        "from hydra_cached import not_deterministic\n@not_deterministic\ndef f(): pass\ndef g(): pass\n",
    )
    assert look("app.f", "off").digest == look("app.g", "off").digest == look("math.sqrt", "off").digest
    assert look("app.f", "off").not_deterministic and not look("app.g", "off").not_deterministic


def test_scopes_have_digests_of_their_own(root: Path) -> None:
    """The same parts under another scope are another digest."""
    put(root, "app.py", "def f(): return 1\n")
    assert len({look("app.f", scope).digest for scope in ("project", "target", "off")}) == 3


# The mark.


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("from hydra_cached import not_deterministic\n@not_deterministic\ndef f(): pass", "f", True),
        ("from hydra_cached import not_deterministic as nd\n@nd\ndef f(): pass", "f", True),
        ("import hydra_cached\n@hydra_cached.not_deterministic\ndef f(): pass", "f", True),
        ("import hydra_cached as hc\n@print\n@hc.not_deterministic\ndef f(): pass", "f", True),
        (
            "from hydra_cached.execution.hydra_utils import not_deterministic as x\n@x\ndef f(): pass",
            "f",
            True,
        ),
        ("import hydra_cached.execution.hydra_utils as u\n@u.not_deterministic\ndef f(): pass", "f", True),
        ("from marks_of_ours import fresh\n@fresh\ndef f(): pass", "f", True),
        (
            "from hydra_cached import not_deterministic\n@not_deterministic\nclass C:\n    def m(self): pass",
            "C",
            True,
        ),
        (
            "from hydra_cached import not_deterministic\n@not_deterministic\nclass C:\n    def m(self): pass",
            "C.m",
            True,
        ),
        (
            "from hydra_cached import not_deterministic\nclass C:\n    @not_deterministic\n    def m(self): pass",
            "C.m",
            True,
        ),
        (
            "from hydra_cached import not_deterministic\nclass C:\n    @not_deterministic\n    def m(self): pass",
            "C",
            False,
        ),
        (
            "from hydra_cached import not_deterministic\nclass C:\n    @not_deterministic\n    def m(self): pass\n"
            "class D(C): pass",
            "D.m",
            True,
        ),
        (
            "from hydra_cached import not_deterministic\n@not_deterministic\nclass C: pass\nclass D(C): pass",
            "D",
            False,
        ),
        ("from hydra_cached import not_deterministic\ndef g(): pass\nf = not_deterministic(g)", "f", True),
        (
            "try:\n    from hydra_cached import not_deterministic\nexcept ImportError:\n"
            "    def not_deterministic(f): return f\n@not_deterministic\ndef f(): pass",
            "f",
            True,
        ),
        (
            "from hydra_cached import not_deterministic\n@not_deterministic\ndef g(): pass\ndef f(): return g()",
            "f",
            False,
        ),
        ("def not_deterministic(f): return f\n@not_deterministic\ndef f(): pass", "f", False),
    ],
)
def test_the_mark_is_seen_in_source(root: Path, source: str, target: str, expected: bool) -> None:
    """``not_deterministic`` is recognised under every alias, and nothing else is taken for it."""
    put(root, "marks_of_ours.py", "from hydra_cached import not_deterministic\nfresh = not_deterministic\n")
    put(root, "app.py", source)
    assert look(f"app.{target}").not_deterministic is expected


def test_hydra_cached_itself_is_never_a_part(root: Path) -> None:
    """A decorator of hydra-cached does not put hydra-cached's code or version into fingerprints."""
    put(root, "app.py", "from hydra_cached import not_deterministic\n@not_deterministic\ndef f(): pass\n")
    assert sorted(look("app.f").parts) == ["app.f", "app.not_deterministic"]


# Without source.


def test_scripts_with_equal_functions_and_other_helpers_differ(tmp_path: Path) -> None:
    """``__main__.f`` of two scripts is told apart by what f reaches."""
    digests = []
    for sign in "+-":
        source = dedent(SCRIPT).format(sign=sign, size=1)
        found = json.loads(run(source, cwd=tmp_path))
        assert set(found["f"][1]) == {"__main__.f", "__main__.helper"}
        digests.append(found["f"][0])
    assert digests[0] != digests[1]


def test_a_scripts_main_block_is_part_of_it(tmp_path: Path) -> None:
    """A name that a script binds in its main block counts where it is used, and nowhere else."""
    one, two = (json.loads(run(dedent(SCRIPT).format(sign="+", size=size), cwd=tmp_path)) for size in (1, 2))
    assert one["late"][0] != two["late"][0] and one["f"][0] == two["f"][0]


def test_a_script_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    """The path of a script is not in its fingerprint."""
    source = dedent(SCRIPT).format(sign="+", size=1)
    one, two = (json.loads(run(source, cwd=tmp_path / name, name=f"{name}.py")) for name in ("one", "two"))
    assert one["Kind.run"][:2] == two["Kind.run"][:2]


def in_memory(source: str) -> None:
    module = types.ModuleType("made_in_memory")
    sys.modules["made_in_memory"] = module
    exec(compile(dedent(source), "<made>", "exec"), module.__dict__)


MEMORY = """
    import math
    import helpers_on_disk
    SIZE = 3
    TABLE = {"a": [1, 2.0]}

    def helper(x):
        '''Help.'''
        return x + SIZE

    def f(x, y=1):
        '''Doc.'''
        return helper(x) + y + math.pi + helpers_on_disk.g(TABLE)

    class C:
        kind = "c"
        def m(self):
            return helper(1)
"""


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        ("return x + SIZE", "return x - SIZE", "changed"),
        ("SIZE = 3", "SIZE = 4", "changed"),
        ("SIZE = 3", "SIZE = 3.0", "changed"),
        ("[1, 2.0]", "[1, 2]", "changed"),
        ("y=1", "y=2", "changed"),
        ('"c"', '"d"', "same"),
        ("'''Doc.'''", "'''Other.'''", "same"),
        ("'''Help.'''", "'''Other.'''", "same"),
        ("import math", "# a comment\n\n    import math", "same"),
    ],
)
def test_code_that_is_only_in_memory_is_told_apart(root: Path, old: str, new: str, outcome: str) -> None:
    """Without source, bytecode, constants, defaults and what they name count; comments and docstrings do not."""
    put(root, "helpers_on_disk.py", "def g(x): return x\n")
    import importlib

    importlib.invalidate_caches()
    sys.modules["helpers_on_disk"] = importlib.import_module("helpers_on_disk")
    try:
        in_memory(MEMORY)
        index = CodeIndex()
        before = index.fingerprint("made_in_memory.f")
        assert "helpers_on_disk.g" in before.parts and "made_in_memory.helper" in before.parts
        in_memory(MEMORY.replace(old, new))
        after = index.fingerprint("made_in_memory.f")
    finally:
        del sys.modules["helpers_on_disk"]
    assert ("same" if before.digest == after.digest else "changed") == outcome


def test_a_class_in_memory_counts_with_its_methods(root: Path) -> None:
    """A method target of a class without source follows the method."""
    source = "class C:\n    kind = 1\n    def m(self): return self.kind\n"
    in_memory(source)
    before = look("made_in_memory.C")
    in_memory(source.replace("return self.kind", "return -self.kind"))
    assert look("made_in_memory.C").digest != before.digest


def test_a_value_in_memory_without_a_digest_is_an_error(root: Path) -> None:
    """A function that names an object whose value cannot be told has no fingerprint."""
    in_memory("import threading\nlock = iter([1])\ndef f(): return next(lock)\n")
    with pytest.raises(CodeNotFound, match="in memory"):
        look("made_in_memory.f")


def test_a_marked_function_in_memory_is_marked(root: Path) -> None:
    """The mark of a function without source is read off the function."""
    in_memory("from hydra_cached import not_deterministic\n@not_deterministic\ndef f(): return 1\n")
    assert look("made_in_memory.f").not_deterministic


def test_the_digest_of_memory_does_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """Sets among constants and defaults do not bring the hash seed into a digest."""
    source = """
        import sys, types
        module = types.ModuleType("m"); sys.modules["m"] = module
        exec('WORDS = {"a", "bb", "ccc"}\\ndef f(x, y=frozenset("xyz")):\\n'
             '    return x in {"one", "two", "three"}, WORDS', module.__dict__)
        from hydra_cached.keys.code import CodeIndex
        print(CodeIndex().fingerprint("m.f").digest)
    """
    digests = set()
    for seed in ("0", "1", "77"):
        os.environ["PYTHONHASHSEED"] = seed
        try:
            digests.add(run(source, cwd=tmp_path))
        finally:
            del os.environ["PYTHONHASHSEED"]
    assert len(digests) == 1


# Being cheap and shared.


def test_threads_may_share_an_index(root: Path) -> None:
    """Fingerprints asked for by several threads at once are those that one thread would get."""
    for number in range(8):
        put(
            root,
            f"mod{number}.py",
            f"from mod{(number + 1) % 8} import f as g\ndef f(x): return g(x) + {number}\n",
        )
    expected = {number: look(f"mod{number}.f").digest for number in range(8)}
    index = CodeIndex()
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = index.fingerprint(f"mod{number}.f").digest

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_a_second_look_parses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged project is not parsed again, and an edited file is the only one that is."""
    import ast

    for number in range(5):
        put(root, f"mod{number}.py", f"import mod{number + 1}\ndef f(x): return mod{number + 1}.f(x)\n")
    put(root, "mod5.py", "def f(x): return x\n")
    index = CodeIndex()
    before = index.fingerprint("mod0.f")
    parsed: list[str] = []
    real = ast.parse

    def counting(source: bytes, filename: str = "", **more: object) -> ast.AST:
        parsed.append(os.path.basename(filename))
        return real(source, filename, **more)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(ast, "parse", counting)
    assert index.fingerprint("mod0.f") is before
    put(root, "mod3.py", "import mod4\ndef f(x): return mod4.f(x) + 1\n")
    assert index.fingerprint("mod0.f").digest != before.digest
    assert parsed == ["mod3.py"]


@pytest.mark.parametrize("size", [150, 300, 600, 900, 3000])
def test_very_deep_expressions_do_not_break(root: Path, size: int) -> None:
    """An expression nested deeper than the interpreter's stack still has a fingerprint that tells edits."""
    long = " + ".join(f"x{n}" for n in range(size))
    path = put(root, "deep.py", f"x1 = 1\ndef f():\n    return {long}\n")
    before = look("deep.f").digest
    path.write_text(path.read_text().replace(f"x{size - 1}", "xx"))
    after = look("deep.f").digest
    assert before != after
    path.write_text(path.read_text().replace("x1 = 1", "x1 = 2"))
    assert look("deep.f").digest != after


def test_what_another_process_followed_is_not_followed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remembered fingerprint that still holds is taken without parsing anything; edits are seen all the same."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "deep.py").write_text("import deeper\ndef f():\n    return deeper.g()\n")
    (tmp_path / "deeper.py").write_text("def g():\n    return 1\n")
    memory: dict[str, str] = {}
    made = CodeIndex(slow=0).fingerprint("deep.f", memory=memory)
    assert len(memory) == 1

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("something was parsed")

    with monkeypatch.context() as patched:
        patched.setattr(ast, "parse", refuse)
        index = CodeIndex()
        assert index.fingerprint("deep.f", memory=memory) == made
        (tmp_path / "deeper.py").write_text("def g():\n    return 2\n")
        for each in (index, CodeIndex()):
            with pytest.raises(AssertionError, match="was parsed"):
                each.fingerprint("deep.f", memory=memory)
    assert index.fingerprint("deep.f", memory=memory).digest != made.digest


def test_a_module_that_comes_in_between_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes the place of one that was read makes what was remembered void, and so does a new import."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "second"))
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    (tmp_path / "second" / "deep.py").write_text(
        "import pkg\ntry:\n    import perhaps\nexcept ImportError:\n    perhaps = None\n"
        "def f():\n    return perhaps, pkg.g()\n"
    )
    (tmp_path / "second" / "pkg").mkdir()
    (tmp_path / "second" / "pkg" / "__init__.py").write_text("def g():\n    return 1\n")
    memory: dict[str, str] = {}

    def digest() -> str:
        return CodeIndex(slow=0).fingerprint("deep.f", memory=memory).digest

    digests = [digest()]
    (tmp_path / "second" / "perhaps.py").write_text("X = 1\n")
    digests.append(digest())
    (tmp_path / "first" / "pkg.py").write_text("def g():\n    return 2\n")
    digests.append(digest())
    assert digests[1] != digests[0] != digests[2] != digests[1]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "~" * 40])
def test_a_memory_that_makes_no_sense_is_no_memory(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the place of what was remembered, the code is followed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "deep.py").write_text("def f():\n    return 1\n")
    memory: dict[str, str] = {}
    made = CodeIndex(slow=0).fingerprint("deep.f", memory=memory)
    for key in memory:
        memory[key] = text
    assert CodeIndex().fingerprint("deep.f", memory=memory) == made
