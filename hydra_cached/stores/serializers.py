"""Results to bytes and back: pickle protocol 5 with its buffers out of band, cloudpickle for what it refuses."""

from __future__ import annotations

import copy
import functools
import io
import operator
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, read_write

from hydra_cached.artifacts import Artifact, Place, Places
from hydra_cached.errors import DamagedEntry, NotRestorable, NotStorable
from hydra_cached.stores.base import Payload
from hydra_cached.stores.formats import FORMATS, name_of, read
from hydra_cached.stores.trees import read_tree, write_tree

PICKLE = "pickle5"
CLOUDPICKLE = f"cloudpickle-{sys.version_info[0]}.{sys.version_info[1]}"

ARTIFACTS = "+artifacts"  # ends the format's name when there are files in it
GIVEN = "+given"  # likewise, after that, when it refers to what its target is handed
NOWHERE = Places()


Refer = Callable[[Any], tuple[Any, ...] | None]  # what is to be written instead of a value, if anything


def dump(value: Any, places: Places = NOWHERE, refer: Refer | None = None) -> Payload:
    """Serialize a result.

    Args:
        value: the result.
        places: what the places of the artifacts in it are relative to.
        refer: gives a reference to what belongs to somebody else, to be written in its place.

    Standard pickle first, so that a class of ``__main__`` comes back as itself; cloudpickle only for what pickle
    refuses (lambdas, local functions and classes). Its byte code is one Python version's own, so the format's
    name says which.

    Raises:
        NotStorable: neither can.
    """
    try:
        return _written(_Pickler, PICKLE, value, places, refer)
    except Exception as refusal:
        try:
            return _written(_cloud_pickler(), CLOUDPICKLE, value, places, refer)
        except Exception as error:
            raise NotStorable(f"pickle says {_brief(refusal)}; cloudpickle says {_brief(error)}") from error


def _written(pickler: Any, kind: str, value: Any, places: Places, refer: Refer | None) -> Payload:
    buffers: list[pickle.PickleBuffer] = []
    sink = io.BytesIO()
    writer = pickler(sink, protocol=5, buffer_callback=buffers.append)
    writer.places, writer.refer = places, refer
    writer.dump(value)
    try:
        raw = [buffer.raw() for buffer in buffers]
    except BufferError:
        # Somebody gave out a buffer that is not contiguous: everything in band then.
        raw, sink = [], io.BytesIO()
        writer = pickler(sink, protocol=5)
        writer.places, writer.refer = places, refer
        writer.dump(value)
    kind += (ARTIFACTS if writer.artifacts else "") + (GIVEN if writer.referred else "")
    return Payload(kind, sink.getvalue(), raw, tuple(writer.named))


def refers(payload: Payload) -> bool:
    """Whether it is whole only together with what its target is handed."""
    return payload.format.endswith(GIVEN)


def load(
    payload: Payload,
    places: Callable[[], Places] | None = None,
    given: Callable[[Any], Any] | None = None,
) -> Any:
    """The result again: a new object, whose arrays use the payload's buffers without a copy where possible.

    Args:
        payload: what ``dump`` made of it.
        places: tells where to put the artifacts in it, if it has any; without, they are left as names.
        given: gives what a reference refers to now.

    Raises:
        DamagedEntry: it cannot be read here.
        NotRestorable: an artifact in it cannot be put into its place, or what it refers to is not there.
    """
    kind = payload.format.removesuffix(GIVEN)
    if kind.removesuffix(ARTIFACTS) not in (PICKLE, CLOUDPICKLE):
        raise DamagedEntry(f"its format is {payload.format}, which cannot be read here")
    try:
        if kind.endswith(ARTIFACTS) or refers(payload):
            where = places() if places is not None and kind.endswith(ARTIFACTS) else None
            return _Unpickler(payload, where, given).load()
        return pickle.loads(payload.stream, buffers=payload.buffers)
    except (MemoryError, NotRestorable):
        raise
    except Exception as error:
        raise DamagedEntry(f"it cannot be unpickled: {_brief(error)}") from error


class _Unpickler(pickle.Unpickler):
    """Standard pickle, which puts artifacts into their places, and what is handed over into its own."""

    def __init__(self, payload: Payload, places: Places | None, given: Callable[[Any], Any] | None) -> None:
        super().__init__(io.BytesIO(payload.stream), buffers=payload.buffers)
        self._places, self._given = places, given

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, restored_artifact.__name__):
            return functools.partial(restored_artifact, places=self._places)
        if (module, name) == (__name__, given_again.__name__):
            return functools.partial(given_again, given=self._given)
        return super().find_class(module, name)


def restored_artifact(place: Place, path: str, *pieces: Any, places: Places | None = None) -> Artifact:
    """Called by the pickle of a result: an artifact in its place.

    Raises:
        NotRestorable: it cannot be put there.
    """
    where = Path(path) if places is None else places.find(place)
    if where is None:
        raise NotRestorable(
            f"there is no {place.kind} {place.parameter} to put {path} below".replace("  ", " ")
        )
    artifact = Artifact(where)
    artifact.place = place
    if places is not None:
        try:
            write_tree(where, list(zip(*[iter(pieces)] * 3, strict=True)))
        except OSError as error:
            raise NotRestorable(f"the artifact {where} cannot be put back: {error}") from error
    return artifact


