"""Edits of functions and of what they use within one module."""

from __future__ import annotations

from edits.corpus import Project, changed, same

PLAIN = """\
    import math

    LIMIT = 3
    UNUSED = 4


    def helper(word, size=LIMIT):
        '''What a helper does.'''
        return word[:size]


    def unrelated(x):
        return x * UNUSED


    def tokenize(text, sep=" "):
        '''Split a text.'''
        # by blanks
        result = [helper(w) for w in text.split(sep)]
        return result
"""

SCOPES = """\
    value = 1
    shadow = 2
    item = 3
    inner_only = 4
    later = 5
    counter = 6
    key = 7
    error = 8


    def other():
        return 0


    def target(shadow, flag=False):
        def nested(x):
            def deeper():
                return inner_only
            return deeper() + x
        item_sum = sum(item for item in [1, 2])
        choose = lambda key: key + later
        try:
            pass
        except ValueError as error:
            print(error)
        total = nested(shadow) + value + item_sum
        return total, choose
"""

PROJECTS = [
    Project(
        "project.text.tokenize",
        {"project/__init__.py": "", "project/text.py": PLAIN},
        [
            changed(
                "a changed statement of the target is noticed",
                "project/text.py",
                "text.split(sep)",
                "text.split()",
            ),
            changed(
                "a changed helper is noticed", "project/text.py", "return word[:size]", "return word[-size:]"
            ),
            changed("a changed default value is noticed", "project/text.py", 'sep=" "', 'sep=","'),
            changed(
                "a changed constant in a default value is noticed",
                "project/text.py",
                "LIMIT = 3",
                "LIMIT = 5",
            ),
            changed("a constant's type counts: 3 is not 3.0", "project/text.py", "LIMIT = 3", "LIMIT = 3.0"),
            changed(
                "a constant's type counts: 1 is not True", "project/text.py", "word[:size]", "word[:True]"
            ),
            changed(
                "a renamed parameter is noticed",
                "project/text.py",
                "def tokenize(text, sep",
                "def tokenize(text, by",
            ),
            changed(
                "a parameter made keyword-only is noticed", "project/text.py", "(text, sep=", "(text, *, sep="
            ),
            changed("a function made async is noticed", "project/text.py", "def helper", "async def helper"),
            changed(
                "a second definition of the target is noticed",
                "project/text.py",
                "",
                "def tokenize(text): return []\n",
            ),
            changed("a second binding of a constant is noticed", "project/text.py", "", "LIMIT = 9\n"),
            changed(
                "an augmented assignment of a constant is noticed", "project/text.py", "", "LIMIT += 1\n"
            ),
            changed("a deletion of a name in use is noticed", "project/text.py", "", "del helper\n"),
            changed(
                "a helper replaced by a lambda is noticed", "project/text.py", "", "helper = lambda w: w\n"
            ),
            changed(
                "a built-in that the module shadows is noticed",
                "project/text.py",
                "",
                "class str: pass\ndef sep(): pass\nhelper = str\n",
            ),
            same("a comment does not count", "project/text.py", "# by blanks", "# at blanks"),
            same(
                "the target's docstring does not count",
                "project/text.py",
                "'''Split a text.'''",
                "'''Cut.'''",
            ),
            same("a removed docstring does not count", "project/text.py", "'''Split a text.'''", ""),
            same("a helper's docstring does not count", "project/text.py", "What a helper does", "It helps"),
            same(
                "a module docstring does not count",
                "project/text.py",
                "import math",
                "'''Words.'''\nimport math",
            ),
            same("blank lines do not count", "project/text.py", "    return result", "\n\n    return result"),
            same("formatting does not count", "project/text.py", "(text, sep=", "(\n    text,\n    sep="),
            same("quotes do not count", "project/text.py", 'sep=" "', "sep=' '"),
            same("redundant parentheses do not count", "project/text.py", "return result", "return (result)"),
            same("a joined string does not count", "project/text.py", 'sep=" "', 'sep="" " "'),
            same("how a number is written does not count", "project/text.py", "LIMIT = 3", "LIMIT = 0x3"),
            same(
                "pass does not count", "project/text.py", "    return result", "    pass\n    return result"
            ),
            same("an unrelated function does not count", "project/text.py", "return x * UNUSED", "return x"),
            same("an unrelated constant does not count", "project/text.py", "UNUSED = 4", "UNUSED = 5"),
            same(
                "a new function does not count", "project/text.py", "", "def fresh(): return tokenize('')\n"
            ),
            same(
                "an unused import does not count",
                "project/text.py",
                "import math",
                "import math\nimport json",
            ),
            same("a print at module level does not count", "project/text.py", "", "print('loaded')\n"),
            same(
                "a script's main block does not count",
                "project/text.py",
                "",
                "if __name__ == '__main__':\n    LIMIT = 8\n    tokenize('')\n",
            ),
            same(
                "argument annotations do not count",
                "project/text.py",
                "(text, sep=",
                "(text: str, sep: str =",
            ),
            same("a return annotation does not count", "project/text.py", 'sep=" "):', 'sep=" ") -> list:'),
            same(
                "an annotation of a local does not count",
                "project/text.py",
                "    result = [",
                "    result: list = [",
            ),
            same(
                "an annotation of a constant does not count", "project/text.py", "LIMIT = 3", "LIMIT: int = 3"
            ),
            same(
                "a bare annotation at module level does not count",
                "project/text.py",
                "LIMIT = 3",
                "LIMIT: int\nLIMIT = 3",
            ),
            same(
                "the order of definitions does not count",
                "project/text.py",
                "def unrelated(x):\n    return x * UNUSED\n\n\ndef tokenize",
                "def tokenize",
            ),
            same(
                "moved lines do not count", "project/text.py", "import math\n", "import math\n\n\n\n\n\n\n\n"
            ),
        ],
    ),
    Project(
        "project.text.tokenize",
        {"project/__init__.py": "", "project/text.py": PLAIN},
        [
            changed(
                "target scope: the target's body counts", "project/text.py", "text.split(sep)", "text.split()"
            ),
            changed(
                "target scope: a default value as written counts", "project/text.py", 'sep=" "', 'sep=","'
            ),
            changed(
                "target scope: a new decorator counts",
                "project/text.py",
                "def tokenize",
                "@staticmethod\ndef tokenize",
            ),
            same(
                "target scope: a helper does not count",
                "project/text.py",
                "return word[:size]",
                "return word",
            ),
            same("target scope: a constant does not count", "project/text.py", "LIMIT = 3", "LIMIT = 4"),
            same("target scope: a docstring does not count", "project/text.py", "Split a text", "Cut a text"),
        ],
        scope="target",
    ),
    Project(
        "project.text.tokenize",
        {"project/__init__.py": "", "project/text.py": PLAIN},
        [same("scope off: nothing counts", "project/text.py", "text.split(sep)", "text.split()")],
        scope="off",
    ),
    Project(
        "scopes.target",
        {"scopes.py": SCOPES},
        [
            changed("a global read in a function counts", "scopes.py", "value = 1", "value = 2"),
            changed(
                "a global read two functions deep counts", "scopes.py", "inner_only = 4", "inner_only = 5"
            ),
            changed("a global read in a lambda counts", "scopes.py", "later = 5", "later = 6"),
            changed("a nested function's body counts", "scopes.py", "deeper() + x", "deeper() - x"),
            same("a global that a parameter shadows does not count", "scopes.py", "shadow = 2", "shadow = 3"),
            same("a global that a comprehension shadows does not count", "scopes.py", "item = 3", "item = 4"),
            same(
                "a global that a lambda's parameter shadows does not count", "scopes.py", "key = 7", "key = 8"
            ),
            same(
                "a global that an except clause shadows does not count", "scopes.py", "error = 8", "error = 9"
            ),
            same("a global that nobody reads does not count", "scopes.py", "counter = 6", "counter = 7"),
        ],
    ),
    Project(
        "walks.target",
        {
            "walks.py": """\
                total = 0
                found = 1
                rest = 2
                chosen = 3
                default = 4
                data = {"a": 1}


                def bump():
                    global total
                    total = total + 1


                def target(values):
                    if (found := len(values)) > 1:
                        pass
                    match values:
                        case [first, *rest]:
                            chosen = first
                        case {"k": default, **data}:
                            chosen = default
                        case _:
                            chosen = None
                    def count():
                        nonlocal chosen
                        chosen = 1
                    return total, found, chosen, count
                """
        },
        [
            changed(
                "a constant behind a global statement elsewhere counts", "walks.py", "total = 0", "total = 9"
            ),
            changed("a function that rebinds a global in use counts", "walks.py", "total + 1", "total + 2"),
            same("a global that a walrus shadows does not count", "walks.py", "found = 1", "found = 2"),
            same("a global that a star pattern shadows does not count", "walks.py", "rest = 2", "rest = 3"),
            same(
                "a global that a mapping pattern shadows does not count",
                "walks.py",
                'data = {"a": 1}',
                "data = {}",
            ),
            same(
                "a global that a capture pattern shadows does not count",
                "walks.py",
                "default = 4",
                "default = 5",
            ),
            same("a global that nonlocal hides does not count", "walks.py", "chosen = 3", "chosen = 4"),
        ],
    ),
    Project(
        "decorated.target",
        {
            "decorated.py": """\
                import functools

                TIMES = 3
                OTHER = 4


                def repeat(times):
                    def decorate(function):
                        @functools.wraps(function)
                        def wrapper(*args):
                            return [function(*args) for _ in range(times)]
                        return wrapper
                    return decorate


                def plain(function):
                    '''Nothing.'''
                    return function


                @repeat(times=TIMES)
                def target(x):
                    return x


                @repeat(times=OTHER)
                def neighbour(x):
                    return x


                wrapped = functools.partial(target, 1)
                quick = plain(target)
                """
        },
        [
            changed(
                "an argument of a decorator counts",
                "decorated.py",
                "@repeat(times=TIMES)",
                "@repeat(times=5)",
            ),
            changed("a constant in a decorator's argument counts", "decorated.py", "TIMES = 3", "TIMES = 4"),
            changed(
                "a decorator's body counts", "decorated.py", "return [function(*args) for", "return [2 for"
            ),
            changed("a decorator taken away counts", "decorated.py", "@repeat(times=TIMES)\n", ""),
            changed("a decorator added counts", "decorated.py", "def target(x)", "@plain\ndef target(x)"),
            same(
                "another function with the same decorator does not count",
                "decorated.py",
                "times=OTHER",
                "times=OTHER + 1",
            ),
            same(
                "a constant of another function's decorator does not count",
                "decorated.py",
                "OTHER = 4",
                "OTHER = 5",
            ),
            same(
                "what is made from the target does not count",
                "decorated.py",
                "partial(target, 1)",
                "partial(target, 2)",
            ),
            same(
                "a harmless call that is given the target does not count",
                "decorated.py",
                "quick = plain(target)",
                "slow = plain(target)",
            ),
        ],
    ),
    Project(
        "partials.target",
        {
            "partials.py": """\
                from functools import partial

                BASE = 2
                SPARE = 3


                def power(base, exponent):
                    return base ** exponent


                def spare(base):
                    return base


                target = partial(power, BASE)
                second = partial(spare, SPARE)
                """
        },
        [
            changed(
                "the function inside a partial counts", "partials.py", "base ** exponent", "base * exponent"
            ),
            changed("an argument bound by a partial counts", "partials.py", "BASE = 2", "BASE = 4"),
            same("a partial beside it does not count", "partials.py", "SPARE = 3", "SPARE = 4"),
        ],
    ),
    Project(
        "scripted.target",
        {
            "scripted.py": """\
                from __future__ import annotations
                from typing import TYPE_CHECKING
                import typing as t

                if TYPE_CHECKING:
                    from collections.abc import Sequence
                    Words = Sequence[str]
                else:
                    Words = list

                if t.TYPE_CHECKING:
                    SIZE = 1

                SIZE = 2


                def target(words: Words) -> t.Any:
                    if TYPE_CHECKING:
                        reveal = words
                    made = Words(words)
                    return made[:SIZE]
                """
        },
        [
            same(
                "a type checker's block does not count",
                "scripted.py",
                "Words = Sequence[str]",
                "Words = 'Sequence'",
            ),
            same(
                "a type checker's import does not count",
                "scripted.py",
                "import Sequence",
                "import Sequence, Set",
            ),
            same("a type checker's binding does not count", "scripted.py", "SIZE = 1", "SIZE = 7"),
            same(
                "a type checker's block in a function does not count",
                "scripted.py",
                "reveal = words",
                "reveal = 1",
            ),
            changed(
                "the other branch of a type checker's block counts",
                "scripted.py",
                "Words = list",
                "Words = tuple",
            ),
            changed("what is outside a type checker's block counts", "scripted.py", "SIZE = 2", "SIZE = 3"),
        ],
    ),
]
