"""From a config node to a ``Stage``: what Hydra would call, read in one pass from the bottom up.

The reading follows Hydra's rules: ``_convert_`` and ``_recursive_`` are inherited, ``_partial_`` is not;
positional arguments of the call replace ``_args_``; under ``_recursive_: false`` nested targets are handed over
as config, so their code counts but they are no stages.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.canonical import Encoder, importable_name, type_name
from hydra_cached.keys.code import Fingerprint
from hydra_cached.keys.configs import (
    ARGS,
    CONVERT,
    PARTIAL,
    RECURSIVE,
    TARGET,
    Overlay,
    Unreadable,
    below,
    dropped_names,
    is_cache_node,
    is_container,
    is_mapping,
    is_target,
    item_missing,
    mapping_kind,
    mode_name,
    sequence_kind,
    target_name,
    wrapped_names,
)
from hydra_cached.keys.given import PLAIN
from hydra_cached.keys.key import MISSING, Items, Leaf, Part, Stage
from hydra_cached.keys.special import (
    SPECIAL_KEYS,
    SpecialKeyError,
    SpecialKeys,
    declared_files,
    read_special_keys,
)

_MODES = (TARGET, CONVERT, RECURSIVE, PARTIAL, "_isolate_")


@dataclass(frozen=True)
class Source:
    """What it takes to have Hydra run a stage on its own: the node and the modes that it inherits."""

    node: Any
    convert: Any
    recursive: Any


@dataclass(frozen=True)
class _Modes:
    """How Hydra goes on from here; the code that values met on the way name; which config cannot be changed."""

    convert: Any
    recursive: Any
    named: list[str] = field(default_factory=list)
    guarded: list[str] = field(default_factory=list)

    def within(self, mapping: Overlay) -> _Modes:
        convert, recursive = mapping.get(CONVERT, self.convert), mapping.get(RECURSIVE, self.recursive)
        return _Modes(convert, recursive, self.named, self.guarded)


class Reader:
    """Reads the stages of one ``instantiate`` call; a node that several refer to is read once.

    Args:
        code: fingerprints by name; asking for one that cannot be made raises, with a message that says why.
        files: gives digests of declared files by name.
        share: the sharing mode.
        aliases: ``id`` of a node that was an interpolation, to the node that it referred to (Hydra 1.3 replaces
            interpolations by copies before it builds anything).
        ignore: glob patterns over parameter paths that are left out of keys.
        lazy: whether Hydra leaves what is in a dict with ``_recursive_: false`` as it is (1.4), or only what is
            in a node (1.3).
    """

    def __init__(
        self,
        code: Mapping[str, Fingerprint],
        files: Callable[[str], str],
        share: str,
        aliases: Mapping[int, Any],
        ignore: Sequence[str] = (),
        lazy: bool = False,
    ) -> None:
        self._code = code
        self._files = files
        self._share = share
        self._aliases = aliases
        self._ignore = ignore
        self._lazy = lazy
        self._encoder = Encoder(lambda name: code[name].digest)
        self._known: dict[tuple[int, str, str], Stage] = {}
        # An id means something only while its object lives, and Hydra makes nodes that live for one visit.
        self._alive: list[Any] = []

    def read(
        self,
        node: Any,
        path: str,
        *,
        args: Sequence[Any] = (),
        overrides: Mapping[str, Any] | None = None,
        convert: Any = "none",
        recursive: Any = True,
        partial: Any = False,
        modes: Mapping[str, Any] | None = None,
    ) -> Stage:
        """Describe a target node.

        Args:
            node: the DictConfig.
            path: where it stands.
            args: positional arguments of the call, for a root.
            overrides: keyword arguments that Hydra has not merged into the node (Hydra 1.4).
            convert, recursive, partial: the modes that it inherits.
            modes: further modes that belong to the key.

        Raises:
            SpecialKeyError: one of its special keys is wrong.
        """
        plain = not args and not overrides and not partial
        sign = (id(node), str(convert), str(recursive))
        if plain and sign in self._known:
            # Where nothing is shared, a node that two refer to is called twice.
            return copy.copy(self._known[sign]) if self._share == "none" else self._known[sign]
        source = Source(node, convert, recursive)
        stage = self._stage(Overlay(node, overrides), path, source, args, partial, dict(modes or {}))
        if plain:
            self._known[sign] = stage
        self._alive.append(node)
        return stage

    def stages_in(self, value: Any, path: str, convert: Any, recursive: Any) -> Iterator[Stage]:
        """The stages below a container that is no target itself, as far as it can be read."""
        with contextlib.suppress(Exception):
            names = list(value.keys()) if is_mapping(value) else range(len(value))
            modes = _Modes(convert, recursive)
            modes = modes.within(Overlay(value)) if is_mapping(value) else modes
            if is_mapping(value) and self._lazy and not modes.recursive:
                return
            for name in names:
                with contextlib.suppress(Exception):
                    inner = None if item_missing(value, name) else value[name]
                    where = below(path, name) if is_mapping(value) else f"{path}[{name}]"
                    if is_target(inner):
                        at = _Modes(modes.convert, modes.recursive).within(Overlay(inner))
                        yield self.read(inner, where, convert=at.convert, recursive=at.recursive)
                    elif is_container(inner):
                        yield from self.stages_in(inner, where, modes.convert, modes.recursive)

    def _stage(
        self,
        node: Overlay,
        path: str,
        source: Source,
        args: Sequence[Any],
        partial: Any,
        mode: dict[str, Any],
    ) -> Stage:
        problem: str | None = None
        params: dict[str, Part] = {}
        files: dict[str, str] = {}
        file_names: dict[str, str] = {}
        names: list[str] = []
        special = SpecialKeys()
        modes = _Modes(source.convert, source.recursive)
        try:
            modes, partial = modes.within(node), node.get(PARTIAL, partial)
            if not isinstance(modes.recursive, bool) or not isinstance(partial, bool):
                raise Unreadable("_recursive_ or _partial_ is not true or false")
            special = read_special_keys(node, path)
            names = [target_name(node.get(TARGET, None))]
            params = self._params(node, path, modes, special, partial, args)
            file_names = declared_files(node, special, path)
            files = {name: self._files(path) for name, path in file_names.items()}
        except SpecialKeyError:
            raise
        except (Unreadable, NotCanonical, OmegaConfBaseException) as error:
            problem = _first_line(error)
        except OSError as error:
            problem = f"a file that it declares cannot be read: {_first_line(error)}"
        except Exception as error:
            # A resolver that fails, a key that cannot be compared: Hydra will say what is wrong, or not care.
            problem = f"its config cannot be read: {_first_line(error)}"
        called = [*names, *(wrapped_names(names[0], node) if problem is None else ())]
        code_names, code, marked, unread = self._fingerprints(called, modes.named)
        marked = marked if special.not_deterministic is None else special.not_deterministic
        return Stage(
            target=called[1] if len(called) > 1 else called[0] if called else "",
            names=tuple(names),
            path=path,
            identity=id(self._aliases.get(id(source.node), source.node)),
            mode=mode
            | {"convert": mode_name(modes.convert), "recursive": modes.recursive, "partial": partial}
            | ({"guarded": sorted(modes.guarded)} if modes.guarded else {}),
            code=code,
            code_names=code_names,
            named=(*called[1:], *dict.fromkeys(modes.named)),
            params=params,
            special=special,
            version=self._version(special, path) if special.version is not None else MISSING,
            files=files,
            file_names=file_names,
            partial=bool(partial),
            not_deterministic=marked and not partial,
            problem=problem or unread,
            share=self._share,
            source=source,
        ).settle()

    def _params(
        self,
        node: Overlay,
        path: str,
        modes: _Modes,
        special: SpecialKeys,
        partial: bool,
        args: Sequence[Any],
    ) -> dict[str, Part]:
        params: dict[str, Part] = {}
        left_out = {*special.ignore, *dropped_names(node)}
        for name in node:
            if name in _MODES or name in SPECIAL_KEYS or (name == ARGS and args):
                continue
            if name in left_out or (partial and node.is_missing(name)):
                continue
            where = below(path, name)
            if self._ignored(where):
                continue
            if node.is_missing(name):
                params[str(name)] = MISSING
            elif modes.recursive:
                params[str(name)] = self._built(node[name], where, modes)
            else:
                params[str(name)] = self._value(node[name], where, modes)
        for name, value in node.merged():
            # Objects in it, and what is a config already, are not merged but handed over.
            if name in params and (OmegaConf.is_config(value) or _has_objects(value)):
                params[f"{name}()"] = self._value(value, below(path, f"{name}()"), modes)
        if args:
            parts = tuple(self._value(arg, f"{path}({at})", modes) for at, arg in enumerate(args))
            params[ARGS] = Items(b"tuple", (), tuple(range(len(args))), parts)
        return params

    def _built(self, value: Any, path: str, modes: _Modes) -> Part:
        """What Hydra makes of a value when it recurses into it."""
        if is_mapping(value):
            modes = modes.within(Overlay(value))
            if TARGET in value:
                return self.read(value, path, convert=modes.convert, recursive=modes.recursive)
            if self._lazy and not modes.recursive:
                return self._value(value, path, modes)
        if is_container(value):
            return self._items(value, path, modes, self._built)
        return self._value(value, path, modes)

    def _value(self, value: Any, path: str, modes: _Modes) -> Part:
        """A value that is handed over as it is; the targets that it names are noted."""
        if not is_container(value):
            return self._leaf(value, path, modes)
        if is_mapping(value) and TARGET in value:
            target = target_name(Overlay(value).get(TARGET, None))
            modes.named.extend([target, *wrapped_names(target, Overlay(value))])
        return self._items(value, path, modes, self._value)

    def _leaf(self, value: Any, path: str, modes: _Modes) -> Leaf:
        """A value, and the code of its classes: what an enum's or a dataclass's methods do, the target may call."""
        encoder = Encoder(lambda name: self._code[name].digest)
        code = encoder.encode(value, path)
        for kind in sorted(encoder.kinds, key=type_name):
            name = importable_name(kind)
            if name is None:
                raise NotCanonical(path, f"{type_name(kind)}, a class that cannot be found by name")
            modes.named.append(name)
        return Leaf(code, value)

    def _items(self, value: Any, path: str, modes: _Modes, part: Callable[[Any, str, _Modes], Part]) -> Items:
        # What Hydra 1.4 does not recurse into it hands over itself, guarded if it is the app's.
        itself = value if self._lazy and part == self._value and OmegaConf.is_config(value) else None
        if itself is not None and OmegaConf.is_readonly(itself):
            modes.guarded.append(path)
        if not is_mapping(value):
            each = [
                MISSING if item_missing(value, at) else part(value[at], f"{path}[{at}]", modes)
                for at in range(len(value))
            ]
            return Items(sequence_kind(value), (), tuple(range(len(each))), tuple(each), itself)
        kept: list[tuple[Any, bytes, Part]] = []
        for name in value:
            where = below(path, name)
            if self._ignored(where) or is_cache_node(value, name):
                continue
            inner = MISSING if item_missing(value, name) else part(value[name], where, modes)
            kept.append((name, self._encoder.encode(name, path), inner))
        names, keys, parts = zip(*kept, strict=True) if kept else ((), (), ())
        # With something left out it cannot be compared with what it was.
        itself = itself if len(kept) == len(value) else None
        return Items(mapping_kind(value, modes.convert), keys, names, parts, itself)

    def _version(self, special: SpecialKeys, path: str) -> Part:
        return self._value(special.version, f"{path}._cache_version_", _Modes("none", False))

    def _ignored(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) or fnmatchcase(f".{path}", pattern) for pattern in self._ignore)

    def _fingerprints(
        self, called: list[str], named: list[str]
    ) -> tuple[tuple[str, ...], str, bool, str | None]:
        """The code of what is called, and of what it is told to find: names, joint digest, mark, problem."""
        digests: dict[str, str] = {}
        marked = False
        for name in dict.fromkeys([*called, *named]):
            try:
                found = self._code[name]
                digests[name] = found.digest
                marked = marked or (found.not_deterministic and name in called)
            except Exception as error:
                if name in called:
                    return (), "", False, f"the code of {name} cannot be read: {_first_line(error)}"
                # Named in a parameter, and perhaps never looked for; its name counts with the parameter.
        return tuple(digests), "+".join(digests.values()), marked, None


def _has_objects(value: Any) -> bool:
    if is_container(value):
        return any(map(_has_objects, value.values() if is_mapping(value) else value))
    return not isinstance(value, PLAIN)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
