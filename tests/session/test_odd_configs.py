"""Deep, wide and oddly named configs, and odd results: they are cached, or left alone, and never broken."""

from __future__ import annotations

import copy
import enum
from typing import Any

import pytest
from hydra.utils import instantiate
from laboratory import Lab
from omegaconf import OmegaConf

from hydra_cached import activate
from hydra_cached.events import Kind

pytest_plugins = ("lab_fixture",)

CODE = """
    def add(x=0, y=0, **named):
        ran("add")
        return x + 1 if isinstance(x, int) else x

    def show(*args, **named):
        ran("show")
        return repr((args, sorted(map(repr, named.items()))))
"""


@pytest.fixture
def stages(lab: Lab) -> Lab:
    """A laboratory with the stages above."""
    return lab.code(CODE)


def nested(depth: int) -> dict[str, Any]:
    """Stages inside of stages."""
    config: dict[str, Any] = {"_target_": "stages.add", "x": 0}
    for _ in range(depth):
        config = {"_target_": "stages.add", "x": config}
    return config


def chain(length: int) -> dict[str, Any]:
    """Stages each of which refers to the one before."""
    config: dict[str, Any] = {"n0": {"_target_": "stages.add", "x": 0}}
    for at in range(1, length):
        config[f"n{at}"] = {"_target_": "stages.add", "x": f"${{n{at - 1}}}"}
    return config


# What OmegaConf can hold below each other without a RecursionError is between 88 and 97; from within pytest less.
@pytest.mark.parametrize(
    ("config", "node", "depth", "share"),
    [(nested(60), "", 61, share) for share in ("reference", "equal", "none")]
    + [(chain(200), "n199", 200, "reference")],
)
def test_deep_configs(stages: Lab, config: Any, node: str, depth: int, share: str) -> None:
    """As deep as Hydra goes, all is stored, and one thing is loaded when it is asked for again."""
    built = stages.build(config, node, share=share, dir=None)
    assert built.value == depth and len(built.ran) == depth
    assert all(event.stored for event in built.events) and built.log == ""
    stages.build(config, node, share=share)
    built = stages.build(config, node, share=share)
    assert built.value == depth and built.ran == [] and built.loads == 1
    assert [event.kind for event in built.events] == [Kind.HIT]


def test_an_edit_at_the_bottom_of_a_deep_config(stages: Lab) -> None:
    """A changed parameter at the bottom runs all above it; an equal result there stops at once."""
    config = chain(100)
    stages.build(config, "n99")
    config["n0"]["y"] = 1
    assert stages.build(config, "n99").ran == ["add"]
    config["n0"]["x"] = 1000
    built = stages.build(config, "n99")
    assert len(built.ran) == 100 and built.value == 1100


@pytest.mark.parametrize("shape", ["flat", "list"])
def test_wide_configs(stages: Lab, shape: str) -> None:
    """Two thousand stages beside each other, below nothing or below one, are what they are without a cache."""
    many = {f"n{at}": {"_target_": "stages.add", "x": at} for at in range(2000)}
    config: Any = {
        "flat": many,
        "list": {"_target_": "stages.show", "x": list(many.values())},
    }[shape]
    count = 2000 + (shape != "flat")
    with activate(None, min_seconds=0) as session:
        first = instantiate(config)
        assert sum(event.stored for event in session.events) == count
        second = instantiate(config)
    assert [event.kind for event in session.events[count:]] == [Kind.HIT] * (2000 if shape == "flat" else 1)
    assert first == second == stages.alone(config)


