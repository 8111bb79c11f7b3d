"""From a config node to a ``Stage``: what Hydra would call, read in one pass from the bottom up.

The reading follows Hydra's rules: ``_convert_`` and ``_recursive_`` are inherited, ``_partial_`` is not;
positional arguments of the call replace ``_args_``; under ``_recursive_: false`` nested targets are handed over
as config, so their code counts but they are no stages.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_cached.config import CacheOptions
from hydra_cached.errors import HydraCachedError, NotCanonical
from hydra_cached.keys.canonical import Encoder, importable_name, tagged, type_name
from hydra_cached.keys.key import MISSING, Items, Part, SpecialKeys, Stage, filled

TARGET, CONVERT, RECURSIVE, PARTIAL, ARGS = "_target_", "_convert_", "_recursive_", "_partial_", "_args_"
SPECIAL_KEYS = ("_cache_result_", "_not_deterministic_", "_cache_version_", "_cache_ignore_", "_cache_files_")
_MODES = (TARGET, CONVERT, RECURSIVE, PARTIAL, "_isolate_")
_LOOKUPS = ("get_class", "get_method", "get_static_method", "get_object")


class SpecialKeyError(HydraCachedError, ValueError):
    """A special key in a node's config has a value that means nothing."""

    def __init__(self, path: str, key: str, problem: str) -> None:
        super().__init__(f"{f'{path}.' if path else ''}{key}: {problem}")
        self.args = (path, key, problem)

    def __str__(self) -> str:
        path, key, problem = self.args
        return f"{f'{path}.' if path else ''}{key}: {problem}"


class CodeSource(Protocol):
    """Where fingerprints of code come from."""

    def __call__(self, name: str, /) -> tuple[str, bool]:
        """Digest of the code behind a dotted name, and whether it is marked as not deterministic.

        Raises:
            Exception: it cannot be read; the message says why.
        """


@dataclass(frozen=True)
class Source:
    """What it takes to have Hydra run a stage on its own: the node and the modes that it inherits."""

    node: Any
    convert: Any
    recursive: Any


