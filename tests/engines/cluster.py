"""A Slurm cluster of two nodes on this machine, with accounting, as long as its tests run; loopback only.

Accounting is needed: submitit asks ``sacct`` how its jobs are, and does not notice a cancelled one without.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from processes import free_port, needed, run, serving, wait

SLURM = """
ClusterName=hydra_cached
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting}
AccountingStoragePass={root}/munge/socket
# Else a job takes all of its node.
DefMemPerCPU=300
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=100000
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
PropagateResourceLimits=NONE
MailProg=/bin/true
KillWait=5
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{second}] CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=debug Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
ACCOUNTING = """
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting}
CommunicationParameters=NoInAddrAny
SlurmUser=root
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
"""
GRANTS = """
create database slurm_acct;
create user 'slurm'@'127.0.0.1' identified by 'slurm';
create user 'slurm'@'localhost' identified by 'slurm';
grant all on slurm_acct.* to 'slurm'@'127.0.0.1';
grant all on slurm_acct.* to 'slurm'@'localhost';
"""


@contextlib.contextmanager
def slurm() -> Iterator[dict[str, str]]:
    """A running cluster; gives the environment variables that make programs use it."""
    needed("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mysql_install_db", "sbatch", "sacct")
    # Sockets have short names, and munge wants nobody else to be able to write above its own.
    root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    environment = {"SLURM_CONF": str(root / "slurm.conf")}
    try:
        with contextlib.ExitStack() as stack:
            _start(stack, root, environment)
            yield environment
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _start(stack: contextlib.ExitStack, root: Path, environment: dict[str, str]) -> None:
    """Start the database, munge, and Slurm's three kinds of daemons, each when the one before is ready."""
    root.chmod(0o755)
    for name in ("state", "spool/n1", "spool/n2", "log", "munge"):
        (root / name).mkdir(parents=True)
    (root / "munge").chmod(0o755)
    key = root / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    names = ("controller", "daemon", "accounting", "database")
    ports = dict(zip(names, (free_port() for _ in names), strict=True))
    first = _pair_of_ports()
    values = {
        "root": root,
        "host": socket.gethostname().partition(".")[0],
        "first": first,
        "second": first + 1,
    }
    (root / "slurm.conf").write_text(SLURM.format(**values, **ports))
    (root / "slurmdbd.conf").write_text(ACCOUNTING.format(**values, **ports))
    (root / "slurmdbd.conf").chmod(0o600)

    def server(name: str, command: list[str | Path], ready: list[str]) -> None:
        def answered() -> bool:
            env = {**os.environ, **environment}
            return subprocess.run(ready, env=env, capture_output=True, timeout=30).returncode == 0

        stack.enter_context(serving(command, root / "log" / name, answered, environment=environment))

    sock = root / "database.sock"
    run("mysql_install_db", "--no-defaults", "--user=root", f"--datadir={root / 'database'}",
        "--auth-root-authentication-method=normal", "--skip-test-db")  # fmt: skip
    server(
        "mariadbd",
        ["mariadbd", "--no-defaults", "--user=root", f"--datadir={root / 'database'}", "--bind-address=127.0.0.1",
         f"--port={ports['database']}", f"--socket={sock}", "--innodb-buffer-pool-size=64M",
         "--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"],
        ["mysqladmin", "--no-defaults", "-uroot", "-S", str(sock), "ping"],
    )  # fmt: skip
    run("mysql", "--no-defaults", "-uroot", "-S", sock, "-e", GRANTS)
    munge = root / "munge"
    server(
        "munged",
        ["munged", "--force", "--foreground", f"--key-file={key}", f"--socket={munge / 'socket'}",
         f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}"],
        ["munge", "-n", "-S", str(munge / "socket")],
    )  # fmt: skip
    server("slurmdbd", ["slurmdbd", "-D"], ["sacctmgr", "-n", "show", "cluster"])
    subprocess.run(
        ["sacctmgr", "-i", "add", "cluster", "hydra_cached"],
        env={**os.environ, **environment},
        capture_output=True,
    )
    server("slurmctld", ["slurmctld", "-D", "-c"], ["scontrol", "ping"])
    for name in ("n1", "n2"):
        server(name, ["slurmd", "-D", "-N", name], ["true"])

    def idle() -> bool:
        answer = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env={**os.environ, **environment}, capture_output=True, text=True
        )
        return set(answer.stdout.split()) == {"idle"}

    wait(idle, 60, "Slurm")


def _pair_of_ports() -> int:
    """The first of two ports next to each other that nobody uses now."""
    while True:
        first = free_port()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", first + 1))
            return first
