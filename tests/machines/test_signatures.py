"""What imgasm signs is judged by cosign and skopeo of Debian 13 (bookworm's skopeo knows no sigstore), and each attack
on it is refused by one of them and by imgasm."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest
from tests.support.debian_registry import debian_registry
from tests.support.thin import Imgasm, rootfs, write_image

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.root]

PASSWORD = "pass word"
BUILT = """
name = "built"
[base]
layout = "./base"
[[file]]
path = "/opt/word"
content = "word"
[[image]]
name = "built"
reference = "{reference}"
onto = "scratch"
"""
OFFLINE = ("--insecure-ignore-tlog=true", "--allow-insecure-registry")


@dataclass(frozen=True)
class Stage:
    """A registry, imgasm beside it, and a Debian 13 whose skopeo accepts what ``good`` signed."""

    host: str
    machine: Machine
    imgasm: Imgasm
    keys: Path

    def reference(self, name: str) -> str:
        return f"{self.host}/team/{name}"

    def push(self, *names: str, key: str | None = "good", index: str | None = None) -> str:
        """Images of these names, each of another content; the digest of the last, or of the index."""
        layout = Layout.create(self.imgasm.directory / "-".join(names).replace("/", "-").replace(":", "-"))
        for name, architecture in zip(names, ("amd64", "arm64"), strict=False):
            write_image(layout, self.reference(name), rootfs({"name": name.encode()}),
                        platform={"architecture": architecture})  # fmt: skip
        options = [] if key is None else ["--sign", str(self.keys / f"{key}.key")]
        options += [] if index is None else ["--index", self.reference(index)]
        return str(self.imgasm.json("push", str(layout.root), *options)[-1]["digest"])

    def asks(self, method: str, name: str, identifier: str, body: bytes | None = None) -> bytes:
        """The registry's answer about a manifest, as an attacker gets it who can write there."""
        request = urllib.request.Request(f"http://{self.host}/v2/team/{name}/manifests/{identifier}", body,
                                         {"Accept": f"{media_types.OCI_MANIFEST}, {media_types.OCI_INDEX}"},
                                         method=method)  # fmt: skip
        if body is not None:
            request.add_header("Content-Type", json.loads(body)["mediaType"])
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())

    def skopeo(self, name: str) -> subprocess.CompletedProcess[str]:
        copy = ("skopeo", "--policy", "/keys/policy.json", "copy", "--src-tls-verify=false")
        return self.machine.run(*copy, f"docker://{self.reference(name)}", "dir:/tmp/image")

    def cosign(self, name: str, *command: str, key: str = "good") -> subprocess.CompletedProcess[str]:
        return self.machine.run("cosign", *command, "--key", f"/keys/{key}.pub", *OFFLINE, self.reference(name))

    def buildx(self, name: str, field: str) -> Any:
        """What is attested in an index, as Docker's client finds it there."""
        inspect = ("imagetools", "inspect", "--format", f"{{{{json .{field}}}}}", self.reference(name))
        return json.loads(self.machine.run("/usr/libexec/docker/cli-plugins/docker-buildx", *inspect).stdout)

    def verify(self, name: str, *options: str, status: int = 0, key: str = "good") -> str:
        done = self.imgasm("verify", self.reference(name), "--signed-by", str(self.keys / f"{key}.pub"), *options,
                           status=status)  # fmt: skip
        return done.stderr


