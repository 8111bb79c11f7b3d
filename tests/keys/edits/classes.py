"""Edits of classes, and of all that makes classes behave."""

from __future__ import annotations

from edits.corpus import Project, changed, same

PROJECTS = [
    Project(
        "zoo.animals.Dog",
        {
            "zoo/__init__.py": "",
            "zoo/base.py": """\
                from zoo.mixins import Loud

                VOLUME = 3


                class Animal(Loud):
                    '''An animal.'''

                    legs = 4

                    def speak(self):
                        '''Speak.'''
                        return self.sound() * VOLUME

                    def sound(self):
                        return ""


                class Plant:
                    pass
                """,
            "zoo/mixins.py": """\
                class Loud:
                    def shout(self):
                        return self.speak().upper()


                class Quiet:
                    def whisper(self):
                        return self.speak().lower()
                """,
            "zoo/animals.py": """\
                from functools import cached_property
                from zoo import base

                FOOD = "meat"


                def helper():
                    return 1


                class Dog(base.Animal):
                    kind: str = "dog"

                    def __init__(self, name: str):
                        super().__init__()
                        self.name = name

                    def sound(self):
                        return "wau"

                    @property
                    def food(self):
                        return FOOD

                    @food.setter
                    def food(self, value):
                        self._food = value

                    @staticmethod
                    def static():
                        return helper()

                    @classmethod
                    def make(cls):
                        return cls("x")


                class Cat(base.Animal):
                    def sound(self):
                        return "miau"
                """,
        },
        [
            changed("a method counts", "zoo/animals.py", '"wau"', '"wuff"'),
            changed("a property counts", "zoo/animals.py", "return FOOD", "return FOOD * 2"),
            changed(
                "a property's setter counts", "zoo/animals.py", "self._food = value", "self._food = None"
            ),
            changed("a constant that a property uses counts", "zoo/animals.py", '"meat"', '"bone"'),
            changed("a helper of a static method counts", "zoo/animals.py", "return 1", "return 2"),
            changed("a class method counts", "zoo/animals.py", 'cls("x")', 'cls("y")'),
            changed("an inherited method counts", "zoo/base.py", "self.sound() * VOLUME", "self.sound()"),
            changed("an inherited class attribute counts", "zoo/base.py", "legs = 4", "legs = 2"),
            changed("a constant of an inherited method counts", "zoo/base.py", "VOLUME = 3", "VOLUME = 4"),
            changed("a base of a base counts", "zoo/mixins.py", "upper()", "title()"),
            changed(
                "another base counts", "zoo/animals.py", "class Dog(base.Animal)", "class Dog(base.Plant)"
            ),
            changed("a class attribute counts", "zoo/animals.py", '= "dog"', '= "hound"'),
            changed("a class decorator counts", "zoo/animals.py", "class Dog(", "@print\nclass Dog("),
            changed("a class attribute set afterwards counts", "zoo/animals.py", "", "Dog.tail = 1\n"),
            changed(
                "a new method counts",
                "zoo/animals.py",
                "    @staticmethod",
                "    def __eq__(self, o): return True\n\n    @staticmethod",
            ),
            same("a sibling class does not count", "zoo/animals.py", '"miau"', '"mew"'),
            same(
                "a class beside the base does not count",
                "zoo/base.py",
                "class Plant:\n    pass",
                "class Plant:\n    x = 1",
            ),
            same("a class beside a mixin does not count", "zoo/mixins.py", "lower()", "title()"),
            same("a method's docstring does not count", "zoo/base.py", "'''Speak.'''", "'''Talk.'''"),
            same("a class's docstring does not count", "zoo/base.py", "'''An animal.'''", "'''A beast.'''"),
            same(
                "a method's annotations do not count",
                "zoo/animals.py",
                "name: str):",
                "name: object) -> None:",
            ),
            same(
                "an annotation of self's attribute does not count",
                "zoo/animals.py",
                "self.name = name",
                "self.name: str = name",
            ),
        ],
    ),
    Project(
        "records.Row",
        {
            "records.py": """\
                from dataclasses import dataclass, field
                from typing import NamedTuple, TypedDict

                DEFAULT = 1


                class Plain:
                    size: int = 1


                class Pair(NamedTuple):
                    left: int
                    right: int = 2


                class Options(TypedDict):
                    depth: int


                class Lone:
                    x: int = 1


                @dataclass
                class Row(Plain):
                    name: str
                    value: int = DEFAULT
                    tags: list = field(default_factory=list)

                    def pair(self) -> Pair:
                        return Pair(self.value, 1), Options, Solo


                class Solo:
                    depth: int = 1
                    bare: int
                """
        },
        [
            changed("a dataclass field's type counts", "records.py", "name: str", "name: bytes"),
            changed("a dataclass field's default counts", "records.py", "DEFAULT = 1", "DEFAULT = 2"),
            changed(
                "a new dataclass field counts", "records.py", "    name: str", "    name: str\n    age: int"
            ),
            changed(
                "the order of dataclass fields counts",
                "records.py",
                "    value: int = DEFAULT\n    tags: list = field(default_factory=list)",
                "    tags: list = field(default_factory=list)\n    value: int = DEFAULT",
            ),
            changed(
                "an argument of the dataclass decorator counts",
                "records.py",
                "@dataclass\n",
                "@dataclass(frozen=True)\n",
            ),
            changed("a NamedTuple field's type counts", "records.py", "left: int", "left: float"),
            changed(
                "a TypedDict field's type counts",
                "records.py",
                "    depth: int\n\n\nclass Lone",
                "    depth: str\n\n\nclass Lone",
            ),
            changed(
                "an annotation in a decorated class's base counts",
                "records.py",
                "size: int = 1",
                "size: float = 1",
            ),
            same(
                "a dataclass method's annotations do not count",
                "records.py",
                "def pair(self) -> Pair:",
                "def pair(self):",
            ),
            same(
                "an annotation in a plain class does not count",
                "records.py",
                "depth: int = 1",
                "depth: float = 1",
            ),
            same(
                "a bare annotation in a plain class does not count",
                "records.py",
                "    bare: int\n",
                "    bare: str\n",
            ),
            same(
                "an annotation in a class that is not reached does not count",
                "records.py",
                "x: int = 1",
                "x: float = 1",
            ),
        ],
    ),
    Project(
        "meta.things.target",
        {
            "meta/__init__.py": "from meta import more\n",
            "meta/core.py": """\
                import abc
                import enum

                KINDS = {}


                class Registering(type):
                    def __new__(mcs, name, bases, body):
                        made = super().__new__(mcs, name, bases, body)
                        KINDS[name] = made
                        return made


                class Kind(metaclass=Registering):
                    pass


                class Plugin:
                    known = {}

                    def __init_subclass__(cls, **options):
                        Plugin.known[cls.__name__] = cls


                class Shape(abc.ABC):
                    @abc.abstractmethod
                    def area(self): ...


                class Colour(enum.Enum):
                    RED = 1
                    BLUE = enum.auto()


                class Free:
                    pass
                """,
            "meta/more.py": """\
                from meta.core import Free, Kind, Plugin, Shape


                class First(Kind):
                    level = 1


                class Second(Plugin):
                    level = 2


                class Duck:
                    def area(self):
                        return 3


                Shape.register(Duck)


                class Third(Free):
                    level = 4
                """,
            "meta/things.py": """\
                from meta import core


                def target(name):
                    return core.KINDS[name], core.Plugin.known, core.Shape, core.Colour.RED, core.Free
                """,
        },
        [
            changed("a metaclass counts", "meta/core.py", "KINDS[name] = made", "KINDS[name.lower()] = made"),
            changed(
                "a subclass that a metaclass registers counts", "meta/more.py", "level = 1", "level = 10"
            ),
            changed(
                "a subclass that __init_subclass__ registers counts",
                "meta/more.py",
                "level = 2",
                "level = 20",
            ),
            changed("a class registered with an ABC counts", "meta/more.py", "return 3", "return 30"),
            changed("an enum's member counts", "meta/core.py", "RED = 1", "RED = 2"),
            changed("an enum's other member counts", "meta/core.py", "enum.auto()", "7"),
            changed(
                "an abstract method counts", "meta/core.py", "def area(self): ...", "def area(self, x): ..."
            ),
            same(
                "a subclass of a class that registers nothing does not count",
                "meta/more.py",
                "level = 4",
                "level = 40",
            ),
        ],
    ),
    Project(
        "dispatch.target",
        {
            "dispatch.py": """\
                from functools import singledispatch, singledispatchmethod
                import more_cases


                @singledispatch
                def show(value):
                    return "?"


                @show.register
                def _(value: int):
                    return "int"


                @show.register(str)
                def _text(value):
                    return "str"


                @singledispatch
                def hide(value):
                    return ""


                @hide.register
                def _hidden(value: int):
                    return "-"


                def target(value):
                    return show(value)
                """,
            "more_cases.py": """\
                import dispatch


                @dispatch.show.register(list)
                def show_list(value):
                    return "list"


                @dispatch.hide.register(list)
                def hide_list(value):
                    return "none"
                """,
        },
        [
            changed("an implementation registered by annotation counts", "dispatch.py", '"int"', '"integer"'),
            changed(
                "the annotation that an implementation is registered by counts",
                "dispatch.py",
                "def _(value: int)",
                "def _(value: bool)",
            ),
            changed("an implementation registered by type counts", "dispatch.py", '"str"', '"text"'),
            changed(
                "an implementation registered from another module counts", "more_cases.py", '"list"', '"rows"'
            ),
            same(
                "an implementation of another generic function does not count", "dispatch.py", '"-"', '"--"'
            ),
            same(
                "another module's implementation of another one does not count",
                "more_cases.py",
                '"none"',
                '"no"',
            ),
        ],
    ),
    Project(
        "methods.Model.fit",
        {
            "methods.py": """\
                from parts import Engine, Wheel


                class Model:
                    def fit(self):
                        return self._inner()

                    def _inner(self):
                        return 1


                class Other:
                    def fit(self):
                        return 2


                ENGINE = Engine(4)
                WHEEL = Wheel()
                """,
            "parts.py": """\
                class Engine:
                    def __init__(self, size):
                        self.size = size

                    def start(self):
                        return self.size


                class Wheel:
                    def turn(self):
                        return 1
                """,
        },
        [
            changed(
                "a method target: another method of its class counts", "methods.py", "return 1", "return 10"
            ),
            same("a method target: another class does not count", "methods.py", "return 2", "return 20"),
        ],
    ),
    Project(
        "methods.ENGINE.start",
        {
            "methods.py": """\
                from parts import Engine, Wheel

                ENGINE = Engine(4)
                WHEEL = Wheel()
                """,
            "parts.py": """\
                class Engine:
                    def __init__(self, size):
                        self.size = size

                    def start(self):
                        return self.size


                class Wheel:
                    def turn(self):
                        return 1
                """,
        },
        [
            changed(
                "an object's method as target: how the object is made counts",
                "methods.py",
                "Engine(4)",
                "Engine(6)",
            ),
            changed(
                "an object's method as target: its class counts",
                "parts.py",
                "return self.size",
                "return -self.size",
            ),
            same(
                "an object's method as target: another object does not count",
                "methods.py",
                "WHEEL = Wheel()",
                "WHEEL = None",
            ),
            same(
                "an object's method as target: another class does not count",
                "parts.py",
                "return 1",
                "return 2",
            ),
        ],
    ),
    Project(
        "closures.target",
        {
            "closures.py": """\
                class Base:
                    pass


                class Chosen(Base):
                    level = 1


                class Passed(Base):
                    level = 2


                def make():
                    def build():
                        return Chosen()
                    return build


                def find():
                    return {kind.__name__: kind for kind in Seen.__subclasses__()}


                class Seen:
                    pass


                class Sub(Seen):
                    level = 3


                def target():
                    return make()()


                def scan():
                    return find()
                """
        },
        [
            changed("a subclass named in a closure counts", "closures.py", "level = 1", "level = 10"),
            same("a subclass that nobody names does not count", "closures.py", "level = 2", "level = 20"),
            same("a scan for subclasses elsewhere does not count", "closures.py", "level = 3", "level = 30"),
        ],
    ),
    Project(
        "scans.target",
        {
            "scans.py": """\
                class Seen:
                    pass


                class Sub(Seen):
                    level = 3


                class Apart:
                    level = 4


                def target():
                    return [kind() for kind in Seen.__subclasses__()]
                """
        },
        [
            changed("a subclass found by __subclasses__ counts", "scans.py", "level = 3", "level = 30"),
            same(
                "a class that __subclasses__ does not find does not count",
                "scans.py",
                "level = 4",
                "level = 40",
            ),
        ],
    ),
]
