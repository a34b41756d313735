"""Recipes whose modules compile in seconds: built, pushed, pulled by another engine, inserted by a real kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.recipes.conftest import KERNEL
from tests.support import engines
from tests.support.debian_registry import debian_registry
from tests.support.qemu import boot
from tests.support.thin import Imgasm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.qemu import Kernel

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

OURS = f"/opt/lib/modules/{KERNEL}"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of key.pem and certificate.pem, made as signed.toml tells."""
    directory = tmp_path_factory.mktemp("key")
    subprocess.run(
        ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=our modules",
         "-addext", "keyUsage=digitalSignature", "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=directory, capture_output=True, check=True,
    )  # fmt: skip
    return directory


@pytest.fixture(scope="module")
def built(
    key: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Any]]]:
    """The records of images by name, after these were pushed to a registry."""
    directory = tmp_path_factory.mktemp("built")
    imgasm = Imgasm(directory, IMGASM_CACHE=str(cache))
    imgasm("recipes", "dkms", "kmm", "signed")
    with debian_registry(directory / "registry") as registry:
        images: dict[str, dict[str, Any]] = {}
        for recipe, settings in (
            ("dkms", {"packages": "v4l2loopback-dkms acpi-call-dkms"}),
            ("kmm", {}),
            ("signed", {"key": str(key / "key.pem"), "certificate": str(key / "certificate.pem")}),
        ):
            words = [f"{name}={value}" for name, value in {"registry": registry.host, **settings}.items()]
            options = [option for word in words for option in ("--set", word)]
            record = imgasm.json("build", f"{recipe}.toml", "--engine", "docker", *options)
            imgasm("push")
            images |= {image["name"]: image for image in record["images"]}
        again = imgasm.json("build", "signed.toml", "--engine", "docker", "--no-cache", "--output", "again", *options)
        images |= {f"{image['name']} again": image for image in again["images"]}
        yield images


@pytest.fixture(scope="module")
def pulled(
    built: dict[str, dict[str, Any]], kernel: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What podman gets out of the registry: the files of each image onto scratch, in a folder of its name."""
    directory = tmp_path_factory.mktemp("pulled")
    with engines.podman(tmp_path_factory.mktemp("podman")):
        for image in {image["reference"]: image for image in built.values()}.values():
            subprocess.run(["podman", "pull", "--quiet", "--tls-verify=false", image["reference"]], check=True)
        for name in ("dkms", "kmm", "signed"):
            create = ["podman", "create", "--name", name, built[name]["reference"], "command"]
            subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["podman", "cp", f"{name}:/", str(directory / name)], check=True)
        mount = f"{kernel.modules.parent}:/lib/modules:ro"
        run = ["podman", "run", "--rm", "--network", "none", "--volume", mount, built["dkms-debian"]["reference"]]
        asked = [*run, "--set-version", KERNEL, "--show-depends", "v4l2loopback"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    # On Debian, modprobe finds the module in the image, and what that needs in the host's directory.
    assert [Path(word).name for word in told if word.endswith(".ko")] == ["mc.ko", "videodev.ko", "v4l2loopback.ko"]
    assert f"{OURS}/host/kernel/drivers/media/v4l2-core/videodev.ko" in told
    return directory


def test_the_images_are_small(built: dict[str, dict[str, Any]]) -> None:
    sizes = {name: image["layer"]["compressed"] for name, image in built.items()}
    assert sizes["dkms"] < 5_000_000 and sizes["dkms-debian"] < 500_000
    assert sizes["kmm"] < 3_000_000 and sizes["signed"] < 1_500_000


def test_compiled_and_signed_again_it_is_the_same(built: dict[str, dict[str, Any]]) -> None:
    assert built["signed again"]["manifest"] == built["signed"]["manifest"]


def test_no_image_has_the_key(pulled: Path, key: Path) -> None:
    secret = (key / "key.pem").read_bytes().splitlines()[1]
    files = [path for path in pulled.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if secret in path.read_bytes()] == []


def test_the_signature_is_over_what_was_shipped(pulled: Path, key: Path, tmp_path: Path) -> None:
    """OpenSSL as a referee: the module is stripped, and signed afterwards."""
    module = pulled / "signed" / "opt" / "modules" / KERNEL / "v4l2loopback.ko"
    content = module.read_bytes().removesuffix(b"~Module signature appended~\n")
    length = int.from_bytes(content[-4:], "big")
    content = content[:-12]
    (tmp_path / "signature").write_bytes(content[-length:])
    (tmp_path / "module").write_bytes(content[:-length])
    check = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "module",
             "-certfile", str(key / "certificate.pem"), "-CAfile", str(key / "certificate.pem"), "-purpose", "any",
             "-nointern", "-out", "/dev/null"]  # fmt: skip
    subprocess.run(check, cwd=tmp_path, check=True, capture_output=True)
    assert b".debug_info" not in content and b".modinfo" in content


def test_a_real_kernel_takes_them(pulled: Path, kernel: Kernel, tmp_path: Path) -> None:
    """Each from its own image, as its users start it; at last the kernel is told to take only what is signed."""
    console = boot(kernel, pulled, """
within() { root=$1; shift; chroot "/$root" "$@"; }
for image in dkms kmm signed; do
    mkdir -p /$image/proc /$image/sys /$image/dev /$image/tmp /$image/lib/modules
    for shared in proc sys dev lib/modules; do mount --bind /$shared /$image/$shared; done
done
loaded() { echo "$1 loaded $2 $(grep -c "^$2 " /proc/modules)"; }

within dkms /sbin/modprobe -d /opt v4l2loopback && loaded dkms v4l2loopback
within dkms /sbin/modprobe -d /opt acpi_call && loaded dkms acpi_call
within dkms /sbin/modprobe -d /opt -r v4l2loopback && loaded dkms v4l2loopback

# What KMM's init container and worker do: internal/pod/workerpodmanager.go, internal/worker/worker.go
mount --bind /kmm/tmp /dkms/tmp
within kmm /bin/sh -c 'mkdir -p /tmp/opt/lib/modules; cp -R /opt/lib/modules/KERNEL /tmp/opt/lib/modules'
within dkms /sbin/modprobe -vd /tmp/opt v4l2loopback && loaded kmm v4l2loopback
within dkms /sbin/modprobe -rvd /tmp/opt v4l2loopback

within signed /opt/modules/busybox sh /opt/modules/load && loaded signed v4l2loopback
rmmod v4l2loopback
echo 1 > /sys/module/module/parameters/sig_enforce
within signed /opt/modules/busybox sh /opt/modules/load
within dkms /sbin/modprobe -d /opt v4l2loopback
""".replace("KERNEL", KERNEL), tmp_path, host=("videodev",))  # fmt: skip

    said = [line for line in console.splitlines() if " loaded " in line]
    assert said == [
        "dkms loaded v4l2loopback 1", "dkms loaded acpi_call 1", "dkms loaded v4l2loopback 0",
        "kmm loaded v4l2loopback 1", "signed loaded v4l2loopback 1",
    ]  # fmt: skip
    assert "Loading of module with unavailable key is rejected" in console
    assert "Loading of unsigned module is rejected" in console
