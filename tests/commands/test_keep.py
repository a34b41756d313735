"""What ``keep`` names must be there, and is found through the container's own links: with and without steps."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.image.layout import Layout
from tests.support.thin import Imgasm, busybox, layer_names, read_json, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

BASE = """
name = "kept"
source_date_epoch = 0

[base]
layout = "./base"

[[file]]
path = "/lib/modules/6.1/nvidia.ko"
content = "module"

[[file]]
path = "/opt/app/run"
content = "run"
"""


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    lib = rootfs({"lib": "usr/lib", "usr/lib": None, "opt/empty": None, "opt/link": "/nowhere", "srv": "/usr/lib"})
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox(), lib)
    return Imgasm(tmp_path)


def write(imgasm: Imgasm, more: str, base: str = BASE) -> None:
    (imgasm.directory / "kept.toml").write_text(base + more)


def image(keep: str, onto: str = "scratch", name: str = "kept") -> str:
    return f'[[image]]\nname = "{name}"\nonto = "{onto}"\ncompression = "none"\nkeep = [{keep}]\n'


def refused(imgasm: Imgasm, more: str, *options: str) -> str:
    write(imgasm, more)
    said = imgasm("build", "kept.toml", *options, status=7).stderr
    assert "optional = true" in said
    layout = imgasm.directory / "build/kept"
    assert Layout.open(layout).index() == () and not list(layout.glob("blobs/*/*")), "nothing was written before"
    return said


NOTHING = [
    ('"/opt/ap/**"', "keep /opt/ap/** matches nothing in the container; did you mean /opt/app/**?"),
    ('"/OPT/app"', "keep /OPT/app matches nothing in the container; did you mean /opt/app?"),
    ('"/usr/local/modules/**"', "keep /usr/local/modules/** matches nothing in the container; did you mean "
                                "/usr/lib/modules/**?"),
    ('"/opt/app/run/**"', "/opt/app/run is a regular file: did you mean /opt/app/run?"),
    ('"/opt/empty/**"', "keep /opt/empty/** matches nothing in the container; /opt/empty is empty"),
    ('"/opt/xyz/**"', "keep /opt/xyz/** matches nothing in the container; /opt has app, empty, link, old"),
    ('"/proc/cpuinfo"', "keep /proc/cpuinfo matches nothing in the container"),
]


@pytest.mark.parametrize(("keep", "said"), NOTHING)
def test_keep_that_matches_nothing_is_an_error_with_the_nearest_match(imgasm: Imgasm, keep: str, said: str) -> None:
    assert said in " ".join(refused(imgasm, image(keep)).split())


def test_each_pattern_of_each_image_is_told_and_no_image_is_written(imgasm: Imgasm) -> None:
    """Also one that another pattern, or another image, would make up for."""
    said = refused(imgasm, image('"/opt/app/**", "/gone"') + image('"/opt/app/**"', name="good")
                   + image('"/a", "/opt/app/run"', "base", "third"))  # fmt: skip
    assert "2 patterns of keep" in said
    assert "image kept: keep /gone matches" in said and "image third: keep /a matches" in said


def test_keep_that_matches_only_what_is_pruned_is_an_error(imgasm: Imgasm) -> None:
    said = refused(imgasm, '[prune]\npaths = ["/opt/app"]\n' + image('"/opt/app/run"'))
    assert "keep /opt/app/run matches only what is pruned, by /opt/app" in said


def test_keep_may_match_a_directory_alone_and_what_another_pattern_has(imgasm: Imgasm) -> None:
    write(imgasm, image('"/opt/empty", "/opt/**", "/opt/app/*"'))
    assert "opt/empty/" in layer_names(imgasm.directory / "build/kept", manifest(imgasm))


def test_keep_of_what_the_base_has_already_is_no_error_on_that_base(imgasm: Imgasm) -> None:
    write(imgasm, image('"/opt/app", "/etc/passwd"', "base"))
    assert layer_names(imgasm.directory / "build/kept", manifest(imgasm)) == ["opt/app/", "opt/app/run"]
    assert "the steps changed nothing that keep /etc/passwd matches" in " ".join(
        imgasm("build", "kept.toml", "--no-cache").stderr.split())  # fmt: skip


def test_an_optional_pattern_may_match_nothing(imgasm: Imgasm) -> None:
    write(imgasm, image('{ path = "/opt/ap/**", optional = true }, "/opt/app"'))
    done = imgasm("build", "kept.toml")
    assert "keep /opt/ap/** matches nothing in the container; did you mean /opt/app/**? (it is optional)" in " ".join(
        done.stderr.split())  # fmt: skip
    assert "warning" not in done.stderr


def manifest(imgasm: Imgasm, *options: str) -> str:
    built = imgasm.json("build", "kept.toml", "--prove", *options)
    return str(built["images"][0]["manifest"])


MODULES = ["usr/", "usr/lib/", "usr/lib/modules/", "usr/lib/modules/6.1/", "usr/lib/modules/6.1/nvidia.ko", "lib"]


def test_a_module_recipes_keep_finds_its_modules_on_a_merged_usr(imgasm: Imgasm) -> None:
    write(imgasm, image('"/lib/modules/**"'))
    assert layer_names(imgasm.directory / "build/kept", manifest(imgasm)) == MODULES


def test_a_file_of_the_recipe_is_written_through_links(imgasm: Imgasm) -> None:
    """Of the base: to directories, and to files."""
    write(imgasm, '[[file]]\npath = "/opt/link"\ncontent = "x"\n' + image('"/nowhere", "/usr/lib/modules"'))
    names = layer_names(imgasm.directory / "build/kept", manifest(imgasm))
    assert {"nowhere", "usr/lib/modules/6.1/nvidia.ko"} <= set(names)


def test_a_budgets_glob_goes_through_links(imgasm: Imgasm) -> None:
    write(imgasm, image('"/lib/modules/**"') + 'budget = { paths = { "/lib/modules/**" = 5 } }\n')
    said = imgasm("build", "kept.toml", status=10).stderr
    assert "/lib/modules/** is 6 B" in said and "/usr/lib/modules/6.1/nvidia.ko" in said


@pytest.mark.engine
def test_what_keep_names_through_links_is_the_same_layer_however_the_container_is_read(imgasm: Imgasm) -> None:
    """Without steps, and with steps in place and out of exports; and the image works under the names in ``keep``."""
    keep = image('"/lib/modules/**", "/bin/busybox"') + 'reference = "localhost/kept:1"\n'
    keep += 'cmd = ["/bin/busybox", "cat", "/lib/modules/6.1/nvidia.ko"]\n'
    write(imgasm, keep)
    plain = layer_of(imgasm)
    step = '[container]\nnetwork = "none"\n[[step]]\nname = "look"\nrun = "test -f /lib/modules/6.1/*.ko"\n'
    write(imgasm, step + keep)
    assert [layer_of(imgasm, "--capture", way) for way in ("overlay", "export")] == [plain, plain]
    imgasm("load")
    run = ["docker", "run", "--rm", "--network=none", "localhost/kept:1"]
    ran = subprocess.run(run, capture_output=True, text=True, check=False)
    assert ran.stdout == "module", ran.stderr


@pytest.mark.engine
def test_scratch_below_a_link_is_scratch_by_both_names(imgasm: Imgasm) -> None:
    """``plan`` can't know of the base's links; the build does."""
    step = '[container]\nnetwork = "none"\nscratch = ["/lib/scratch"]\n'
    step += '[[step]]\nname = "write"\nrun = "echo x > /lib/scratch/x"\n'
    said = " ".join(refused(imgasm, step + image('"/usr/lib/scratch/**"')).split())
    assert "/usr/lib/scratch is on a volume or mount, and nothing there reaches a layer" in said
    write(imgasm, step + image('"/lib/**"'))
    names = layer_names(imgasm.directory / "build/kept", manifest(imgasm))
    assert MODULES[4] in names and not [name for name in names if "scratch" in name]


def layer_of(imgasm: Imgasm, *options: str) -> str:
    found = read_json(imgasm.directory / "build/kept", manifest(imgasm, *options))
    return str(found["layers"][-1]["digest"])