ODD_NAMES = [
    "größe",
    "名前",
    "with space",
    "a.b",
    "a[0]",
    "-",
    "",
    "x=y",
    "$",
    "a/b",
    "\N{SNOWMAN}",
    "None",
    "\n",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(stages: Lab, name: str) -> None:
    """Names of parameters, of keys in dicts and of nodes may be any text; each is told from the others."""
    shapes = (
        lambda n, v: {"_target_": "stages.show", n: v},
        lambda n, v: {"_target_": "stages.show", "d": {n: v}},
        lambda n, v: {"_target_": "stages.show", "d": {n: {"_target_": "stages.add", "x": v}}},
        lambda n, v: {n: {"_target_": "stages.show", "x": v}},
        lambda n, v: {n: {n: [{"_target_": "stages.show", n: {n: v}}]}},
    )
    for make in shapes:
        config = make(name, 1)
        expected = stages.alone(config)
        assert "show" in stages.build(config).ran
        built = stages.build(config)
        assert built.value == expected and built.ran == []
        assert "show" in stages.build(make(name, 2)).ran
        other = stages.build(make(f"{name}'", 1))
        assert "show" in other.ran or make is shapes[3]  # which is the same stage at another place
        assert other.value == stages.alone(make(f"{name}'", 1))


class Colour(enum.Enum):
    """Keys of dicts may be members of an enum."""

    RED = 1
    BLUE = 2


KEYS = [1, "1", 1.5, "1.5", True, "true", 0, False, -1, b"1", Colour.RED, Colour.BLUE, "RED"]


def test_keys_that_are_no_text(stages: Lab) -> None:
    """Keys of all types that OmegaConf takes are told apart, as values and as places of stages."""
    for inner in (1, {"_target_": "stages.add", "x": 1}):
        seen = set()
        for key in KEYS:
            config = OmegaConf.create({"_target_": "stages.show", "d": {key: copy.copy(inner)}})
            first = stages.build(config)
            assert first.ran[-1:] == ["show"], key
            assert stages.build(config).value == first.value == stages.alone(config)
            seen.add(first.value)
        assert len(seen) == len(KEYS)


ODD_RESULTS = """
    import types, weakref

    class Rude:
        def __init__(self, n=0):
            self.n = n
        def __eq__(self, other): raise RuntimeError("do not compare me")
        def __hash__(self): raise RuntimeError("do not hash me")
        def __repr__(self): raise RuntimeError("do not show me")
        def __bool__(self): raise RuntimeError("do not ask me")
        def __len__(self): raise RuntimeError("do not count me")
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return 1

    class Liar:
        @property
        def __class__(self): return int

    class Unpicklable:
        def __reduce__(self): raise RuntimeError("do not pickle me")

    class Shrinking:
        def __reduce__(self): return (Shrinking.gone, ())
        @staticmethod
        def gone(): raise RuntimeError("do not unpickle me")

    class Boxed(list):
        __slots__ = ("more",)

    def cyclic():
        made = []
        made.append(made)
        return made

    def very_deep():
        made = None
        for _ in range(100_000):
            made = [made]
        return made

    def boxed():
        made = Boxed([1])
        made.more = 2
        return made

    MADE = {
        "rude": Rude, "liar": Liar, "unpicklable": Unpicklable, "shrinking": Shrinking, "cyclic": cyclic,
        "very_deep": very_deep, "boxed": boxed, "ellipsis": lambda: ..., "not_implemented": lambda: NotImplemented,
        "class": lambda: Rude, "error_class": lambda: KeyError, "big": lambda: 1 << 100_000,
        "proxy": lambda: types.MappingProxyType({}), "weak": lambda: weakref.ref(Rude), "code": lambda: (1).__add__,
        "empty": tuple, "surrogate": lambda: "\\ud800", "lambda": lambda: (lambda: 7),
        "local": lambda: type("T", (), {}), "nan": lambda: float("nan"), "memory": lambda: memoryview(b"1"),
        "namespace": lambda: types.SimpleNamespace(a=1),
    }

    def make(what):
        ran("make")
        return MADE[what]()

    def use(x):
        ran("use")
        return type(x).__name__
"""
RESULTS = """rude liar unpicklable shrinking cyclic very_deep boxed ellipsis not_implemented class error_class big
    proxy weak code empty surrogate lambda local nan namespace memory"""


@pytest.mark.parametrize("share", ["reference", "equal"])
@pytest.mark.parametrize("what", RESULTS.split())
def test_odd_results(lab: Lab, what: str, share: str) -> None:
    """Whatever a target returns, the next stage gets it as without a cache, and so does the next run."""
    lab.code(ODD_RESULTS)
    made = {"_target_": "stages.make", "what": what}
    config = OmegaConf.create({"made": made, "a": {"_target_": "stages.use", "x": "${made}"}, "b": "${a}"})
    expected = type(lab.alone(made)).__name__
    try:
        both = lab.alone(config)
    except RecursionError:
        both = None  # Hydra 1.4 cannot hand out cyclic lists as a part of a config
    for _ in range(3):
        lab.forget()
        built = lab.build({"_target_": "stages.use", "x": made}, share=share)
        assert built.value == expected
        assert type(lab.build(made, share=share).value).__name__ == expected
        assert "please report" not in built.log
        if both is not None:
            whole = lab.build(config, share=share)
            assert whole.value.a == whole.value.b == expected
            assert "please report" not in whole.log


def test_a_result_that_cannot_be_unpickled(lab: Lab) -> None:
    """A result that pickles and does not come back is computed each time, and each time that is said."""
    lab.code(ODD_RESULTS)
    for number in range(3):
        built = lab.build({"_target_": "stages.make", "what": "shrinking"})
        assert built.ran == ["make"] and type(built.value).__name__ == "Shrinking"
        assert number == 0 or "do not unpickle me" in built.log


def test_the_state_of_torch(lab: Lab) -> None:
    """A stage that draws from torch's generator, and says so, goes on as after a miss when it hits."""
    torch = pytest.importorskip("torch")
    lab.code(
        """
    import torch

    def draw(n):
        ran("draw")
        return torch.rand(n)
    """
    )
    config = {"_target_": "stages.draw", "n": 3}
    options = {"random_state": ["stages.draw"]}
    torch.manual_seed(0)
    first, after = lab.build(config, **options).value, torch.rand(2)
    torch.manual_seed(0)
    built = lab.build(config, **options)
    assert built.ran == [] and torch.equal(built.value, first) and torch.equal(torch.rand(2), after)
    torch.manual_seed(1)
    assert lab.build(config, **options).ran == ["draw"]
