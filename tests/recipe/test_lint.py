from __future__ import annotations

from pathlib import Path

import pytest

from assembler.recipe.lint import warnings
from tests.recipe.writing import SMALL, read

INSMOD = ('step "one" calls insmod, which needs cap_add = ["SYS_MODULE"] or privileged = true in [container]; '
          "an image can insert its modules when it starts, and a build seldom has to")


def warned(folder: Path, script: str, container: str = "") -> list[str]:
    return warnings(read(folder, SMALL.replace('"true"', f"'''{script}'''") + f"    [container]\n    {container}"))


@pytest.mark.parametrize(
    "script",
    ["insmod a.ko", "make && insmod a.ko", "if true; then /sbin/insmod a.ko; fi", "x=$(insmod a.ko)", "sudo insmod a"],
)
def test_inserting_modules_needs_privilege(tmp_path: Path, script: str) -> None:
    assert warned(tmp_path, script) == [INSMOD]


@pytest.mark.parametrize("container", ["privileged = true", 'cap_add = ["CAP_SYS_MODULE"]', 'cap_add = ["ALL"]'])
def test_with_privilege_it_is_right(tmp_path: Path, container: str) -> None:
    assert warned(tmp_path, "insmod a.ko", container) == []


@pytest.mark.parametrize("script", [
    "apt-get install insmod", "# insmod a.ko", "true # insmod", "rm /sbin/insmod",
    "modprobe -d /opt -S 6.1.0 --show-depends zfs", "if modprobe -n zfs; then true; fi",
])  # fmt: skip
def test_a_mere_mention_is_no_call(tmp_path: Path, script: str) -> None:
    assert warned(tmp_path, script) == []


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("make KERNEL=$(uname -r)", "uname -r"),
        ("make KERNEL=`uname  -r`", "uname  -r"),
        ("uname -a", "uname -a"),
        ("uname --kernel-release", "uname --kernel-release"),
        ("zcat /proc/config.gz > .config", "/proc/config.gz"),
    ],
)
def test_the_building_machines_kernel_is_not_the_targets(tmp_path: Path, script: str, what: str) -> None:
    assert warned(tmp_path, script) == [
        f'step "one" asks for {what}: that is the kernel of the machine that builds, not of the machines that will use '
        "the image; use a variable in [vars]"]


def test_other_questions_to_uname_are_fine(tmp_path: Path) -> None:
    assert warned(tmp_path, "uname -m; uname -s") == []


def test_lists_are_looked_at_too(tmp_path: Path) -> None:
    recipe = read(tmp_path, SMALL.replace('"true"', '["modprobe", "nvidia"]'))

    assert warnings(recipe) == [INSMOD.replace("insmod", "modprobe")]


def test_zstd_at_its_extremes_is_not_worth_it(tmp_path: Path) -> None:
    recipe = read(tmp_path, SMALL + '    compression = { codec = "zstd", level = 22 }\n')

    assert warnings(recipe) == [
        'image "out" asks for zstd level 22: from level 20 on zstd needs much more memory, for one percent at best']


def test_the_level_that_the_warning_names_is_the_first_that_gets_it(tmp_path: Path) -> None:
    def levels(level: int) -> list[str]:
        return warnings(read(tmp_path, SMALL + f'    compression = {{ codec = "zstd", level = {level} }}\n'))

    assert levels(19) == [] and "from level 20 on" in levels(20)[0]
