"""Readers of layers that share no code with imgasm. Each unpacks the image in its own way and shows the tree.

All of them work on storage of their own in a temporary directory; daemons are started here and ended here.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.referees.image import NAME
from tests.support.overlays import overlay
from tests.support.rootfs import Facts, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.referees.image import TrapImage


class Refused(Exception):
    """The engine can't read this image; what it said."""


def run(*argv: str | Path, **environment: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def umoci(image: TrapImage, directory: Path) -> Facts:
    run("umoci", "unpack", "--image", f"{image.layout}:1", directory / "bundle")
    return look(directory / "bundle/rootfs")


def podman(image: TrapImage, directory: Path, driver: str) -> Facts:
    """containers-storage, through podman."""
    own: list[str | Path] = ["podman", "--root", directory / "root", "--runroot", directory / "run",
                             "--tmpdir", directory / "tmp", "--storage-driver", driver]
    identity = run(*own, "pull", "--quiet", f"oci-archive:{image.archive}").strip()
    try:
        return look(Path(run(*own, "image", "mount", identity).strip()))
    finally:
        run(*own, "image", "umount", "--all")


@contextmanager
def daemon(argv: Sequence[str | Path], log: Path, ready: Sequence[str | Path]) -> Iterator[None]:
    """A daemon that lives as long as the context, in a mount namespace of its own."""
    command: list[str | Path] = ["unshare", "--mount", "--propagation", "slave", "sh", "-c",
               '[ ! -d /run/containerd ] || mount -t tmpfs none /run/containerd; exec "$@"', "sh", *argv]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    try:
        for _ in range(200):
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                break
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def docker(image: TrapImage, directory: Path, driver: str = "overlay2") -> Facts:
    """dockerd's classic store. It unpacks at load; what it made is looked at in its own directories."""
    client = ["docker", "--host", f"unix://{directory}/socket"]
    (directory / "daemon.json").write_text('{"features": {"containerd-snapshotter": false}}')
    argv: list[str | Path] = ["dockerd", "--config-file", directory / "daemon.json", "--host", f"unix://{directory}/socket",
            "--data-root", directory / "data", "--exec-root", directory / "run", "--pidfile", directory / "pid",
            "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
            "--storage-driver", driver]  # fmt: skip
    with daemon(argv, directory / "log", [*client, "version"]):
        run(*client, "load", "--quiet", "--input", image.archive)
        inspected = json.loads(run(*client, "image", "inspect", NAME))[0]
        store = inspected["GraphDriver"]["Data"]
        if driver == "vfs":
            return look(_vfs_top(directory / "data"))
        layers = [Path(store["UpperDir"]), *map(Path, store["LowerDir"].split(":"))]
        (directory / "mounted").mkdir()
        with overlay(directory / "mounted", layers) as mounted:
            return look(mounted)


def _vfs_top(data: Path) -> Path:
    """The vfs store names its directories at random; the topmost layer's is the one that has a parent."""
    known = data / "image/vfs/layerdb/sha256"
    top = next(layer for layer in known.iterdir() if (layer / "parent").exists())
    return data / "vfs/dir" / (top / "cache-id").read_text()


def containerd(image: TrapImage, directory: Path) -> Facts:
    (directory / "config.toml").write_text(
        f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{directory}/socket"\n'
    )
    client: list[str | Path] = ["ctr", "--address", directory / "socket"]
    with daemon(["containerd", "--config", directory / "config.toml"], directory / "log", [*client, "version"]):
        run(*client, "images", "import", "--no-unpack", image.archive)
        name = run(*client, "images", "list", "--quiet").split()[0]
        (directory / "mounted").mkdir()
        run(*client, "images", "mount", name, directory / "mounted")
        try:
            return look(directory / "mounted")
        finally:
            run(*client, "images", "unmount", "--rm", directory / "mounted")


def gnu_tar(image: TrapImage, directory: Path, lowers: Sequence[Path]) -> Facts:
    """It knows no whiteouts: these are made by hand in the overlay's form, everything else is tar's own."""
    layer, mounted = directory / "layer", directory / "mounted"
    layer.mkdir()
    mounted.mkdir()
    run("tar", "--extract", "--file", image.layer, "--directory", layer, "--exclude", ".wh.*", "--preserve-permissions",
        "--numeric-owner", "--same-owner", "--delay-directory-restore", "--xattrs", "--xattrs-include=*")  # fmt: skip
    with tarfile.open(image.layer, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            parent, name = os.path.split(member.name)
            if name.startswith(".wh."):
                (layer / parent).mkdir(parents=True, exist_ok=True)
                os.mknod(layer / parent / name[4:], stat.S_IFCHR, 0)
    with overlay(mounted, [layer, *lowers]) as shown:
        return look(shown)
