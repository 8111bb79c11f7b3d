"""A real HTTP server that speaks S3, in a process of its own on a free port; see the fixture ``bucket``."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@dataclass(frozen=True)
class Bucket:
    """A place in a bucket.

    Args:
        url: where it is.
        options: storage options that lead there.
    """

    url: str
    options: dict[str, Any]

    def below(self, name: str) -> Bucket:
        """A place further down."""
        return Bucket(f"{self.url}/{name}", self.options)

    @property
    def overrides(self) -> list[str]:
        """The same as Hydra overrides."""
        return [
            f"cache.dir={self.url}",
            *(f"cache.storage_options.{name}={value}" for name, value in self.options.items()),
        ]


@contextlib.contextmanager
def running(port: int | None = None) -> Iterator[Bucket]:
    """A server with one bucket, stopped by its process id in the end."""
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        _await(server, port)
        options = {"key": KEY, "secret": SECRET, "endpoint_url": f"http://127.0.0.1:{port}"}
        import s3fs

        s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir("results")
        yield Bucket("s3://results", options)
    finally:
        server.terminate()
        server.wait(30)


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 120
    while True:
        assert server.poll() is None and time.monotonic() < end, "the S3 server did not start"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.1)
