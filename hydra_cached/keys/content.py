"""Content digests of results and of objects passed at a call.

The canonical forms of arrays, tables and tensors are in ``arrays`` and ``tables``; they are registered when a
value of the library is first met, so that nothing is imported for them.
"""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from hydra_cached.errors import NotCanonical
from hydra_cached.keys.canonical import CodeOf, Encoder, register, register_lazily, tagged, type_name


def content_digest(value: Any, code_of: CodeOf | None = None) -> str | None:
    """Digest of a value's content, in hex; None if its type has no canonical form.

    Where code can be looked up, that of the classes of the instances in it counts: whoever receives an object
    may call its methods, whose code is in nobody else's key.

    Args:
        value: any object.
        code_of: see ``Encoder``.
    """
    encoder = Encoder(code_of)
    try:
        content = encoder.encode(value)
        if code_of is not None and encoder.kinds:
            content = tagged(b"with code", content, encoder.codes())
        return blake3(content).hexdigest()
    except (NotCanonical, MemoryError):
        return None


def _numpy() -> None:
    from hydra_cached.keys import arrays

    arrays.register_numpy()


def _torch() -> None:
    from hydra_cached.keys import arrays

    arrays.register_torch()


def _pandas() -> None:
    from hydra_cached.keys import tables

    tables.register_pandas()


def _pyarrow() -> None:
    from hydra_cached.keys import tables

    tables.register_pyarrow()


def _omegaconf() -> None:
    from omegaconf import DictConfig, ListConfig, OmegaConf

    missing = tagged(b"missing")

    def config(value: Any, encoder: Encoder, path: str) -> bytes:
        kind = OmegaConf.get_type(value)
        name = b"" if kind in (None, dict, list, tuple) else type_name(kind).encode()
        head = (type_name(type(value)).encode(), name)
        if not len(value):  # empty, or None, or missing as a whole
            return tagged(
                b"oc-empty", *head, encoder.encode(OmegaConf.to_container(value, resolve=True), path)
            )
        # One by one, because plain containers would not tell the types of nested structured configs.
        keys = list(value.keys()) if isinstance(value, DictConfig) else list(range(len(value)))
        pairs = [
            (
                encoder.encode(key, path),
                missing
                if OmegaConf.is_missing(value, key)
                else encoder.encode(value[key], f"{path}.{key!s}"),
            )
            for key in keys
        ]
        return tagged(b"oc", *head, *(piece for pair in sorted(pairs) for piece in pair))

    register(DictConfig, config, replace=False)
    register(ListConfig, config, replace=False)


def _artifacts() -> None:
    from hydra_cached.artifacts import Artifact
    from hydra_cached.keys.files import ABSENT, FileDigests

    def artifact(value: Artifact, encoder: Encoder, path: str) -> bytes:
        content = FileDigests().of(value.path)
        if content == ABSENT:
            raise NotCanonical(path, f"artifact that is not there ({value.path})")
        place = value.place
        return tagged(
            b"artifact", *(part.encode() for part in (place.kind, place.path, place.parameter, content))
        )

    register(Artifact, artifact, replace=False)


register_lazily("hydra_cached", _artifacts)
register_lazily("numpy", _numpy)
register_lazily("pandas", _pandas)
register_lazily("pyarrow", _pyarrow)
register_lazily("torch", _torch)
register_lazily("omegaconf", _omegaconf)
