"""The ``cache`` node of a config: its options, their types and defaults.

Plain dataclasses and nothing heavy: Hydra's plugin scan imports this module in every app.
"""

from __future__ import annotations

import enum
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hydra_cached.errors import OptionError
from hydra_cached.units import parse_age, parse_size

_SHORTEST_KEY = 16  # characters


class Mode(enum.Enum):
    """What the cache may do."""

    readwrite = "readwrite"
    readonly = "readonly"
    refresh = "refresh"
    off = "off"


class Code(enum.Enum):
    """What code is in a key."""

    project = "project"
    target = "target"
    off = "off"


class Share(enum.Enum):
    """Who gets the same object inside one ``instantiate`` call."""

    reference = "reference"
    equal = "equal"
    none = "none"


@dataclass
class CacheOptions:
    """The typed node ``cache``.

    Args:
        dir: directory of the entries, or a URL of fsspec's (``s3://...``, ``abfs://...``, ``gs://...``,
            ``sftp://...``); a relative one is relative to where the app was started. None keeps the results in
            memory, for as long as the job or the ``with`` block lasts.
        storage_options: what fsspec hands to the file system of a URL; never shown.
        local_dir: a local directory in front of a URL: what was fetched is kept there, and read from there.
        mode: ``readwrite``, ``readonly`` (never writes), ``refresh`` (compute again and replace) or ``off``
            (only takes the special keys out of the targets' arguments).
        min_seconds: results whose own target took less are not stored; seconds.
        include: glob patterns over target names; when there are any, only results of these are stored.
        exclude: glob patterns over target names whose results are not stored.
        ignore: glob patterns over parameter paths that are left out of keys, such as ``*.num_workers``.
        code: what code is in a key: ``project`` (the target and all first-party code that it reaches, the rest by
            version), ``target`` (its own definition) or ``off``.
        random_state: glob patterns over target names that draw from the global random state (``random``, numpy's,
            torch's): their keys hold the state before, and a hit restores the state after.
        share: who gets the same object inside one ``instantiate`` call: ``reference`` (nodes that are
            interpolations of one node), ``equal`` (equal sub-configs) or ``none``.
        wait_seconds: how long to wait for another process, or thread, that computes the same; None for as long as
            it is alive.
        shared: others may write to ``dir``, too, and you trust all who can: what is made there is for its group as
            well. Otherwise a directory that others can write to is refused.
        signing_key: a secret: entries are signed with it, and what is not is never unpickled. Several, separated by
            commas: the first signs, what any of them signed is read.
        max_size: results that are worth least are removed when there are more: ``20GB``, or a number of bytes.
        max_age: results that nobody used for so long are removed: ``30d``, ``12h``, or a number of seconds.
        strict: a result that policy says to store and that cannot be is an error, not a warning.
        plan: print what would hit and what would run, and run nothing.
        verbose: log every look-up.
    """

    dir: str | None = ".hydra_cached"
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    local_dir: str | None = None
    mode: Mode = Mode.readwrite
    min_seconds: float = 1.0
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    code: Code = Code.project
    random_state: list[str] = field(default_factory=list)
    share: Share = Share.reference
    wait_seconds: float | None = None
    shared: bool = False
    signing_key: str | None = field(default=None, repr=False)
    max_size: str | None = None
    max_age: str | None = None
    strict: bool = False
    plan: bool = False
    verbose: bool = False


def put_into_config_store(group: str, name: str, node: Any, package: str | None = None) -> None:
    """Make an option of a config group, also where it was made before.

    Worker processes get the config store of the sweep's, and then import the plugins themselves.

    Args:
        group: the config group.
        name: the option.
        node: its config.
        package: where it goes, if not where its group says.
    """
    from hydra.core.config_store import ConfigStore

    store: Any = ConfigStore.instance().store
    again = {"replace": True} if "replace" in inspect.signature(store).parameters else {}
    store(group=group, name=name, node=node, package=package, provider="hydra-cached", **again)


