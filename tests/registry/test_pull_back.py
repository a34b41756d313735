"""What imgasm pushed is pulled back and run by those who will: Docker, podman and containerd; skopeo reads it.

Each from a registry that lets in anybody, one with a password, one with a token server, and one with TLS by an
authority of its own; each with the credentials where ``imgasm login`` put them.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from tests.registry.conftest import USER
from tests.support import engines
from tests.support.certificates import write_authority
from tests.support.containerd import Containerd, containerd
from tests.support.debian_registry import debian_registry, htpasswd
from tests.support.images import make_manifest, write_blob
from tests.support.token_server import token_server

pytestmark = [pytest.mark.engine, pytest.mark.root]

SAID = "pulled and run"


@dataclass(frozen=True, slots=True)
class Place:
    """``home`` is where the credentials are, ``certificates`` a directory with the authority, where one is needed."""

    image: str
    digest: str
    home: Path
    certificates: Path | None
    needs_login: bool

    @property
    def authfile(self) -> str:
        return str(self.home / ".docker" / "config.json")


@pytest.fixture(scope="module", params=["anybody", "password", "token", "tls"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp(request.param)
    with started(request.param, directory) as (host, certificates):
        options = ["--tls", "--ca-file", f"{certificates}/ca.crt"] if certificates else []
        needs_login = request.param in ("password", "token")
        (directory / ".docker").mkdir()
        (directory / ".docker" / "config.json").write_text("{}")
        if needs_login:
            imgasm(directory, "login", host, "-u", USER.username, "--password-stdin", *options, text=USER.password)
        layout, digest = make_layout(directory / "layout")
        imgasm(directory, "push", str(layout), f"{host}/back/{request.param}:v1", *options)
        yield Place(f"{host}/back/{request.param}:v1", digest, directory, certificates, needs_login)


@contextmanager
def started(kind: str, directory: Path) -> Iterator[tuple[str, Path | None]]:
    """The registry's host, and the directory with its authority."""
    with ExitStack() as stack:
        more, certificates = "", None
        if kind == "password":
            more = htpasswd(directory, USER.username, USER.password)
        elif kind == "token":
            tokens = stack.enter_context(token_server(USER.username, USER.password))
            more = tokens.registry_config(directory)
        elif kind == "tls":
            authority, certificates = write_authority(directory), directory / "certificates"
            certificates.mkdir()
            (certificates / "ca.crt").write_bytes((authority / "ca.pem").read_bytes())
            more = f"  tls: {{certificate: {authority}/server.pem, key: {authority}/server.key}}"
        yield stack.enter_context(debian_registry(directory / "registry", more)).host, certificates


def make_layout(directory: Path) -> tuple[Path, str]:
    """A busybox that says something."""
    tar = engines.busybox_rootfs().read()
    layer = write_blob(directory, media_types.OCI_LAYER_GZIP, gzip.compress(tar, 1, mtime=0))
    config = write_blob(directory, media_types.OCI_CONFIG, canonical_json({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/echo", SAID], "Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar))]},
    }))
    manifest = make_manifest(config.descriptor, [layer.descriptor])
    write_blob(directory, media_types.OCI_MANIFEST, manifest.data)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
    Layout.open(directory).tag(manifest.descriptor, Reference.parse("localhost/back:v1"))
    return directory, str(manifest.descriptor.digest)


def imgasm(home: Path, *arguments: str, text: str = "") -> None:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-m", "assembler", *arguments], input=text, text=True, capture_output=True,
                          env=environment, check=False)
    assert done.returncode == 0, done.stderr


def said(*command: str, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_docker_pulls_and_runs_it(place: Place) -> None:
    """Docker takes any certificate of a registry on loopback."""
    config = str(place.home / ".docker")
    pulled = said("docker", "--config", config, "pull", place.image)
    try:
        assert place.digest in pulled
        assert said("docker", "run", "--rm", "--network", "none", place.image) == SAID
    finally:
        said("docker", "rmi", "--force", place.image)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with engines.podman(tmp_path_factory.mktemp("podman")):
        yield


@pytest.mark.usefixtures("podman")
def test_podman_pulls_and_runs_it(place: Place) -> None:
    trust = ["--cert-dir", str(place.certificates)] if place.certificates else ["--tls-verify=false"]
    said("podman", "pull", "--quiet", "--authfile", place.authfile, *trust, place.image)
    assert said("podman", "image", "inspect", "--format", "{{.Digest}}", place.image) == place.digest
    assert said("podman", "run", "--rm", "--network", "none", place.image) == SAID


def test_skopeo_reads_it_whole(place: Place, tmp_path: Path) -> None:
    trust = ["--src-cert-dir", str(place.certificates)] if place.certificates else ["--src-tls-verify=false"]
    said("skopeo", "copy", "--insecure-policy", "--src-authfile", place.authfile, *trust, f"docker://{place.image}",
         f"oci:{tmp_path}/back:v1")
    index = json.loads((tmp_path / "back" / "index.json").read_text())
    assert [entry["digest"] for entry in index["manifests"]] == [place.digest]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with containerd(tmp_path_factory.mktemp("containerd")) as server:
        yield server


def test_containerd_pulls_and_runs_it(place: Place, server: Containerd) -> None:
    options = ["--hosts-dir", containerd_hosts(place)] if place.certificates else ["--plain-http"]
    if place.needs_login:
        options += ["--user", f"{USER.username}:{USER.password}"]
    server.ctr("images", "pull", *options, place.image)
    assert place.digest in server.ctr("images", "list", f"name=={place.image}")
    assert server.ctr("run", "--rm", place.image, f"run-{Path(place.home).name}").strip() == SAID


def containerd_hosts(place: Place) -> str:
    """Without such a file, ctr speaks plain HTTP to every registry on loopback."""
    host = place.image.partition("/")[0]
    directory = place.home / "hosts" / host
    directory.mkdir(parents=True)
    (directory / "hosts.toml").write_text(f'[host."https://{host}"]\nca = "{place.certificates}/ca.crt"\n')
    return str(directory.parent)
