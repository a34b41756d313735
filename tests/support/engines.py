"""Real container engines for the tests, and a tiny base image.

Docker is the one that answers: ``scripts/with-engine pytest`` brings one. Docker with containerd's store is brought by
``with-containerd-store``, beside this file. Podman works on storage of its own, with settings that also run where crun
and raised limits do not (see scripts/with-engine).
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.engine.connect import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from assembler.engine.client import Engine
    from assembler.model.engines import EngineName

BUSYBOX = Path("/bin/busybox")  # apt-get install busybox-static


@contextmanager
def docker() -> Iterator[Engine]:
    yield connect("docker")


@contextmanager
def containerd_store() -> Iterator[Engine]:
    command = [str(Path(__file__).with_name("with-containerd-store")), "sh", "-c", 'echo "$DOCKER_HOST"; exec cat']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        with environment({"DOCKER_HOST": process.stdout.readline().strip()}):
            try:
                yield connect("docker")
            finally:
                process.stdin.close()  # cat ends, and with it the engine
                process.wait()


@contextmanager
def dockerd(*options: str) -> Iterator[Engine]:
    """A daemon of its own beside the others, in its own mount namespace; it takes all that it made with it.

    What it looks for in /run/containerd is another daemon's. A user namespace's root has to get through its directory.
    """
    directory = Path(tempfile.mkdtemp(prefix="imgasm-engine.", dir="/var/tmp"))
    directory.chmod(0o711)
    hidden = "[ ! -d /run/containerd ] || mount -t tmpfs none /run/containerd; "
    hidden += 'exec setpriv --pdeathsig TERM dockerd "$@"'
    command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", hidden, "sh",
               "--host", f"unix://{directory}/socket", "--data-root", f"{directory}/data",
               "--exec-root", f"{directory}/run", "--pidfile", f"{directory}/pid", "--bridge", "none",
               "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
               "--shutdown-timeout", "5", *options]  # fmt: skip
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            with environment({"DOCKER_HOST": f"unix://{directory}/socket"}):
                while subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
                    assert daemon.poll() is None, (directory / "log").read_text()
                    time.sleep(0.1)
                yield connect("docker")
        finally:
            daemon.terminate()
            daemon.wait()
            shutil.rmtree(directory)


@contextmanager
def podman(directory: Path) -> Iterator[Engine]:
    containers, storage = directory / "containers.conf", directory / "storage.conf"
    containers.write_text('[containers]\ndefault_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]\n'
                          f'[engine]\nruntime = "runc"\ntmp_dir = "{directory}/tmp"\nlock_type = "file"\n')
    storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/data"\nrunroot = "{directory}/run"\n')
    with environment({"CONTAINERS_CONF": str(containers), "CONTAINERS_STORAGE_CONF": str(storage),
                      "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}):  # podman 5 says it at each step
        try:
            yield connect("podman")
        finally:
            subprocess.run(["podman", "rm", "--all", "--force", "--time", "0"], check=True, capture_output=True)


@contextmanager
def running(name: EngineName, directory: Path) -> Iterator[EngineName]:
    """The engine of that name, podman on storage in ``directory``. ``host`` needs none."""
    ready: Mapping[EngineName, Callable[[], AbstractContextManager[object]]] = {
        "docker": docker, "podman": lambda: podman(directory), "host": nullcontext,
    }  # fmt: skip
    with ready[name]():
        yield name


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def podman_release() -> int:
    """4 on Debian 12, 5 on Debian 13."""
    told = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[-1].partition(".")[0])


def import_rootfs(engine: Engine, tar: io.BytesIO, labels: Mapping[str, str]) -> str:
    """An image of one layer from a rootfs as tar, by its id; ``labels`` let ``clean`` find it again."""
    changes = [f"--change=LABEL {key}={value}" for key, value in labels.items()]
    command = engine.command("image", "import", *changes, "-")
    answer = subprocess.run(command, input=tar.getvalue(), capture_output=True, check=True).stdout.decode()
    image = engine.images.find(answer.split()[-1])
    assert image is not None
    return image


def busybox_rootfs(extra: Mapping[str, bytes] | None = None) -> io.BytesIO:
    """A rootfs as tar: a static busybox under all its names, directories as Debian has them, ``extra`` files."""
    rootfs = io.BytesIO()
    names = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    with tarfile.open(fileobj=rootfs, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory, mode in (("usr", 0o755), ("usr/bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700),
                                ("opt", 0o755), ("opt/old", 0o755)):
            _add(tar, directory, tarfile.DIRTYPE, mode)
        _add(tar, "bin", tarfile.SYMTYPE, 0o777, target="usr/bin")
        _add(tar, "etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n")
        _add(tar, "opt/old/file", tarfile.REGTYPE, 0o644, b"of the base\n")
        _add(tar, "usr/bin/busybox", tarfile.REGTYPE, 0o755, BUSYBOX.read_bytes())
        for name in names:
            if name != "busybox":
                _add(tar, f"usr/bin/{name}", tarfile.SYMTYPE, 0o777, target="busybox")
        for path, content in (extra or {}).items():
            _add(tar, path, tarfile.REGTYPE, 0o644, content)
    rootfs.seek(0)
    return rootfs


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = kind, mode, target, len(content)
    member.mtime = 1_700_000_000
    tar.addfile(member, io.BytesIO(content))
