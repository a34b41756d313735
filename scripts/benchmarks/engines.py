"""The peers that have a container and make an image of it: each gets the same base and the same changes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.contenders import Contender, Imgasm, Task
from benchmarks.measure import measure
from benchmarks.registry import registry
from benchmarks.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator


def _say(*command: str | Path) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def _copy(tree: Tree, to: Path) -> None:
    """Whiteouts and extended attributes come along: it is one overlay's upper directory for another."""
    _say("cp", "-a", f"{tree.upper}/.", to)


class Docker(Contender):
    """``docker commit`` and ``docker push`` to a registry on loopback that holds the base already."""

    name = "docker commit + push"
    needs = ("docker", "docker-registry")
    engine = True

    def __init__(self, rival: str) -> None:
        self.rival = rival

    @contextmanager
    def ready(self, tree: Tree, place: Path) -> Iterator[Task]:
        base = "imgasm-bench-base"
        with registry(place / "registry") as (host, storage):
            image = f"{host}/bench"
            _say("sh", "-c", 'tar -C "$0" -c . | docker import - "$1"', tree.base, base)
            container = _say("docker", "create", "--network", "none", base, "/none")
            try:
                _say("docker", "tag", base, f"{image}:base")
                _say("docker", "push", "-q", f"{image}:base")
                upper = _say("docker", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", container)
                _copy(tree, Path(upper))
                shell = 'docker commit "$0" "$1:new" && docker push -q "$1:new"'
                yield Task(["sh", "-c", shell, container, image], Path(upper), lambda _: _last_layer(storage))
            finally:
                _say("docker", "rm", container)
                for name in (f"{image}:new", f"{image}:base", base):
                    subprocess.run(["docker", "rmi", name], check=False, capture_output=True)


def _last_layer(storage: Path) -> int:
    link = next(storage.rglob("_manifests/tags/new/current/link")).read_text()
    digest = link.partition(":")[2]
    blobs = storage / "docker/registry/v2/blobs/sha256"
    manifest = json.loads((blobs / digest[:2] / digest / "data").read_text())
    return int(manifest["layers"][-1]["size"])


class Build(Contender):
    """What ``imgasm build`` does once its steps have ended, as the whole command that users run: ``imgasm assemble``.

    It starts, meters the container's directories, makes the image and the record, and ends.
    """

    name = "imgasm assemble"
    needs = ("docker",)
    engine = True

    def __init__(self, rival: str) -> None:
        self.rival = rival

    @contextmanager
    def ready(self, tree: Tree, place: Path) -> Iterator[Task]:
        home = place.with_name("home")
        home.mkdir()
        _say("tar", "-C", tree.base, "-cf", home / "base.tar", ".")
        (home / "recipe.toml").write_text(_RECIPE)
        variables = {**os.environ, "HOME": str(home), "IMGASM_CACHE": str(home / "cache")}
        imgasm = str(Path(sys.executable).with_name("imgasm"))
        build = [imgasm, "build", str(home / "recipe.toml"), "--output", str(place / "layout"),
                 "--keep-container", "--allow-refused-modules"]  # fmt: skip
        try:
            built = subprocess.run(build, env=variables, cwd=home, check=True, text=True, capture_output=True).stderr
            container = built.partition("its container stays, ")[2].partition(":")[0]
            upper = _say("docker", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", container)
            _copy(tree, Path(upper))
            shell = 'cd "$0" && exec "$1" assemble "$2" --quiet'
            command = ["sh", "-c", shell, str(home), imgasm, container]
            yield Task(command, Path(upper), lambda _: _layout_layer(place / "layout", "latest"), variables)
        finally:
            subprocess.run([imgasm, "clean", "--kept"], env=variables, check=True, capture_output=True)


_RECIPE: Final = """
name = "bench"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[step]]
name = "nothing"
run = "true"
[[image]]
name = "bench"
"""


class Buildah(Contender):
    """``buildah commit`` and its zstd push to an OCI layout that holds the base already."""

    name = "buildah commit + push zstd"
    needs = ("buildah",)

    def __init__(self, rival: str) -> None:
        self.rival = rival

    @contextmanager
    def ready(self, tree: Tree, place: Path) -> Iterator[Task]:
        storage = place.with_name("buildah")
        buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run"),
                   "--storage-driver", "overlay"]
        push = ["push", "--compression-format", "zstd", "--compression-level", "3"]
        layout = place / "layout"
        try:
            first = _say(*buildah, "from", "scratch")
            _say("cp", "-a", f"{tree.base}/.", _say(*buildah, "mount", first))
            _say(*buildah, "commit", "-q", "--rm", first, "bench-base")
            _say(*buildah, *push, "-q", "bench-base", f"oci:{layout}:base")
            container = _say(*buildah, "from", "--pull-never", "bench-base")
            upper = Path(_say(*buildah, "mount", container)).with_name("diff")
            _copy(tree, upper)
            run = " ".join(buildah)
            shell = f'{run} commit -q "$0" bench && {run} {" ".join(push)} bench "oci:$1:new"'
            yield Task(["sh", "-c", shell, container, str(layout)], upper, lambda _: _layout_layer(layout))
        finally:
            _say(*buildah, "umount", "--all")
            _say(*buildah, "rm", "--all")
            shutil.rmtree(storage)


def _layout_layer(layout: Path, name: str = "new") -> int:
    index = json.loads((layout / "index.json").read_text())
    digest = next(
        entry["digest"] for entry in index["manifests"]
        if entry["annotations"]["org.opencontainers.image.ref.name"] == name
    )
    manifest = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return int(manifest["layers"][-1]["size"])


class Umoci(Contender):
    """``umoci repack``: compares an unpacked rootfs with what it was, and adds a gzip layer to the layout."""

    name = "umoci repack"
    needs = ("umoci",)

    def __init__(self, rival: str) -> None:
        self.rival = rival

    @contextmanager
    def ready(self, tree: Tree, place: Path) -> Iterator[Task]:
        bundle, layout = place.with_name("bundle"), place / "layout"
        with Imgasm("gzip", 1).ready(_as_changes(tree, place), place) as base:
            measure(base.command, place, base.environment)
        try:
            _say("umoci", "unpack", "--image", f"{layout}:latest", bundle)
            _apply(tree.upper, bundle / "rootfs")
            command = ["umoci", "repack", "--image", f"{layout}:new", str(bundle)]
            yield Task(command, bundle / "rootfs", lambda _: _layout_layer(layout))
        finally:
            shutil.rmtree(bundle)


def _as_changes(tree: Tree, place: Path) -> Tree:
    """The base as what changed on nothing."""
    nothing = place.with_name("nothing")
    nothing.mkdir(exist_ok=True)
    return Tree("base", nothing, tree.base, 0, 0)


def _apply(upper: Path, rootfs: Path) -> None:
    """An overlay's upper directory onto a plain one: whiteouts become removals."""
    whiteouts = []
    for folder, folders, files in os.walk(upper):
        for name in (*folders, *files):
            status = Path(folder, name).lstat()
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                whiteouts.append(rootfs / Path(folder, name).relative_to(upper))
    _say("rm", "-rf", *whiteouts)
    _say("cp", "-a", f"{upper}/.", rootfs)
    _say("rm", "-f", *whiteouts)
