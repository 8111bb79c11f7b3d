"""Edits of code that finds code by computed names, or reads what usually does not count."""

from __future__ import annotations

from edits.corpus import Project, changed, same


def puzzling(way: str, body: str, note: str, imports: str = "") -> Project:
    """With a puzzle in it, the whole module counts, but not other modules."""
    module = (
        f"{imports}\nimport beside\n\n\ndef target(name):\n    return {body}\n\n\n"
        f"def hidden():\n    '''Doc.'''\n    return 1\n"
    )
    return Project(
        "puzzle.target",
        {"puzzle.py": module, "beside.py": "def lone():\n    return 2\n"},
        [
            changed(f"{way}: the whole module counts", "puzzle.py", "return 1", "return 10"),
            same(f"{way}: docstrings still do not count", "puzzle.py", "'''Doc.'''", "'''Other.'''"),
        ],
        notes=(f"puzzle: {note}: the whole module counts",),
    )


PROJECTS = [
    puzzling("globals()[x]", "globals()[name]()", "globals()"),
    puzzling("eval", "eval(name)", "eval"),
    puzzling("exec", "exec(name)", "exec"),
    puzzling(
        "import_module(x)",
        "importlib.import_module(name)",
        "import_module of a computed name",
        "import importlib",
    ),
    puzzling(
        "imported import_module(x)",
        "import_module(name)",
        "import_module of a computed name",
        "from importlib import import_module",
    ),
    puzzling("__import__(x)", "__import__(name)", "__import__ of a computed name"),
    puzzling("sys.modules[x]", "sys.modules[name]", "sys.modules", "import sys"),
    puzzling("sys.modules[__name__]", "getattr(sys.modules[__name__], name)", "sys.modules", "import sys"),
    Project(
        "user.target",
        {
            "user.py": (
                "import tools\n\n\ndef target(name):\n    return getattr(tools, name)()\n\n\n"
                "def aside():\n    return 1\n"
            ),
            "tools.py": (
                "from extra import third\n\n\ndef one():\n    return 1\n\n\ndef two():\n    return 2\n"
            ),
            "extra.py": "def third():\n    return 3\n\n\ndef fourth():\n    return 4\n",
        },
        [
            changed(
                "getattr of a module with a computed name: all of that module counts",
                "tools.py",
                "return 2",
                "return 20",
            ),
            changed(
                "getattr of a module with a computed name: its imports count",
                "extra.py",
                "return 3",
                "return 30",
            ),
            changed(
                "getattr of a module with a computed name: the module with the getattr counts",
                "user.py",
                "return 1",
                "return 10",
            ),
            same(
                "getattr of a module with a computed name: a function two modules away does not count",
                "extra.py",
                "return 4",
                "return 40",
            ),
        ],
        notes=(
            "tools: an attribute with a computed name: the whole module counts",
            "user: an attribute of tools with a computed name: the whole module counts",
        ),
    ),
    Project(
        "values.target",
        {
            "values.py": (
                "import tools\nimport spare\n\n\ndef run(module):\n    return module.one()\n\n\n"
                "def target():\n    return run(tools)\n"
            ),
            "tools.py": "def one():\n    return 1\n",
            "spare.py": "def one():\n    return 1\n",
        },
        [
            changed("a module passed as a value counts as a whole", "tools.py", "return 1", "return 2"),
            same("a module that is imported and not used does not count", "spare.py", "return 1", "return 2"),
        ],
        notes=("tools: used as a value: the whole module counts",),
    ),
    Project(
        "scanned.target",
        {
            "scanned.py": (
                "import importlib\n\n\ndef target(name):\n"
                "    return importlib.import_module(f'plugs.{name}').run()\n\n\ndef aside():\n"
                "    return 1\n"
            ),
            "plugs/__init__.py": "",
            "plugs/a.py": "def run():\n    return 1\n",
            "plugs/deep/__init__.py": "",
            "plugs/deep/b.py": "def run():\n    return 2\n",
            "others/__init__.py": "",
            "others/c.py": "def run():\n    return 3\n",
        },
        [
            changed(
                "import_module of a partly known name: the package's modules count",
                "plugs/a.py",
                "return 1",
                "return 10",
            ),
            changed(
                "import_module of a partly known name: deeper modules count",
                "plugs/deep/b.py",
                "return 2",
                "return 20",
            ),
            changed(
                "import_module of a partly known name: a new module counts",
                "plugs/new.py",
                "",
                "def run(): return 5\n",
            ),
            same(
                "import_module of a partly known name: another package does not count",
                "others/c.py",
                "return 3",
                "return 30",
            ),
            same(
                "import_module of a partly known name: the rest of the module does not count",
                "scanned.py",
                "return 1",
                "return 10",
            ),
        ],
    ),
    Project(
        "named.target",
        {
            "named.py": (
                "import importlib\n\nWHERE = {'a': 'impl_a', 'b': 'json'}\n\n\n"
                "def target(name):\n    return importlib.import_module(WHERE[name]).run()\n"
            ),
            "impl_a.py": "def run():\n    return 1\n",
            "impl_b.py": "def run():\n    return 2\n",
        },
        [
            changed(
                "a module named by a string beside a computed import counts",
                "impl_a.py",
                "return 1",
                "return 10",
            ),
            same("a module that no string names does not count", "impl_b.py", "return 2", "return 20"),
        ],
    ),
    Project(
        "harmless.target",
        {
            "harmless.py": """\
                import sys


                class Thing:
                    def get(self, name):
                        return getattr(self, name)


                def target(thing, name):
                    if "torch" in sys.modules:
                        name = name.strip()
                    known = globals()["KNOWN"]
                    return getattr(thing, name), Thing().get(name), thing.eval(), vars(), known


                KNOWN = 1
                BESIDE = 2
                """
        },
        [
            same(
                "getattr of a local with a computed name ties nobody",
                "harmless.py",
                "BESIDE = 2",
                "BESIDE = 3",
            ),
            changed("globals() with a constant name is followed", "harmless.py", "KNOWN = 1", "KNOWN = 2"),
        ],
    ),
    Project(
        "docs.target",
        {
            "docs.py": """\
                '''The module's help.'''
                import functools


                def described():
                    '''What it says.'''
                    return 1


                def handing_on(function):
                    def wrapper():
                        return function()
                    wrapper.__doc__ = function.__doc__
                    return wrapper


                def target():
                    return described.__doc__
                """
        },
        [
            changed("a docstring that is read counts", "docs.py", "What it says", "What it means"),
            same(
                "a docstring of what is not reached does not count",
                "docs.py",
                "def target",
                "def more():\n    '''More.'''\n\n\ndef target",
            ),
        ],
    ),
    Project(
        "copied.target",
        {
            "copied.py": """\
                def handing_on(function):
                    def wrapper():
                        return function()
                    wrapper.__doc__ = function.__doc__
                    return wrapper


                @handing_on
                def target():
                    '''What it says.'''
                    return 1
                """
        },
        [
            same(
                "a docstring that is only handed on does not count",
                "copied.py",
                "What it says",
                "What it means",
            )
        ],
    ),
    Project(
        "helped.target",
        {
            "helped.py": (
                "'''Usage: x.'''\nimport docopt\n\n\ndef target():\n"
                "    return parse(__doc__)\n\n\ndef parse(text):\n    return text\n"
            )
        },
        [changed("a module docstring that is read counts", "helped.py", "Usage: x", "Usage: y")],
    ),
    Project(
        "typed.target",
        {
            "typed.py": """\
                from typing import get_type_hints
                import beartype
                import functools


                def shape(a: int, b: str) -> float:
                    return a


                @beartype.beartype
                def checked(a: int):
                    return a


                @functools.lru_cache(maxsize=None)
                def cached(a: int):
                    return a


                def target():
                    return get_type_hints(shape), checked(1), cached(1)
                """
        },
        [changed("annotations that are read at run time count", "typed.py", "b: str", "b: bytes")],
    ),
    Project(
        "checks.target",
        {
            "checks.py": """\
                import beartype
                import functools
                from contextlib import contextmanager


                @beartype.beartype
                def checked(a: int):
                    return a


                @functools.lru_cache(maxsize=None)
                def cached(b: int):
                    return b


                @contextmanager
                def opened(c: int):
                    yield c


                def target():
                    return checked(1), cached(1), opened(1)
                """
        },
        [
            changed("annotations under an unknown decorator count", "checks.py", "a: int", "a: float"),
            same("annotations under lru_cache do not count", "checks.py", "b: int", "b: float"),
            same("annotations under contextmanager do not count", "checks.py", "c: int", "c: float"),
        ],
    ),
]
