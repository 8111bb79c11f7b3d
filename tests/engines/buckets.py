"""Object stores that run on this machine: moto, Ceph's gateway, Azurite, s3rver. Loopback only, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import answers, free_port, needed, node, run, serving, wait
from s3_server import running


@dataclass
class Place:
    """Where entries can be kept.

    Args:
        url: for ``cache.dir``; every test makes a directory of its own below it.
        options: for ``cache.storage_options``.
        conditional: whether of several that create one object, one succeeds.
    """

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    conditional: bool = True

    def new(self) -> Place:
        """An empty place in this one."""
        return Place(f"{self.url}/{uuid.uuid4().hex[:12]}", self.options, self.conditional)


def _s3(port: int, key: str, secret: str, *, conditional: bool = True) -> Place:
    import s3fs

    options = {"key": key, "secret": secret, "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
    s3fs.S3FileSystem(skip_instance_cache=True, **options).mkdir("bucket")
    return Place("s3://bucket", options, conditional)


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[Place]:
    """moto's S3: quick, and not exclusive in all races; what fails here fails everywhere."""
    with running() as bucket:
        yield Place(bucket.url, bucket.options)


@contextlib.contextmanager
def s3rver(directory: Path) -> Iterator[Place]:
    """An S3 of those that do not know conditions: everybody who creates an object succeeds."""
    port = free_port()
    command = node("s3rver", "bin/s3rver.js")
    command += ["-d", str(directory / "s3rver"), "-a", "127.0.0.1", "-p", str(port), "--no-vhost-buckets"]
    with serving(command, directory / "s3rver.log", lambda: answers(port)):
        yield _s3(port, "S3RVER", "S3RVER", conditional=False)


@contextlib.contextmanager
def google(directory: Path) -> Iterator[Place]:
    """What stands in for Google's: knows no conditions, and loses a carriage return at the end of an object."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "gcp-storage-emulator"), "start", "--host=127.0.0.1"]
    command += [f"--port={port}", "--in-memory", "--default-bucket=bucket"]
    # Its client would try another protocol first, for a minute.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    with serving(command, directory / "google.log", lambda: answers(port)):
        options = {"token": "anon", "project": "test", "endpoint_url": f"http://127.0.0.1:{port}"}
        yield Place("gs://bucket", options, conditional=False)


@contextlib.contextmanager
def azurite(directory: Path) -> Iterator[Place]:
    """Azure's blobs."""
    port = free_port()
    command = node("azurite", "dist/src/blob/main.js")
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(directory / "azurite")]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with serving(command, directory / "azurite.log", lambda: answers(port)):
        import adlfs

        # The account and the key are Azurite's own, the same everywhere, and documented.
        account = "devstoreaccount1"
        secret = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={secret};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
        )
        options = {"account_name": account, "connection_string": connection}
        adlfs.AzureBlobFileSystem(skip_instance_cache=True, **options).mkdir("container")
        yield Place("abfs://container", options)


CEPH = """
[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon_port}]
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
mon allow pool delete = true
mon max pg per osd = 2000
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
run dir = {directory}/run
admin socket = {directory}/run/$name.$pid.asok
pid file = {directory}/run/$name.pid
log file = {directory}/log/$name.log
mon data = {directory}/mon
mon pg warn on no replicas = false
mgr initial modules =
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd max object name len = 256
keyring = {directory}/keyring
crash dir = {directory}/log
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw enable usage log = false
rgw enable ops log = false
rgw gc max objs = 8
rgw usage max shards = 1
rgw data log num shards = 1
rgw lc max objs = 1
rgw reshard num logs = 1
rgw objexp hints num shards = 1
rgw thread pool size = 64
"""


def _succeeds(*command: str | Path) -> bool:
    try:
        run(*command)
    except RuntimeError:
        return False
    return True


@contextlib.contextmanager
def ceph(directory: Path) -> Iterator[Place]:
    """Ceph's S3 gateway, with one monitor and one OSD that keeps its objects in memory: a real store.

    An OSD sometimes finds that its monitor does not know it ("wrong fsid"): then all of it is made again.
    """
    needed("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
    with contextlib.ExitStack() as servers:
        for again in (True, True, False):
            try:
                place = servers.enter_context(_ceph(Path(tempfile.mkdtemp(prefix="ceph-", dir=directory))))
                break
            except (RuntimeError, TimeoutError) as error:
                if not again:
                    raise
                warnings.warn(f"Ceph did not start: {error}", stacklevel=2)
        yield place


@contextlib.contextmanager
def _ceph(where: Path) -> Iterator[Place]:
    for name in ("mon", "osd", "log", "run"):
        (where / name).mkdir(parents=True)
    port, mon_port, fsid = free_port(), free_port(), str(uuid.uuid4())
    config = where / "ceph.conf"
    config.write_text(CEPH.format(directory=where, port=port, mon_port=mon_port, fsid=fsid))
    keyring, monmap, log = where / "keyring", where / "monmap", where / "log"
    run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    allowed = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
    run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *allowed)
    run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", monmap)
    run("ceph-mon", "-c", config, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
    with contextlib.ExitStack() as servers:
        monitor = serving(
            ["ceph-mon", "-f", "-c", config, "-i", "a"], log / "mon.out", lambda: answers(mon_port)
        )
        servers.enter_context(monitor)
        wait(lambda: _succeeds("ceph", "-c", config, "status"), 60, "Ceph's monitor")
        run("ceph", "-c", config, "osd", "new", str(uuid.uuid4()))
        number = json.loads(run("ceph", "-c", config, "osd", "dump", "--format", "json"))["osds"][0]
        run("ceph-osd", "-c", config, "-i", str(number["osd"]), "--mkfs", "--osd-uuid", number["uuid"])
        command: list[str | Path] = ["ceph-osd", "-f", "-c", config, "-i", str(number["osd"])]
        servers.enter_context(
            serving(command, log / "osd.out", lambda: (where / "run" / "osd.0.pid").exists())
        )
        gateway = ["radosgw", "-f", "-c", config, "-n", "client.rgw"]
        servers.enter_context(serving(gateway, log / "rgw.out", lambda: answers(port)))
        new = [
            "user",
            "create",
            "--uid=test",
            "--display-name=test",
            "--access-key=test",
            "--secret-key=test",
        ]
        run("radosgw-admin", "-c", config, *new)
        yield _s3(port, "test", "test")
