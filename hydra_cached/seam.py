"""The seam with Hydra: the one place that knows ``hydra._internal``, for both generations of it.

Hydra looks its per-node function up as a global of its module at every, also recursive, call. The seam puts
functions of its own in the place of three globals, and the originals back when the last session ends:

* ``instantiate_node``: every node passes here; those that interest the session travel by its story.
* ``_call_target``: the moment of the call, after the arguments were built. The special keys are taken out of the
  arguments here, and the target's own time is measured.
* ``OmegaConf`` (Hydra 1.3 only), whose ``resolve`` replaces interpolations by copies: a last look at what was an
  interpolation of what.

A session's story is a generator: it yields a ``Run`` to have Hydra's own code run a node, gets the result sent,
and returns what the caller shall get. So no frame of ours stands between Hydra and the target but the two
replaced functions, and these bear Hydra's file name: Hydra counts frames of its own file to attribute its
warnings to the user's line.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer

from hydra_cached.errors import HydraCachedError, UnknownHydraError
from hydra_cached.unresolved import NOTHING, Copies, Environment, Unresolved

log = logging.getLogger("hydra_cached.seam")
EAGER_NODE = ("node", "args", "convert", "recursive", "partial")
EAGER_CALL = ("_target_", "_partial_", "args", "kwargs", "full_key")
LAZY_NODE = (
    "node",
    "args",
    "overrides",
    "convert",
    "recursive",
    "partial",
    "is_root",
    "execution_whitelist",
    "deferred_call_context",
)
LAZY_CALL = (*EAGER_CALL, "execution_whitelist", "deferred_call_context")
_MODES_OF_CHILDREN = ("execution_whitelist", "deferred_call_context")


@dataclass(frozen=True)
class Visit:
    """Hydra's wish to build one node.

    Args:
        node: the config node; Hydra 1.3 has resolved it and made it a private copy, Hydra 1.4 has done neither.
        args: positional arguments of the call (only for a root).
        modes: what else Hydra passes with the node: conversion, recursion and so on.
        before: for a root on Hydra 1.3, what its config was before its interpolations were replaced.
    """

    node: Any
    args: tuple[Any, ...] = ()
    modes: Mapping[str, Any] = field(default_factory=dict)
    before: Unresolved = field(default_factory=lambda: NOTHING)

    @property
    def path(self) -> str:
        """Where the node stands in its config, as in ``model.layers[0]``; Hydra's messages say ``layers0``."""
        parent, key = self.node._get_parent(), self.node._key()
        return str((self.node if parent is None else parent)._get_full_key(key) or "")

    @property
    def overrides(self) -> Mapping[str, Any]:
        """Keyword arguments of the call that are not merged into the node (Hydra 1.4)."""
        return self.modes.get("overrides") or {}

    def child(self, node: Any, convert: Any, recursive: Any) -> Visit:
        """The visit that Hydra itself would make to a node below this one."""
        modes = {name: self.modes[name] for name in _MODES_OF_CHILDREN if name in self.modes}
        return Visit(node, (), {**modes, "convert": convert, "recursive": recursive})


@dataclass(frozen=True)
class Run:
    """A story's request: let Hydra build this.

    Args:
        visit: the node and how.
        whole: whether to go through the seam again (for a child) or to call Hydra's function (for the node whose
            story asks).
    """

    visit: Visit
    whole: bool = False


@dataclass(frozen=True)
class Served:
    """A story's last word when Hydra did not run: the value, and the targets that were not called for it."""

    value: Any
    targets: Iterable[str] = ()


@dataclass(frozen=True)
class Failed:
    """What came of a child that was to be built ahead of its turn: an error, to be raised when its turn comes.

    Hydra may find something else to be wrong before.
    """

    error: Exception


@dataclass(frozen=True)
class GaveUp:
    """A story ended in an error of our own: the node is Hydra's alone."""

    error: Exception


Story = Generator[Run, Any, Any]


