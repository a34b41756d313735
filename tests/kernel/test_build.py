"""What a build does about modules that a kernel would refuse: nothing of them leaves it, unless that was asked for."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.image import read_image
from assembler.image.layout import Layout
from tests.kernel.conftest import RELEASE
from tests.support.thin import Imgasm, busybox, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.engine.client import Engine

LABEL = "io.imgasm.kernel.releases"

RECIPE = """
name = "modules"

[base]
BASE

[[file]]
path = "/opt/t_plain.ko"
from = "t_plain.ko"

[[file]]
path = "/usr/src/linux-headers-6.1.0-56-amd64"
from = "headers"
STEPS
[[image]]
name = "modules"
onto = "scratch"
keep = ["/opt/**"]
KERNELS
"""


@pytest.fixture
def imgasm(tmp_path: Path, built: Path, headers: Path, others: Path) -> Imgasm:
    """With a base, a module, and two kernels' headers; ``headers`` are found in the container."""
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox(), rootfs({"srv/x": b"x"}))
    shutil.copy(built / "t_plain.ko", tmp_path)
    shutil.copytree(headers, tmp_path / "headers")
    shutil.copytree(others, tmp_path / "others")
    return Imgasm(tmp_path)


def write(imgasm: Imgasm, kernels: str | None = None, *, base: str = 'layout = "./base"', steps: str = "") -> None:
    text = RECIPE.replace("KERNELS", f"kernels = {kernels}" if kernels is not None else "")
    (imgasm.directory / "modules.toml").write_text(text.replace("BASE", base).replace("STEPS", steps))


def labels(imgasm: Imgasm) -> tuple[Any, Any]:
    layout = Layout.open(imgasm.directory / "build/modules")
    image = read_image(layout, "latest")
    told = image.config.get("config", {}).get("Labels") or {}
    return told.get(LABEL), image.manifest.get("annotations", {}).get(LABEL)


def verdicts(imgasm: Imgasm) -> dict[str, Any]:
    report = json.loads(imgasm("size-report", "build/modules", "--json").stdout)
    found: dict[str, Any] = report["images"][0]["verdicts"]
    return found


def is_empty(imgasm: Imgasm) -> bool:
    layout = imgasm.directory / "build/modules"
    return Layout.open(layout).index() == () and not list(layout.glob("blobs/*/*"))


def test_the_headers_in_the_container_are_asked(imgasm: Imgasm) -> None:
    write(imgasm)
    said = imgasm("build", "modules.toml")
    assert f"image modules: 1 module: load on {RELEASE}" in said.stderr
    assert "kernels  1 module: load on" in said.stdout
    assert labels(imgasm) == (RELEASE, RELEASE)
    assert verdicts(imgasm)["fits"] == [RELEASE]
    page = imgasm.directory / "page.html"
    imgasm("size-report", "build/modules", "--html", str(page))
    assert 'id="kernels"' in page.read_text()
    assert "1 module: load on" in imgasm("size-report", "build/modules", "--markdown").stdout


def test_a_refusal_ends_the_build_before_the_layout_has_anything(imgasm: Imgasm) -> None:
    shutil.rmtree(imgasm.directory / "headers")
    (imgasm.directory / "others").rename(imgasm.directory / "headers")
    write(imgasm)
    said = imgasm("build", "modules.toml", status=12).stderr
    assert "refused: disagrees about version of symbol module_layout [headers linux-headers-6.1.0-56-amd64]" in said
    assert "--allow-refused-modules" in said and is_empty(imgasm)


def test_refused_modules_can_be_let_through_and_push_says_so(imgasm: Imgasm) -> None:
    write(imgasm, '["./others", "./headers"]')
    assert "/opt/t_plain.ko on 6.1.0-54-amd64: refused" in imgasm("build", "modules.toml", status=12).stderr
    assert is_empty(imgasm)
    said = imgasm("build", "modules.toml", "--allow-refused-modules").stderr
    assert "a kernel would refuse its modules" in said
    assert labels(imgasm) == (RELEASE, RELEASE), "of those that take all of them"
    assert verdicts(imgasm)["is_refused"]
    pushed = imgasm("push", "build/modules", "127.0.0.1:1/modules", "--retry-for", "0s", status=9).stderr
    assert "was built although a kernel would refuse its modules" in pushed
    again = imgasm("build", "modules.toml", status=12).stderr
    assert "refused" in again, "what was let through once is not let through for ever"


