"""A program of its own: makes a container around itself and becomes its process 1.

It is started in new namespaces (mount, process, IPC, host name; without network in a network namespace, too), by a
process that takes it along when it ends. What it mounts is seen in the container alone, and goes with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assembler.engine.host import kernel_calls as kernel
from assembler.engine.host.plan import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAFE: Final = kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_PROGRAMS

_NODES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS: Final = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
                 "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx", "core": "/proc/kcore"}  # fmt: skip

_MASKED: Final = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/scsi", "/proc/timer_list",
                  "/proc/timer_stats", "/sys/firmware")  # fmt: skip
_FIXED: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What Docker and podman hide from a container that is not privileged, and what they make read-only."""

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # <linux/sockios.h>, <net/if.h>


class _Held(NamedTuple):
    """What is open is found although its name leads nowhere in the container."""

    descriptor: int
    is_directory: bool


def main(told: str) -> None:
    """``told`` is JSON, a :class:`assembler.engine.host.plan.Plan`. When the container is there it prints its
    process's number, as those count who started it."""
    plan = json.loads(told)
    pid = os.readlink("/proc/self")
    try:
        _make(plan)
    except OSError as error:
        raise SystemExit(f"{error.filename or 'the container'}: {error.strerror}") from error
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    complaints = os.dup(2)  # closed by the exec
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    try:
        os.execve("/bin/sh", ["/bin/sh", "-c", *plan["sleeper"]], {"PATH": os.defpath})
    except OSError as error:
        os.write(complaints, f"/bin/sh: {error.strerror}".encode())
        raise SystemExit(1) from error


def _make(plan: dict[str, Any]) -> None:
    os.umask(0)
    _lay_over(*(os.path.abspath(plan[key]) for key in ("root", "lower", "upper", "work")))
    old_root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    root = os.open(plan["root"], os.O_PATH | os.O_DIRECTORY)
    for volume in plan["volumes"]:
        _fill(volume["host"], root, volume["path"])
    wanted = sorted((*plan["files"], *plan["volumes"], *plan["binds"]), key=lambda one: str(one["path"]).count("/"))
    mounts = [(_opened(one["host"]), one) for one in wanted]
    devices = [(_opened(one["host"]), one["path"]) for one in plan["devices"]]
    nodes = {name: _opened(f"/dev/{name}") for name in _NODES}
    whole = {path: _opened(path) for path in ("/dev", "/sys")}
    kernel.pivot(root, old_root)
    _mount_kernels(plan, whole, nodes)
    for held, one in mounts:
        _bind(held, one["path"], _flags(one))
    for held, path in devices:
        _bind(held, path, 0)
    if plan["in_memory"] is not None:
        os.makedirs(plan["in_memory"], 0o755, exist_ok=True)
        kernel.mount("tmpfs", plan["in_memory"], _SAFE, "mode=0711")
    if not plan["privileged"]:
        _hide()
    kernel.leave(old_root)
    socket.sethostname("imgasm")
    if plan["own_network"]:
        _raise_loopback()
    os.umask(0o022)
    kernel.keep_capabilities(frozenset(plan["capabilities"]))


def _lay_over(root: str, lower: str, upper: str, work: str) -> None:
    """With nothing beyond plain whiteouts (trap 8). Devices can be made there, as in other engines, and not be used.

    In a user namespace marks are ``user.overlay.*``, with which the kernel does without the rest by itself.
    """
    options = f"lowerdir={escaped(lower)},upperdir={escaped(upper)},workdir={escaped(work)},index=off"
    with open("/proc/self/uid_map", encoding="ascii") as file:
        is_initial = file.read().split() == ["0", "0", "4294967295"]
    options += ",metacopy=off,redirect_dir=off" if is_initial else ",userxattr"
    kernel.mount("overlay", root, kernel.NO_DEVICES, options)


def _fill(volume: str, root: int, path: str) -> None:
    """A new volume begins with what the base has there, as in other engines."""
    if os.listdir(volume):
        return
    try:
        there = kernel.open_below(root, path)
    except FileNotFoundError:
        return
    os.set_inheritable(there, True)
    command = ["cp", "--archive", "--no-target-directory", f"/proc/self/fd/{there}/.", volume]
    done = subprocess.run(command, pass_fds=[there], capture_output=True, check=False)
    os.close(there)
    if done.returncode:
        raise OSError(0, done.stderr.decode(errors="replace").strip(), path)


def _mount_kernels(plan: dict[str, Any], whole: Mapping[str, _Held], nodes: Mapping[str, _Held]) -> None:
    """/proc, /dev and /sys. /proc is the first, because what is open is mounted by its name there."""
    for directory in ("/proc", "/dev", "/sys"):
        os.makedirs(directory, 0o755, exist_ok=True)
    kernel.mount("proc", "/proc", _SAFE)
    if plan["privileged"]:
        kernel.bind(f"/proc/self/fd/{whole['/dev'].descriptor}", "/dev", recursive=True)
        kernel.bind(f"/proc/self/fd/{whole['/sys'].descriptor}", "/sys", recursive=True)
        return
    kernel.mount("tmpfs", "/dev", kernel.NO_SUID, "mode=0755,size=65536k")
    for name, held in nodes.items():
        _bind(held, f"/dev/{name}", 0)
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"/dev/{name}", 0o755)
    kernel.mount("devpts", "/dev/pts", kernel.NO_SUID | kernel.NO_PROGRAMS, "newinstance,ptmxmode=0666,mode=620,gid=5")
    kernel.mount("tmpfs", "/dev/shm", _SAFE, "mode=1777,size=65536k")
    kernel.mount("mqueue", "/dev/mqueue", _SAFE)
    try:
        kernel.mount("sysfs", "/sys", _SAFE | kernel.READ_ONLY)
    except PermissionError:  # a user namespace with the machine's network, whose root can't write there anyway
        kernel.bind(f"/proc/self/fd/{whole['/sys'].descriptor}", "/sys", recursive=True)


def _hide() -> None:
    for path in _FIXED:
        if os.path.lexists(path):
            kernel.bind(path, path, kernel.READ_ONLY)
    for path in _MASKED:
        if os.path.isdir(path):
            kernel.mount("tmpfs", path, _SAFE | kernel.READ_ONLY, "size=0k")
        elif os.path.lexists(path):
            kernel.bind("/dev/null", path)


def _opened(path: str) -> _Held:
    return _Held(os.open(path, os.O_PATH | os.O_CLOEXEC), os.path.isdir(path))


def _bind(held: _Held, path: str, flags: int) -> None:
    if held.is_directory:
        os.makedirs(path, 0o755, exist_ok=True)
    elif not os.path.exists(path):
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.bind(f"/proc/self/fd/{held.descriptor}", path, flags)
    os.close(held.descriptor)


def _flags(one: dict[str, Any]) -> int:
    return kernel.NO_DEVICES | (kernel.READ_ONLY if one["read_only"] else 0)


def _raise_loopback() -> None:
    """A new network namespace has it, but down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sh22x", b"lo", 0))
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))
