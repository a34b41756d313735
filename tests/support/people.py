"""An ordinary user of this machine, and imgasm run as that user.

The tests are root's, and their files lie where nobody else may go. So the interpreter, its libraries and the package
are mounted once more where everybody can read them, in a mount namespace of the one process that needs it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_REPOSITORY: Final = Path(__file__).parents[2]

_AS_USER: Final = """
home=$1 socket=$2 user=$3 groups=$4
shift 4
mkdir "$home/.seen"
trap 'umount "$home"/.seen/*; rm -r "$home/.seen"' EXIT
seen() { mkdir -p "$home/.seen/$1"; mount --rbind "$2" "$home/.seen/$1"; }
seen python "$PYTHON"; seen libraries "$LIBRARIES"; seen repository "$REPOSITORY"
[ -z "$socket" ] || { touch "$home/.seen/socket"; mount --bind "$socket" "$home/.seen/socket"; }
cd "$home"
setpriv --reuid "$user" --regid "$user" --groups "$groups" env --ignore-environment "$@"
"""


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    home: Path

    def imgasm(self, *arguments: str, environment: Mapping[str, str] | None = None, socket: Path | None = None,
               ) -> subprocess.CompletedProcess[str]:
        """In the user's home, with nothing of our environment.

        ``socket`` is Docker's, which the user may use as a member of the group that it belongs to.
        """
        seen = self.home / ".seen"
        variables = {
            "HOME": str(self.home), "TMPDIR": str(self.home), "LC_ALL": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": f"{seen}/repository:{seen}/libraries", "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": f"{seen}/python/lib", "SOURCE_DATE_EPOCH": "1700000000", **(environment or {}),
        }  # fmt: skip
        groups = [pwd.getpwnam(self.name).pw_gid]
        if socket is not None:
            variables["DOCKER_HOST"] = f"unix://{seen}/socket"
            groups.append(socket.stat().st_gid)
        python = seen / "python" / Path(os.path.realpath(sys.executable)).relative_to(sys.base_prefix)
        command = [*(f"{key}={value}" for key, value in variables.items()), str(python), "-m", "assembler", *arguments]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-euc", _AS_USER, "sh", self.home, socket or "", self.name,
             ",".join(map(str, groups)), *command],
            env={**os.environ, "PYTHON": sys.base_prefix, "LIBRARIES": sysconfig.get_path("purelib"),
                 "REPOSITORY": str(_REPOSITORY)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def give(self, *files: Path) -> None:
        """Copies into the user's home."""
        for file in files:
            shutil.copy(file, self.home)
        self.own()

    def rootless_podman(self) -> dict[str, str]:
        """An environment in which podman works for this user, on storage of its own."""
        (self.home / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nruntime = "runc"\n'
            f'tmp_dir = "{self.home}/tmp"\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\n'
        )
        (self.home / "run").mkdir(mode=0o700)  # as a login makes it; podman 5 does not
        (self.home / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.home}/data"\nrunroot = "{self.home}/run"\n'
        )
        self.own()
        return {
            "CONTAINERS_CONF": f"{self.home}/containers.conf", "XDG_RUNTIME_DIR": f"{self.home}/run",
            "CONTAINERS_STORAGE_CONF": f"{self.home}/storage.conf",
        }  # fmt: skip

    def own(self) -> None:
        user = pwd.getpwnam(self.name)
        for parent, _, names in os.walk(self.home):
            for path in (parent, *(os.path.join(parent, name) for name in names)):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


@contextmanager
def person() -> Iterator[Person]:
    """Whoever it is has subordinate ids, as ``adduser`` gives them, and no group but the own one."""
    home = Path(tempfile.mkdtemp(prefix="imgasm-user-", dir="/var/tmp"))
    name = f"imgasm{os.getpid()}"
    for file in ("/etc/subuid", "/etc/subgid"):
        Path(file).touch()  # only then does useradd give subordinate ids
    subprocess.run(["useradd", "--home-dir", home, "--user-group", "--shell", "/bin/sh", name], check=True)
    try:
        someone = Person(name, home)
        someone.own()
        yield someone
    finally:
        _end_processes_of(pwd.getpwnam(name).pw_uid)
        subprocess.run(["userdel", name], check=True)
        shutil.rmtree(home)


def _end_processes_of(user: int) -> None:
    """Rootless podman leaves one behind, which holds its namespaces."""
    while running := [process for process in Path("/proc").glob("[0-9]*") if _is_of(process, user)]:
        for process in running:
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        time.sleep(0.02)


def _is_of(process: Path, user: int) -> bool:
    try:
        return process.stat().st_uid == user
    except FileNotFoundError:
        return False