def test_the_recipe_names_kernels(imgasm: Imgasm) -> None:
    write(imgasm, f'["{RELEASE}", "/usr/src/linux-headers-{RELEASE}", "./headers"]')
    imgasm("build", "modules.toml")
    assert [kernel["kernel"] for kernel in verdicts(imgasm)["kernels"]] == [
        RELEASE, f"/usr/src/linux-headers-{RELEASE}", str(imgasm.directory / "headers")]
    write(imgasm, "[]")
    imgasm("build", "modules.toml")
    assert labels(imgasm) == (None, None) and verdicts(imgasm)["kernels"] == []


@pytest.mark.parametrize(("kernels", "words"), [
    ('["6.1.0-99-amd64"]', "kernels names 6.1.0-99-amd64, of which the container has no headers"),
    ('["/usr/src"]', "kernels names /usr/src, and the container has no kernel's headers there"),
    ('["./nowhere"]', "there is nothing at"), ('["*"]', "a kernel: its release"),
])  # fmt: skip
def test_kernels_that_are_not_there(imgasm: Imgasm, kernels: str, words: str) -> None:
    write(imgasm, kernels)
    assert words in imgasm("build", "modules.toml", status=3).stderr


def test_a_file_that_is_no_module_is_told_without_a_kernel(imgasm: Imgasm) -> None:
    (imgasm.directory / "t_plain.ko").write_bytes(b"no module")
    write(imgasm, "[]")
    assert "/opt/t_plain.ko is no kernel module: it is no ELF file" in imgasm("build", "modules.toml").stderr


def test_a_signature_that_was_lost(imgasm: Imgasm, signed: Path) -> None:
    shutil.copy(signed, imgasm.directory / "signed.ko")
    write(imgasm, steps='[[file]]\npath = "/srv/t_plain.ko"\nfrom = "signed.ko"\n')
    assert "t_plain is signed in the container, and has lost its signature" in imgasm("build", "modules.toml").stderr


def test_plan_knows_before_anything_runs(imgasm: Imgasm) -> None:
    write(imgasm, '["6.1.0-99-amd64"]')
    said = imgasm("plan", "modules.toml").stdout
    assert "is for the kernel 6.1.0-99-amd64, which no step, source or package of the recipe names" in said
    text = (imgasm.directory / "modules.toml").read_text()
    words = '\n[vars]\nnames = { value = "a b", words = ["a", "b"] }\n'
    (imgasm.directory / "modules.toml").write_text(text.replace("\n[base]", f"{words}\n[base]", 1).replace(
        '"/opt/t_plain.ko"', '"/opt/{{ names }}.ko"'))
    order, unknown = "the words must stand in this order: a b", '"bb" is not one of the words'
    for given, complaint in (("b a", order), ("a bb", unknown)):
        for command in ("plan", "build"):
            assert complaint in imgasm(command, "modules.toml", "--set", f"names={given}", status=3).stderr
    (imgasm.directory / "t_plain.ko").write_text("# imgasm: this is NOT a module\n")
    assert "is a stand-in" in imgasm("plan", "modules.toml").stdout
    assert "is a stand-in" in imgasm("build", "modules.toml", status=3).stderr


@pytest.mark.engine
def test_in_a_container_however_it_is_read(engine: Engine, base: str, imgasm: Imgasm) -> None:
    step = '[container]\nnetwork = "none"\n[[step]]\nname = "install"\nrun = "cp /opt/t_plain.ko /opt/copy.ko"\n'
    for way in ("overlay", "export"):
        write(imgasm, base=f'image = "{base}"', steps=step)
        imgasm("build", "modules.toml", "--engine", engine.name, "--capture", way, "--no-cache")
        assert labels(imgasm) == (RELEASE, RELEASE)
    (imgasm.directory / "headers/include/generated/utsrelease.h").write_text('#define UTS_RELEASE "6.1.0-54-amd64"\n')
    symvers = imgasm.directory / "headers/Module.symvers"
    shutil.copy(imgasm.directory / "others/Module.symvers", symvers)
    imgasm("build", "modules.toml", "--engine", engine.name, "--no-cache", "--output", "other", status=12)
    assert Layout.open(imgasm.directory / "other").index() == ()