@pytest.fixture(scope="module")
def stage(debian_13: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory, keys = tmp_path_factory.mktemp("stage"), debian_13.root / "keys"
    keys.mkdir()
    with debian_registry(directory / "registry") as registry:
        policy = {"type": "sigstoreSigned", "keyPath": "/keys/good.pub"}
        (keys / "policy.json").write_text(json.dumps({"default": [policy]}))
        (keys / "attachments.yaml").write_text(f"docker: {{'{registry.host}': {{use-sigstore-attachments: true}}}}\n")
        made = debian_13.run("sh", "-euc", """
            apt-get update -qq
            apt-get install -qq -y --no-install-recommends skopeo cosign docker-buildx >/dev/null 2>&1
            mkdir -p /etc/containers/registries.d
            cp /keys/attachments.yaml /etc/containers/registries.d
            for name in good other; do cosign generate-key-pair --output-key-prefix "/keys/$name"; done""",
            COSIGN_PASSWORD=PASSWORD)  # fmt: skip
        assert made.returncode == 0, made.stdout
        imgasm = Imgasm(directory, COSIGN_PASSWORD=PASSWORD)
        yield Stage(registry.host, debian_13, imgasm, keys)


def test_what_is_pushed_signed_is_accepted_by_all(stage: Stage) -> None:
    """By its own tag and as one of an index, of which skopeo looks at the image for its machine."""
    stage.push("all:amd64", "all:arm64", index="all:v1")
    for name in ("all:v1", "all:amd64", "all:arm64"):
        assert stage.skopeo(name).returncode == 0
        assert stage.cosign(name, "verify").returncode == 0
        assert stage.cosign(name, "verify", "--new-bundle-format").returncode == 0
        assert f"it may be used as {stage.reference(name)}" in stage.verify(name)


def test_signing_again_changes_nothing_and_other_signatures_stay(stage: Stage) -> None:
    digest = stage.push("again:v1", key=None)
    theirs = ("--key", "/keys/other.key", "--yes", "--tlog-upload=false", "--allow-insecure-registry")
    signed = stage.machine.run("cosign", "sign", *theirs, stage.reference("again:v1"), COSIGN_PASSWORD=PASSWORD)
    assert signed.returncode == 0, signed.stdout

    for _ in range(2):
        stage.imgasm("sign", stage.reference("again:v1"), "--with", str(stage.keys / "good.key"))
        manifest = json.loads(stage.asks("GET", "again", f"{digest.replace(':', '-')}.sig"))
        assert len(manifest["layers"]) == 2
    assert stage.skopeo("again:v1").returncode == 0
    for key in ("good", "other"):
        assert stage.cosign("again:v1", "verify", key=key).returncode == 0
    assert "signed it as" in stage.verify("again:v1", key="other", status=8)  # cosign's names no tag
    stage.verify(f"again@{digest}", key="other")


def test_a_copy_takes_along_what_was_signed_where_a_registry_can_hold_it(stage: Stage) -> None:
    stage.push("from:v1")
    stage.push("to:v1", key=None)
    assert "go along" in stage.imgasm("copy", stage.reference("from:v1"), stage.reference("to:v2")).stderr
    for format_ in ([], ["--new-bundle-format"]):
        assert stage.cosign("to:v2", "verify", *format_).returncode == 0
    assert "stay behind" in stage.imgasm("copy", stage.reference("from:v1"), "out.tar").stderr


def test_an_attestation_is_good_for_its_own_image_alone(stage: Stage) -> None:
    first, second = stage.push("attested:v1"), stage.push("attested:v2")
    (stage.keys / "predicate.json").write_text(json.dumps({"buildDefinition": {}, "runDetails": {}}))
    attest = ("cosign", "attest", "--type", "slsaprovenance1", "--predicate", "/keys/predicate.json", "--key",
              "/keys/good.key", "--yes", "--tlog-upload=false", "--allow-insecure-registry")  # fmt: skip
    done = stage.machine.run(*attest, stage.reference("attested:v1"), COSIGN_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stdout
    asked = ("verify-attestation", "--type", "slsaprovenance1")
    assert stage.cosign("attested:v1", *asked).returncode == 0
    stage.verify("attested:v1", "--attested", "slsaprovenance1")

    assert "it has no attestation" in stage.verify("attested:v2", "--attested", "slsaprovenance1", status=8)
    _hang(stage, "attested", first, second, "att")
    assert stage.cosign("attested:v2", *asked).returncode != 0
    assert "is about another image" in stage.verify("attested:v2", "--attested", "slsaprovenance1", status=8)
    stage.verify("attested:v2")


def test_provenance_and_bill_are_read_by_cosign_and_by_buildx(stage: Stage) -> None:
    folder = stage.imgasm.directory
    write_image(Layout.create(folder / "base"), "localhost/base:1", rootfs({"opt": None}))
    (folder / "built.toml").write_text(BUILT.format(reference=stage.reference("built:v1")))
    stage.imgasm("build", "built.toml")
    stage.imgasm("push", "build/built", "--sign", str(stage.keys / "good.key"), "--provenance", "https://ci.example.com",
                 "--sbom", "spdx", "--index", stage.reference("built:all"), "--attest-in-index")  # fmt: skip
    assert stage.cosign("built:v1", "verify-attestation", "--type", "slsaprovenance1").returncode == 0
    assert stage.cosign("built:v1", "verify-attestation", "--type", "slsaprovenance1", key="other").returncode != 0
    stage.verify("built:all", "--attested", "slsaprovenance1", "--attested", "spdx")
    assert stage.cosign("built:v1", "verify-attestation", "--type", "spdxjson").returncode == 0
    assert stage.skopeo("built:all").returncode == 0

    provenance, bill = (stage.buildx("built:all", field) for field in ("Provenance", "SBOM"))
    assert provenance["SLSA"]["runDetails"]["builder"]["id"] == "https://ci.example.com"
    assert [file["fileName"] for file in bill["SPDX"]["files"]] == ["./opt/word"]


def unsigned(stage: Stage) -> str:
    stage.push("unsigned:v1", key=None)
    return "unsigned:v1"


def wrong_key(stage: Stage) -> str:
    stage.push("wrong-key:v1", key="other")
    return "wrong-key:v1"


def wrong_identity(stage: Stage) -> str:
    """A good image of another name, with its signature."""
    stage.push("real:v1")
    stage.imgasm("copy", stage.reference("real:v1"), stage.reference("wrong:v1"))
    return "wrong:v1"


def tampered_manifest(stage: Stage) -> str:
    """Changed after it was signed, with the signature hung on what it is now."""
    signed = stage.push("tampered:v1")
    manifest = json.loads(stage.asks("GET", "tampered", "v1")) | {"annotations": {"changed": "yes"}}
    _hang(stage, "tampered", signed, str(Digest.of(canonical_json(manifest))))
    stage.asks("PUT", "tampered", "v1", canonical_json(manifest))
    return "tampered:v1"


def stripped_signature(stage: Stage) -> str:
    digest = stage.push("stripped:v1").replace(":", "-")
    for tag in (f"{digest}.sig", digest):
        stage.asks("DELETE", "stripped", str(Digest.of(stage.asks("GET", "stripped", tag))))
    return "stripped:v1"


def replayed_old_image(stage: Stage) -> str:
    """Under the tag of a newer one; both were signed."""
    stage.push("replayed:v1")
    stage.push("replayed:v2")
    stage.asks("PUT", "replayed", "v2", stage.asks("GET", "replayed", "v1"))
    return "replayed:v2"


def unsigned_image_in_a_signed_index(stage: Stage) -> str:
    stage.push("inner:amd64", "inner:arm64", key=None, index="inner:v1")
    index = str(Digest.of(stage.asks("GET", "inner", "v1")))
    stage.imgasm("sign", stage.reference("inner:v1"), "--with", str(stage.keys / "good.key"))
    for entry in json.loads(stage.asks("GET", "inner", index))["manifests"]:
        for tag in (f"{entry['digest'].replace(':', '-')}.sig", entry["digest"].replace(":", "-")):
            stage.asks("DELETE", "inner", str(Digest.of(stage.asks("GET", "inner", tag))))
    return "inner:v1"


def _hang(stage: Stage, name: str, signed: str, digest: str, suffix: str = "sig") -> None:
    """What was signed about one image, on another one."""
    there, here = (f"{one.replace(':', '-')}.{suffix}" for one in (signed, digest))
    stage.asks("PUT", name, here, stage.asks("GET", name, there))


ATTACKS: dict[Callable[[Stage], str], str] = {
    unsigned: "it has no signature by",
    wrong_key: "it has no signature by",
    wrong_identity: "real:v1, not as",
    tampered_manifest: "is of another image",
    stripped_signature: "it has no signature by",
    replayed_old_image: "replayed:v1, not as",
    unsigned_image_in_a_signed_index: "it has no signature by",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_is_refused_by_skopeo_and_by_us(
    stage: Stage, attack: Callable[[Stage], str], tmp_path: Path
) -> None:
    name = attack(stage)
    refused = stage.skopeo(name)
    assert refused.returncode == 1 and "Source image rejected" in refused.stdout

    policy: dict[str, Any] = json.loads((stage.keys / "policy.json").read_text())
    policy["default"][0]["keyPath"] = str(stage.keys / "good.pub")
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    findings = stage.verify(name, "--policy", str(tmp_path / "policy.json"), status=8)
    assert findings.count(ATTACKS[attack]) >= 2  # by the key, and by the policy