class Handler(Protocol):
    """What the seam asks a session."""

    def wants(self, node: Any, modes: Mapping[str, Any]) -> bool:
        """Whether a node shall travel by ``story``; all others go straight to Hydra."""

    def story(self, visit: Visit) -> Story:
        """The way of one node."""

    def before_call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A target is about to be called.

        Gets the positional arguments of a root's call, which replace the config's, and the keyword arguments,
        which may be changed.

        Returns ``Served`` for a value that makes the call needless.
        """

    def after_call(self, token: Any) -> None:
        """It returned or raised; gets what ``before_call`` returned."""

    def gave_up(self, error: Exception) -> None:
        """A story ended in an error of its own; Hydra builds the node, if it has not yet."""


class Seam:
    """Hydra's module of functions, and ours in their place while there are users.

    Raises:
        UnknownHydraError: the module is not as one of the known generations has it.
    """

    def __init__(self, current: Callable[[], Handler | None]) -> None:
        import hydra
        from hydra._internal.instantiate import _instantiate2

        module: Any = _instantiate2
        self.version = str(hydra.__version__)
        self._module = module
        self._current = current
        self._users = 0
        self._lock = threading.RLock()
        self._before: ContextVar[Unresolved] = ContextVar("hydra_cached_unresolved", default=NOTHING)
        self.lazy = self._generation()
        self._originals = {
            name: getattr(module, name) for name in ("instantiate_node", "_call_target", "OmegaConf")
        }
        self._ours = self._replacements()

    def _generation(self) -> bool:
        shapes = []
        for name in ("instantiate_node", "_call_target"):
            function = getattr(self._module, name, None)
            if not inspect.isfunction(function):
                raise UnknownHydraError(self.version, f"there is no function {name}")
            shapes.append(tuple(inspect.signature(function).parameters))
        if shapes == [EAGER_NODE, EAGER_CALL]:
            needed = ["OmegaConf"]
        elif shapes == [LAZY_NODE, LAZY_CALL]:
            needed = ["_warn_legacy_execution_whitelist", "_ISOLATE_CONFIG_ARGUMENTS"]
        else:
            raise UnknownHydraError(self.version, f"instantiate_node{shapes[0]} or _call_target{shapes[1]}")
        if hasattr(self._module, "_authorize_target_name"):
            needed.extend(["_get_resolved_target_name_for_check", "_reject_protected_reference"])
        for name in needed:
            if not hasattr(self._module, name) and not hasattr(self._policy(), name):
                raise UnknownHydraError(self.version, f"there is no {name}")
        return shapes[0] == LAZY_NODE

    def install(self) -> None:
        """Intercept, if nobody has yet; every call wants one of ``uninstall``."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                for name, function in self._ours.items():
                    # Who has put his own there takes it away again, and finds what he found.
                    if getattr(self._module, name) is self._originals[name]:
                        setattr(self._module, name, function)

    def uninstall(self) -> None:
        """Give Hydra its own functions back, if nobody needs ours any more."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for name, ours in self._ours.items():
                    # Somebody who wrapped our function in the meantime keeps it; it costs one look per node.
                    if getattr(self._module, name) is ours:
                        setattr(self._module, name, self._originals[name])

    def _replacements(self) -> dict[str, Any]:
        current, originals = self._current, self._originals
        original_node, original_call = originals["instantiate_node"], originals["_call_target"]
        take_before, warn, foreign = self._take_before, self._warn_of, self._foreign

        def instantiate_node(node: Any, *args: Any, **modes: Any) -> Any:
            session = current()
            if session is None or foreign(session) or not session.wants(node, modes):
                return original_node(node, *args, **modes)
            story = session.story(Visit(node, args, modes, take_before()))
            done, value = False, None
            step = _advance(story, None)
            while type(step) is Run:
                visit = step.visit
                try:
                    if step.whole:
                        value = instantiate_node(visit.node, *visit.args, **visit.modes)
                    else:
                        value = original_node(visit.node, *visit.args, **visit.modes)
                        done = True
                except BaseException as error:
                    if not step.whole or not isinstance(error, Exception):
                        story.close()
                        raise
                    value = Failed(error)
                step = _advance(story, value)
            if type(step) is Failed:
                raise step.error
            if type(step) is Served:
                if warn is not None and modes.get("execution_whitelist") is None:
                    for target in step.targets:
                        warn(target)
                return step.value
            if type(step) is GaveUp:
                session.gave_up(step.error)
                return value if done else original_node(node, *args, **modes)
            return step

        def call_target(
            _target_: Any, _partial_: Any, args: Any, kwargs: Any, *rest: Any, **named: Any
        ) -> Any:
            session = current()
            if session is None:
                return original_call(_target_, _partial_, args, kwargs, *rest, **named)
            token = session.before_call(_target_, args, kwargs)
            if type(token) is Served:
                return token.value
            try:
                return original_call(_target_, _partial_, args, kwargs, *rest, **named)
            finally:
                session.after_call(token)

        file = self._module.__file__
        for function in (instantiate_node, call_target):
            function.__code__ = function.__code__.replace(co_filename=file)
        ours: dict[str, Any] = {"instantiate_node": instantiate_node, "_call_target": call_target}
        if not self.lazy:
            ours["OmegaConf"] = self._watching_omegaconf()
        return ours

    def _foreign(self, session: Handler) -> bool:
        """Whether somebody calls the targets in a way of his own, so that results are not what the key says.

        hydra-zen's ``_target_wrapper_`` does, for the time of a call. The special keys are taken out all the same.
        """
        theirs = self._module._call_target
        if theirs is self._originals["_call_target"]:  # put back by somebody who found it before we came
            theirs = self._module._call_target = self._ours["_call_target"]
        if theirs is self._ours["_call_target"]:
            return False
        if not isinstance(theirs, _Foreign):
            log.warning("not cached: %s calls the targets of this instantiate call", _owner(theirs))
            self._module._call_target = _Foreign(theirs, session)
        return True

    @property
    def _warn_of(self) -> Callable[[str], None] | None:
        """What Hydra 1.4 says when it calls a target that no whitelist allows; a hit says it too."""
        return self._module._warn_legacy_execution_whitelist if self.lazy else None

    def _watching_omegaconf(self) -> type[OmegaConf]:
        before, current = self._before, self._current

        class WatchingOmegaConf(OmegaConf):
            @staticmethod
            def resolve(cfg: Any) -> None:
                if current() is None:
                    OmegaConf.resolve(cfg)
                    return
                copies = Copies(cfg)
                OmegaConf.resolve(cfg)
                before.set(copies.resolved())

        return WatchingOmegaConf

    def _take_before(self) -> Unresolved:
        found = self._before.get()
        if found is not NOTHING:
            self._before.set(NOTHING)
        return found

    # Hydra's target policy (1.3.8 and later), which a hit must not get around.

    def _policy(self) -> Any:
        function = getattr(self._module, "_authorize_target_name", None)
        return sys.modules[function.__module__] if function is not None else None

    def policy_version(self) -> str:
        """Names the policy under which Hydra calls targets now; entries remember theirs."""
        return self.version if self._policy() is not None else "none"

    def canonical_name(self, target: Any) -> str | None:
        """The name by which Hydra's policy knows a resolved target, or a callable result."""
        policy = self._policy()
        return None if policy is None else str(policy._get_resolved_target_name_for_check(target))

    def authorised(
        self, names: Iterable[str], resolved: Collection[tuple[str, str]], modes: Mapping[str, Any]
    ) -> bool:
        """Whether Hydra would call these targets now.

        Args:
            names: target names as configs give them.
            resolved: pairs of such a name and the canonical name that it stood for when it was called.
            modes: the visit's; they hold the whitelist that is in force (Hydra 1.4).
        """
        policy = self._policy()
        if policy is None:
            return True
        whitelist = (modes.get("execution_whitelist"),) if self.lazy else ()
        try:
            for name in {*names, *(name for name, _ in resolved)}:
                policy._reject_protected_reference(name, "", *whitelist)
                policy._authorize_target_name(name, name, "", *whitelist)
            for name, canonical in resolved:
                policy._reject_protected_reference(canonical, "", *whitelist)
                if not self.lazy:
                    policy._authorize_target_name(canonical, name, "", resolved_from_is_alias=True)
                elif canonical != name and policy._requires_resolved_authorization(name, *whitelist):
                    policy._authorize_target_name(canonical, name, "", *whitelist)
        except Exception:
            return False
        return True

    def secrets(self, visit: Visit) -> tuple[str, ...]:
        """Texts in a call's config that came from environment variables (``${oc.env:NAME}``).

        Args:
            visit: the call's root.
        """
        return Environment(visit.node).texts() if self.lazy else visit.before.secrets

    def resolvers(self) -> dict[str, Any]:
        """OmegaConf's resolvers at this moment, by name."""
        return dict(BaseContainer._resolvers)

    def isolated(self) -> bool:
        """Whether targets get private copies of config arguments now (Hydra 1.4)."""
        return bool(self.lazy and self._module._ISOLATE_CONFIG_ARGUMENTS.get())


@dataclass(frozen=True)
class _Foreign:
    """Somebody's function in the place of Hydra's, who puts back what was there before."""

    function: Callable[..., Any]
    session: Handler

    def __call__(
        self, _target_: Any, _partial_: Any, args: Any, kwargs: Any, *rest: Any, **named: Any
    ) -> Any:
        self.session.before_call(_target_, args, kwargs)
        return self.function(_target_, _partial_, args, kwargs, *rest, **named)


def _owner(function: Any) -> str:
    function = getattr(function, "func", function)
    return str(getattr(function, "__module__", "somebody")).partition(".")[0]


def _advance(story: Story, value: Any) -> Any:
    """The next step of a story. What it raises on purpose passes; anything else must not break the run."""
    try:
        return story.send(value)
    except StopIteration as end:
        return end.value
    except HydraCachedError:
        raise
    except Exception as error:
        return GaveUp(error)
