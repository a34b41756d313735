"""Readers of layers that share no code with imgasm. Each unpacks the image in its own way and shows the tree.

All of them work on storage of their own in a temporary directory; daemons are started here and ended here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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


Unpack = Callable[["TrapImage"], Facts]


@contextmanager
def umoci(directory: Path) -> Iterator[Unpack]:
    numbers = itertools.count()

    def unpack(image: TrapImage) -> Facts:
        bundle = directory / str(next(numbers))
        run("umoci", "unpack", "--image", f"{image.layout}:1", bundle)
        return look(bundle / "rootfs")

    yield unpack


@contextmanager
def podman(directory: Path, driver: str) -> Iterator[Unpack]:
    """containers-storage, through podman."""
    own: list[str | Path] = ["podman", "--root", directory / "root", "--runroot", directory / "run",
                             "--tmpdir", directory / "tmp", "--storage-driver", driver]

    def unpack(image: TrapImage) -> Facts:
        identity = run(*own, "pull", "--quiet", f"oci-archive:{image.archive}").strip()
        try:
            return look(Path(run(*own, "image", "mount", identity).strip()))
        finally:
            run(*own, "image", "umount", "--all")

    yield unpack


@contextmanager
def daemon(argv: Sequence[str | Path], log: Path, ready: Sequence[str | Path]) -> Iterator[None]:
    """A daemon that lives as long as the context, in a mount namespace of its own."""
    command: list[str | Path] = ["unshare", "--mount", "--propagation", "slave", "sh", "-c",
               '[ ! -d /run/containerd ] || mount -t tmpfs none /run/containerd; exec "$@"', "sh", *argv]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    try:
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def docker(directory: Path, driver: str = "overlay2") -> Iterator[Unpack]:
    """dockerd's classic store. It unpacks at load; what it made is looked at in its own directories."""
    client = ["docker", "--host", f"unix://{directory}/socket"]
    (directory / "daemon.json").write_text('{"features": {"containerd-snapshotter": false}}')
    argv: list[str | Path] = ["dockerd", "--config-file", directory / "daemon.json", "--host", f"unix://{directory}/socket",
            "--data-root", directory / "data", "--exec-root", directory / "run", "--pidfile", directory / "pid",
            "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
            "--storage-driver", driver]  # fmt: skip

    def unpack(image: TrapImage) -> Facts:
        run(*client, "load", "--quiet", "--input", image.archive)
        inspected = json.loads(run(*client, "image", "inspect", image.name))[0]
        if driver == "vfs":
            return look(_vfs_top(directory / "data", inspected["RootFS"]["Layers"]))
        store = inspected["GraphDriver"]["Data"]
        return _stacked([Path(store["UpperDir"]), *map(Path, store["LowerDir"].split(":"))], directory)

    with daemon(argv, directory / "log", [*client, "version"]):
        yield unpack


def _stacked(layers: Sequence[Path], directory: Path) -> Facts:
    """The view of an overlay of ``layers``, topmost first. The names must fit into one page: they get short ones."""
    links = Path(tempfile.mkdtemp(prefix="l", dir=directory))
    for number, layer in enumerate(layers):
        (links / str(number)).symlink_to(layer)
    (links / "mounted").mkdir()
    with overlay(links / "mounted", [links / str(number) for number in range(len(layers))]) as mounted:
        return look(mounted)


def _vfs_top(data: Path, diff_ids: Sequence[str]) -> Path:
    """The vfs store names its directories at random; which one a layer's is stands beside its chain id (image-spec)."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest()
    name = (data / "image/vfs/layerdb/sha256" / chain.removeprefix("sha256:") / "cache-id").read_text()
    return data / "vfs/dir" / name


@contextmanager
def containerd(directory: Path) -> Iterator[Unpack]:
    (directory / "config.toml").write_text(
        f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{directory}/socket"\n'
    )
    client: list[str | Path] = ["ctr", "--address", directory / "socket"]

    def unpack(image: TrapImage) -> Facts:
        run(*client, "images", "import", "--no-unpack", image.archive)
        mounted = Path(tempfile.mkdtemp(prefix="m", dir=directory))
        run(*client, "images", "mount", image.name, mounted)
        try:
            return look(mounted)
        finally:
            run(*client, "images", "unmount", "--rm", mounted)

    with daemon(["containerd", "--config", directory / "config.toml"], directory / "log", [*client, "version"]):
        yield unpack


@contextmanager
def gnu_tar(directory: Path) -> Iterator[Unpack]:
    """It knows no whiteouts: these are made by hand in the overlay's form, everything else is tar's own."""

    def unpack(image: TrapImage) -> Facts:
        own = Path(tempfile.mkdtemp(prefix="i", dir=directory))
        for number, layer in enumerate(image.layers):
            (own / f"{number}.tar").write_bytes(layer)
            (own / str(number)).mkdir()
            _extract(own / f"{number}.tar", own / str(number))
        return _stacked([own / str(number) for number in reversed(range(len(image.layers)))], own)

    yield unpack


def _extract(archive: Path, directory: Path) -> None:
    run("tar", "--extract", "--file", archive, "--directory", directory, "--exclude", ".wh.*", "--preserve-permissions",
        "--numeric-owner", "--same-owner", "--delay-directory-restore", "--xattrs", "--xattrs-include=*")  # fmt: skip
    with tarfile.open(archive, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            parent, name = os.path.split(member.name)
            if name == ".wh..wh..opq":
                os.setxattr(directory / parent, "trusted.overlay.opaque", b"y")
            elif name.startswith(".wh."):
                (directory / parent).mkdir(parents=True, exist_ok=True)
                os.mknod(directory / parent / name[4:], stat.S_IFCHR, 0)
