"""Finding a container's directories: on hand-made overlay mounts, and in real engines."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.engine.container import ContainerSpec
from assembler.engine.overlay_directories import NotReadableInPlace, OverlayDirs, is_stub_layer, layer_paths, locate
from assembler.engine.step import Command
from assembler.model.container import Container
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.engine.client import Engine


@contextmanager
def chrooted(root: Path, options: str, where: Path) -> Iterator[int]:
    """A process whose / is an overlay that was mounted from the directory ``where``."""
    script = 'mount -t overlay overlay -o "$1" "$2" && exec chroot "$2" /busybox sh -c "echo up; /busybox sleep 99"'
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", script, "sh", options, root], cwd=where,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process.pid
        process.kill()


def directories(parent: Path, *names: str) -> list[Path]:
    made = [parent / name for name in names]
    for path in made:
        path.mkdir(parents=True)
    return made


@pytest.mark.root
def test_strange_names_are_understood(tmp_path: Path) -> None:
    upper, work, one, two, root = directories(tmp_path, "up per", "work", "one:1", "two,\\\n2", "root")
    (one / "busybox").write_bytes(engines.BUSYBOX.read_bytes())
    (one / "busybox").chmod(0o755)

    def escaped(path: Path) -> str:
        return str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")

    options = f"lowerdir={escaped(one)}:{escaped(two)},upperdir={upper},workdir={work}"
    with chrooted(root, options, tmp_path) as pid:
        found = locate(pid)
    assert found == OverlayDirs(upper, (one, two))


@pytest.mark.root
def test_relative_names_are_found_from_the_upper_directory(tmp_path: Path) -> None:
    upper, work, one, root, links = directories(tmp_path, "id/diff", "id/work", "one/diff", "root", "l")
    (one / "busybox").write_bytes(engines.BUSYBOX.read_bytes())
    (one / "busybox").chmod(0o755)
    (links / "SHORT").symlink_to("../one/diff")
    features = "metacopy=on,redirect_dir=on"
    with chrooted(root, f"lowerdir=l/SHORT,upperdir={upper},workdir={work},{features}", tmp_path) as pid:
        assert locate(pid) == OverlayDirs(upper, (one,), metacopy=True, redirect_dir=True)
    with chrooted(root, "lowerdir=l/SHORT,upperdir=id/diff,workdir=id/work", tmp_path) as pid:
        assert locate(pid, [tmp_path / "elsewhere", tmp_path]) == OverlayDirs(upper, (one,))
        assert locate(pid) == NotReadableInPlace("its layers have relative paths, and it is not known from where")


@pytest.mark.root
def test_layers_mounted_by_number_are_those_that_the_engine_tells(tmp_path: Path) -> None:
    """podman 5 does so with many layers, from /proc/self/fd."""
    upper, work, one, root = directories(tmp_path, "upper", "work", "descriptors/3", "root")
    (one / "busybox").write_bytes(engines.BUSYBOX.read_bytes())
    (one / "busybox").chmod(0o755)
    told = {"UpperDir": str(upper), "LowerDir": str(one)}
    with chrooted(root, f"lowerdir=3,upperdir={upper},workdir={work}", one.parent) as pid:
        assert locate(pid, told=told) == OverlayDirs(upper, (one,))
        for untrue in ({}, told | {"UpperDir": str(work)}, told | {"LowerDir": f"{one}:{root}"}):
            assert isinstance(locate(pid, told=untrue), NotReadableInPlace)


@pytest.mark.root
def test_changed_names_that_only_the_overlays_index_knows_are_left_to_exports(tmp_path: Path) -> None:
    """The name that a step wrote to is gone with its directory; nothing in the writable layer tells of the other."""
    upper, work, one, root = directories(tmp_path, "upper", "work", "one", "root")
    (one / "busybox").write_bytes(engines.BUSYBOX.read_bytes())
    (one / "busybox").chmod(0o755)
    (one / "d").mkdir()
    (one / "d/a").write_text("a")
    (one / "b").hardlink_to(one / "d/a")
    with chrooted(root, f"lowerdir={one},upperdir={upper},workdir={work},index=on", tmp_path) as pid:
        assert locate(pid) == OverlayDirs(upper, (one,))
        inside = Path(f"/proc/{pid}/root")
        (inside / "busybox").chmod(0o700)
        assert locate(pid) == OverlayDirs(upper, (one,))
        (inside / "d/a").write_text("changed")
        (inside / "d/a").unlink()
        (inside / "d").rmdir()
        assert (inside / "b").read_text() == "changed" and not (upper / "b").exists()
        found = locate(pid)
        assert isinstance(found, NotReadableInPlace) and "index=on" in found.reason


def test_a_process_without_overlay_is_unreadable() -> None:
    found = locate(os.getpid())
    assert isinstance(found, NotReadableInPlace)
    assert found.reason.startswith("its / is not an overlay")
    assert isinstance(locate(2**22 + 1), NotReadableInPlace)


@pytest.mark.parametrize(("options", "upper", "lowers"), [
    ("rw,relatime,lowerdir=/a:/b,upperdir=/u,workdir=/w", b"/u", [b"/a", b"/b"]),
    (r"lowerdir=/a\134:1:/b\0542\040x,upperdir=/u,workdir=/w", b"/u", [b"/a:1", b"/b,2 x"]),
    (r"lowerdir+=/a:1,lowerdir+=/b\0542,upperdir=/u", b"/u", [b"/a:1", b"/b,2"]),
])
def test_options(options: str, upper: bytes, lowers: Sequence[bytes]) -> None:
    assert layer_paths([option.encode() for option in options.split(",")]) == (upper, lowers)


def stub_layer(parent: Path) -> Path:
    layer, *_ = directories(parent, "stubs", "stubs/dev/pts", "stubs/dev/shm", "stubs/etc", "stubs/proc", "stubs/sys")
    for name in (".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf"):
        (layer / name).touch()
    (layer / "etc/mtab").symlink_to("/proc/mounts")
    return layer


def test_dockers_own_layer_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    layer = stub_layer(tmp_path)
    assert is_stub_layer(os.fsencode(layer))
    (layer / "etc/hosts").write_text("127.0.0.1 localhost\n")
    assert not is_stub_layer(os.fsencode(layer))


@pytest.mark.parametrize("change", [
    lambda layer: (layer / ".dockerenv").unlink(),
    lambda layer: (layer / "opt").mkdir(),
    lambda layer: (layer / "dev/pts/0").touch(),
    lambda layer: (layer / "etc/passwd").touch(),
], ids=["unmarked", "a directory more", "a file deeper", "a file more"])
def test_a_base_layer_is_not_taken_for_it(tmp_path: Path, change: object) -> None:
    layer = stub_layer(tmp_path)
    assert callable(change)
    change(layer)
    assert not is_stub_layer(os.fsencode(layer))


@pytest.mark.engine
def test_the_upper_directory_is_the_containers(engine: Engine, spec: ContainerSpec) -> None:
    with engine.session(spec) as session:
        session.run(Command("write", ["/bin/sh", "-c", "echo of a step >/opt/file; rm -r /opt/old"], {}))
        found = session.overlay()
        assert isinstance(found, OverlayDirs)
        assert (found.upper / "opt/file").read_text() == "of a step\n"
        assert os.stat(found.upper / "opt/old").st_rdev == 0  # a whiteout
        assert [(lower / "opt/old/file").read_text() for lower in found.lowers] == ["of the base\n"]
        assert (found.metacopy, found.redirect_dir, found.userxattr) == (False, False, False)


@pytest.mark.engine
def test_many_layers_are_found_in_order(engine: Engine, spec: ContainerSpec) -> None:
    """So many that the engine mounts them by relative names."""
    image = engine.images.load(many_layers(64))
    try:
        with engine.session(ContainerSpec(image, f"{spec.build}-many", Container(network="none"))) as session:
            found = session.overlay()
            assert isinstance(found, OverlayDirs)
            assert re.search("lowerdir=[^/]", Path(f"/proc/{session.pid}/mountinfo").read_text())
            assert [(lower / "number").read_text() for lower in found.lowers] == [str(n) for n in range(63, -1, -1)]
    finally:
        engine.images.remove(image)


def many_layers(count: int) -> io.BytesIO:
    """A Docker archive: every layer holds its own number, the lowest also the rootfs."""
    layers = [_layer(number, engines.busybox_rootfs() if number == 0 else None) for number in range(count)]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {
        "type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}" for layer in layers],
    }}).encode()
    names = [f"{number}.tar" for number in range(count)]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["localhost/imgasm-test/many:1"], "Layers": names}])
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _add(tar, "config.json", config)
        _add(tar, "manifest.json", manifest.encode())
        for name, layer in zip(names, layers, strict=True):
            _add(tar, name, layer)
    archive.seek(0)
    return archive


def _layer(number: int, rootfs: io.BytesIO | None) -> bytes:
    layer = rootfs or io.BytesIO()
    with tarfile.open(fileobj=layer, mode="a" if rootfs else "w") as tar:
        _add(tar, "number", str(number).encode())
    return layer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
