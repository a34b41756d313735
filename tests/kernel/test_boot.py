"""``imgasm verify --boot``: a real kernel in QEMU takes an image's modules, or says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from assembler.image.layout import Layout
from tests.support.engines import BUSYBOX
from tests.support.kernels import Kernel, compile_modules, headers, kernel
from tests.support.thin import Imgasm, rootfs, write_image

pytestmark = pytest.mark.timeout(1800)

LOADER = Path(__file__).parents[2] / "recipes" / "modules" / "load"
RELEASE = "6.1.0-56-cloud-amd64"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("t_dep", "t_use", "t_plain", "t_absent", "t_unknown")
    return compile_modules(headers(RELEASE), tmp_path_factory.mktemp("modules") / "own", *names)


@pytest.fixture(scope="module")
def booted() -> Kernel:
    return kernel(RELEASE)


@pytest.fixture
def layout(modules: Path, tmp_path: Path) -> Path:
    """An image of modules with the loader, and nothing else."""
    conf = f"kernels='{RELEASE}'\nfolder=/opt/m\nmodules='t_dep t_use dummy'\noptional=dummy\nneeds=\n"
    files: dict[str, bytes | str | None] = {
        "opt": None, "opt/m": None, "opt/m/busybox": BUSYBOX.read_bytes(), "opt/m/load": LOADER.read_bytes(),
        "opt/m/modules.conf": conf.encode(),
    }  # fmt: skip
    files |= {f"opt/m/{name}.ko": (modules / f"{name}.ko").read_bytes() for name in ("t_dep", "t_use", "t_unknown")}
    entrypoint = ["/opt/m/busybox", "sh", "/opt/m/load", "/opt/program"]
    write_image(Layout.create(tmp_path / "image"), "localhost/modules:1", rootfs(files), Entrypoint=entrypoint)
    return tmp_path / "image"


def test_an_images_own_loader_inserts_its_modules(layout: Path, booted: Kernel, tmp_path: Path) -> None:
    done = Imgasm(tmp_path)("verify", str(layout), "--boot", str(booted.root))

    by = f"on {RELEASE}: loaded [booted, /opt/m/load]"
    assert [line for line in done.stdout.splitlines() if " on " in line] == [
        f"/opt/m/t_dep.ko {by}", f"/opt/m/t_use.ko {by}",
    ]  # fmt: skip


def test_what_the_kernel_says_to_the_loader(layout: Path, booted: Kernel, tmp_path: Path) -> None:
    arguments = ("--boot", str(booted.image), "--kernel-arguments", "module.sig_enforce=1")
    done = Imgasm(tmp_path)("verify", str(layout), *arguments, "--json", status=12)

    (image,) = json.loads(done.stdout)["boots"]
    (told,) = image["kernels"]
    assert (image["image"], image["is_refused"]) == ("localhost/modules:1", True)
    assert (told["release"], told["loader"], told["arguments"]) == (RELEASE, "/opt/m/load", "module.sig_enforce=1")
    assert [(one["module"], one["outcome"]) for one in told["modules"]] == [("t_dep", "refused"), ("t_use", "unknown")]
    assert told["modules"][0]["what"] == "Loading of unsigned module is rejected"
    assert "load: the kernel did not take t_dep: it is not signed" in told["said"][0]
    assert "Loading of unsigned module is rejected" in done.stderr


def test_modules_without_a_loader(modules: Path, booted: Kernel, tmp_path: Path) -> None:
    """A driver without its device is taken; what a module needs that is not in is no fault of the kernel's."""
    done = Imgasm(tmp_path)("verify", str(modules), "--boot", str(booted.modules), "--json", status=12)

    (told,) = json.loads(done.stdout)["boots"][0]["kernels"]
    outcomes = {one["module"]: (one["outcome"], one["what"]) for one in told["modules"]}
    assert told["loader"] is None
    assert outcomes == {
        "t_dep": ("loaded", ""), "t_use": ("loaded", ""), "t_plain": ("loaded", ""),
        "t_absent": ("no-device", "No such device: its driver finds none in QEMU"),
        "t_unknown": ("refused", "t_unknown: Unknown symbol no_such_function (err -2)"),
    }  # fmt: skip


def test_what_is_built_for_two_kernels_loads_on_both(layout: Path, booted: Kernel, tmp_path: Path) -> None:
    """The verdict's list reaches the loader, whose own modules.conf names one of them."""
    neighbour = kernel("6.1.0-55-cloud-amd64")
    (tmp_path / "right").symlink_to(booted.headers)
    (tmp_path / "neighbour").symlink_to(neighbour.headers)
    (tmp_path / "both.toml").write_text(f"""
        name = "both"
        [base]
        layout = "{layout}"
        [[image]]
        name = "both"
        onto = "scratch"
        keep = ["/opt/m/busybox", "/opt/m/load", "/opt/m/modules.conf", "/opt/m/t_dep.ko", "/opt/m/t_use.ko"]
        entrypoint = ["/opt/m/busybox", "sh", "/opt/m/load"]
        kernels = ["./right", "./neighbour"]
    """)
    imgasm = Imgasm(tmp_path)
    imgasm("build", "both.toml")

    done = imgasm("verify", "--boot", str(neighbour.root))
    assert done.stdout.count(f"on {neighbour.release}: loaded [booted, /opt/m/load]") == 2


def test_what_can_not_be_booted(modules: Path, tmp_path: Path) -> None:
    imgasm = Imgasm(tmp_path)
    one = str(modules / "t_plain.ko")

    assert "there is no kernel at nothing to boot" in imgasm("verify", one, "--boot", "nothing", status=2).stderr
    refused = imgasm("verify", one, "--boot", str(headers(RELEASE)), status=2)
    assert "holds no kernel that can be booted" in refused.stderr and "linux-image-*.deb" in refused.stderr
    (tmp_path / "vmlinuz").write_bytes(b"no kernel")
    assert "can't be booted" in imgasm("verify", one, "--boot", "vmlinuz", status=8).stderr


@pytest.mark.parametrize(
    ("missing", "package"), [("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static")]
)
def test_a_program_that_is_missing_is_named(
    missing: str, package: str, modules: Path, booted: Kernel, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"qemu-system-x86_64", "busybox"} - {missing}:
        (programs / name).symlink_to(next(path for path in _on_path(name)))
    done = Imgasm(tmp_path, PATH=str(programs))("verify", str(modules), "--boot", str(booted.root), status=5)
    assert f"apt-get install {package}" in done.stderr


def _on_path(name: str) -> list[Path]:
    return [path for folder in os.environ["PATH"].split(":") if (path := Path(folder, name)).exists()]
