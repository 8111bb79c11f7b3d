"""What the generated configs call: targets of every kind, each call of which is written down in ``CALLS``."""

from __future__ import annotations

import dataclasses
import enum
import functools
import threading
from dataclasses import dataclass, field
from typing import Any

from hydra.utils import instantiate as hydra_instantiate
from omegaconf import MISSING, OmegaConf

from hydra_cached import not_deterministic

HERE = __name__
CALLS: list[str] = []


def called(name: str) -> None:
    CALLS.append(name)


class Color(enum.Enum):
    RED = 1
    GREEN = "green"


class Record:
    """Keeps what it was called with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        called("Record")
        self.args, self.kwargs = args, kwargs

    class Nested:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            called("Nested")
            self.args, self.kwargs = args, kwargs

        @classmethod
        def make(cls, *args: Any, **kwargs: Any) -> Any:
            called("Nested.make")
            return cls(*args, **kwargs)

        def __repr__(self) -> str:
            return "Nested()"

    @classmethod
    def make(cls, *args: Any, **kwargs: Any) -> Any:
        called("make")
        return cls(*args, **kwargs)

    @staticmethod
    def plain(*args: Any, **kwargs: Any) -> Any:
        called("plain")
        return ("plain", args, kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Child(Record):
    """Inherits its constructor and its class method."""


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any = 0, b: Any = 0) -> None:
        called("Slotted")
        self.a, self.b = a, b

    def __repr__(self) -> str:
        return "Slotted()"


class Callable:
    """Its instances are targets too."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        called("instance")
        return ("instance", args, kwargs)

    def method(self, *args: Any, **kwargs: Any) -> Any:
        called("bound")
        return ("bound", args, kwargs)

    def __repr__(self) -> str:
        return "Callable()"


INSTANCE = Callable()
BOUND = INSTANCE.method
CONSTANT = 3
PARTIAL = functools.partial(Record, "preset")
LAMBDA = lambda *args, **kwargs: ("lambda", args, kwargs)  # noqa: E731


def record(*args: Any, **kwargs: Any) -> Any:
    called("record")
    return ("record", args, kwargs)


def strict(a: Any, b: Any = 1) -> Any:
    called("strict")
    return ("strict", a, b)


def same(*args: Any, **kwargs: Any) -> Any:
    """Returns what it was given, itself."""
    called("same")
    return args[0] if args else kwargs


def first(a: Any = None, **kwargs: Any) -> Any:
    called("first")
    return a


def twice(a: Any = None, **kwargs: Any) -> Any:
    called("twice")
    return [a, a]


def none(*args: Any, **kwargs: Any) -> None:
    called("none")


def numbers(*args: Any, **kwargs: Any) -> Any:
    called("numbers")
    return [1, 1.0, True, None]


def mapping(*args: Any, **kwargs: Any) -> Any:
    called("mapping")
    return {"a": args, 1: kwargs}


def config(*args: Any, **kwargs: Any) -> Any:
    """Returns a config of its own."""
    called("config")
    return OmegaConf.create({"x": {"y": 1}, "z": "${.x.y}", "gone": "???"})


def frozen_config(*args: Any, **kwargs: Any) -> Any:
    called("frozen_config")
    made = OmegaConf.create({"x": [1, 2]})
    OmegaConf.set_readonly(made, True)
    return made


def the_class(*args: Any, **kwargs: Any) -> Any:
    called("the_class")
    return Record


def the_function(*args: Any, **kwargs: Any) -> Any:
    called("the_function")
    return record


def a_partial(*args: Any, **kwargs: Any) -> Any:
    called("a_partial")
    return functools.partial(record, *args, **kwargs)


def generator(*args: Any, **kwargs: Any) -> Any:
    called("generator")
    yield from (1, args, 2)


def iterator(*args: Any, **kwargs: Any) -> Any:
    called("iterator")
    return iter([1, 2])


def lock(*args: Any, **kwargs: Any) -> Any:
    called("lock")
    return threading.Lock()


