"""Results to bytes and back: pickle protocol 5 with its buffers out of band, cloudpickle for what it refuses."""

from __future__ import annotations

import io
import pickle
import sys
from typing import Any

from hydra_cached.errors import DamagedEntry, NotStorable
from hydra_cached.stores.base import Buffer, Payload

PICKLE = "pickle5"
CLOUDPICKLE = f"cloudpickle-{sys.version_info[0]}.{sys.version_info[1]}"


def dump(value: Any) -> Payload:
    """Serialize a result.

    Standard pickle first, so that a class of ``__main__`` comes back as itself; cloudpickle only for what pickle
    refuses (lambdas, local functions and classes). Its byte code is one Python version's own, so the format's
    name says which.

    Raises:
        NotStorable: neither can.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        stream: Buffer = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        kind = PICKLE
    except Exception as refusal:
        import cloudpickle

        buffers.clear()
        sink = io.BytesIO()
        try:
            cloudpickle.Pickler(sink, protocol=5, buffer_callback=buffers.append).dump(value)
        except Exception as error:
            raise NotStorable(f"pickle says {_brief(refusal)}; cloudpickle says {_brief(error)}") from error
        stream, kind = sink.getbuffer(), CLOUDPICKLE
    try:
        return Payload(kind, stream, [buffer.raw() for buffer in buffers])
    except BufferError:
        # Somebody gave out a buffer that is not contiguous: everything in band then.
        return Payload(kind, pickle.dumps(value, protocol=5))


def load(payload: Payload) -> Any:
    """The result again: a new object, whose arrays use the payload's buffers without a copy where possible.

    Raises:
        DamagedEntry: it cannot be read here.
    """
    if payload.format not in (PICKLE, CLOUDPICKLE):
        raise DamagedEntry(f"its format is {payload.format}, which cannot be read here")
    try:
        return pickle.loads(payload.stream, buffers=payload.buffers)
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedEntry(f"it cannot be unpickled: {_brief(error)}") from error


def _brief(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return text if len(text) <= 160 else text[:157] + "..."
