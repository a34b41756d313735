"""A program of its own: runs a command in a container of this machine, and ends as it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, Final, NoReturn

from assembler.engine.host import kernel_calls as kernel

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # POSIX, "Exit Status for Commands"
_SIGNALLED: Final = 128
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(told: str) -> NoReturn:
    """``told`` is JSON, a :class:`assembler.engine.host.plan.Entry`."""
    entry = json.loads(told)
    env = {"PATH": _PATH, **entry["env"]}
    if entry["env_file"] is not None:
        with open(entry["env_file"], encoding="utf-8") as file:
            env |= dict(line.rstrip("\n").split("=", 1) for line in file)
    namespaces = _opened(entry["pid"], own_network=entry["own_network"])
    root = os.open(f"/proc/{entry['pid']}/root", os.O_PATH | os.O_DIRECTORY)
    for kind in ("user", "pid"):  # of processes a namespace takes only those that come
        if kind in namespaces:
            kernel.enter(namespaces.pop(kind), kind)
    child = os.fork()
    if child:
        _end_as(child)
    try:
        _go_in(namespaces, root, entry)
        os.execve(_found(entry["words"][0], env["PATH"]), entry["words"], {"HOME": _home(os.getuid()), **env})
    except OSError as error:
        sys.stderr.write(f"{error.filename or entry['words'][0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)


def _found(program: str, path: str) -> str:
    """Without shutil, whose import takes longer than the rest of this."""
    places = [program] if "/" in program else [os.path.join(directory, program) for directory in path.split(":")]
    place = next((place for place in places if os.path.exists(place)), None)
    if place is None:
        raise FileNotFoundError(2, "not found", program)
    return place


def _opened(pid: int, *, own_network: bool) -> dict[str, int]:
    """All namespaces of process ``pid`` that are not this one's."""
    found = {}
    for kind in kernel.NEW_NAMESPACES:
        path = f"/proc/{pid}/ns/{kind}"
        if (kind != "net" or own_network) and os.stat(path).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino:
            found[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return found


def _go_in(namespaces: dict[str, int], root: int, entry: dict[str, Any]) -> None:
    for kind, descriptor in namespaces.items():
        kernel.enter(descriptor, kind)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.chdir("/")
    if entry["terminal"]:
        _take_terminal()
    else:
        os.setsid()
    os.umask(0o022)
    kernel.keep_capabilities(frozenset(entry["capabilities"]))
    uid, gid, groups = _user(entry["user"])
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.chdir(entry["workdir"])


def _take_terminal() -> None:
    """The foreground is the command's: a process group of another namespace can't be told from none."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def _user(told: str) -> tuple[int, int, list[int]]:
    """User, group and other groups of ``user[:group]``, by name or number, as Docker and podman understand it."""
    user, _, group = told.partition(":")
    known = next((line for line in _lines("/etc/passwd", 4) if user in (line[0], line[2])), None)
    if known is None and not user.isdecimal():
        raise FileNotFoundError(2, "no such user in /etc/passwd", user)
    uid = int(known[2]) if known is not None else int(user)
    if group:
        return uid, _group(group), []
    if known is None:
        return uid, 0, []
    gid = int(known[3])
    others = [int(line[2]) for line in _lines("/etc/group", 4) if known[0] in line[3].split(",")]
    return uid, gid, [gid, *(other for other in others if other != gid)]


def _group(group: str) -> int:
    known = next((int(line[2]) for line in _lines("/etc/group", 3) if group in (line[0], line[2])), None)
    if known is None and not group.isdecimal():
        raise FileNotFoundError(2, "no such group in /etc/group", group)
    return known if known is not None else int(group)


def _home(uid: int) -> str:
    return next((line[5] for line in _lines("/etc/passwd", 6) if line[2] == str(uid)), "") or "/"


def _lines(path: str, fields: int) -> list[list[str]]:
    """passwd(5) and group(5); what has fewer fields is none of their lines."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(":") for line in file]
    except FileNotFoundError:
        return []
    return [line for line in lines if len(line) >= fields and line[2].isdecimal()]


def _end_as(child: int) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGQUIT):  # a terminal sends them to the command, too
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(_SIGNALLED - code if code < 0 else code)