def read_options(base: CacheOptions | None = None, /, **given: Any) -> CacheOptions:
    """Make options from keyword arguments, as ``activate`` and the command line take them.

    Args:
        base: options to start from; the defaults when there are none.
        given: values by name; enums may be given by name, ``dir`` may be any path-like object.

    Raises:
        OptionError: for a name or a value that means nothing.
    """
    known = {option.name for option in fields(CacheOptions)}
    for name in given:
        if name not in known:
            raise OptionError(name, f"there is no such option; there are {', '.join(sorted(known))}")
    values = {name: getattr(base or CacheOptions(), name) for name in known} | given
    if values["dir"] is not None:
        if not isinstance(values["dir"], (str, os.PathLike)) or not isinstance(os.fspath(values["dir"]), str):
            raise OptionError("dir", f"must be a path or a URL, not {values['dir']!r}")
        values["dir"] = os.fspath(values["dir"])
    if values["local_dir"] is not None:
        if not isinstance(values["local_dir"], (str, os.PathLike)) or "://" in os.fspath(values["local_dir"]):
            raise OptionError("local_dir", "must be the path of a local directory")
        values["local_dir"] = os.fspath(values["local_dir"])
    storage = values["storage_options"] or {}
    if not isinstance(storage, Mapping) or not all(isinstance(name, str) for name in storage):
        # Not shown: there may be secrets in it.
        raise OptionError("storage_options", f"must be a mapping, not a {type(storage).__name__}")
    values["storage_options"] = dict(storage)
    for name, choices in (("mode", Mode), ("share", Share), ("code", Code)):
        values[name] = _choice(name, values[name], choices)
    for name in ("include", "exclude", "ignore", "random_state"):
        patterns = values[name]
        several = isinstance(patterns, Sequence) and not isinstance(patterns, (str, bytes))
        if not several or not all(isinstance(each, str) for each in patterns):
            what = "the string " if isinstance(patterns, str) else ""
            raise OptionError(name, f"must be a list of patterns, not {what}{patterns!r}")
        values[name] = list(patterns)
    for name in ("shared", "strict", "plan", "verbose"):
        if not isinstance(values[name], bool):
            raise OptionError(name, f"must be true or false, not {values[name]!r}")
    for name in ("min_seconds", "wait_seconds"):
        seconds = values[name]
        if name == "wait_seconds" and seconds is None:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds != seconds:
            raise OptionError(name, f"must be a number of seconds, not {seconds!r}")
        values[name] = float(seconds)
    for name, parse in (("max_size", parse_size), ("max_age", parse_age)):
        if values[name] is not None:
            try:
                parse(values[name])
            except ValueError as error:
                raise OptionError(name, str(error)) from None
            values[name] = str(values[name])
    values["signing_key"] = ",".join(_signing_keys(values["signing_key"])) or None
    return CacheOptions(**values)


def options_of(config: Any) -> CacheOptions:
    """The options in a composed config; the defaults where it has no ``cache`` node.

    Raises:
        OptionError: an option has a value that means nothing.
    """
    from omegaconf import OmegaConf

    node = OmegaConf.select(config, "cache")
    if node is None:
        return CacheOptions()
    values: Any = OmegaConf.to_container(node, resolve=True)
    return read_options(**values)


def signing_keys(options: CacheOptions) -> list[str]:
    """The secrets of ``signing_key``, the one that signs first; none if entries are not signed."""
    return _signing_keys(options.signing_key)


def _signing_keys(value: Any) -> list[str]:
    """The keys in an option's value, which no message shows."""
    if value is None:
        return []
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, Sequence) or not all(isinstance(each, str) for each in several):
        raise OptionError("signing_key", f"must be a text, or a list of texts, not a {type(value).__name__}")
    keys = [key.strip() for each in several for key in each.split(",")]
    if not keys or not all(keys):
        raise OptionError("signing_key", "is empty; set it to null if entries are not to be signed")
    if any(len(key) < _SHORTEST_KEY for key in keys):
        raise OptionError(
            "signing_key",
            f"a key has less than {_SHORTEST_KEY} characters; take the output of: openssl rand -hex 32",
        )
    return keys


def _choice(name: str, value: Any, choices: type[enum.Enum]) -> enum.Enum:
    if isinstance(value, choices):
        return value
    try:
        return choices(value)
    except (ValueError, TypeError):
        raise OptionError(
            name, f"must be one of {', '.join(c.name for c in choices)}, not {value!r}"
        ) from None
