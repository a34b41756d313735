"""Engines for many builds, as they are elsewhere: Dask's scheduler and Slurm's controller, each with three workers
that run one task at a time. All of it is on loopback, and gone when the context ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.debian_registry import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SLURM = """\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
SlurmdTimeout=5
KillWait=1
MessageTimeout=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
PartitionName=all Nodes=ALL Default=YES State=UP
"""
_NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1\n"
_WORKERS = ("w1", "w2", "w3")
_PATIENCE = 300.0


@dataclass
class Cluster:
    """``on`` is for ``imgasm matrix --on``, with ``environment``. The key of ``workers`` is what ends with the worker:
    its own process and all that it started."""

    on: str
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def lose(self, worker: subprocess.Popen[bytes]) -> None:
        """As if its machine had lost power: nothing of it is tidied up."""
        self.workers.remove(worker)
        for number in (signal.SIGSTOP, signal.SIGKILL):  # none of them sees another one end
            for process in [worker.pid, *reversed(_below(worker.pid))]:
                with suppress(ProcessLookupError):
                    os.kill(process, number)
        worker.wait()

    def is_woken(self) -> bool:
        """Whether what was lost may begin again at once: Slurm lets two minutes pass, unless it is told otherwise."""
        if self.on != "slurm":
            return True
        config = Path(self.environment["SLURM_CONF"])
        waiting = _told(["squeue", "--noheader", "--array", "--states=PD", "--format=%i %r"], config).splitlines()
        tasks = [line.split()[0] for line in waiting if line.endswith(" BeginTime")]
        for task in tasks:
            _told(["scontrol", "update", f"JobId={task}", "StartTime=now"], config)
        return bool(tasks)

    def worker_of(self, words: str) -> subprocess.Popen[bytes]:
        """The one below which a process runs that has ``words`` in its command line."""
        return next(worker for worker in self.workers if any(words in _command_line(one) for one in _below(worker.pid)))


@contextmanager
def dask(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    address = f"tcp://127.0.0.1:{free_port()}"
    cluster = Cluster(f"dask:{address}")
    program = str(Path(sys.executable).with_name("dask"))
    with ExitStack() as stack:
        start = _starter(stack, folder, {**os.environ, **environment})
        start("scheduler", program, "scheduler", "--host", address, "--no-dashboard")
        for name in _WORKERS:
            cluster.workers.append(start(
                name, program, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name,
                "--local-directory", str(folder / name)))  # fmt: skip
        wait_for(lambda: all("Registered to" in (folder / f"{name}.log").read_text() for name in _WORKERS))
        yield cluster


_ON_LOCALHOST = ("unshare", "--uts", "sh", "-c", 'hostname localhost; exec "$@"', "sh")
"""Slurm wants its machine's name to have an address, which a fresh machine's need not have."""


@contextmanager
def slurm(folder: Path, environment: Mapping[str, str], more: str = "") -> Iterator[Cluster]:
    """``environment`` reaches the tasks with the job, ``more`` is for slurm.conf."""
    config = folder / "slurm.conf"
    nodes = "".join(_NODE.format(name=name, port=free_port()) for name in _WORKERS)
    config.write_text(_SLURM.format(folder=folder, port=free_port()) + nodes + more)
    (folder / "state").mkdir()
    version = subprocess.run(["slurmd", "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]
    if tuple(map(int, version.split(".")[:2])) > (23, 11):  # those before know no such setting, and need none
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    cluster = Cluster("slurm", {"SLURM_CONF": str(config), **environment})
    with ExitStack() as stack:
        start = _starter(stack, folder, {**os.environ, "SLURM_CONF": str(config)})
        start("munge", "munged", "--foreground", "--force", *(
            f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")),
            f"--socket={folder}/munge.socket")  # fmt: skip
        wait_for((folder / "munge.socket").exists)
        start("controller", *_ON_LOCALHOST, "slurmctld", "-D", "-c")
        cluster.workers += [start(name, *_ON_LOCALHOST, "slurmd", "-D", "-N", name) for name in _WORKERS]
        wait_for(lambda: _told(["sinfo", "--noheader", "--format=%t %D"], config) == f"idle {len(_WORKERS)}")
        try:
            yield cluster
        finally:
            _told(["scancel", "--full", "--user=root"], config)


def _told(command: list[str], config: Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "SLURM_CONF": str(config)}).stdout.strip()  # fmt: skip


def _starter(
    stack: ExitStack, folder: Path, environment: Mapping[str, str]
) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts programs that are ended with ``stack``, the last one first, with all that they have started."""

    def start(name: str, *command: str) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                       start_new_session=True, preexec_fn=_keep_orphans)  # fmt: skip
        stack.callback(_end, process)
        return process

    return start


def _keep_orphans() -> None:
    """prctl(2), PR_SET_CHILD_SUBREAPER: what slurmd starts takes care to become nobody's child."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    below = _below(process.pid)
    process.terminate()
    process.wait()
    for one in below:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    """Its children and theirs, the last of the line first."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(children).split()):
            found += [*_below(child), child]
    return found


def _command_line(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # the process has ended


def wait_for(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)

