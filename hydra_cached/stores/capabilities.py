"""What a file system of fsspec can do: whether a file appears whole, and whether only one can create it.

For the protocols that are known this is declared; others are asked, by a probe. A probe shows that a store does
*not* create exclusively for sure; that it does, it shows as far as races of some threads can. Whoever is deceived
computes something twice, no more.
"""

from __future__ import annotations

import contextlib
import enum
import os
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from hydra_cached.stores.connection import Connection, is_taken

_RACERS = 6
_ROUNDS = 3


class Exclusive(enum.Enum):
    """How a file is created that must not be there yet."""

    PIPE = "pipe_file(mode='create')"
    OPEN = "open('xb')"
    NO = "not at all"
    ASK = "unknown"


@dataclass(frozen=True)
class Abilities:
    """What a file system can do.

    Args:
        exclusive: how it creates a file that must not be there yet.
        whole: whether a file that is written shows all of it or nothing; if not, it is written under another
            name and moved.
    """

    exclusive: Exclusive = Exclusive.ASK
    whole: bool = False


_BUCKET = Abilities(Exclusive.PIPE, whole=True)
_SERVER = Abilities(Exclusive.OPEN)
KNOWN = {
    **dict.fromkeys(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"), _BUCKET),
    **dict.fromkeys(("sftp", "ssh"), _SERVER),
    # It looks first and creates then, which two can do at once; a file is seen from its first byte on.
    "memory": Abilities(Exclusive.NO),
    **dict.fromkeys(("ftp", "http", "https", "webdav", "hf", "dbfs"), Abilities(Exclusive.NO)),
    **dict.fromkeys(("oss", "oci", "tos"), Abilities(Exclusive.ASK, whole=True)),
}
# Protocols of which there are many servers, and the variables that name one.
_ENDPOINTS = {
    **dict.fromkeys(("s3", "s3a"), ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FSSPEC_S3_ENDPOINT_URL")),
    **dict.fromkeys(("gs", "gcs"), ("STORAGE_EMULATOR_HOST",)),
}


def abilities(protocol: str, options: Mapping[str, Any]) -> Abilities:
    """What is known of a protocol's file system, without asking it.

    S3 is spoken by many servers, of which some let everybody win: all but Amazon's own are asked, and so is what
    stands in for Google's.
    """
    known = KNOWN.get(protocol, Abilities())
    variables = _ENDPOINTS.get(protocol)
    if variables is not None and _endpoint(options, variables):
        return Abilities(Exclusive.ASK, whole=True)
    return known


def create(file_system: Any, path: str, data: bytes, way: Exclusive) -> None:
    """Create a file that must not be there yet.

    Raises:
        FileExistsError: there is one.
        NotImplementedError: this file system has no such way.
    """
    if way is Exclusive.PIPE:
        try:
            file_system.pipe_file(path, data, mode="create")
        except Exception as error:
            if is_taken(error):
                raise FileExistsError(path) from error
            raise
    elif way is Exclusive.OPEN:
        try:
            with file_system.open(path, "xb") as file:
                file.write(data)
        except Exception as error:
            # Old versions of SFTP have no word for "it exists": they say "failure".
            if is_taken(error) or (not isinstance(error, FileNotFoundError) and file_system.exists(path)):
                raise FileExistsError(path) from error
            raise
    else:
        raise NotImplementedError(way)


def probe(connection: Connection, *names: str) -> Exclusive:
    """Find out how a store creates a file exclusively.

    Small files of unique names are created below a directory, and removed again.

    Args:
        connection: the store.
        names: lead to the directory.
    """
    for way in (Exclusive.PIPE, Exclusive.OPEN):
        if _refuses_the_second(connection, names, way) and _lets_one_win(connection, names, way):
            return way
    return Exclusive.NO


def _refuses_the_second(connection: Connection, names: tuple[str, ...], way: Exclusive) -> bool:
    """Whether of two, one after the other, the second fails and leaves what the first wrote."""

    def attempt(file_system: Any, path: str) -> bool:
        try:
            create(file_system, path, b"first", way)
            try:
                create(file_system, path, b"second", way)
            except FileExistsError:
                return bytes(file_system.cat_file(path)) == b"first"
            return False
        except (FileExistsError, NotImplementedError, TypeError, ValueError):
            return False
        finally:
            _remove(file_system, path)

    return connection.call(attempt, *names, _name())


def _lets_one_win(connection: Connection, names: tuple[str, ...], way: Exclusive) -> bool:
    """Whether of several at once, one succeeds each time: a client that looks first and writes then fails this."""
    with ThreadPoolExecutor(_RACERS) as pool:
        for _ in range(_ROUNDS):
            name = _name()

            def race(number: int, name: str = name) -> bool:
                def attempt(file_system: Any, path: str) -> bool:
                    try:
                        create(file_system, path, b"%d" % number, way)
                    except FileExistsError:
                        return False
                    return True

                return connection.call(attempt, *names, name)

            winners = list(pool.map(race, range(_RACERS)))
            connection.call(_remove, *names, name)
            if sum(winners) != 1:
                return False
    return True


def changed_at(info: Mapping[str, Any]) -> float | None:
    """When a file was last written, seconds since 1970 by the store's clock; None if its ``info`` does not say."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "modified", "created"):
        value = info.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                continue
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return None


def _endpoint(options: Mapping[str, Any], variables: Iterable[str]) -> bool:
    inner = options.get("client_kwargs")
    given = options.get("endpoint_url") or (isinstance(inner, Mapping) and inner.get("endpoint_url"))
    return bool(given or any(os.environ.get(name) for name in variables))


def _remove(file_system: Any, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        file_system.rm_file(path)


def _name() -> str:
    return f".{uuid.uuid4().hex}.tmp"
