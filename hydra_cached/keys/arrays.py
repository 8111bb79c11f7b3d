"""Canonical forms of numpy's arrays and torch's tensors.

Arrays count by dtype, shape, byte order and values, never by memory layout: what is in Fortran order, strided
or mapped from a file has the digest of its C-ordered copy. Bytes that belong to no value, such as the padding
of structures, do not count.
"""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.canonical import Encoder, register, tagged, type_name


def raw(view: Any) -> bytes:
    """BLAKE3 digest of a buffer."""
    data = memoryview(view)
    digest = blake3(max_threads=blake3.AUTO) if data.nbytes > 1 << 20 else blake3()
    return digest.update(data).digest()


def register_numpy() -> None:
    """Give numpy's types their forms."""
    import numpy as np

    # The x87 format has ten bytes; up to six more are padding.
    long_bytes = 10 if np.finfo(np.longdouble).nmant == 63 else np.dtype(np.longdouble).itemsize

    def kind_of(dtype: Any, encoder: Encoder, path: str) -> bytes:
        """All that can be seen of a dtype, and of its fields' dtypes."""
        note = encoder.encode(dict(dtype.metadata), f"{path}.dtype.metadata") if dtype.metadata else b""
        if dtype.names is not None:
            fields = []
            for name in dtype.names:
                inner, *place = dtype.fields[name]
                fields += [encoder.encode((name, *place), path), kind_of(inner, encoder, path)]
            layout = encoder.encode((dtype.itemsize, dtype.isalignedstruct))
            return tagged(b"struct", note, layout, *fields)
        if dtype.subdtype is not None:
            base, shape = dtype.subdtype
            return tagged(b"subarray", note, kind_of(base, encoder, path), encoder.encode(shape))
        if dtype.type.__module__ == "numpy":
            return tagged(b"dtype", note, dtype.str.encode())
        # Other libraries' dtypes have a `.str` that says little; the strings of numpy 2 have parameters.
        known = (name for name in ("na_object", "coerce") if hasattr(dtype, name))
        more = [encoder.encode(getattr(dtype, name), path) for name in known]
        return tagged(b"dtype+", note, dtype.str.encode(), type_name(dtype.type).encode(), *more)

    def values_of(value: Any, encoder: Encoder, path: str) -> bytes:
        """The values of an array in C order."""
        dtype = value.dtype
        if dtype.names is not None:
            return tagged(b"fields", *(values_of(value[n], encoder, f"{path}[{n!r}]") for n in dtype.names))
        if dtype.hasobject:
            return tagged(b"items", encoder.encode(value.ravel().tolist(), path))
        if dtype.char in "gG":
            value = value.astype(dtype.newbyteorder("="))
        plain = np.ascontiguousarray(value)
        if not plain.nbytes:
            return b""
        data = plain.reshape(-1).view(np.uint8)
        if dtype.char in "gG":
            data = np.ascontiguousarray(data.reshape(-1, np.dtype(np.longdouble).itemsize)[:, :long_bytes])
        return raw(data)

    def array(value: Any, encoder: Encoder, path: str) -> bytes:
        head = (
            type_name(type(value)).encode(),
            kind_of(value.dtype, encoder, path),
            encoder.encode(value.shape),
        )
        return tagged(b"ndarray", *head, values_of(value, encoder, path))

    def masked(value: Any, encoder: Encoder, path: str) -> bytes:
        parts = (np.ma.getdata(value), np.ma.getmaskarray(value), value.fill_value)
        return tagged(b"masked", *(encoder.encode(np.asarray(part), path) for part in parts))

    def scalar(value: Any, encoder: Encoder, path: str) -> bytes:
        head = (type_name(type(value)).encode(), kind_of(value.dtype, encoder, path))
        if isinstance(value, (str, bytes)):
            plain = str(value) if isinstance(value, str) else bytes(value)
            return tagged(b"npscalar", *head, encoder.encode(plain))
        parts = (value.real, value.imag) if isinstance(value, np.complexfloating) else (value,)
        data = (
            b"nan"
            if isinstance(part, np.inexact) and np.isnan(part)
            else values_of(np.asarray(part), encoder, "")
            for part in parts
        )
        return tagged(b"npscalar", *head, *data)

    def random_state(value: Any, encoder: Encoder, path: str) -> bytes:
        bits = getattr(value, "bit_generator", None)
        state = [bits.state if bits is not None else value.get_state(legacy=False)]
        seeds = getattr(bits, "seed_seq", None)
        if type(seeds) is np.random.SeedSequence:
            state.append(seeds.state)  # what the generators that it spawns depend on
        elif seeds is not None:
            raise NotCanonical(path, f"generator with seeds of type {type_name(type(seeds))}")
        return tagged(b"rng", type(value).__name__.encode(), encoder.encode(state, path))

    register(np.ndarray, array, replace=False)
    register(np.memmap, lambda v, e, p: array(np.asarray(v), e, p), replace=False)
    register(np.ma.MaskedArray, masked, replace=False)
    register(np.generic, scalar, family=True, replace=False)
    register(np.dtype, lambda v, e, p: tagged(b"npdtype", kind_of(v, e, p)), family=True, replace=False)
    register(np.random.Generator, random_state, replace=False)
    register(np.random.RandomState, random_state, replace=False)


def register_torch() -> None:
    """Give torch's types their forms."""
    import torch

    def tensor(value: Any, encoder: Encoder, path: str) -> bytes:
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            raise NotCanonical(path, f"tensor of layout {value.layout}, quantized or without data")
        if any(getattr(value, "names", ())):
            raise NotCanonical(path, "tensor with named dimensions")
        kind = (type_name(type(value)).encode(), str(value.dtype).encode(), str(value.device).encode())
        head = (*kind, encoder.encode(tuple(value.shape)), encoder.encode(bool(value.requires_grad)))
        gradient = encoder.encode(value.grad, f"{path}.grad") if value.is_leaf else b""
        more = tagged(b"attributes", *encoder.unordered(vars(value), path))
        plain = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        if plain.numel() and plain.stride(0) != 1:
            # A single item is contiguous whatever its stride, but torch does not show its bytes then.
            plain = plain.clone(memory_format=torch.contiguous_format)
        data = raw(plain.view(torch.uint8).numpy()) if plain.numel() else b""
        return tagged(b"tensor", *head, gradient, more, data)

    register(torch.Tensor, tensor, replace=False)
    register(torch.nn.Parameter, tensor, replace=False)
    register(torch.Size, lambda v, e, p: tagged(b"tsize", e.encode(tuple(v))), replace=False)
    register(torch.dtype, lambda v, e, p: tagged(b"tdtype", str(v).encode()), replace=False)
    register(torch.device, lambda v, e, p: tagged(b"tdevice", str(v).encode()), replace=False)
