"""A file system that two mounts share, and a server that speaks SFTP, both on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from buckets import Place
from processes import answers, free_port, needed, run, serving, wait

BRICK = """
volume posix
  type storage/posix
  option directory {directory}/brick
end-volume
volume locks
  type features/locks
  subvolumes posix
end-volume
volume brick
  type performance/io-threads
  subvolumes locks
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.socket.bind-address 127.0.0.1
  option transport.socket.listen-port {port}
  option auth.addr.brick.allow *
  subvolumes brick
end-volume
"""
# With the caches that a volume has which nobody has tuned: they are what makes two mounts differ.
CLIENT = """
volume client
  type protocol/client
  option transport-type tcp
  option remote-host 127.0.0.1
  option remote-port {port}
  option remote-subvolume brick
end-volume
volume write-behind
  type performance/write-behind
  subvolumes client
end-volume
volume open-behind
  type performance/open-behind
  subvolumes write-behind
end-volume
volume quick-read
  type performance/quick-read
  subvolumes open-behind
end-volume
volume md-cache
  type performance/md-cache
  subvolumes quick-read
end-volume
"""


@contextlib.contextmanager
def gluster(directory: Path) -> Iterator[tuple[Path, Path]]:
    """Two mounts of one GlusterFS brick, as two hosts would have them."""
    needed("glusterfsd", "glusterfs", "umount")
    if not Path("/dev/fuse").exists():
        pytest.skip("there is no FUSE here (/dev/fuse)")
    where = directory / "gluster"
    (where / "brick").mkdir(parents=True)
    port = free_port()
    (where / "brick.vol").write_text(BRICK.format(directory=where, port=port))
    (where / "client.vol").write_text(CLIENT.format(port=port))
    options = ["-N", "-f", where / "brick.vol", "-l", where / "brick.log", "-p", where / "brick.pid"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(serving(["glusterfsd", *options], where / "brick.out", lambda: answers(port)))
        mounts = []
        for name in ("one", "two"):
            mount = where / name
            mount.mkdir()
            command = ["glusterfs", "-N", "-f", where / "client.vol", "-l", where / f"{name}.log", mount]
            stack.enter_context(
                serving(command, where / f"{name}.out", lambda mount=mount: os.path.ismount(mount))
            )
            stack.callback(subprocess.run, ["umount", "-l", mount], check=False)
            wait(lambda mount=mount: _works(mount), 30, f"the mount {mount}")
            mounts.append(mount)
        yield mounts[0], mounts[1]


def _works(mount: Path) -> bool:
    with contextlib.suppress(OSError):
        (mount / ".works").write_text("yes")
        return True
    return False


@contextlib.contextmanager
def sshd(directory: Path) -> Iterator[Place]:
    """An SSH server that lets in whoever has a key that is made for it."""
    needed("sshd", "ssh-keygen")
    where = directory / "sshd"
    where.mkdir()
    (where / "root").mkdir()
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where / name)
    (where / "authorized").write_text((where / "user.pub").read_text())
    port = free_port()
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it for its own
    (where / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {where}/host\nAuthorizedKeysFile {where}/authorized\n"
        f"PidFile {where}/pid\nPermitRootLogin yes\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\nMaxStartups 200\nMaxSessions 200\n"
    )
    command = ["/usr/sbin/sshd", "-D", "-f", where / "config", "-E", where / "log"]
    with serving(command, where / "out", lambda: answers(port)):
        options = {
            "client_keys": [str(where / "user")],
            "known_hosts": None,
            "username": "root",
            "port": port,
        }
        yield Place(f"sftp://127.0.0.1{where}/root", options)
