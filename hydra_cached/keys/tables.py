"""Canonical forms of pandas' and pyarrow's tables and columns.

A column counts by its dtype, in all its parameters, and by its values; how they lie in memory, in blocks, chunks
or slices, does not count, nor what lies under a missing value.
"""

from __future__ import annotations

import datetime
from typing import Any

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.arrays import raw
from hydra_cached.keys.canonical import Encoder, register, tagged
from hydra_cached.keys.tags import blob

_ZONES = ("zoneinfo", "pytz", "dateutil")


def class_of(value: Any) -> bytes:
    """Library and name of a value's class; in which of its modules it lies changes from version to version."""
    kind = type(value)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}".encode()


def zone_of(zone: Any, path: str) -> bytes:
    """Class and name of a time zone."""
    if zone is None:
        return b""
    kind = type(zone)
    known = kind is datetime.timezone or kind.__module__.partition(".")[0] in _ZONES
    if not known or "object at 0x" in str(zone):
        raise NotCanonical(path, "time zone without a name")
    return tagged(b"zone", class_of(zone), str(zone).encode())


def register_pandas() -> None:
    """Give pandas' types their forms."""
    import numpy as np
    import pandas as pd

    integers = [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
    with_mask = tuple(getattr(pd, f"{name}Dtype") for name in [*integers, "Float32", "Float64", "Boolean"])

    def dtype_of(dtype: Any, encoder: Encoder, path: str) -> bytes:
        kind = (class_of(dtype), str(dtype).encode(), str(getattr(dtype, "storage", "")).encode())
        missing = encoder.encode(getattr(dtype, "na_value", None), path)
        return tagged(b"pddtype", *kind, missing, zone_of(getattr(dtype, "tz", None), path))

    def values(column: Any, encoder: Encoder, path: str) -> bytes:
        """The values of a series, index or categorical with their dtype, through numpy where that says all."""
        dtype = column.dtype
        if isinstance(dtype, np.dtype):
            return tagged(b"pdvalues", encoder.encode(column.to_numpy(), path))
        array = getattr(column, "array", column)
        if isinstance(dtype, pd.CategoricalDtype):
            parts = (array.categories, bool(array.ordered), np.asarray(array.codes))
            return tagged(b"pdcat", *(encoder.encode(part, path) for part in parts))
        head = dtype_of(dtype, encoder, path)
        if isinstance(dtype, pd.DatetimeTZDtype):
            return tagged(b"pdzoned", head, encoder.encode(np.asarray(array.tz_convert(None)), path))
        missing = np.asarray(array.isna(), dtype=bool)
        if isinstance(dtype, with_mask):
            # Numbers with a mask; what is under the mask is nobody's value.
            plain = array.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
            return tagged(b"pdmasked", head, encoder.encode(missing), encoder.encode(plain))
        items = [None if gone else item for gone, item in zip(missing, array, strict=True)]
        return tagged(b"pdext", head, encoder.encode(items, path))

    def index(value: Any, encoder: Encoder, path: str) -> bytes:
        head = (class_of(value), encoder.encode(list(value.names), f"{path}.names"))
        if isinstance(value, pd.RangeIndex):
            return tagged(b"pdrange", *head, encoder.encode((value.start, value.stop, value.step)))
        if isinstance(value, pd.MultiIndex):
            levels = (values(value.get_level_values(n), encoder, path) for n in range(value.nlevels))
            return tagged(b"pdmulti", *head, *levels)
        freq = str(getattr(value, "freqstr", None)).encode()
        return tagged(b"pdindex", *head, freq, values(value, encoder, path))

    def labels(value: Any, encoder: Encoder, path: str) -> tuple[bytes, ...]:
        """What series and frames have in common."""
        flags = encoder.encode(bool(value.flags.allows_duplicate_labels))
        return (
            encoder.encode(value.index, f"{path}.index"),
            encoder.encode(value.attrs, f"{path}.attrs"),
            flags,
        )

    def series(value: Any, encoder: Encoder, path: str) -> bytes:
        name = encoder.encode(value.name, f"{path}.name")
        return tagged(b"pdseries", name, *labels(value, encoder, path), values(value, encoder, path))

    def frame(value: Any, encoder: Encoder, path: str) -> bytes:
        columns = (
            values(value.iloc[:, at], encoder, f"{path}[{name!r}]") for at, name in enumerate(value.columns)
        )
        names = encoder.encode(value.columns, f"{path}.columns")
        return tagged(b"pdframe", names, *labels(value, encoder, path), *columns)

    def moment(value: Any, encoder: Encoder, path: str) -> bytes:
        # The instant in numpy's form, which has the unit.
        zone = zone_of(getattr(value, "tz", None), path)
        return tagged(b"pdmoment", class_of(value), encoder.encode(value.asm8, path), zone)

    def period(value: Any, encoder: Encoder, path: str) -> bytes:
        return tagged(b"pdperiod", encoder.encode(value.ordinal), value.freqstr.encode())

    def interval(value: Any, encoder: Encoder, path: str) -> bytes:
        ends = (encoder.encode(end, path) for end in (value.left, value.right))
        return tagged(b"pdinterval", *ends, value.closed.encode())

    def only(tag: bytes) -> Any:
        return lambda value, encoder, path: tagged(tag)

    for kind, rule in (
        (pd.Series, series),
        (pd.DataFrame, frame),
        (pd.Categorical, values),
        (pd.Timestamp, moment),
        (pd.Timedelta, moment),
        (pd.Period, period),
        (pd.Interval, interval),
        (type(pd.NaT), only(b"pdnat")),
        (type(pd.NA), only(b"pdna")),
    ):
        register(kind, rule, replace=False)
    register(pd.Index, index, family=True, replace=False)


def register_pyarrow() -> None:
    """Give pyarrow's types their forms."""
    import pyarrow as pa

    def table(value: Any, encoder: Encoder, path: str) -> bytes:
        head = (class_of(value), encoder.encode(value.num_rows))
        schema = blob(b"schema", bytes(value.schema.serialize()))
        columns = (encoder.encode(column, f"{path}.{at}") for at, column in enumerate(value.columns))
        return tagged(b"patable", *head, schema, *columns)

    def array(value: Any, encoder: Encoder, path: str) -> bytes:
        chunks = value.chunks if isinstance(value, pa.ChunkedArray) else [value]
        sink = pa.BufferOutputStream()
        # One batch of one array rebuilt without offset: how it was sliced or chunked must not count.
        whole = pa.concat_arrays(chunks) if chunks else pa.array([], value.type)
        batch = pa.record_batch([whole.take(pa.array(range(len(whole)), pa.int64()))], names=["x"])
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        family = b"pachunked" if isinstance(value, pa.ChunkedArray) else b"paarray"
        return tagged(family, str(value.type).encode(), raw(sink.getvalue()))

    register(pa.Table, table, replace=False)
    register(pa.RecordBatch, table, replace=False)
    register(pa.ChunkedArray, array, replace=False)
    register(pa.Array, array, family=True, replace=False)
