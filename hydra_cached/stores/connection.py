"""The line to a remote store: a file system of fsspec, calls that are tried again, and an end to trying.

What a client raises becomes an ``OSError`` whose text shows no password. Clients try again themselves what they
know; around that, whatever is not an answer is tried again here, with growing pauses, for some seconds. A store
that goes on failing is left alone for a while, so that it makes a run slower, not endless.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from hydra_cached.errors import OptionError, brief
from hydra_cached.secrets import looks_secret, redacted

log = logging.getLogger("hydra_cached.stores")
T = TypeVar("T")

ATTEMPTS = 4
PAUSE = 0.2  # seconds before the second attempt, more or less; each further one takes three times as long
BUDGET = 20.0  # seconds after which nothing is tried again
IN_A_ROW = 3  # calls that failed for good, one after the other: the store is left alone
TOO_LONG = 20.0  # seconds after which one failing call is enough, unless it moves much
REST = 300.0  # seconds for which it is left alone the first time; then twice as long each time

_ANSWERS = (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ENAMETOOLONG)
_BUSY = (408, 409, 425, 429)
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("sftp", "ssh"), "sshfs"),
}
_PASSWORD = re.compile(r"(://[^/@\s]*?):[^@\s]*@")
_QUERY = re.compile(r"\?.*$")


class RemoteError(OSError):
    """A remote store did not do what it was asked to."""


class LoginError(ValueError):
    """A server does not let this user in."""


class StoreAway(RemoteError):
    """A remote store has failed too often, and is left alone for a while."""


class Connection:
    """A place in a file system of fsspec.

    Each process has a file system object of its own, for none survives a fork, and each thread where the
    implementation is not one of those that threads may share.

    Args:
        url: where the entries are.
        options: what fsspec hands to the file system; may hold secrets.

    Raises:
        OptionError: there is no such protocol, or its package is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.shown = shown(url)
        self.protocol = url.partition("://")[0]
        if "::" in url:
            raise OptionError("dir", f"{self.shown}: chained URLs are not supported; see cache.local_dir")
        self.options = dict(options or {})
        self._url = url
        self._secrets = list(_secrets(self.options))
        _check_installed(self.protocol)
        self._shared: tuple[int, Any, str] = (-1, None, "")
        self._guard = (os.getpid(), threading.Lock())
        self._own = threading.local()
        self._row = 0
        self._rest = REST
        self._rests_until = float("-inf")
        self._said = False

    def __repr__(self) -> str:
        return f"Connection({self.shown!r})"

    @property
    def away(self) -> bool:
        """Whether the store has failed too often, and is left alone."""
        return time.monotonic() < self._rests_until

    def call(self, action: Callable[[Any, str], T], *names: str, heavy: bool = False) -> T:
        """Do something with the file system, again if it fails for no good reason.

        Args:
            action: what to do, with a file system and a path in it; may be done several times.
            names: lead to the path, from the URL on.
            heavy: whether it moves so much that it may take long.

        Raises:
            FileNotFoundError, FileExistsError, PermissionError: the store's own answers.
            RemoteError: everything else.
        """
        if self.away:
            raise StoreAway(f"{self.shown} does not answer, and is left alone for now")
        begin, pause = time.monotonic(), PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                file_system, root = self._file_system()
                result = action(file_system, "/".join((root, *names)))
            except (FileNotFoundError, FileExistsError, PermissionError):
                self._row = 0
                raise
            except Exception as error:
                spent = time.monotonic() - begin
                late = spent + pause > BUDGET and (attempt > 1 or not heavy)
                last = attempt == ATTEMPTS or late
                if last or is_answer(error):
                    raise self._given_up(error, 0.0 if heavy else spent) from error
                log.debug("%s: %s; trying again in %.1f s", self.shown, self.words(error), pause)
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause *= 3
                self._forget()
            else:
                self._row, self._rest = 0, REST
                return result
        raise AssertionError("unreachable")

    def words(self, error: BaseException) -> str:
        """An error in one line, without secrets."""
        return redacted(shown(brief(error)), self._secrets)

    @property
    def parallel(self) -> bool:
        """Whether threads may share the file system; known once it was used."""
        return self._shared[0] == os.getpid()

    def _file_system(self) -> tuple[Any, str]:
        """This process's, or this thread's, file system, and the path in it that the URL leads to."""
        if self.parallel:
            return self._shared[1:]
        if getattr(self._own, "process", None) != os.getpid():
            with self._lock():
                if self.parallel:
                    return self._shared[1:]
                made = self._made()
            if made[0].async_impl or self.protocol == "memory":
                self._shared = (os.getpid(), *made)
            self._own.made, self._own.process = made, os.getpid()
        own: tuple[Any, str] = self._own.made
        return own

    def _made(self) -> tuple[Any, str]:
        import fsspec.core

        # fsspec hands out the same client again, to this process or thread: the next session need not connect.
        anew = {"skip_instance_cache": True} if getattr(self._own, "anew", False) else {}
        options = {**_defaults(self.protocol), **self.options, **anew}
        try:
            made, root = fsspec.core.url_to_fs(self._url, **options)
        except PermissionError as error:
            # Not to be taken for an answer about an entry, and not to be repeated at each: that locks accounts.
            raise LoginError(str(error)) from error
        # What another process stores must be seen at once.
        made.dircache.use_listings_cache = False
        if self.protocol in ("s3", "s3a"):
            # Instead of five, in two layers: a server that takes requests and is silent costs 15 s each time.
            made.retries = 2
        return made, str(root).rstrip("/")

    def _forget(self) -> None:
        """Connect anew next time: the connection may be what fails."""
        if not self.parallel:
            self._own.process, self._own.anew = None, True
        elif self.protocol in ("sftp", "ssh"):
            # The others make their connections anew themselves.
            self._own.anew, self._shared = True, (-1, None, "")

    def _lock(self) -> threading.Lock:
        if self._guard[0] != os.getpid():
            self._guard = (os.getpid(), threading.Lock())
        return self._guard[1]

    def _given_up(self, error: Exception, spent: float) -> RemoteError:
        self._row += 1
        text = f"{self.shown}: {self.words(error)}"
        if self._row >= IN_A_ROW or spent >= TOO_LONG:
            self._rests_until = time.monotonic() + self._rest
            self._rest *= 2
            if not self._said:
                self._said = True
                what = "is left alone, so that nothing is served from it or stored there"
                log.error("the cache's remote directory fails and %s: %s", what, text)
        return RemoteError(text)


