"""Edits across modules: every way to import."""

from __future__ import annotations

from edits.corpus import Project, changed, same

FUNCTIONS = """\
    def f(x):
        '''Doc.'''
        return g(x)


    def g(x):
        return x + 1


    def h(x):
        return x + 2
"""


def package(importing: str, expression: str, **more: str) -> dict[str, str]:
    """A package whose ``app.target`` imports in one way from ``lib.funcs``."""
    files = {
        "pkg/__init__.py": "",
        "pkg/lib/__init__.py": "",
        "pkg/lib/funcs.py": FUNCTIONS,
        "pkg/app.py": f"{importing}\n\n\ndef target(x):\n    return {expression}\n",
    }
    return {**files, **more}


def both(way: str, importing: str, expression: str) -> Project:
    """The helper that is reached through an import counts; the one beside it does not."""
    return Project(
        "pkg.app.target",
        package(importing, expression),
        [
            changed(f"{way}: the imported function's helper counts", "pkg/lib/funcs.py", "x + 1", "x + 10"),
            same(f"{way}: a function beside it does not count", "pkg/lib/funcs.py", "x + 2", "x + 20"),
            same(f"{way}: its docstring does not count", "pkg/lib/funcs.py", "'''Doc.'''", "'''Other.'''"),
        ],
    )


