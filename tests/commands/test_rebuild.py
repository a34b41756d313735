"""A build that is made again: the same, or what differs is named with its step and the likely cause."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from tests.support.thin import Imgasm, busybox, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
name = "app"
source_date_epoch = 1700000000
[base]
layout = "./base"
[container]
network = "none"
"""

PLANTED: dict[str, tuple[str, str, str]] = {
    "clock": ("date > /opt/clock/file", "content", "time"),
    "stamp": ('cd /opt/stamp; echo text > file; touch -d "@$(($(head -c 2 /dev/urandom | od -A n -t u2) + 1))" file',
              "mtime", "time"),
    "gzip": ("{ printf '\\037\\213\\010\\000'; date +%s | tail -c 5; echo rest; } > /opt/gzip/file", "content", "time"),
    "uuid": ("cat /proc/sys/kernel/random/uuid > /opt/uuid/file", "content", "randomness"),
    "key": ("head -c 48 /dev/urandom | base64 > /opt/key/file", "content", "randomness"),
    "noise": ("head -c 99 /dev/urandom > /opt/noise/file", "content", "randomness"),
    "name": ("mktemp /opt/name/tmp.XXXXXX", "entry", "path"),
    "path": ('echo "built in $(mktemp -d)" > /opt/path/file', "content", "path"),
    "order": ("seq 1 200 | shuf > /opt/order/file", "content", "order"),
    "host": ("hostname > /opt/host/file", "content", "hostname"),
    "package": ("mkdir -p /var/lib/dpkg; cp /proc/sys/kernel/random/uuid /var/lib/dpkg/status", "content", "package"),
}  # fmt: skip
"""By step and image: what it runs, and which field of which cause differs between two builds."""


def recipe(scripts: dict[str, str]) -> str:
    text = HEAD
    for name, script in scripts.items():
        where = "/var/lib/dpkg" if name == "package" else f"/opt/{name}"
        text += f"\n[[step]]\nname = \"{name}\"\nrun = '''\nmkdir -p /opt/{name}\n{script}\n'''\n"
        text += f"\n[[image]]\nname = \"{name}\"\nonto = \"scratch\"\nkeep = [\"{where}/**\"]\n"
    return text


@pytest.fixture(scope="module")
def imgasm(tmp_path_factory: pytest.TempPathFactory) -> Imgasm:
    folder = tmp_path_factory.mktemp("project")
    write_image(Layout.create(folder / "base"), "localhost/base:1", busybox())
    return Imgasm(folder, IMGASM_ENGINE="docker")


def build(imgasm: Imgasm, text: str) -> None:
    (imgasm.directory / "app.toml").write_text(text)
    imgasm("build", "app.toml", "--quiet")


def rebuilt(imgasm: Imgasm, *options: str, status: int = 0) -> dict[str, Any]:
    done = imgasm("rebuild", "build/app", "--json", *options, status=status)
    return {image["name"]: image for image in json.loads(done.stdout)["images"]}


@pytest.mark.engine
def test_each_planted_cause_is_named_with_file_step_and_byte(imgasm: Imgasm) -> None:
    build(imgasm, recipe({"steady": "echo text > /opt/steady/file"} | {name: one[0] for name, one in PLANTED.items()}))
    images = rebuilt(imgasm, status=8)
    assert images.pop("steady")["differences"] == []
    assert images.keys() == PLANTED.keys()
    for name, (_, field, cause) in PLANTED.items():
        first = images[name]["differences"][0]
        assert (name, first["field"], first["cause"].partition(":")[0]) == (name, field, cause)
        if field == "content":
            assert first["step"] == name and first["offset"] < 400
            assert first["former_bytes"] != first["now_bytes"]


@pytest.mark.engine
def test_what_another_machine_would_change_can_be_provoked(imgasm: Imgasm) -> None:
    build(imgasm, recipe({
        "umask": "echo text > /opt/umask/file", "locale": 'echo "${LANG:-none}" > /opt/locale/file',
        "timezone": "date -d @0 > /opt/timezone/file", "cpus": 'echo "${OMP_NUM_THREADS:-all}" > /opt/cpus/file',
    }))  # fmt: skip
    assert all(image["former"] == image["now"] for image in rebuilt(imgasm).values())
    provoked = ("--as-if", "umask", "--as-if", "locale", "--as-if", "timezone", "--as-if", "cpus")
    images = rebuilt(imgasm, *provoked, status=8)
    assert images["umask"]["differences"][-1]["cause"].startswith("umask")
    for name in ("locale", "timezone", "cpus"):
        assert "content" in {one["field"] for one in images[name]["differences"]}


STILL = HEAD.partition("[container]")[0] + '[[file]]\npath = "/opt/word"\ncontent = "word"\n[[image]]\nname = "app"\n'


def test_without_steps_no_engine_is_needed(imgasm: Imgasm) -> None:
    build(imgasm, STILL)
    before = (imgasm.directory / "build/app/index.json").read_bytes()
    assert "the same" in imgasm("rebuild").stdout
    assert (imgasm.directory / "build/app/index.json").read_bytes() == before


def test_a_recipe_that_changed_is_refused(imgasm: Imgasm, tmp_path: Path) -> None:
    build(imgasm, STILL)
    (imgasm.directory / "app.toml").rename(imgasm.directory / "moved.toml")
    assert "can't be read" in imgasm("rebuild", "build/app", status=3).stderr
    assert "the same" in imgasm("rebuild", "build/app", "--recipe", "moved.toml").stdout
    (imgasm.directory / "moved.toml").write_text(STILL + "# more\n")
    assert "is another recipe" in imgasm("rebuild", "build/app", "--recipe", "moved.toml", status=3).stderr


def test_a_base_and_a_date_that_are_others_now_are_told(imgasm: Imgasm) -> None:
    base, text = Layout.create(imgasm.directory / "other"), STILL.replace("./base", "./other")
    write_image(base, "localhost/base:1", rootfs({"opt": None}))
    build(imgasm, text.replace("source_date_epoch", 'created = "now"\nsource_date_epoch'))
    time.sleep(1)  # a date is in whole seconds
    write_image(base, "localhost/base:1", rootfs({"opt": None, "another": b""}))
    told = imgasm("rebuild", "build/app", status=8).stdout
    assert "not the same inputs: the base changed" in told
    assert "config created: config" in told and "likely cause: time" in told
