from __future__ import annotations

import io
import tarfile
import warnings
from typing import TYPE_CHECKING

import pytest

from assembler.engine.connect import connect
from assembler.engine.container import export_image
from assembler.engine.overlay_directories import OverlayDirs
from assembler.engine.step import Command
from assembler.errors import EngineError
from assembler.progress import SilentProgress
from tests.support import engines

if TYPE_CHECKING:
    from assembler.engine.client import Engine
    from assembler.engine.container import ContainerSpec

pytestmark = pytest.mark.engine


def test_save_and_load_carry_an_image(engine: Engine) -> None:
    name = "localhost/imgasm-test/saved:1"
    image = engines.import_rootfs(engine, engines.busybox_rootfs(), {})
    engine.images.tag(image, name)
    with engine.images.save(name) as stream:
        archive = io.BytesIO(stream.read())
    engine.images.remove(name)  # its only name: the image goes with it
    assert engine.images.find(name) is None
    assert engine.images.load(archive) == image
    assert engine.images.ensure(name, SilentProgress()) == image
    engine.images.remove(name)


def test_an_image_that_is_not_there_is_none(engine: Engine) -> None:
    assert engine.images.find("localhost/imgasm-test/absent:1") is None


def test_a_pull_that_fails_says_why(engine: Engine) -> None:
    with pytest.raises(EngineError, match=f"{engine.name} could not pull 127.0.0.1:1/no/image:1"):
        engine.images.ensure("127.0.0.1:1/no/image:1", SilentProgress())


def test_an_archive_that_is_none_says_why(engine: Engine) -> None:
    with pytest.raises(EngineError, match="could not load the image"):
        engine.images.load(io.BytesIO(b"not an archive at all" * 100_000))


def test_the_config_is_the_image_specs(engine: Engine, base: str) -> None:
    config = engine.images.config(base)
    assert (config["os"], config["architecture"]) == ("linux", engine.info.platform.architecture)
    assert config["rootfs"]["diff_ids"][0].startswith("sha256:")


def test_the_base_is_exported_whole_and_its_container_goes(engine: Engine, base: str) -> None:
    export = export_image(engine, base, "export", warnings.warn)
    with export as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        members = {member.name.strip("/"): member for member in tar}
    assert members["opt/old/file"].size == len(b"of the base\n")
    assert members["bin"].linkname == "usr/bin"
    assert engine.client.container.list(all=True, filters=[("name", "imgasm-export")]) == []


def test_an_export_of_nothing_is_an_error(engine: Engine) -> None:
    with pytest.raises(EngineError, match="could not export no-such-container"), \
            engine.export("no-such-container") as stream:
        stream.read()


def test_the_running_container_is_exported_without_its_mounts(engine: Engine, spec: ContainerSpec) -> None:
    with engine.session(spec) as session:
        session.run(Command("edit", ["/bin/sh", "-c", "echo new >/opt/new; rm /opt/old/file"], {}))
        with session.paused(), session.container.export() as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            names = {member.name.strip("/") for member in tar}
    assert "opt/new" in names and "opt/old" in names
    assert "opt/old/file" not in names
    assert not [name for name in names if name.startswith("proc/")]


def test_no_engine_is_an_error_that_helps(tmp_path_factory: pytest.TempPathFactory) -> None:
    with engines.environment({"DOCKER_HOST": "unix:///no/such/socket", "DOCKER_CONTEXT": "default"}), \
            pytest.raises(EngineError, match="docker does not answer") as failure:
        connect("docker")
    assert "with-engine" in (failure.value.hint or "")
    with engines.environment({"PATH": str(tmp_path_factory.mktemp("empty"))}), \
            pytest.raises(EngineError, match="no container engine answers") as failure:
        connect()
    assert failure.value.detail == "docker: not installed\npodman: not installed"


def test_the_engines_disk_is_where_its_containers_are(engine: Engine, spec: ContainerSpec) -> None:
    with engine.session(spec) as session:
        found = session.overlay()
        assert isinstance(found, OverlayDirs) and engine.disk is not None
        inside = [parent for parent in found.upper.parents if parent.samefile(engine.disk)]
    assert len(inside) == 1