PROJECTS = [
    both("from a import b", "from pkg.lib.funcs import f", "f(x)"),
    both("from a import b as c", "from pkg.lib.funcs import f as ff", "ff(x)"),
    both("import a.b as c", "import pkg.lib.funcs as fs", "fs.f(x)"),
    both("import a.b", "import pkg.lib.funcs", "pkg.lib.funcs.f(x)"),
    both("relative import", "from .lib.funcs import f", "f(x)"),
    both("relative import of a module", "from .lib import funcs", "funcs.f(x)"),
    both(
        "import inside the function",
        "import json",
        "(__import__('json'), _use(x))\n\n\ndef _use(x):\n    from .lib.funcs import f\n    return f(x)",
    ),
    both(
        "module import inside the function",
        "import json",
        (
            "_use(x)\n\n\ndef _use(x):\n    import pkg.lib.funcs as k\n    def inner():\n"
            "        return k.f(x)\n    return inner()"
        ),
    ),
    both("star import", "from pkg.lib.funcs import *", "f(x)"),
    both("getattr with a constant name", "from pkg.lib import funcs", "getattr(funcs, 'f')(x)"),
    both("import_module of a constant", "import importlib", "importlib.import_module('pkg.lib.funcs').f(x)"),
    both("alias of a module's function", "from pkg.lib import funcs\nalias = funcs.f", "alias(x)"),
    both(
        "conditional import",
        "import sys\nif sys.version_info > (3,):\n    from pkg.lib.funcs import f\nelse:\n    f = None",
        "f(x)",
    ),
    both(
        "guarded import", "try:\n    from pkg.lib.funcs import f\nexcept ImportError:\n    f = None", "f(x)"
    ),
    both(
        "global import in a function",
        "def load():\n    global f\n    from pkg.lib.funcs import f\nload()",
        "f(x)",
    ),
    both(
        "_target_ in a dict",
        "from hydra.utils import instantiate",
        "instantiate({'_target_': 'pkg.lib.funcs.f', 'x': x})",
    ),
    both(
        "get_method of a constant", "from hydra.utils import get_method", "get_method('pkg.lib.funcs.f')(x)"
    ),
    both(
        "sys.modules of a constant is a module as a value", "import sys\nfrom pkg.lib.funcs import f", "f(x)"
    ),
    Project(
        "pkg.public",
        {
            "pkg/__init__.py": "from pkg.api import public, spare\nfrom . import impl\n",
            "pkg/api.py": "from pkg.impl import _public as public\nfrom pkg.impl import spare\n",
            "pkg/impl.py": """\
                def _public(x):
                    return x


                def spare(x):
                    return x * 2
                """,
        },
        [
            changed("a target that is exported twice is found", "pkg/impl.py", "return x\n", "return -x\n"),
            changed(
                "a re-export of something else counts", "pkg/api.py", "_public as public", "spare as public"
            ),
            changed(
                "a definition put over a re-export counts", "pkg/__init__.py", "", "def public(x): return 0\n"
            ),
            same("another re-export does not count", "pkg/impl.py", "x * 2", "x * 3"),
            same("another export taken away does not count", "pkg/__init__.py", "public, spare", "public"),
        ],
    ),
    Project(
        "stars.target",
        {
            "stars.py": (
                "from one import *\nfrom two import *\n\n\ndef target():\n"
                "    return shared(), hidden\n\n\nhidden = 0\n"
            ),
            "one.py": (
                "__all__ = ['shared', 'only_one']\ndef shared(): return 1\n"
                "def only_one(): return 1\nhidden = 1\n"
            ),
            "two.py": "def shared(): return 2\ndef _private(): return 2\n",
        },
        [
            changed(
                "both star imports that bind a name count: the first",
                "one.py",
                "def shared(): return 1",
                "def shared(): return 3",
            ),
            changed(
                "both star imports that bind a name count: the second",
                "two.py",
                "def shared(): return 2",
                "def shared(): return 3",
            ),
            changed(
                "the order of star imports that bind the same name counts",
                "stars.py",
                "from one import *\nfrom two import *",
                "from two import *\nfrom one import *",
            ),
            changed("a name taken out of __all__ counts", "one.py", "'shared', 'only_one'", "'only_one'"),
            changed("a name put into __all__ counts", "one.py", "'only_one']", "'only_one', 'hidden']"),
            same(
                "a star import's other names do not count",
                "one.py",
                "def only_one(): return 1",
                "def only_one(): return 2",
            ),
            same("what __all__ leaves out does not count", "one.py", "hidden = 1", "hidden = 2"),
            same(
                "a star import's private names do not count",
                "two.py",
                "def _private(): return 2",
                "def _private(): return 3",
            ),
            same(
                "an unrelated name put into __all__ does not count",
                "one.py",
                "\nhidden = 1",
                "\n__all__ += ['x']\nhidden = 1",
            ),
        ],
    ),
    Project(
        "lazy.thing",
        {
            "lazy/__init__.py": """\
                import importlib

                _WHERE = {"thing": ".impl"}


                def __getattr__(name):
                    return getattr(importlib.import_module(_WHERE[name], __name__), name)
                """,
            "lazy/impl.py": "def thing(x):\n    return x\n\n\ndef other(x):\n    return x\n",
            "lazy/deep/__init__.py": "",
            "lazy/deep/unused.py": "def third(x):\n    return x\n",
        },
        [
            changed(
                "a target behind a module's __getattr__ is found",
                "lazy/impl.py",
                "def thing(x):\n    return x",
                "def thing(x):\n    return 1",
            ),
            changed(
                "a module's __getattr__ counts",
                "lazy/__init__.py",
                "_WHERE[name], __name__",
                "_WHERE.get(name), __name__",
            ),
            same("a module beside a lazy one does not count", "lazy/deep/unused.py", "return x", "return 2"),
        ],
    ),
    Project(
        "space.inner.mod.target",
        {
            "space/inner/mod.py": "from ..other import helper\n\n\ndef target(x):\n    return helper(x)\n",
            "space/other.py": "def helper(x):\n    return x\n",
            "space/inner/beside.py": "Z = 1\n",
        },
        [
            changed("namespace packages are followed", "space/other.py", "return x", "return 2"),
            changed(
                "a module that gets in front of a namespace package's counts",
                "space/other/__init__.py",
                "",
                "def helper(x): return 3\n",
            ),
            same(
                "a module beside it in a namespace package does not count",
                "space/inner/beside.py",
                "Z = 1",
                "Z = 2",
            ),
        ],
    ),
    Project(
        "initial.sub.mod.target",
        {
            "initial/__init__.py": "import random\nrandom.seed(1)\nNAME = 'x'\n",
            "initial/sub/__init__.py": "from initial.sub.mod import target\n",
            "initial/sub/mod.py": (
                "import initial\nfrom initial import sub\n\n\ndef target():\n"
                "    return initial.__name__, sub.mod.LEVEL\n\n\nLEVEL = 1\n"
            ),
        },
        [
            changed(
                "what a parent package does on import counts", "initial/__init__.py", "seed(1)", "seed(2)"
            ),
            changed("circular imports are followed", "initial/sub/mod.py", "LEVEL = 1", "LEVEL = 2"),
            same("a parent package's names do not count", "initial/__init__.py", "NAME = 'x'", "NAME = 'y'"),
        ],
    ),
    Project(
        "first.target",
        {
            "first.py": "import second\n\n\ndef target(n):\n    return second.even(n)\n",
            "second.py": (
                "import third\n\n\ndef even(n):\n    return n == 0 or third.odd(n - 1)\n\n\n"
                "def lone(n): return n\n"
            ),
            "third.py": (
                "import second\n\n\ndef odd(n):\n    return n != 0 and second.even(n - 1)\n\n\n"
                "def lone(n): return n\n"
            ),
        },
        [
            changed("mutual recursion across modules is followed", "third.py", "n != 0", "n > 0"),
            same(
                "what is beside mutual recursion does not count",
                "third.py",
                "def lone(n): return n",
                "def lone(n): return 1",
            ),
        ],
    ),
    Project(
        "versions.target",
        {"versions.py": "import blake3\nimport pytest\n\n\ndef target(x):\n    return blake3.blake3(x)\n"},
        [
            changed(
                "a third-party function that is used instead counts",
                "versions.py",
                "return blake3.blake3",
                "return pytest.approx",
            ),
            changed(
                "a third-party import under the same name counts",
                "versions.py",
                "import blake3",
                "import pytest as blake3",
            ),
            same(
                "a third-party import that is not used does not count",
                "versions.py",
                "import pytest",
                "import mypy",
            ),
        ],
    ),
    Project(
        "shapes.target",
        {
            "shapes.py": "from kinds import circle\n\n\ndef target(): return circle()\n",
            "kinds/__init__.py": "from .circle import circle\nfrom .square import square\n",
            "kinds/circle.py": "def circle(): return 1\ndef helper(): return 1\n",
            "kinds/square.py": "def square(): return 1\n",
        },
        [
            changed(
                "a function named like its module is followed",
                "kinds/circle.py",
                "def circle(): return 1",
                "def circle(): return 2",
            ),
            same(
                "a function beside one that is named like its module does not count",
                "kinds/circle.py",
                "def helper(): return 1",
                "def helper(): return 2",
            ),
            same(
                "a sibling that a package exports does not count", "kinds/square.py", "return 1", "return 2"
            ),
        ],
    ),
]
