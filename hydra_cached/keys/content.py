"""Content digests of results and of objects passed at a call: canonical forms of arrays, tables and tensors.

The forms are registered when a value of the library is first met, so that nothing is imported for them.
Arrays count by dtype, shape, byte order and values, never by memory layout: what is in Fortran order, strided
or mapped from a file has the digest of its C-ordered copy.
"""

from __future__ import annotations

from typing import Any

from blake3 import blake3
from omegaconf import DictConfig, ListConfig, OmegaConf

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.canonical import (
    CodeOf,
    Encoder,
    blob,
    register,
    register_lazily,
    tagged,
    type_name,
)


def content_digest(value: Any, code_of: CodeOf | None = None) -> str | None:
    """Digest of a value's content, in hex; None if its type has no canonical form.

    Args:
        value: any object.
        code_of: see ``Encoder``.
    """
    try:
        return Encoder(code_of).digest(value)
    except NotCanonical:
        return None
    except Exception:
        # Objects whose attributes raise, arrays of broken objects: they have no digest, which is not an error.
        return None


def _raw(view: Any) -> bytes:
    data = memoryview(view)
    digest = blake3(max_threads=blake3.AUTO) if data.nbytes > 1 << 20 else blake3()
    return digest.update(data).digest()


def _numpy() -> None:
    import numpy as np

    def dtype_text(dtype: Any) -> bytes:
        # `.str` of a structured dtype is only its size; its description has names, offsets and formats.
        return (repr(dtype.descr) if dtype.names else dtype.str).encode() + repr(
            dtype.metadata or ""
        ).encode()

    def array(value: Any, encoder: Encoder, path: str) -> bytes:
        head = (type_name(type(value)).encode(), dtype_text(value.dtype), encoder.encode(value.shape))
        if value.dtype.hasobject:
            if value.dtype.names:
                raise NotCanonical(path, "structured array of objects")
            return tagged(b"ndarray-o", *head, encoder.encode(value.ravel().tolist(), path))
        plain = np.ascontiguousarray(value)
        return tagged(b"ndarray", *head, _raw(plain.reshape(-1).view(np.uint8)) if plain.size else b"")

    def masked(value: Any, encoder: Encoder, path: str) -> bytes:
        parts = (np.ma.filled(value), np.ma.getmaskarray(value), value.fill_value)
        return tagged(b"masked", *(encoder.encode(np.asarray(part), path) for part in parts))

    def scalar(value: Any, encoder: Encoder, path: str) -> bytes:
        if isinstance(value, np.void) and value.dtype.hasobject:
            raise NotCanonical(path, "structured scalar of objects")
        data = b"nan" if isinstance(value, np.inexact) and np.isnan(value) else value.tobytes()
        return tagged(b"npscalar", type_name(type(value)).encode(), dtype_text(value.dtype), data)

    def memmap(value: Any, encoder: Encoder, path: str) -> bytes:
        return array(np.asarray(value), encoder, path)

    def random_state(value: Any, encoder: Encoder, path: str) -> bytes:
        state = (
            value.bit_generator.state if hasattr(value, "bit_generator") else value.get_state(legacy=False)
        )
        return tagged(b"rng", type_name(type(value)).encode(), encoder.encode(state, path))

    register(np.ndarray, array)
    register(np.memmap, memmap)
    register(np.ma.MaskedArray, masked)
    register(np.generic, scalar, family=True)
    register(np.dtype, lambda v, e, p: tagged(b"npdtype", dtype_text(v)), family=True)
    register(np.random.Generator, random_state)
    register(np.random.RandomState, random_state)