class Reader:
    """Reads the stages of one ``instantiate`` call; a node that several refer to is read once.

    Args:
        code: gives fingerprints.
        files: gives digests of declared files by name.
        share: the sharing mode.
        aliases: ``id`` of a node that was an interpolation, to the node that it referred to (Hydra 1.3 replaces
            interpolations by copies before it builds anything).
    """

    def __init__(
        self,
        code: CodeSource,
        files: Callable[[str], str],
        share: str,
        aliases: Mapping[int, Any],
    ) -> None:
        self._code = code
        self._files = files
        self._share = share
        self._aliases = aliases
        self._encoder = Encoder(lambda name: code(name)[0])
        # The nodes are kept with what was read, for an id means something only while its object lives.
        self._known: dict[tuple[int, str, str], tuple[Any, Stage]] = {}

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
            return self._known[sign][1]
        source = Source(node, convert, recursive)
        mapping = _Overlay(node, overrides or {})
        stage = self._stage(mapping, path, source, args, partial, dict(modes or {}))
        if plain:
            self._known[sign] = (node, stage)
        return stage

    def _stage(
        self,
        node: _Overlay,
        path: str,
        source: Source,
        args: Sequence[Any],
        partial: Any,
        modes: dict[str, Any],
    ) -> Stage:
        problem: str | None = None
        params: dict[str, Part] = {}
        names: list[str] = []
        special = SpecialKeys()
        convert, recursive = source.convert, source.recursive
        try:
            convert, recursive = node.get(CONVERT, convert), node.get(RECURSIVE, recursive)
            partial = node.get(PARTIAL, partial)
            if not isinstance(recursive, bool) or not isinstance(partial, bool):
                raise _Unreadable("_recursive_ or _partial_ is not true or false")
            special = self._special(node, path)
            names = [_target_name(node.get(TARGET, None))]
            named: list[str] = []
            for name in node:
                if name in _MODES or name in SPECIAL_KEYS or (name == ARGS and args):
                    continue
                if name in special.ignore or (partial and node.is_missing(name)):
                    continue
                where = f"{path}.{name}" if path else str(name)
                params[str(name)] = self._param(node, name, where, convert, recursive, named)
            if args:
                params[ARGS] = b"".join(
                    tagged(b"arg", filled(self._value(arg, f"{path}({at})", named), _no_stage))
                    for at, arg in enumerate(args)
                )
        except (_Unreadable, NotCanonical, OmegaConfBaseException) as error:
            problem = _first_line(error)
        except SpecialKeyError:
            raise
        except Exception as error:
            # A resolver that fails, a key that cannot be compared: Hydra will say what is wrong, or not care.
            problem = f"its config cannot be read: {_first_line(error)}"
        wrapped = _wrapped(names[0], node) if names else []
        code, not_deterministic, unread = self._fingerprints(
            [*names, *wrapped], named if problem is None else []
        )
        files = {}
        for name in special.files:
            try:
                files[name] = self._files(_file_name(node, name))
            except OSError as error:
                problem = problem or f"_cache_files_: {error}"
        if special.not_deterministic is not None:
            not_deterministic = special.not_deterministic
        return Stage(
            target=wrapped[0] if wrapped else names[0] if names else "",
            names=tuple(names),
            path=path,
            identity=id(self._aliases.get(id(source.node), source.node)),
            mode=modes | {"convert": _mode(convert), "recursive": recursive, "partial": partial},
            code=code,
            params=params,
            special=special,
            files=files,
            partial=bool(partial),
            not_deterministic=not_deterministic and not partial,
            problem=problem or unread,
            share=self._share,
            source=source,
        )

    def _param(
        self, node: _Overlay, name: Any, path: str, convert: Any, recursive: bool, named: list[str]
    ) -> Part:
        if node.is_missing(name):
            return MISSING
        value = node[name]
        if recursive:
            return self._built(value, path, convert, recursive, named)
        return self._value(value, path, named, convert)

    def _built(self, value: Any, path: str, convert: Any, recursive: Any, named: list[str]) -> Part:
        """What Hydra makes of a value when it recurses into it."""
        if not _is_container(value):
            return self._value(value, path, named, convert)
        if _is_mapping(value):
            mapping = _Overlay(value, {})
            convert, recursive = mapping.get(CONVERT, convert), mapping.get(RECURSIVE, recursive)
            if TARGET in mapping:
                return self.read(value, path, convert=convert, recursive=recursive)
            return self._items(
                value, path, convert, lambda item, at: self._built(item, at, convert, recursive, named)
            )
        return self._items(
            value, path, convert, lambda item, at: self._built(item, at, convert, recursive, named)
        )

    def _value(self, value: Any, path: str, named: list[str], convert: Any = "none") -> Part:
        """A value that is handed over as it is; the targets that it names are noted."""
        if not _is_container(value):
            return self._encoder.encode(value, path)
        if _is_mapping(value):
            mapping = _Overlay(value, {})
            if TARGET in mapping:
                target = _target_name(mapping.get(TARGET, None))
                named.extend([target, *_wrapped(target, mapping)])
        return self._items(value, path, convert, lambda item, at: self._value(item, at, named, convert))

    def _items(self, value: Any, path: str, convert: Any, part: Callable[[Any, str], Part]) -> Items:
        if _is_mapping(value):
            mapping = _Overlay(value, {})
            names = [name for name in mapping if not _is_cache_node(value, name)]
            keys = tuple(self._encoder.encode(name, path) for name in names)
            parts = tuple(
                MISSING if mapping.is_missing(name) else part(mapping[name], f"{path}.{name}")
                for name in names
            )
            return Items(_structured_name(value, convert), keys, tuple(names), parts)
        kind = b"tuple" if type(value) is tuple or _is_tuple_config(value) else b"list"
        each = [MISSING if _item_missing(value, at) else None for at in range(len(value))]
        parts = tuple(gone or part(value[at], f"{path}[{at}]") for at, gone in enumerate(each))
        return Items(kind, (), tuple(range(len(value))), parts)

    def _fingerprints(self, names: list[str], named: list[str]) -> tuple[str, bool, str | None]:
        """Joint digest of the code of targets and of what they are told to find; the last name is the target."""
        if not names:
            return "", False, None
        digests = []
        marked = False
        for at, name in enumerate([*names, *dict.fromkeys(named)]):
            try:
                digest, not_deterministic = self._code(name)
            except Exception as error:
                if at >= len(names):
                    # Named in a parameter, and perhaps never looked for: its name is in the parameter.
                    digest, not_deterministic = f"unread {name}", False
                else:
                    return "", False, f"the code of {name} cannot be read: {_first_line(error)}"
            digests.append(digest)
            marked = marked or (not_deterministic and at < len(names))
        return digests[0] if len(digests) == 1 else "+".join(digests), marked, None

    def _special(self, node: _Overlay, path: str) -> SpecialKeys:
        given = {key: node[key] for key in SPECIAL_KEYS if key in node and node[key] is not None}
        if not given:
            return SpecialKeys()
        for key in ("_cache_result_", "_not_deterministic_"):
            if key in given and not isinstance(given[key], bool):
                raise SpecialKeyError(path, key, f"must be true or false, not {given[key]!r}")
        lists = {}
        for key in ("_cache_ignore_", "_cache_files_"):
            value = given.get(key, ())
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise SpecialKeyError(path, key, f"must be a list of names, not {value!r}")
            lists[key] = tuple(value)
        version = b""
        if "_cache_version_" in given:
            version = filled(self._value(given["_cache_version_"], f"{path}._cache_version_", []), _no_stage)
        return SpecialKeys(
            cache_result=given.get("_cache_result_", True),
            not_deterministic=given.get("_not_deterministic_"),
            version=version,
            ignore=lists["_cache_ignore_"],
            files=lists["_cache_files_"],
        )


