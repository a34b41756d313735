"""How an image was built, as push attests it: what is said, what is never said, and where it hangs."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from assembler.model import media_types
from tests.support.debian_registry import debian_registry
from tests.support.signing import write_keys
from tests.support.thin import Imgasm, busybox, read_json, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry

BUILDER = "https://ci.example.com/runner"
RECIPE = """
name = "app"
[vars]
word = "none"
token = {{ secret = true }}
[base]
layout = "./base"
[container]
network = "none"
env = {{ TOKEN = "{{{{ token }}}}" }}
[[file]]
path = "/opt/word"
content = "{{{{ word }}}}"
{steps}
[[image]]
name = "app"
reference = "{reference}:1"
onto = "scratch"
keep = ["/opt/**"]
"""
STEP = """
[[source]]
url = "tool.txt"
[[step]]
name = "tool"
run = "cp /imgasm/sources/tool.txt /opt"
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


class Project:
    """A recipe, its keys, and a repository of its own."""

    def __init__(self, folder: Path, host: str, base: bytes, *, steps: str = "", engine: str = "docker") -> None:
        self.imgasm, self.folder = Imgasm(folder, token="very secret words", IMGASM_ENGINE=engine), folder
        self.reference = f"{host}/team/{folder.name.replace('_', '-')}"
        self._repository = f"http://{host}/v2/team/{folder.name.replace('_', '-')}"
        write_image(Layout.create(folder / "base"), "localhost/base:1", base)
        write_keys(folder, "own")
        (folder / "tool.txt").write_text("a tool")
        (folder / "app.toml").write_text(RECIPE.format(reference=self.reference, steps=steps))
        self.imgasm("build", "app.toml", "--set", "word=hello", "--set-env", "token")

    def get(self, identifier: str) -> Any:
        return json.loads(self.read(f"manifests/{identifier}"))

    def blob(self, descriptor: dict[str, Any]) -> Any:
        return json.loads(self.read(f"blobs/{descriptor['digest']}"))

    def read(self, path: str) -> bytes:
        accept = {"Accept": f"{media_types.OCI_MANIFEST}, {media_types.OCI_INDEX}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self._repository}/{path}", headers=accept)) as answer:
            return bytes(answer.read())

    def push(self, *options: str, status: int = 0) -> str:
        return self.imgasm("push", "build/app", *options, status=status).stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, registry: DebianRegistry) -> Project:
    return Project(tmp_path_factory.mktemp("project"), registry.host, rootfs({"opt": None}))


def test_both_shapes_say_what_the_image_was_built_of(project: Project) -> None:
    project.push("--sign", "own.key", "--provenance", BUILDER)
    project.push("--sign", "own.key", "--provenance", BUILDER)
    (image,) = json.loads((project.folder / "build/app/imgasm.json").read_text())["images"]
    tag = image["manifest"].replace(":", "-")

    (layer,) = project.get(f"{tag}.att")["layers"]
    envelope = project.blob(layer)
    listed = [entry for entry in project.get(tag)["manifests"] if "slsa" in str(entry["annotations"])]
    (bundle,) = (project.blob(project.get(entry["digest"])["layers"][0]) for entry in listed)
    assert bundle["dsseEnvelope"] == envelope
    assert layer["annotations"]["predicateType"] == "https://slsa.dev/provenance/v1"

    said = base64.b64decode(envelope["payload"])
    assert b"very secret" not in said and str(project.folder).encode() not in said
    statement = json.loads(said)
    assert statement["subject"] == [{"name": image["reference"], "digest": {"sha256": image["manifest"][7:]}}]
    definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition["externalParameters"]["vars"]["word"] == "hello"
    recipe = (project.folder / "app.toml").read_bytes()
    assert definition["externalParameters"]["recipe"] == {
        "name": "recipe app.toml", "digest": {"sha256": hashlib.sha256(recipe).hexdigest()},
    }  # fmt: skip
    base = json.loads((project.folder / "base/index.json").read_text())["manifests"][0]["digest"]
    config = read_json(project.folder / "base", base)["config"]["digest"]
    assert definition["resolvedDependencies"] == [{"name": "base", "digest": {"sha256": config[7:]}}]
    assert details["builder"]["id"] == BUILDER
    assert details["byproducts"][0]["digest"] == {"sha256": image["layer"]["diff_id"][7:]}


def test_an_image_that_was_converted_is_attested_as_what_it_is_now(project: Project) -> None:
    project.push("--sign", "own.key", "--provenance", BUILDER, "--compression", "gzip")
    pushed = f"sha256-{hashlib.sha256(project.read('manifests/1')).hexdigest()}"
    (layer,) = project.get(f"{pushed}.att")["layers"]
    assert json.loads(base64.b64decode(project.blob(layer)["payload"]))["subject"][0]["digest"]["sha256"] == pushed[7:]


def test_an_index_can_hold_it_as_buildkit_does(project: Project) -> None:
    options = ("--index", f"{project.reference}:all", "--provenance", BUILDER, "--attest-in-index")
    index = project.imgasm.json("push", "build/app", *options)[0]["digest"]
    image, attestation = project.get(index)["manifests"]
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"] == {
        "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"],
    }  # fmt: skip
    (layer,) = project.get(attestation["digest"])["layers"]
    assert layer["mediaType"] == "application/vnd.in-toto+json"
    assert layer["annotations"] == {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    assert project.blob(layer)["subject"][0]["digest"]["sha256"] == image["digest"][7:]
    assert "nothing is wrong" in project.imgasm("verify", f"{project.reference}:all").stdout


@pytest.mark.parametrize(("options", "told"), [
    (["--provenance", BUILDER], "Give the key with --sign"),
    (["--sbom", "spdx"], "Give the key with --sign"),
    (["--provenance", "somebody", "--sign", "own.key"], "is no URI"),
    (["--provenance", BUILDER, "--sign", "own.key", "--attest-in-index"], "Give --index, and --provenance or --sbom"),
])  # fmt: skip
def test_what_can_not_be_attested_is_refused(project: Project, options: list[str], told: str) -> None:
    assert told in project.push(*options, status=2)


def test_what_is_no_build_has_no_provenance(project: Project) -> None:
    project.imgasm("copy", "build/app", "./copy")
    attest = ("push", "./copy", "--provenance", BUILDER, "--sign", "own.key")
    assert "was built is not known" in project.imgasm(*attest, status=2).stderr


@pytest.mark.engine
def test_sources_and_steps_are_told(engine: Engine, tmp_path: Path, registry: DebianRegistry) -> None:
    project = Project(tmp_path, registry.host, busybox(), steps=STEP, engine=engine.info.name)
    project.push("--sign", "own.key", "--provenance", BUILDER)
    manifest = json.loads((tmp_path / "build/app/imgasm.json").read_text())["images"][0]["manifest"]
    (layer,) = project.get(f"{manifest.replace(':', '-')}.att")["layers"]
    predicate = json.loads(base64.b64decode(project.blob(layer)["payload"]))["predicate"]
    _, source = predicate["buildDefinition"]["resolvedDependencies"]
    assert source == {"name": "source tool.txt", "uri": "tool.txt",
                      "digest": {"sha256": hashlib.sha256(b"a tool").hexdigest()}}  # fmt: skip
    (step,) = predicate["runDetails"]["metadata"]["imgasm_steps"]
    assert step["name"] == "tool" and step["bytesWritten"] == len("a tool")
    assert predicate["runDetails"]["builder"]["version"][engine.info.name] == engine.info.version
