"""The bill of materials of a layer: what packages, steps and modules say of each file, in both formats."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from assembler.image.layout import Layout
from tests.support.engines import busybox_rootfs
from tests.support.thin import Imgasm, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

STATUS = b"""\
Package: tool
Status: install ok installed
Source: tools (1.2)
Version: 1:2.0+x-1
Architecture: amd64

Package: other
Status: install ok installed
Version: 5
Architecture: all
"""
COPYRIGHT = b"""\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: nobody
License: GPL-2+

Files: debian/*
Copyright: somebody
License: Expat

License: Expat
 Do what you want.
"""
APK = b"P:small\nV:3-r0\nA:x86_64\nL:MIT\no:small-source\nF:opt/app\nR:small\n"
DATABASES = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/info/tool.list": b"/.\n/opt\n/opt/app\n/opt/app/tool\n",
    "var/lib/dpkg/info/other.list": b"/.\n/usr/other\n",
    "usr/share/doc/tool/copyright": COPYRIGHT,
    "lib/apk/db/installed": APK,
    "opt/app/tool": b"a tool",
    "opt/app/small": b"small",
}
MODULE = r"""
#define INFO(n, t) static const char n[] __attribute__((section(".modinfo"), used)) = t
INFO(a, "license=GPL"); INFO(b, "version=7.1"); INFO(c, "vermagic=6.1.0 SMP "); INFO(d, "srcversion=ABC");
"""
RECIPE = """
name = "app"
source_date_epoch = 0
[base]
layout = "./base"
[container]
network = "none"
[[file]]
path = "/opt/app/module.ko"
from = "module.ko"
[[step]]
name = "make"
run = "echo made > /opt/app/made; : > /opt/app/empty; ln -s made /opt/app/link; ln /opt/app/made /opt/app/name"
[prune]
paths = ["/var/lib/dpkg/**", "/usr/share/doc/**", "/lib/apk/**"]
[[image]]
name = "app"
reference = "registry.example/team/app:1"
onto = "scratch"
keep = ["/opt/app/**"]
"""


@pytest.fixture(scope="module")
def imgasm(tmp_path_factory: pytest.TempPathFactory) -> Imgasm:
    """After a build by Docker, whose files root reads in place."""
    folder = tmp_path_factory.mktemp("project")
    write_image(Layout.create(folder / "base"), "localhost/base:1", busybox_rootfs().getvalue(), rootfs(DATABASES))
    compiler = ["gcc", "-x", "c", "-c", "-o", str(folder / "module.ko"), "-"]
    subprocess.run(compiler, input=MODULE, text=True, check=True)
    (folder / "app.toml").write_text(RECIPE)
    imgasm = Imgasm(folder, IMGASM_ENGINE="docker")
    imgasm("build", "app.toml", "--quiet")
    return imgasm


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"].removeprefix("imgasm:"): one["value"] for one in component.get("properties", ())}


@pytest.mark.engine
@pytest.mark.root
def test_every_file_stands_with_what_it_came_from(imgasm: Imgasm) -> None:
    text = imgasm("sbom").stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert imgasm("sbom", "build/app", "--image", "app").stdout == text
    found = {one["name"]: one for one in json.loads(text)["components"]}
    assert found.keys() == {"debian", "tool", "small", "/opt/app/made", "/opt/app/empty", "/opt/app/module.ko"}

    tool, small = found["tool"], found["small"]
    assert PackageURL.from_string(tool["purl"]).to_dict() == {
        "type": "deb", "namespace": "debian", "name": "tool", "version": "1:2.0+x-1", "subpath": None,
        "qualifiers": {"arch": "amd64", "distro": "debian-12"},
    }  # fmt: skip
    assert tool["licenses"] == [{"license": {"name": "GPL-2+; Expat"}}] and properties(tool)["source"] == "tools (1.2)"
    assert small["licenses"] == [{"license": {"name": "MIT"}}]
    (file,) = tool["components"]
    assert file["name"] == "/opt/app/tool" and file["hashes"][0]["content"] == sha256(b"a tool").hexdigest()

    assert properties(found["/opt/app/made"]) == {"step": "make"}
    module = found["/opt/app/module.ko"]
    assert (module["type"], module["version"]) == ("device-driver", "7.1")
    assert module["licenses"] == [{"license": {"name": "GPL"}}]
    told = properties(module)
    assert (told["module:vermagic"], told["module:srcversion"]) == ("6.1.0 SMP", "ABC")
    assert told["module:compiler"].startswith("GCC: ")


@pytest.mark.engine
@pytest.mark.root
def test_how_it_was_made_is_in_it(imgasm: Imgasm) -> None:
    (formula,) = json.loads(imgasm("sbom").stdout)["formulation"]
    assert [task["name"] for task in formula["workflows"][0]["tasks"]] == ["make"]
    assert formula["components"][0]["name"] == "recipe app.toml"
    assert formula["components"][0]["hashes"][0]["content"] == sha256(RECIPE.encode()).hexdigest()


@pytest.mark.engine
@pytest.mark.root
def test_spdx_holds_the_same(imgasm: Imgasm, tmp_path: Path) -> None:
    (tmp_path / "bill.spdx.json").write_text(imgasm("sbom", "--format", "spdx").stdout)
    document = parse_file(str(tmp_path / "bill.spdx.json"))
    assert validate_full_spdx_document(document) == []
    versions = {package.name: package.version for package in document.packages[1:]}
    assert versions == {"debian": "12", "tool": "1:2.0+x-1", "small": "3-r0"}
    names = {f"/opt/app/{name}" for name in ("tool", "small", "made", "empty", "module.ko")}
    assert {file.name.removeprefix(".") for file in document.files} == names


@pytest.mark.engine
@pytest.mark.root
def test_which_image_must_be_said(imgasm: Imgasm) -> None:
    assert "has no image nothing" in imgasm("sbom", "--image", "nothing", status=2).stderr
