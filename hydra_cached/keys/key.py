"""Stages and their keys: a target call as the config describes it, and the digests that identify its result.

A ``Stage`` is read from the config before anything runs. Its parameters are trees of ``Part``: encoded values,
containers, and holes where other stages stand. Filling the holes with the children's own static keys gives the
**static key**, a deep constructive trace in the words of Mokhov, Mitchell and Peyton Jones, "Build Systems à la
Carte" (2018); filling them with the digests of the children's results gives the **trace key**, a constructive
trace, which is what early cutoff needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Union

from blake3 import blake3

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.canonical import CodeOf, Encoder, tagged
from hydra_cached.keys.special import SpecialKeys

FORMAT = b"hydra-cached key 1"  # changes when the meaning of keys changes, so that old entries are not found


@dataclass(frozen=True)
class Leaf:
    """A value that contains no stages: what stands for it in keys, and the value itself, for showing it."""

    code: bytes
    value: Any = None


MISSING = Leaf(tagged(b"missing"), "???")  # a mandatory value that was not given


@dataclass(frozen=True)
class Items:
    """A list, tuple or dict in a config.

    Args:
        kind: what the target would tell apart: ``list``, ``tuple``, ``dict`` or the name of a structured type.
        keys: encoded keys of a dict, in the order of their bytes; empty for sequences.
        names: the steps to the parts, for messages and for comparing with built values.
        parts: what stands there.
        value: the container itself, if it is handed over as it stands in the app's config (Hydra 1.4).
    """

    kind: bytes
    keys: tuple[bytes, ...]
    names: tuple[Any, ...]
    parts: tuple[Part, ...]
    value: Any = None


Part = Union[Leaf, Items, "Stage"]
Fill = Callable[["Stage"], bytes]


@dataclass(frozen=True, eq=False)
class Stage:
    """One target call, described by its config and code alone.

    Args:
        target: dotted name of what is called; for a wrapper such as hydra-zen's, of what it wraps.
        names: every target name that Hydra's target policy would look at for this call itself.
        path: where it stands in the config.
        identity: equal for nodes that are one node of the config (by interpolation).
        mode: how it is called: conversion, recursion, partial; part of the key.
        code: fingerprint of the target's code, and of code that its parameters name.
        code_names: the names whose code that is.
        named: further targets that it will perhaps call, or find for its caller.
        params: parameters by name.
        special: the special keys.
        version: the value of ``_cache_version_``.
        files: digests of the contents of declared files, by the name under which they are declared.
        file_names: where these are.
        partial: it makes a partial object instead of calling.
        not_deterministic: it must be run again, whatever is stored.
        problem: why nothing can stand for this call; None if there is a key.
        share: the sharing mode; it counts in keys only where it decides which arguments are one object.
        source: how to have Hydra run it on its own; opaque here.
    """

    target: str
    names: tuple[str, ...]
    path: str
    identity: int
    mode: Mapping[str, Any]
    code: str
    code_names: tuple[str, ...]
    named: tuple[str, ...]
    params: Mapping[str, Part]
    special: SpecialKeys = field(default_factory=SpecialKeys)
    version: Part = MISSING
    files: Mapping[str, str] = field(default_factory=dict)
    file_names: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False
    not_deterministic: bool = False
    problem: str | None = None
    share: str = "none"
    source: Any = None

    @cached_property
    def children(self) -> tuple[Stage, ...]:
        """The stages whose results this one receives, in the order in which Hydra builds them."""
        return tuple(child for part in self.params.values() for child in stages_in(part))

    @cached_property
    def shape(self) -> str:
        """Digest of the whole sub-config with its code: what `equal` means for sub-configs."""
        return self._digest(lambda child: bytes.fromhex(child.shape))

    @cached_property
    def obstacle(self) -> str | None:
        """Why neither this stage nor any that contains it has a key; None if there is one."""
        if self.problem is not None:
            return self.problem
        return next((child.obstacle for child in self.children if child.obstacle is not None), None)

    @cached_property
    def uncached(self) -> Stage | None:
        """The stage in here that asked not to be cached, which holds for all that contain it."""
        if not self.special.cache_result:
            return self
        return next((child.uncached for child in self.children if child.uncached is not None), None)

    @cached_property
    def unstable(self) -> bool:
        """Whether anything in here has to run before a key can be known."""
        return self.not_deterministic or any(child.unstable for child in self.children)

    @cached_property
    def has_missing(self) -> bool:
        """Whether a parameter is a mandatory value that was not given: Hydra will refuse to call the target."""
        return any(_has_missing(part) for part in self.params.values())

    @cached_property
    def all_names(self) -> frozenset[str]:
        """Names of all targets in here, for the target policy."""
        return frozenset(self.names).union(*(child.all_names for child in self.children))

    @cached_property
    def all_named(self) -> frozenset[str]:
        """The same with those that targets in here may call or find themselves."""
        return frozenset((*self.names, *self.named)).union(*(child.all_named for child in self.children))

    def settle(self) -> Stage:
        """Find out all that follows from the stages in here, once those have; so that no depth is too deep."""
        _ = self.shape, self.obstacle, self.uncached, self.unstable, self.all_names, self.all_named
        if self.share != "none":
            _ = self._insides
        return self

    @cached_property
    def static_key(self) -> str:
        """The key that follows from config and code alone."""
        return self._digest(lambda child: bytes.fromhex(child.shape), b"static", self._aliasing)

    def trace_key(self, results: Fill) -> str:
        """The key that follows from the children's results.

        Args:
            results: gives for each child the bytes that stand for its result.
        """
        return self._digest(results, b"trace", self._aliasing)

    @property
    def aliased(self) -> bool:
        """Whether an object that the target receives, or one inside of it, is also inside of another."""
        return bool(self._aliasing)

    @cached_property
    def _aliasing(self) -> bytes:
        """Which of the objects that the target receives are one object; empty if none are.

        A model whose encoder and decoder are one backbone is not a model with two equal ones.
        """
        if self.share == "none":
            return b""
        numbers: dict[Any, int] = {}
        pattern = []
        for child in self.children:
            pattern.append([numbers.setdefault(each, len(numbers)) for each in child._insides])
        if sum(map(len, pattern)) == len(numbers):
            return b""
        return repr(pattern).encode()

    @cached_property
    def _insides(self) -> tuple[Any, ...]:
        """This stage and those in it, each once, as ``share`` tells them apart."""
        me = self.identity if self.share == "reference" else self.shape
        below = (each for child in self.children for each in child._insides)
        return tuple(dict.fromkeys((me, *below)))

    def _digest(self, fill: Fill, *extra: bytes) -> str:
        hasher = blake3(FORMAT)
        head = [self.target.encode(), self.code.encode(), *(str(name).encode() for name in self.names)]
        mode = [f"{name}={value}".encode() for name, value in sorted(self.mode.items())]
        files = [f"{name}={value}".encode() for name, value in sorted(self.files.items())]
        hasher.update(tagged(b"head", tagged(b"h", *head), tagged(b"m", *mode), tagged(b"f", *files)))
        hasher.update(tagged(b"extra", filled(self.version, fill), *extra))
        for name in sorted(self.params):
            hasher.update(tagged(b"param", name.encode(), filled(self.params[name], fill)))
        return hasher.hexdigest()


def stages_in(part: Part) -> Iterator[Stage]:
    """The stages in a part, not those in stages, in order."""
    if isinstance(part, Stage):
        yield part
    elif isinstance(part, Items):
        for inner in part.parts:
            yield from stages_in(inner)


def _has_missing(part: Part) -> bool:
    if isinstance(part, Items):
        return any(_has_missing(inner) for inner in part.parts)
    return part is MISSING


def filled(part: Part, fill: Fill) -> bytes:
    """The bytes of a part whose holes are filled."""
    if isinstance(part, Leaf):
        return tagged(b"value", part.code)
    if isinstance(part, Stage):
        return tagged(b"stage", fill(part))
    inner = [filled(each, fill) for each in part.parts]
    if part.kind in (b"list", b"tuple"):
        return tagged(part.kind, *inner)
    pairs = sorted(zip(part.keys, inner, strict=True))
    return tagged(b"dict", part.kind, *(piece for pair in pairs for piece in pair))


def matches(part: Part, value: Any, code_of: CodeOf | None = None) -> bool:
    """Whether a built argument is what was read, as far as config values go (stages are not compared)."""
    if isinstance(part, Stage) or part is MISSING:
        return True
    if isinstance(part, Leaf):
        try:
            return part.code == Encoder(code_of).encode(value)
        except NotCanonical:
            return True  # a callable or an object that was passed: it cannot have been evaluated again
    try:
        if part.kind in (b"list", b"tuple") and len(value) != len(part.parts):
            return False
        return all(
            matches(inner, value[name], code_of) for name, inner in zip(part.names, part.parts, strict=True)
        )
    except Exception:
        return True  # an object made of a structured config: what it was made of is not visible any more
