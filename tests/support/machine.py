"""Other releases of Debian than this machine's: a rootfs made by mmdebstrap, entered as if it had been booted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
_ENTER = Path(__file__).with_name("enter-machine")
_AUTHORITIES = Path("etc/ssl/this-network.pem")
_NETWORK = re.compile(r"(https?|no|all)_proxy|PIP_(INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)", re.IGNORECASE)
"""Environment variables without which nothing can be fetched in some networks."""
_APT = re.compile(r"Acquire::(http|Check-|Retries|ForceIPv)", re.IGNORECASE)


class Machine:
    """Debian in the directory ``root``; it sees this machine's kernel, devices and network, and nothing else of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def command(self, *command: str, **environment: str) -> list[str]:
        """What runs ``command`` there, in /root/imgasm, or in / before there is one."""
        home = "/root/imgasm" if (self.root / "root/imgasm").is_dir() else "/"
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                     **self._network(), **environment}  # fmt: skip
        settings = [f"{key}={value}" for key, value in variables.items()]
        return [str(_ENTER), str(self.root), "env", "-i", f"--chdir={home}", *settings, *command]

    def run(self, *command: str, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
        """stderr is in ``stdout``."""
        return subprocess.run(
            self.command(*command, **environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=False,
        )  # fmt: skip

    def copy(self, directory: str) -> Machine:
        """Another machine of the same files, in ``directory``."""
        subprocess.run(["cp", "-a", self.root, f"{directory}/root"], check=True)
        return Machine(Path(directory, "root"))

    def check_out(self) -> None:
        """The working tree as git sees it, without what was built in it: a fresh clone, on an even day."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, check=True)  # fmt: skip
        for name in sorted({os.fsdecode(name) for name in listed.stdout.split(b"\0") if name}):
            if (ROOT / name).is_file():
                target = self.root / "root/imgasm" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target, follow_symlinks=False)

    def _network(self) -> dict[str, str]:
        authorities = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
        (self.root / _AUTHORITIES).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(authorities, self.root / _AUTHORITIES)
        settings = {key: value for key, value in os.environ.items() if _NETWORK.fullmatch(key)}
        return {"SSL_CERT_FILE": f"/{_AUTHORITIES}", "PIP_CERT": f"/{_AUTHORITIES}", **settings}


def apt_options() -> list[str]:
    """What mmdebstrap is told of this machine's way to Debian's archive."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
    return [f"--aptopt={line}" for line in dump.splitlines() if _APT.match(line)]


@contextmanager
def debian(suite: str, *packages: str) -> Iterator[Machine]:
    """A fresh minbase of ``suite``. It lies on a disk, for engines in it to put overlays on."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix=f"imgasm-{suite}-") as directory:
        include = [f"--include={','.join(packages)}"] if packages else []
        options = ["--variant=minbase", "--dpkgopt=force-unsafe-io", *apt_options(), *include]
        subprocess.run(["mmdebstrap", "--quiet", *options, suite, f"{directory}/root"], check=True,
                       stdin=subprocess.DEVNULL)  # fmt: skip
        yield Machine(Path(directory, "root"))
