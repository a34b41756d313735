"""What an image says of its time, and what the steps are told of it."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import canonical_json
from assembler.model.reference import Reference
from tests.support.thin import Imgasm, busybox, read_json, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.engine.client import Engine
    from assembler.model.descriptor import Descriptor

LONG_AGO = {"created_by": "somebody else", "created": "2001-02-03T04:05:06Z"}

STILL = """
name = "still"
{times}
[base]
layout = "./base"
[[file]]
path = "/opt/word"
content = "word"
[[image]]
name = "still"
"""


def dated_base(root: Path) -> Descriptor:
    """An image whose config has a date, as its history has."""
    layout = Layout.create(root)
    plain = write_image(layout, "localhost/plain:1", rootfs({"opt": None}))
    manifest = json.loads(layout.read(plain))
    config = {**read_json(root, manifest["config"]["digest"]), "created": LONG_AGO["created"], "history": [LONG_AGO]}
    manifest["config"] = layout.put_bytes(media_types.OCI_CONFIG, canonical_json(config)).to_json()
    dated = layout.put_bytes(media_types.OCI_MANIFEST, canonical_json(manifest))
    return layout.tag(dated, Reference.parse("localhost/plain:1"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    dated_base(tmp_path / "base")
    return tmp_path


def config_of(imgasm: Imgasm, times: str, *options: str) -> Any:
    (imgasm.directory / "still.toml").write_text(STILL.format(times=times))
    image = imgasm.json("build", "still.toml", *options)["images"][0]
    layout = imgasm.directory / "build/still"
    return read_json(layout, read_json(layout, image["manifest"])["config"]["digest"])


@pytest.mark.parametrize("times", ["", "source_date_epoch = 5"])
def test_an_image_does_not_say_when_unless_it_is_asked_to(folder: Path, times: str) -> None:
    config = config_of(Imgasm(folder, SOURCE_DATE_EPOCH="7"), times)
    assert "created" not in config
    assert config["history"] == [LONG_AGO, {"created_by": "imgasm build still: no steps"}]


@pytest.mark.parametrize(("times", "environment", "options", "created"), [
    ('created = "2026-01-02T04:04:05+01:00"', {}, (), "2026-01-02T03:04:05Z"),
    ('created = "2026-01-02T03:04:05Z"', {}, ("--created", "2027-01-01T00:00:00Z"), "2027-01-01T00:00:00Z"),
    ('created = "{{ day }}T00:00:00Z"\n[vars]\nday = ""', {}, ("--set", "day=2026-03-04"), "2026-03-04T00:00:00Z"),
    ('created = "source_date_epoch"\nsource_date_epoch = 5', {}, (), "1970-01-01T00:00:05Z"),
    ('created = "source_date_epoch"\nsource_date_epoch = 5', {"SOURCE_DATE_EPOCH": "7"}, (), "1970-01-01T00:00:07Z"),
    ("", {"SOURCE_DATE_EPOCH": "7"}, ("--created", "source_date_epoch"), "1970-01-01T00:00:07Z"),
])
def test_it_says_when_it_is_asked_to(
    folder: Path, times: str, environment: dict[str, str], options: tuple[str, ...], created: str
) -> None:
    config = config_of(Imgasm(folder, **environment), times, *options)
    assert config["created"] == created
    assert config["history"] == [LONG_AGO, {"created_by": "imgasm build still: no steps", "created": created}]


def test_now_is_now(folder: Path) -> None:
    before = int(time.time())
    config = config_of(Imgasm(folder, SOURCE_DATE_EPOCH="7"), "", "--created", "now")
    assert before <= datetime.fromisoformat(config["created"]).timestamp() <= time.time()
    assert config["history"][-1]["created"] == config["created"]


def test_a_time_that_is_none_is_explained(folder: Path) -> None:
    imgasm = Imgasm(folder)
    (folder / "still.toml").write_text(STILL.format(times='created = "yesterday"'))
    assert "created: 'yesterday' is not a time; write it as" in imgasm("build", "still.toml", status=3).stderr
    (folder / "still.toml").write_text(STILL.format(times='created = "source_date_epoch"'))
    refused = imgasm("build", "still.toml", status=2).stderr
    assert "is not set" in refused and "Set SOURCE_DATE_EPOCH" in refused
    assert "--created: 'x' is not a time" in imgasm("build", "still.toml", "--created", "x", status=2).stderr
    imgasm = Imgasm(folder, SOURCE_DATE_EPOCH="1000000000000")
    assert "beyond the year 9999" in imgasm("build", "still.toml", status=2).stderr
    assert [path.name for path in (folder / "build").iterdir()] == [".last-build"]


STEPS = """
name = "steps"
{clamp}
[base]
rootfs = "base.tar"
[container]
network = "none"
env = {{ {env} }}
[[step]]
name = "ask"
run = 'echo "${{SOURCE_DATE_EPOCH-unset}}" > /opt/word'
[[image]]
name = "steps"
onto = "scratch"
keep = ["/opt/word"]
compression = "none"
"""


@pytest.mark.engine
def test_the_steps_know_the_clamp(engine: Engine, folder: Path) -> None:
    (folder / "base.tar").write_bytes(busybox())

    def told(clamp: str = "", env: str = "", **environment: str) -> str:
        (folder / "steps.toml").write_text(STEPS.format(clamp=clamp, env=env))
        record = Imgasm(folder, **environment).json("build", "steps.toml", "--engine", engine.name)
        layer = record["images"][0]["layer"]["digest"].removeprefix("sha256:")
        members = (folder / "build/steps/blobs/sha256" / layer).read_bytes()
        return members[members.index(b"opt/word") + 512 :].split(b"\n")[0].decode()

    assert told() == "unset"
    assert told("source_date_epoch = 5") == "5"
    assert told("source_date_epoch = 5", SOURCE_DATE_EPOCH="7") == "7"
    assert told("source_date_epoch = 5", 'SOURCE_DATE_EPOCH = "3"', SOURCE_DATE_EPOCH="7") == "3"