def closure(*args: Any, **kwargs: Any) -> Any:
    called("closure")

    def inner() -> Any:
        return args

    return inner


def color(*args: Any, **kwargs: Any) -> Any:
    called("color")
    return Color.GREEN


def plain_of(*args: Any, **kwargs: Any) -> Any:
    """Turns the configs that it receives into plain containers."""
    called("plain_of")

    def plain(value: Any) -> Any:
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    # The order of keyword arguments is not in keys.
    return [plain(value) for value in (*args, *(kwargs[name] for name in sorted(kwargs)))]


def types_of(*args: Any, **kwargs: Any) -> Any:
    called("types_of")
    return [type(value).__name__ for value in args], {k: type(v).__name__ for k, v in kwargs.items()}


def asks(*args: Any, **kwargs: Any) -> Any:
    """Asks the configs that it receives about their surroundings."""
    called("asks")
    answers = []
    for value in (*args, *(kwargs[name] for name in sorted(kwargs))):
        if OmegaConf.is_config(value):
            answers.append(
                (OmegaConf.is_readonly(value), OmegaConf.is_struct(value), value._get_full_key(None))
            )
    return answers


class Twisted(Exception):
    """An error that says little about itself, and cannot be pickled."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(code)
        self.code, self.reason, self.lock = code, reason, threading.Lock()

    def __str__(self) -> str:
        return f"twisted {self.code} {self.reason}"

    def __repr__(self) -> str:
        return f"Twisted({self.code}, reason={self.reason!r})"


@not_deterministic
def volatile(*args: Any, **kwargs: Any) -> Any:
    called("volatile")
    return ("volatile", args, kwargs)


@not_deterministic
def fails_often(*args: Any, **kwargs: Any) -> Any:
    called("fails_often")
    raise OSError("gone")


def fails(*args: Any, **kwargs: Any) -> Any:
    called("fails")
    raise ValueError(f"with {len(args)} and {sorted(kwargs)}")


def fails_twisted(*args: Any, **kwargs: Any) -> Any:
    called("fails_twisted")
    raise Twisted(7, reason="bad")


def fails_chained(*args: Any, **kwargs: Any) -> Any:
    called("fails_chained")
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("outer") from error


def stops(*args: Any, **kwargs: Any) -> Any:
    called("stops")
    raise StopIteration("early")


def interrupts(*args: Any, **kwargs: Any) -> Any:
    called("interrupts")
    raise KeyboardInterrupt("now")


def leaves(*args: Any, **kwargs: Any) -> Any:
    called("leaves")
    raise SystemExit(3)


def mutates(*args: Any, **kwargs: Any) -> Any:
    """Changes what it receives, and returns it."""
    called("mutates")
    for value in (*args, *kwargs.values()):
        if isinstance(value, Record):
            value.kwargs["mutated"] = value.kwargs.get("mutated", 0) + 1
        elif isinstance(value, list) or OmegaConf.is_list(value):
            value.append("mutated")
        elif isinstance(value, dict) or OmegaConf.is_dict(value):
            value["mutated"] = True
    return (args, kwargs)


def builds(*args: Any, **kwargs: Any) -> Any:
    """Instantiates the configs that it receives; for nodes with ``_recursive_: false``."""
    called("builds")

    def built(value: Any) -> Any:
        is_node = OmegaConf.is_dict(value) or isinstance(value, dict)
        return hydra_instantiate(value) if is_node else value

    return [built(value) for value in args], {name: built(value) for name, value in kwargs.items()}


def builds_with(a: Any = None, **kwargs: Any) -> Any:
    """The same with overrides at the call."""
    called("builds_with")
    return hydra_instantiate(a, c=len(kwargs)) if OmegaConf.is_dict(a) else a


@dataclass
class Plain:
    x: int = 1
    y: list[int] = field(default_factory=lambda: [1, 2])
    z: Any = None


@dataclass
class Deep:
    inner: Plain = field(default_factory=Plain)
    gone: int = MISSING
    maybe: Plain | None = None


@dataclass
class RecordConf:
    _target_: str = f"{HERE}.Record"
    a: Any = 1
    b: Any = None


@dataclass
class PartialConf:
    _target_: str = f"{HERE}.record"
    _partial_: bool = True
    a: Any = MISSING


@dataclass
class PipelineConf:
    _target_: str = f"{HERE}.record"
    _convert_: str = "none"
    _recursive_: bool = True
    plain: Plain = field(default_factory=Plain)
    child: RecordConf = field(default_factory=RecordConf)
    children: list[RecordConf] = field(default_factory=lambda: [RecordConf(a=2), RecordConf(a="${..0.a}")])
    link: Any = "${.plain}"


@dataclass
class ModesConf:
    _target_: str = f"{HERE}.Record"
    _convert_: str = "object"
    a: Any = field(default_factory=Deep)


class Opaque:
    """An object without a canonical form; it can be copied and pickled."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Opaque({self.number})"


