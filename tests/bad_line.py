"""A file system of fsspec that fails on demand, and one that creates as some clients do: look first, then write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Faults:
    """What goes wrong next, in all instances.

    ``before`` is called with the name of an operation and its path, and may raise or wait.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] | None = None
        self.change: Callable[[bytes], bytes] | None = None

    def fail(self, times: int, error: Exception | None = None, *, only: str = "") -> None:
        """Let the next operations (with one name only, if there is one) fail."""
        left = [times]

        def before(name: str, path: str) -> None:
            with self.lock:
                if left[0] and only in ("", name):
                    left[0] -= 1
                    raise error or ConnectionResetError("the line is down")

        self.before = before

    def note(self, name: str, path: str) -> None:
        with self.lock:
            self.calls.append((name, path))
        if self.before is not None:
            self.before(name, path)


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """``flaky://``: memory behind a bad line."""

    protocol = "flaky"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    faults = Faults()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return MemoryFileSystem._strip_protocol(str(path).replace(f"{cls.protocol}://", "memory://", 1))

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        self.faults.note("cat", path)
        data: bytes = super().cat_file(path, start=start, end=end, **kwargs)
        return self.faults.change(data) if self.faults.change is not None else data

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self.faults.note("pipe", path)
        super().pipe_file(path, value, mode=mode, **kwargs)

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        self.faults.note("put", rpath)
        super().put_file(lpath, rpath, *args, **kwargs)

    def info(self, path: str, **kwargs: Any) -> Any:
        self.faults.note("info", path)
        return super().info(path, **kwargs)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        self.faults.note("mv", path1)
        self.store[self._strip_protocol(path2)] = self.store.pop(self._strip_protocol(path1))


class LooksFirstFileSystem(FlakyFileSystem):
    """``looksfirst://``: creates after a look, as a client does whose server has no word for it."""

    protocol = "looksfirst"
    store: dict[str, Any] = {}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if mode == "create":
            if self.exists(path):
                raise FileExistsError(path)
            time.sleep(0.02)
        super().pipe_file(path, value)


class IgnoresFileSystem(FlakyFileSystem):
    """``ignores://``: takes a conditional request for a plain one, as some servers do."""

    protocol = "ignores"
    store: dict[str, Any] = {}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        super().pipe_file(path, value)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        return super()._open(path, mode.replace("x", "w"), **kwargs)


for kind in (FlakyFileSystem, LooksFirstFileSystem, IgnoresFileSystem):
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