class _Unreadable(Exception):
    """The config is such that Hydra will refuse it; it says so better than we could."""


class _Overlay:
    """A mapping under keyword arguments: Hydra 1.4 keeps both apart while it builds."""

    def __init__(self, node: Any, overrides: Mapping[str, Any]) -> None:
        self._node = node
        self._overrides = overrides

    def __iter__(self) -> Iterator[Any]:
        names = list(self._node.keys())
        return iter([*names, *(name for name in self._overrides if name not in names)])

    def __contains__(self, name: Any) -> bool:
        return name in self._overrides or name in self._node

    def __getitem__(self, name: Any) -> Any:
        # A mapping is merged into what the config has, and the node shows the outcome.
        if name in self._overrides and not (_is_mapping(self._overrides[name]) and name in self._node):
            return self._overrides[name]
        return self._node[name]

    def get(self, name: str, default: Any) -> Any:
        return self[name] if name in self else default

    def is_missing(self, name: Any) -> bool:
        if name in self._overrides:
            return isinstance(self._overrides[name], str) and self._overrides[name] == "???"
        if isinstance(self._node, DictConfig):
            return OmegaConf.is_missing(self._node, name)
        return bool(isinstance(self._node[name], str) and self._node[name] == "???")


def is_target(node: Any, overrides: Mapping[str, Any] | None = None) -> bool:
    """Whether Hydra would call something for this node."""
    if not isinstance(node, DictConfig):
        return False
    try:
        return TARGET in node or bool(overrides and TARGET in overrides)
    except Exception:
        return bool(overrides and TARGET in overrides)


def matches(part: Part, value: Any) -> bool:
    """Whether a built argument is what was read, as far as config values go (stages are not compared)."""
    if isinstance(part, Stage):
        return True
    if isinstance(part, bytes):
        try:
            return part == Encoder().encode(value)
        except NotCanonical:
            return True  # a callable or an object that was passed: it cannot have been evaluated again
    try:
        if part.kind in (b"list", b"tuple") and len(value) != len(part.parts):
            return False
        return all(matches(inner, value[name]) for name, inner in zip(part.names, part.parts, strict=True))
    except Exception:
        return True  # an object made of a structured config: what it was made of is not visible any more


def _no_stage(stage: Stage) -> bytes:
    raise AssertionError("values that are handed over contain no stages")


def _is_mapping(value: Any) -> bool:
    return isinstance(value, DictConfig) or type(value) is dict


def _is_container(value: Any) -> bool:
    return OmegaConf.is_config(value) or type(value) in (dict, list, tuple)


def _is_cache_node(parent: Any, name: Any) -> bool:
    """The cache's own options, in an app's whole config: what is in them must not change any key."""
    if not isinstance(parent, DictConfig) or name != "cache" or OmegaConf.is_missing(parent, name):
        return False
    return OmegaConf.is_dict(parent[name]) and OmegaConf.get_type(parent[name]) is CacheOptions


def _is_tuple_config(value: Any) -> bool:
    return OmegaConf.is_config(value) and type(value).__name__ == "TupleConfig"


def _item_missing(value: Any, at: int) -> bool:
    if OmegaConf.is_config(value):
        return OmegaConf.is_missing(value, at)
    return bool(isinstance(value[at], str) and value[at] == "???")


def _structured_name(value: Any, convert: Any) -> bytes:
    kind = OmegaConf.get_type(value) if OmegaConf.is_config(value) else None
    if kind in (None, dict) or _mode(convert) == "all":
        return b"dict"
    return f"structured {type_name(kind)}".encode()


def _target_name(target: Any) -> str:
    if isinstance(target, str):
        return target
    name = importable_name(target) if callable(target) else None
    if name is None:
        raise _Unreadable(f"its _target_ is a {type(target).__name__} that cannot be found by name")
    return name


def _wrapped(target: str, node: _Overlay) -> list[str]:
    """Targets that a node names beside ``_target_``, the one that does the work first."""
    found: list[str] = []
    if target.startswith("hydra.utils.") and target.rpartition(".")[2] in _LOOKUPS:
        found.append(node.get("path", None))
    if "_zen_target" in node:
        wrappers = node.get("_zen_wrappers", None) or []
        wrappers = [wrappers] if isinstance(wrappers, str) else wrappers
        found.extend([node["_zen_target"], *wrappers])
    return [name for name in found if isinstance(name, str)]


def _file_name(node: _Overlay, name: str) -> str:
    """A declared file is named by a parameter, or directly."""
    value = node[name] if name in node else name
    return str(value)


def _mode(convert: Any) -> str:
    return str(convert.value if isinstance(convert, enum.Enum) else convert).lower()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