class NotCopyable:
    """Passed through, never copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("must not be copied")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("must not be pickled")

    def __repr__(self) -> str:
        return "NotCopyable()"


@dataclasses.dataclass(frozen=True)
class Make:
    """Stands in generated data for an object that is made afresh for each run."""

    kind: str
    number: int = 0

    def __call__(self) -> Any:
        n = self.number
        made = {
            "opaque": lambda: Opaque(n),
            "not_copyable": NotCopyable,
            "generator": lambda: (each for each in (n, 2)),
            "plain": lambda: Plain(x=n),
            "plain_class": lambda: Plain,
            "deep": lambda: Deep(inner=Plain(x=n)),
            "record_conf": lambda: RecordConf(a=n),
            "record_conf_deep": lambda: RecordConf(a=RecordConf(a=n), b=Plain(x=n)),
            "partial_conf": lambda: PartialConf(),
            "pipeline_conf": lambda: PipelineConf(),
            "modes_conf": lambda: ModesConf(),
            "dict_config": lambda: OmegaConf.create({"x": n, "y": {"z": "${x}"}}),
            "dict_config_target": lambda: OmegaConf.create({"_target_": f"{HERE}.record", "a": n}),
            "list_config": lambda: OmegaConf.create([n, {"_target_": f"{HERE}.record"}]),
            "none_config": lambda: OmegaConf.create({"x": None})._get_node("x"),
            "record": lambda: _quietly(Record, n),
            "class": lambda: Record,
            "nested_class": lambda: Record.Nested,
            "function": lambda: record,
            "method": lambda: Record.make,
            "static": lambda: Record.plain,
            "lambda": lambda: LAMBDA,
            "instance": lambda: INSTANCE,
            "partial": lambda: PARTIAL,
            "enum": lambda: Color.RED,
            "set": lambda: {n, "x"},
            "complex": lambda: complex(n, 1),
        }
        return made[self.kind]()


def _quietly(function: Any, *args: Any) -> Any:
    before = len(CALLS)
    made = function(*args)
    del CALLS[before:]
    return made


TARGETS = [
    "Record", "Record.Nested", "Record.Nested.make", "Record.make", "Record.plain", "Child",
    "Child.make", "Slotted", "INSTANCE", "BOUND", "CONSTANT", "PARTIAL", "LAMBDA", "record", "strict",
    "same", "first", "twice", "none", "numbers", "mapping", "config", "frozen_config", "the_class",
    "the_function", "a_partial", "generator", "iterator", "lock", "closure", "color", "plain_of",
    "types_of", "asks", "fails", "fails_twisted", "fails_chained", "stops", "mutates", "volatile",
    "volatile", "fails_often", "builds", "builds_with", "nowhere", "Record.nowhere", "Plain", "Color",
]  # fmt: skip
DOCILE = [
    "Record", "Record.Nested", "Record.Nested.make", "Record.make", "Record.plain", "Child", "record",
    "same", "first", "none", "numbers", "mapping", "color", "plain_of", "types_of", "the_class",
    "config",
]  # fmt: skip