def _pandas() -> None:
    import numpy as np
    import pandas as pd

    def values(array: Any, encoder: Encoder, path: str) -> bytes:
        """One column: its dtype and its values, through numpy where that says all."""
        kind = str(array.dtype).encode()
        if isinstance(array.dtype, np.dtype):
            return tagged(b"pdvalues", kind, encoder.encode(np.asarray(array), path))
        if isinstance(array, pd.Categorical):
            return tagged(
                b"pdcat",
                encoder.encode(array.categories, path),
                encoder.encode(bool(array.ordered)),
                encoder.encode(np.asarray(array.codes), path),
            )
        missing = np.asarray(array.isna())
        items = [None if gone else item for gone, item in zip(missing, array, strict=True)]
        return tagged(b"pdext", kind, encoder.encode(items, path))

    def index(value: Any, encoder: Encoder, path: str) -> bytes:
        names = encoder.encode(list(value.names), path)
        if isinstance(value, pd.MultiIndex):
            levels = [values(value.get_level_values(n).array, encoder, path) for n in range(value.nlevels)]
            return tagged(b"pdmulti", names, *levels)
        kind = type_name(type(value)).encode()
        freq = str(getattr(value, "freqstr", None)).encode()
        return tagged(b"pdindex", kind, names, freq, values(value.array, encoder, path))

    def series(value: Any, encoder: Encoder, path: str) -> bytes:
        parts = (encoder.encode(value.name, path), encoder.encode(value.index, path))
        attrs = encoder.encode(value.attrs, path)
        return tagged(b"pdseries", *parts, attrs, values(value.array, encoder, path))

    def frame(value: Any, encoder: Encoder, path: str) -> bytes:
        labels = (encoder.encode(value.columns, path), encoder.encode(value.index, path))
        attrs = encoder.encode(value.attrs, path)
        columns = [
            values(value.iloc[:, at].array, encoder, f"{path}[{name!r}]")
            for at, name in enumerate(value.columns)
        ]
        return tagged(b"pdframe", *labels, attrs, *columns)

    def text(tag: bytes) -> Any:
        return lambda value, encoder, path: tagged(tag, repr(value).encode())

    register(pd.Series, series)
    register(pd.DataFrame, frame)
    register(pd.Index, index, family=True)
    register(pd.Categorical, values)
    # The textual forms of these are exact: nanoseconds, time zone, unit and closed side are all in them.
    stamp = (("pdstamp", pd.Timestamp), ("pddelta", pd.Timedelta), ("pdperiod", pd.Period))
    for tag, kind in (*stamp, ("pdinterval", pd.Interval)):
        register(kind, text(tag.encode()))
    register(type(pd.NaT), text(b"pdnat"))
    register(type(pd.NA), text(b"pdna"))


def _pyarrow() -> None:
    import pyarrow as pa

    def table(value: Any, encoder: Encoder, path: str) -> bytes:
        whole = (value if isinstance(value, pa.Table) else pa.Table.from_batches([value])).combine_chunks()
        schema = bytes(whole.schema.serialize())
        columns = [encoder.encode(column, f"{path}.{at}") for at, column in enumerate(whole.columns)]
        return tagged(b"patable", type_name(type(value)).encode(), blob(b"schema", schema), *columns)

    def array(value: Any, encoder: Encoder, path: str) -> bytes:
        chunks = value.chunks if isinstance(value, pa.ChunkedArray) else [value]
        sink = pa.BufferOutputStream()
        # One batch of one array rebuilt without offset: how it was sliced or chunked must not count.
        whole = pa.concat_arrays(chunks) if chunks else pa.array([], value.type)
        batch = pa.record_batch([whole.take(pa.array(range(len(whole)), pa.int64()))], names=["x"])
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        family = b"pachunked" if isinstance(value, pa.ChunkedArray) else b"paarray"
        return tagged(family, str(value.type).encode(), _raw(sink.getvalue()))

    register(pa.Table, table)
    register(pa.RecordBatch, table)
    register(pa.Array, array, family=True)
    register(pa.ChunkedArray, array)


def _torch() -> None:
    import torch

    def tensor(value: Any, encoder: Encoder, path: str) -> bytes:
        kind = (type_name(type(value)).encode(), str(value.dtype).encode(), str(value.device).encode())
        head = (*kind, encoder.encode(tuple(value.shape)), encoder.encode(bool(value.requires_grad)))
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            raise NotCanonical(path, f"tensor of layout {value.layout}")
        plain = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        data = _raw(plain.view(torch.uint8).numpy()) if plain.numel() else b""
        return tagged(b"tensor", *head, data)

    register(torch.Tensor, tensor)
    register(torch.nn.Parameter, tensor)
    register(torch.Size, lambda v, e, p: tagged(b"tsize", e.encode(tuple(v))))
    register(torch.dtype, lambda v, e, p: tagged(b"tdtype", str(v).encode()))
    register(torch.device, lambda v, e, p: tagged(b"tdevice", str(v).encode()))


def _omegaconf() -> None:
    def container(value: Any, encoder: Encoder, path: str) -> bytes:
        kind = OmegaConf.get_type(value)
        name = b"" if kind in (None, dict, list, tuple) else type_name(kind).encode()
        plain = OmegaConf.to_container(value, resolve=True)
        return tagged(b"oc", type_name(type(value)).encode(), name, encoder.encode(plain, path))

    register(DictConfig, container)
    register(ListConfig, container)


register_lazily("numpy", _numpy)
register_lazily("pandas", _pandas)
register_lazily("pyarrow", _pyarrow)
register_lazily("torch", _torch)
register_lazily("omegaconf", _omegaconf)
