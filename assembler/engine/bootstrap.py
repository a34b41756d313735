"""A Debian-like rootfs made by mmdebstrap, without any image registry.

Two runs against the same archive give the same bytes (measured: minbase, and with systemd, dbus and python3), because
mmdebstrap itself takes away what differs (apt's lists and logs, the machine id, ldconfig's cache) and clamps times to
SOURCE_DATE_EPOCH. What differs between two machines is taken away here: /etc/hostname and /etc/resolv.conf, copies of
the building machine's, and what its apt does not know. Packages that make keys when they are installed (openssh-server)
stay different.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import IO, TYPE_CHECKING, Final

from assembler.engine.client_process import in_memory
from assembler.engine.output_lines import Lines
from assembler.errors import EngineError
from assembler.image.rootfs_tarball import with_empty_dev
from assembler.model.secrets import credentials_in, without_userinfo
from assembler.progress import line_by_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from assembler.model.bootstrap import Bootstrap
    from assembler.progress import Progress

_FORGET_THE_MACHINE: Final = 'rm -f "$1/etc/hostname" "$1/etc/resolv.conf"'

_FORGET_ITS_KEYS: Final = """
if [ -f "$1/etc/apt/sources.list" ] && [ -n "$(ls "$1/etc/apt/trusted.gpg.d")" ]; then
    sed -i -E 's/^(deb|deb-src) \\[signed-by="[^"]*"\\] /\\1 /' "$1/etc/apt/sources.list"
fi"""
"""mmdebstrap writes signed-by where the building machine's apt does not trust the suite's keys, or not in all of them.
The base brings its own, in trusted.gpg.d, and needs to be told of no others."""

_TAKE_PASSWORDS: Final = 'umask 077; cat >"$1/etc/apt/auth.conf"'
_FORGET_PASSWORDS: Final = 'rm -f "$1/etc/apt/auth.conf"'
"""A mirror's user and password are apt's for as long as it downloads. On mmdebstrap's command line every process list
would show them, and it writes what stands there into the base's sources.list."""

_END_ALL: Final = 'trap "trap : TERM; kill -TERM 0; wait" TERM; "$@" <&0 & wait $!'
"""mmdebstrap itself waits for its children whatever it is sent, so all of its session are asked to end."""

_GRACE_SECONDS: Final = 30.0


def make_rootfs(
    wanted: Bootstrap, tar: Path, progress: Progress, *, epoch: int = 0, inherit: Sequence[int] = ()
) -> None:
    """Writes the rootfs to ``tar``, uncompressed. No file's time exceeds ``epoch`` (seconds).

    All that mmdebstrap starts has the file descriptors ``inherit``: while one of them is open somewhere, something may
    still write beside ``tar``, also when this process was killed.

    /dev is there and empty. Releases of mmdebstrap differ in what they write of it, with and without
    ``--skip=output/dev`` (1.3 leaves the directory out, 1.5 keeps it), so all of it is replaced here.
    """
    program = shutil.which("mmdebstrap")
    if program is None:
        raise EngineError("mmdebstrap, which makes the base, is not installed", hint="apt-get install mmdebstrap")
    made = tar.with_name(f"{tar.name}.made")
    try:
        with made.open("wb", buffering=0) as sink:
            command = [*_bound(), *_command(program, wanted, tar, epoch)]
            with line_by_line(progress, f"mmdebstrap {wanted.suite}") as on_line:
                _run(command, _passwords(wanted.mirror), sink, inherit, on_line)
        with made.open("rb") as source, tar.open("wb") as sink:
            with_empty_dev(source, sink, epoch)
    except BaseException:
        tar.unlink(missing_ok=True)
        raise
    finally:
        made.unlink(missing_ok=True)


def _bound() -> list[str]:
    """What makes all that a command starts end with this process (prctl(2), PR_SET_PDEATHSIG).

    As root with it goes what it mounts: namespaces of its own. An ordinary user's mmdebstrap makes them itself, and
    tidies up when it is asked to end. Empty where neither can be had.
    """
    if not all(map(shutil.which, ("setpriv", "unshare"))):
        return []
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", _END_ALL, "sh"]
    bound = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--kill-child"]
    tried = subprocess.run([*bound, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return bound if tried.returncode == 0 else []


def _command(program: str, wanted: Bootstrap, tar: Path, epoch: int) -> list[str]:
    """Root's chroot is made beside ``tar``, because /tmp may be small; another user's namespace may not get there."""
    hook = f"--{_last_hook(wanted)}-hook="
    command = ["env", f"SOURCE_DATE_EPOCH={epoch}"]
    command += [f"TMPDIR={tar.absolute().parent}"] if os.geteuid() == 0 else []
    command += [program, "--mode=auto", "--format=tar", f"--variant={wanted.variant}",
                f"--components={','.join(wanted.components)}", hook + _FORGET_THE_MACHINE]
    if not _is_apt_line(wanted.mirror):
        command.append(hook + _FORGET_ITS_KEYS)
    if wanted.packages:
        command.append(f"--include={','.join(wanted.packages)}")
    if wanted.architecture is not None:
        command.append(f"--architectures={wanted.architecture}")
    if _passwords(wanted.mirror):
        command += [f"--setup-hook={_TAKE_PASSWORDS}", hook + _FORGET_PASSWORDS]
    return [*command, wanted.suite, "-", *([without_userinfo(wanted.mirror)] if wanted.mirror else [])]


def _passwords(mirror: str | None) -> bytes:
    """The mirror's user and password as apt_auth.conf(5) wants them."""
    machines = ((found.host, found.user, found.password) for found in credentials_in(mirror or ""))
    return "".join(f"machine {host} login {user} password {password}\n" for host, user, password in machines).encode()


def _last_hook(wanted: Bootstrap) -> str:
    """Variants that configure nothing never get to the customize hooks."""
    return "extract" if wanted.variant == "extract" else "customize"


def _is_apt_line(mirror: str | None) -> bool:
    """Then signed-by is the recipe's own word."""
    return mirror is not None and mirror.startswith(("deb ", "deb-src "))


def _run(
    command: list[str], given: bytes, sink: IO[bytes], inherit: Sequence[int], on_line: Callable[[str], None]
) -> None:
    lines = Lines(on_line)
    with in_memory(given) as stdin:
        process = subprocess.Popen(command, stdin=stdin, stdout=sink, stderr=subprocess.PIPE, start_new_session=True,
                                   pass_fds=inherit)
    assert process.stderr is not None
    try:
        while chunk := os.read(process.stderr.fileno(), 1 << 16):
            lines.feed(chunk)
        lines.close()
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        process.stderr.close()
    if status:
        raise EngineError(f"mmdebstrap ended with status {status}", hint=_hint("\n".join(lines.tail)),
                          detail="\n".join(list(lines.tail)[-20:]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """It takes its chroot and mounts away by itself, if it is asked to, and so is all that it waits for."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _hint(output: str) -> str:
    if "Unable to locate package" in output:
        return "Check the names in [base.bootstrap] packages, and whether components lists the one they are in."
    if "unshare" in output or "newuidmap" in output:
        return "Run this as root, or install uidmap and allow unprivileged user namespaces."
    return "Check suite, components, packages and mirror in [base.bootstrap], and the network."
