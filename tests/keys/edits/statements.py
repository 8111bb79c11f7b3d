"""Edits of module-level statements that bind or change what a target uses."""

from __future__ import annotations

from edits.corpus import Project, changed, same

REGISTRY = """\
    REGISTRY = {}
    ORDER = []


    def register(name):
        def decorate(function):
            REGISTRY[name] = function
            return function
        return decorate


    def remember(function):
        '''A decorator whose wrapper writes, but only when it is called.'''
        def wrapper(*args):
            ORDER.append(args)
            return function(*args)
        return wrapper
"""

PROJECTS = [
    Project(
        "tables.target",
        {
            "tables.py": """\
                import os

                def small(x): return x
                def big(x): return x * 100
                def lone(x): return x - 1

                TABLE = {"small": small}
                TABLE["big"] = big
                SPARE = {"lone": lone}

                NAMES = []
                NAMES.append("a")
                NAMES.append("b")

                OPTIONS = {}
                for name in NAMES:
                    OPTIONS[name] = len(name)

                with open(os.devnull) as nothing:
                    HEADER = nothing.read()

                try:
                    FAST = int("1")
                except ValueError:
                    FAST = 0

                if os.name == "nt":
                    SEP = ";"
                elif os.name == "java":
                    SEP = "#"
                else:
                    SEP = ":"

                FIRST, (SECOND, *OTHERS) = 1, (2, 3)
                A = B = 5
                if (WALRUS := len("xy")) > 1:
                    pass
                COUNT = 0
                COUNT += 2
                UNUSED = []
                UNUSED.append(1)
                STARRED = [*NAMES, "z"]
                LENGTH = len(NAMES)

                while COUNT > 5:
                    COUNT -= 1


                def target(kind, x):
                    '''Look up.'''
                    y = TABLE[kind](x), NAMES, OPTIONS, HEADER, FAST, SEP, FIRST, SECOND, B, WALRUS, COUNT
                    return y, STARRED
                """
        },
        [
            changed(
                "a function reached through a table counts", "tables.py", "return x * 100", "return x * 99"
            ),
            changed(
                "an entry set in a table counts", "tables.py", 'TABLE["big"] = big', 'TABLE["big"] = small'
            ),
            changed(
                "an entry removed from a table counts", "tables.py", "SPARE =", 'del TABLE["big"]\nSPARE ='
            ),
            changed("a method call that fills a list counts", "tables.py", 'append("b")', 'append("c")'),
            changed(
                "the order of changes to one list counts",
                "tables.py",
                'NAMES.append("a")\nNAMES.append("b")',
                'NAMES.append("b")\nNAMES.append("a")',
            ),
            changed(
                "a loop that fills a table counts",
                "tables.py",
                "OPTIONS[name] = len(name)",
                "OPTIONS[name] = 1",
            ),
            changed("a with statement that binds counts", "tables.py", "nothing.read()", "nothing.read(1)"),
            changed("a try statement's except branch counts", "tables.py", "FAST = 0", "FAST = 2"),
            changed("a try statement's body counts", "tables.py", 'int("1")', 'int("2")'),
            changed("an if statement's first branch counts", "tables.py", 'SEP = ";"', 'SEP = "!"'),
            changed("an if statement's middle branch counts", "tables.py", 'SEP = "#"', 'SEP = "!"'),
            changed("an if statement's last branch counts", "tables.py", 'SEP = ":"', 'SEP = "!"'),
            changed("an if statement's test counts", "tables.py", '"nt"', '"posix"'),
            changed("an unpacking assignment counts", "tables.py", "1, (2, 3)", "1, (4, 3)"),
            changed("a chained assignment counts", "tables.py", "A = B = 5", "A = B = 6"),
            changed("a walrus at module level counts", "tables.py", 'len("xy")', 'len("xyz")'),
            changed("an augmented assignment counts", "tables.py", "COUNT += 2", "COUNT += 3"),
            changed("a while loop that rebinds counts", "tables.py", "COUNT -= 1", "COUNT -= 2"),
            changed("a starred element counts", "tables.py", '[*NAMES, "z"]', '[*NAMES, "y"]'),
            changed(
                "an attribute set on a function in use counts",
                "tables.py",
                "SPARE =",
                "small.factor = 2\nSPARE =",
            ),
            changed(
                "a call that may change a list in use counts",
                "tables.py",
                "SPARE =",
                "popped = NAMES.pop()\nSPARE =",
            ),
            changed(
                "a list in use that is passed to a bare call counts",
                "tables.py",
                "SPARE =",
                "os.fsdecode(NAMES)\nSPARE =",
            ),
            changed(
                "setattr on a function in use counts", "tables.py", "SPARE =", "setattr(big, 'k', 1)\nSPARE ="
            ),
            same("an entry of another table does not count", "tables.py", '{"lone": lone}', '{"l": lone}'),
            same("a function in another table does not count", "tables.py", "return x - 1", "return x - 2"),
            same(
                "a change to a list that is not in use does not count",
                "tables.py",
                "UNUSED.append(1)",
                "UNUSED.append(2)",
            ),
            same(
                "a value read off a list in use does not count",
                "tables.py",
                "LENGTH = len(NAMES)",
                "LENGTH = max(NAMES)",
            ),
            same("a docstring beside tables does not count", "tables.py", "'''Look up.'''", "'''Find.'''"),
        ],
    ),
    Project(
        "registry.users.target",
        {
            "registry/__init__.py": "from registry import plugins\n",
            "registry/base.py": REGISTRY,
            "registry/plugins.py": """\
                from registry.base import REGISTRY, register, remember

                STEP = 2


                @register("one")
                def one(x):
                    return helper(x)


                def helper(x):
                    return x + STEP


                def fill(table, name):
                    table[name] = len


                fill(REGISTRY, "len")


                def fill_all(table, other):
                    table["all"] = other
                    return table


                KEPT = fill_all(*[REGISTRY, 3])
                REGISTRY["two"] = lambda x: x + 2


                @remember
                def three(x):
                    return x


                def loose(x):
                    return x
                """,
            "registry/users.py": """\
                from registry.base import REGISTRY, remember


                @remember
                def target(name, x):
                    return REGISTRY[name](x)
                """,
            "registry/never.py": "from registry.base import REGISTRY\nREGISTRY['never'] = 0\n",
        },
        [
            changed(
                "a function registered from another module counts",
                "registry/plugins.py",
                "return helper(x)",
                "return helper(x) + 1",
            ),
            changed(
                "a helper of a registered function counts", "registry/plugins.py", "x + STEP", "x - STEP"
            ),
            changed(
                "a constant of a registered function counts", "registry/plugins.py", "STEP = 2", "STEP = 3"
            ),
            changed(
                "a name under which a function is registered counts",
                "registry/plugins.py",
                '@register("one")',
                '@register("uno")',
            ),
            changed("an entry set from another module counts", "registry/plugins.py", "x + 2", "x + 3"),
            changed(
                "an entry set by a function that another module calls counts",
                "registry/plugins.py",
                'fill(REGISTRY, "len")',
                'fill(REGISTRY, "size")',
            ),
            changed(
                "a table handed over in a list counts",
                "registry/plugins.py",
                "[REGISTRY, 3]",
                "[REGISTRY, 4]",
            ),
            changed(
                "how a registry registers counts",
                "registry/base.py",
                "REGISTRY[name] = function",
                "REGISTRY[name.lower()] = function",
            ),
            changed("a registration taken away counts", "registry/plugins.py", '@register("one")\n', ""),
            changed(
                "a plugin module that is imported no more counts",
                "registry/__init__.py",
                "from registry import plugins",
                "import json",
            ),
            same("a module that nobody imports does not count", "registry/never.py", "= 0", "= 1"),
            same(
                "a function beside the plugins does not count",
                "registry/plugins.py",
                "def loose(x):\n    return x",
                "def loose(x):\n    return 1",
            ),
            same(
                "a decorator that writes only when it is called ties nobody",
                "registry/plugins.py",
                "def three(x):\n    return x",
                "def three(x):\n    return 3",
            ),
        ],
    ),
    Project(
        "effects.target",
        {
            "effects.py": """\
                import decimal
                import logging
                import os
                import random
                import sys

                SEED = 1
                logger = logging.getLogger(__name__)
                logger.setLevel("INFO")
                logging.getLogger("chatty").propagate = False
                decimal.getcontext().prec = 5
                context = decimal.getcontext()
                context.Emin = -5
                logging.basicConfig(level="INFO")
                random.seed(SEED)
                os.environ["THREADS"] = "1"
                _ = random.seed(5)


                def setup(level):
                    random.setstate(level)


                if sys.platform == "linux":
                    setup(3)


                def seed_all(number):
                    random.seed(number)
                    return number


                STARTED = seed_all(7)
                [random.seed(n) for n in (10, 11)]
                sys.flags and random.seed(12)


                def target():
                    logger.info("drawing")
                    return random.random()


                def other():
                    random.seed(9)


                if __name__ == "__main__":
                    random.seed(4)
                """
        },
        [
            changed(
                "a bare call at module level counts", "effects.py", "random.seed(SEED)", "random.seed(2)"
            ),
            changed("a constant that a bare call uses counts", "effects.py", "SEED = 1", "SEED = 2"),
            changed("what is set on what a call gives counts", "effects.py", "prec = 5", "prec = 6"),
            changed("what is set on what a call gave counts", "effects.py", "Emin = -5", "Emin = -6"),
            same("a setting of a logger that is looked up does not", "effects.py", '"chatty").pro', '"loud").pro'),
            changed("a bare call of the project's own function counts", "effects.py", "setup(3)", "setup(4)"),
            changed(
                "the body of a function that is called bare counts",
                "effects.py",
                "random.setstate(level)",
                "random.setstate(1)",
            ),
            changed("the test around a bare call counts", "effects.py", '"linux"', '"darwin"'),
            changed("an environment variable set at module level counts", "effects.py", '= "1"', '= "2"'),
            changed(
                "a call whose result goes to an underscore counts",
                "effects.py",
                "random.seed(5)",
                "random.seed(6)",
            ),
            changed(
                "a seed set by a function whose result is kept counts",
                "effects.py",
                "seed_all(7)",
                "seed_all(8)",
            ),
            changed("a bare comprehension of calls counts", "effects.py", "(10, 11)", "(10, 13)"),
            changed("a call behind a bare and counts", "effects.py", "random.seed(12)", "random.seed(14)"),
            same(
                "logging set up at module level does not count",
                "effects.py",
                'basicConfig(level="INFO")',
                'basicConfig(level="DEBUG")',
            ),
            same(
                "a call in a function that nobody calls does not count",
                "effects.py",
                "random.seed(9)",
                "random.seed(8)",
            ),
            same(
                "a bare call in the main block does not count",
                "effects.py",
                "random.seed(4)",
                "random.seed(3)",
            ),
        ],
    ),
    Project(
        "ordered.target",
        {
            "ordered.py": """\
                X = 1
                Y = X + 1
                X = 2
                Z = 3
                W = 4


                def f():
                    return X


                EARLY = f()
                X = 5
                LATE = "late"


                def target():
                    return X, Y, Z, W, EARLY, LATE
                """
        },
        [
            changed(
                "a read moved past a rebinding counts",
                "ordered.py",
                "Y = X + 1\nX = 2\n",
                "X = 2\nY = X + 1\n",
            ),
            changed(
                "a call moved past a rebinding of what it reads counts",
                "ordered.py",
                "EARLY = f()\nX = 5\n",
                "X = 5\nEARLY = f()\n",
            ),
            same(
                "constants that do not touch may change places",
                "ordered.py",
                "Z = 3\nW = 4\n",
                "W = 4\nZ = 3\n",
            ),
        ],
    ),
    Project(
        "patches.core.target",
        {
            "patches/__init__.py": "from patches import patch\n",
            "patches/core.py": """\
                LEVEL = 1
                FREE = 1


                class Model:
                    size = 1

                    def run(self):
                        return self.size


                class Spare:
                    pass


                def target():
                    return Model().run() + LEVEL
                """,
            "patches/patch.py": """\
                from patches import core
                from patches.core import Model, Spare


                def run(self):
                    return 7


                core.LEVEL = 2
                core.FREE = 2
                Model.size = 3
                Spare.size = 4
                setattr(core.Model, "depth", 5)
                """,
        },
        [
            changed(
                "a class patched from another module counts",
                "patches/patch.py",
                "Model.size = 3",
                "Model.size = 4",
            ),
            changed(
                "a constant set from another module counts",
                "patches/patch.py",
                "core.LEVEL = 2",
                "core.LEVEL = 3",
            ),
            changed(
                "setattr on a class from another module counts",
                "patches/patch.py",
                '"depth", 5',
                '"depth", 6',
            ),
            changed(
                "a method replaced from another module counts",
                "patches/patch.py",
                "Spare.size = 4",
                "Spare.size = 4\nModel.run = run",
            ),
            same(
                "a patch of another class does not count",
                "patches/patch.py",
                "Spare.size = 4",
                "Spare.size = 5",
            ),
            same(
                "a patch of another constant does not count",
                "patches/patch.py",
                "core.FREE = 2",
                "core.FREE = 3",
            ),
        ],
    ),
]
