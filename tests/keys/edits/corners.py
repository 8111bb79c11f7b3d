"""Edits in the corners: what a simpler reading of the code would get wrong."""

from __future__ import annotations

from edits.corpus import Project, changed, same

PROJECTS = [
    Project(
        "own.target",
        {
            "own.py": """\
                limit = 1
                later = 2
                early = 3
                default = 4
                maybe = 5
                item = 6
                flag = False


                def target():
                    class Inner:
                        limit = limit + 1
                        early = 0
                        used = early
                        if flag:
                            maybe = 1
                        seen = maybe
                        found = [item for item in (1, 2)]

                        def method(self, default=default):
                            return later

                        later = 0

                    return Inner
                """
        },
        [
            changed(
                "a class attribute made from a global of the same name counts",
                "own.py",
                "limit = 1\n",
                "limit = 2\n",
            ),
            changed("a method sees the global, not the class attribute", "own.py", "later = 2", "later = 3"),
            changed(
                "a default value sees the global of the parameter's name",
                "own.py",
                "default = 4",
                "default = 5",
            ),
            changed(
                "a class attribute that is perhaps not bound leaves the global in play",
                "own.py",
                "maybe = 5",
                "maybe = 6",
            ),
            same("a global that a class attribute hides does not count", "own.py", "early = 3", "early = 4"),
            same(
                "a global that a comprehension in a class hides does not count",
                "own.py",
                "item = 6",
                "item = 7",
            ),
        ],
    ),
    Project(
        "envs.target",
        {
            "envs/__init__.py": """\
                import gymnasium
                import json
                import timm

                gymnasium.register("mine-v0", entry_point="envs.world:World")
                from envs import models


                def target():
                    return gymnasium.make("mine-v0"), timm.create_model("net")
                """,
            "envs/world.py": "class World:\n    size = 1\n\n\nclass Moon:\n    size = 2\n",
            "envs/models.py": """\
                import numba
                from timm import register_model


                @register_model
                def net():
                    return 1


                @numba.njit
                def fast():
                    return 2
                """,
        },
        [
            changed(
                "a class named by a string in a registration counts", "envs/world.py", "size = 1", "size = 10"
            ),
            changed(
                "a function entered in a foreign registry counts", "envs/models.py", "return 1", "return 10"
            ),
            same("a class that no string names does not count", "envs/world.py", "size = 2", "size = 20"),
            same(
                "a foreign decorator that registers nothing ties nobody",
                "envs/models.py",
                "return 2",
                "return 20",
            ),
        ],
    ),
    Project(
        "made.target",
        {
            "made.py": """\
                for kind in ("int", "str"):
                    globals()["read_" + kind] = lambda value, kind=kind: (kind, value)


                def target(value):
                    return read_int(value)


                def helper():
                    return 1
                """
        },
        [
            changed(
                "a name that globals() makes is looked for in the whole module",
                "made.py",
                "(kind, value)",
                "(value, kind)",
            )
        ],
        notes=(
            "made: globals(): the whole module counts",
            "made: read_int is not defined where it can be seen: the whole module counts",
        ),
    ),
    Project(
        "logs.target",
        {
            "logs.py": """\
                import logging

                logger = logging.getLogger(__name__)
                logger.setLevel("INFO")
                if not logger.handlers:
                    logger.addHandler(logging.StreamHandler())


                def timed(function):
                    def wrapper():
                        logger.info("run")
                        return function()
                    return wrapper


                @timed
                def target():
                    return 1


                @timed
                def other():
                    logger.debug("other")
                    return 2
                """
        },
        [
            same("a logger's level does not count", "logs.py", 'setLevel("INFO")', 'setLevel("DEBUG")'),
            same("a logger's handler does not count", "logs.py", "StreamHandler()", "NullHandler()"),
            same("a logger shared by a decorator ties nobody", "logs.py", "return 2", "return 3"),
        ],
    ),
    Project(
        "factory.target",
        {
            "factory.py": """\
                class Registry:
                    def __init__(self):
                        self.known = {}

                    def register(self, name):
                        def decorate(function):
                            self.known[name] = function
                            return function
                        return decorate


                MODELS = Registry()
                TRAINERS = Registry()


                @MODELS.register("a")
                def a():
                    return 1


                @TRAINERS.register("b")
                def b():
                    return 2


                def target(name):
                    return MODELS.known[name]()
                """
        },
        [
            changed("a registry object's entries count", "factory.py", "return 1", "return 10"),
            changed("a registry's class counts", "factory.py", "self.known[name] =", "self.known[name, 1] ="),
            same("another registry's entries do not count", "factory.py", "return 2", "return 20"),
        ],
    ),
    Project(
        "zoo_of_models.app.target",
        {
            "zoo_of_models/__init__.py": "",
            "zoo_of_models/app.py": """\
                from math import *
                from zoo_of_models import models, setup, trainers
                import zoo_of_models.models.big


                def target(name):
                    return getattr(models, name).build(), floor(2.5)
                """,
            "zoo_of_models/models/__init__.py": "",
            "zoo_of_models/models/big.py": "def build():\n    return 1\n",
            "zoo_of_models/models/never.py": "def build():\n    return 2\n",
            "zoo_of_models/setup.py": "import random\nrandom.seed(1)\n",
            "zoo_of_models/trainers.py": "import random\nrandom.seed(2)\n",
        },
        [
            changed(
                "an imported module inside a package of which a computed attribute is taken counts",
                "zoo_of_models/models/big.py",
                "return 1",
                "return 10",
            ),
            same(
                "a module inside that nobody imports does not count",
                "zoo_of_models/models/never.py",
                "return 2",
                "return 20",
            ),
            changed(
                "a star import from another standard module counts",
                "zoo_of_models/app.py",
                "from math",
                "from cmath",
            ),
            changed(
                "the order of imports counts where imports have effects",
                "zoo_of_models/app.py",
                "models, setup, trainers",
                "models, trainers, setup",
            ),
            same(
                "the order of imports without effects does not count",
                "zoo_of_models/app.py",
                "models, setup, trainers",
                "setup, models, trainers",
            ),
        ],
    ),
    Project(
        "config.target",
        {
            "config.py": """\
                from dataclasses import dataclass


                @dataclass
                class Config:
                    size: int = 1

                    @classmethod
                    def load(cls):
                        return cls()


                DEFAULT = Config.load()
                SPECIAL = Config(size=2)


                def target():
                    return Config()
                """
        },
        [
            same(
                "an instance made by a class in use does not count",
                "config.py",
                "Config(size=2)",
                "Config(size=3)",
            ),
            same(
                "an instance made by a class method does not count",
                "config.py",
                "DEFAULT = Config.load()",
                "DEFAULT = (Config.load(),)",
            ),
            changed("the class of such instances counts", "config.py", "size: int = 1", "size: int = 4"),
        ],
    ),
    Project(
        "deep.target",
        {
            "deep.py": "from a1 import f\n\n\ndef target(x):\n    return f(x)\n",
            "a1.py": "from a2 import f as g\n\n\ndef f(x):\n    return g(x)\n",
            "a2.py": "import a3\n\n\ndef f(x):\n    return a3.C().m(x)\n",
            "a3.py": "from a4 import Base\n\n\nclass C(Base):\n    pass\n",
            "a4.py": (
                "from a5 import h\n\n\nclass Base:\n    def m(self, x):\n        '''Doc.'''\n"
                "        return h(x)\n"
            ),
            "a5.py": (
                "K = 1\nL = 2\n\n\ndef h(x):\n    '''Doc.'''\n    return x * K\n\n\ndef i(x):\n"
                "    return x * L\n"
            ),
        },
        [
            changed("a constant five modules away counts", "a5.py", "K = 1", "K = 3"),
            changed("a function five modules away counts", "a5.py", "x * K", "x + K"),
            same("a docstring five modules away does not count", "a5.py", "'''Doc.'''", "'''Text.'''"),
            same("a function beside it five modules away does not count", "a5.py", "x * L", "x + L"),
            same("a constant beside it five modules away does not count", "a5.py", "L = 2", "L = 3"),
        ],
    ),
    Project(
        "generics.target",
        {
            "generics.py": """\
                from typing import Generic, TypeVar, Protocol, overload, cast
                from abc import ABC, abstractmethod

                T = TypeVar("T")


                class Box(Generic[T]):
                    def get(self) -> T:
                        return 1


                class Getter(Protocol):
                    def get(self) -> int: ...


                @overload
                def pick(x: int) -> int: ...
                @overload
                def pick(x: str) -> str: ...
                def pick(x):
                    return cast(Getter, x)


                def target(box: Box[int], getter: "Getter") -> "list[Unknown]":
                    return pick(Box()).get()
                """
        },
        [
            same(
                "an overload's annotations do not count",
                "generics.py",
                "def pick(x: int) -> int: ...",
                "def pick(x: bytes) -> bytes: ...",
            ),
            same(
                "names in dropped annotations are not followed", "generics.py", '"list[Unknown]"', '"list[T]"'
            ),
            changed("a generic class's method counts", "generics.py", "return 1", "return 2"),
        ],
    ),
    Project(
        "swaps.target",
        {
            "swaps.py": """\
                try:
                    import ujson as json
                except ImportError:
                    import json

                try:
                    from blake3 import blake3 as make
                except ImportError:
                    from hashlib import sha256 as make


                async def pull(source):
                    async with source as rows:
                        return [row async for row in rows]


                def target(x, *, mode="fast", **more):
                    assert x, "no x"
                    with open(x) as file:
                        data = json.load(file)
                    return make(data, **more), pull, f"{x!r:>{len(mode)}}"
                """
        },
        [
            changed(
                "another fallback import counts",
                "swaps.py",
                "from hashlib import sha256",
                "from hashlib import sha512",
            ),
            changed(
                "another preferred import counts", "swaps.py", "import ujson as json", "import orjson as json"
            ),
            changed(
                "another caught exception counts",
                "swaps.py",
                "except ImportError:\n    import json",
                "except Exception:\n    import json",
            ),
            changed("an assertion counts", "swaps.py", "assert x,", "assert not x,"),
            changed("an f-string's conversion counts", "swaps.py", "{x!r:", "{x!s:"),
            changed("an f-string's format counts", "swaps.py", ":>{len", ":<{len"),
            changed("a keyword-only default counts", "swaps.py", 'mode="fast"', 'mode="slow"'),
            changed(
                "an async comprehension counts",
                "swaps.py",
                "row async for row in rows",
                "row for row in rows",
            ),
        ],
    ),
]