def is_answer(error: BaseException) -> bool:
    """Whether asking again would give the same."""
    status = next((s for s in _statuses(error)), None)
    if status is not None and 400 <= status < 500:
        return status not in _BUSY
    if isinstance(error, (TimeoutError, ConnectionError, EOFError)):
        return False
    if isinstance(error, OSError):
        return error.errno in _ANSWERS
    return isinstance(
        error, (TypeError, ValueError, LookupError, AttributeError, ImportError, NotImplementedError)
    )


def is_taken(error: BaseException) -> bool:
    """Whether an exclusive creation failed because there is something of that name."""
    if isinstance(error, FileExistsError):
        return True
    # Ceph's gateway says 412 without the condition that s3fs looks for.
    return any(status == 412 for status in _statuses(error))


def shown(text: str) -> str:
    """A URL, or a text with URLs in it, without passwords and queries."""
    text = _PASSWORD.sub(r"\1:***@", text)
    return _QUERY.sub("", text) if "://" in text.partition(" ")[0] else text


def _statuses(error: BaseException | None) -> Iterator[int]:
    """What a server said, in numbers of HTTP, as far as an error or its causes tell."""
    seen = 0
    while error is not None and seen < 5:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if response.get("Error", {}).get("Code") == "PreconditionFailed":
                code = 412
            if isinstance(code, int):
                yield code
        for name in ("status_code", "status", "code"):
            number = getattr(error, name, None)
            if isinstance(number, int) and 400 <= number < 600:
                yield number
        error, seen = error.__cause__ or error.__context__, seen + 1


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets({str(key): inner for key, inner in value.items()})
        elif isinstance(value, str) and (looks_secret(name) or name == "key"):
            yield value


def _check_installed(protocol: str) -> None:
    """Make sure that a protocol has a file system, without importing a client: a warm run may need none."""
    from fsspec.registry import get_filesystem_class, known_implementations

    known = known_implementations.get(protocol)
    try:
        if known is None:
            get_filesystem_class(protocol)
        elif importlib.util.find_spec(known["class"].partition(".")[0]) is None:
            raise ImportError(known.get("err", ""))
    except ValueError:
        raise OptionError("dir", f"fsspec knows no protocol {protocol}://") from None
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        how = f"pip install {package}" if package else str(error)
        raise OptionError("dir", f"{protocol}:// needs a package that is not installed: {how}") from None


def _client(protocol: str) -> str:
    """The dotted name of the class that fsspec has for a protocol."""
    from fsspec.registry import known_implementations

    return str(known_implementations.get(protocol, {}).get("class", ""))


def _defaults(protocol: str) -> dict[str, Any]:
    """Options that are better for a cache than the clients' own; those that are given win."""
    if protocol in ("s3", "s3a"):
        # s3fs tries again itself, and does so in two layers; botocore's own attempts would be a third.
        once = {"mode": "standard", "total_max_attempts": 1}
        return {"use_listings_cache": False, "config_kwargs": {"retries": once}}
    if protocol in ("sftp", "ssh") and _client(protocol).startswith("sshfs."):
        # Otherwise a server that is gone is waited for until TCP gives up, which takes a quarter of an hour.
        return {
            "connect_timeout": 15,
            "login_timeout": 20,
            "keepalive_interval": 15,
            "keepalive_count_max": 2,
        }
    return {"use_listings_cache": False} if protocol in ("gs", "gcs", "abfs", "abfss", "az") else {}