def given_again(reference: Any, *, given: Callable[[Any], Any] | None = None) -> Any:
    """Called by the pickle of a result: what its target was handed, as it is handed over now.

    Raises:
        NotRestorable: nothing, or something else, is handed over there.
    """
    if given is None:
        raise NotRestorable(
            "it refers to what its target was handed, and is not read for a call of that target"
        )
    return given(reference)


class _OfResults:
    """For picklers: what results need beside being pickled.

    Classes and functions are written by name; which they were is noted, for their code is part of what the result
    is. A config container in a result is written without the config that it stood in: Hydra 1.4 hands containers
    over with their parents, and written as they are, each would bring the app's whole config along, with its
    secrets, and a result's bytes would change with any part of it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._inside: dict[int, Any] = {}
        self._contexts: dict[int, Any] = {}
        self.places = NOWHERE
        self.artifacts = False
        self.refer: Refer | None = None
        self.referred = False
        self.named: dict[Any, None] = {}

    def reducer_override(self, value: Any) -> Any:
        reference = None if self.refer is None else self.refer(value)
        if reference is not None:
            self.referred = True
            return given_again, (reference,)
        if not OmegaConf.is_config(value):
            self.named[value if isinstance(value, (type, types.FunctionType)) else type(value)] = None
            if type(value) is Artifact:
                return self._artifact(value)
            serializer = FORMATS.of(type(value))
            if serializer is not None:
                return read, (name_of(type(value)), *map(pickle.PickleBuffer, serializer.dump(value)))
            inherited: Any = getattr(super(), "reducer_override", None)
            return NotImplemented if inherited is None else inherited(value)
        reduced = value.__reduce_ex__(5)
        parent = reduced[2].get("_parent")
        if parent is not None and id(parent) not in self._inside:
            if _has_interpolation(value):
                # The copy, which needs nothing from its parent, comes in its place: ``(copy,)[0]``.
                return operator.getitem, ((self._resolved(value),), 0)
            reduced = _alone(value, reduced)
        self._inside[id(value)] = value
        return reduced

    def _artifact(self, artifact: Artifact) -> Any:
        self.artifacts = True
        place = self.places.settle(artifact)
        pieces: list[Any] = []
        for name, kind, content in read_tree(artifact.path):
            pieces += [name, kind, pickle.PickleBuffer(content)]
        return restored_artifact, (place, str(artifact.path), *pieces)

    def _resolved(self, config: Any) -> Any:
        """A copy that needs nothing from where it stood."""
        copied = self._copied(config)
        with read_write(copied):
            OmegaConf.resolve(copied)
        # `read_write` has left what it may have inherited as its own.
        OmegaConf.set_readonly(copied, config._get_node_flag("readonly"))
        return copied

    def _copied(self, config: Any) -> Any:
        """A copy among copies: resolving it may reach other nodes, and must not change the original's."""
        parent = config._get_parent()
        if parent is None:
            return copy.deepcopy(config)
        if id(parent) not in self._contexts:
            self._contexts[id(parent)] = self._copied(parent)
        context = self._contexts[id(parent)]
        key = config._key()
        if OmegaConf.is_config(parent) and key is not None and parent._get_node(key) is config:
            return context._get_node(key)
        copied = copy.deepcopy(config)
        copied._set_parent(context)  # a parent that does not own it is there for its interpolations
        return copied


def _alone(config: Any, reduced: Any) -> Any:
    """The reduction of a container, without its parent."""
    state = {**reduced[2], "_parent": None}
    # What it inherits of these it must keep when it stands alone.
    flags = {flag: True for flag in ("struct", "allow_objects") if config._get_flag(flag)}
    if flags:
        state["_metadata"] = metadata = copy.copy(state["_metadata"])
        metadata.flags = {**(metadata.flags or {}), **flags}
    return (*reduced[:2], state, *reduced[3:])


class _Pickler(_OfResults, pickle.Pickler):
    """Standard pickle."""


@functools.cache
def _cloud_pickler() -> type:
    import cloudpickle

    class CloudPickler(_OfResults, cloudpickle.Pickler):  # type: ignore[misc]
        """cloudpickle, imported only where pickle has refused."""

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, (io.TextIOWrapper, memoryview)):
                # cloudpickle would make a text buffer of a file, and bytes of a view: not what was computed.
                raise pickle.PicklingError(f"a {type(value).__name__} lives only in its process")
            return super().reducer_override(value)

    return CloudPickler


def _has_interpolation(config: Any) -> bool:
    keys = list(config.keys()) if OmegaConf.is_dict(config) else range(len(config))
    for key in keys:
        if OmegaConf.is_interpolation(config, key):
            return True
        if not OmegaConf.is_missing(config, key) and OmegaConf.is_config(inner := config[key]):
            if _has_interpolation(inner):
                return True
    return False


def _brief(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
    except Exception:  # an error whose own text raises
        text = type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
