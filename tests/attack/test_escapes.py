"""Whatever reaches a terminal goes through one door: no name from anywhere colours, titles, clears or reverses it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from assembler.cli.heartbeat import RunningTask
from assembler.cli.terminal import Terminal
from assembler.image.layout import Layout
from tests.cli.running import imgasm
from tests.image.imagemaking import add_image
from tests.support.fault_registry import Answer, fault_registry

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "e\x1b[31mvil\x1b]0;title\x07\x9b2J\u202e"

RECIPE = f"""
name = "escapes"
[base]
rootfs = "base.tar"
[[step]]
name = {json.dumps(EVIL)}
run = "true"
[prune]
paths = [{json.dumps("/" + EVIL)}]
[[image]]
name = "it"
cmd = [{json.dumps(EVIL)}]
labels = {{ {json.dumps(EVIL)} = {json.dumps(EVIL)} }}
"""


def harmless(text: str) -> bool:
    return all(char.isprintable() for char in text.replace("\n", ""))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    layout = Layout.create(tmp_path / "layout")
    index = json.loads((tmp_path / "layout/index.json").read_text())
    for number, name in enumerate([EVIL, "b" + EVIL]):
        entry = add_image(layout, {f"file{number}": name.encode()}).descriptor.to_json()
        entry["annotations"] = dict.fromkeys(("org.opencontainers.image.ref.name", "io.containerd.image.name"), name)
        index["manifests"].append(entry)
    (tmp_path / "layout/index.json").write_text(json.dumps(index))
    (tmp_path / "escapes.toml").write_text(RECIPE)
    (tmp_path / "base.tar").write_bytes(bytes(1024))
    return tmp_path


@pytest.mark.parametrize("command", [
    "verify {}/layout", "size-report {}/layout", f"size-report {{}}/layout --image {EVIL}", "push {}/layout",
    "copy {}/layout oci:{}/other", f"copy oci:{{}}/layout:{EVIL} oci:{{}}/other:{EVIL}", "plan {}/escapes.toml",
    "plan {}/escapes.toml --json", f"plan {{}}/{EVIL}", f"size-report {{}}/layout --image b{EVIL} --json", EVIL,
])  # fmt: skip
def test_no_name_steers_the_terminal(home: Path, command: str) -> None:
    done = imgasm(home, *command.format(home, home).split(" "))
    assert done.stdout or done.stderr
    assert harmless(done.stdout), done.stdout
    assert harmless(done.stderr), done.stderr


def test_json_with_escapes_is_the_same_value(home: Path) -> None:
    plan = json.loads(imgasm(home, "plan", home / "escapes.toml", "--json").stdout)
    assert plan["steps"][0]["name"] == EVIL


def test_a_registrys_words_do_not_either(home: Path) -> None:
    with fault_registry() as registry:
        registry.faults.script["get_manifest"] = [Answer(418, body=EVIL.encode(), headers={"X": "y"})] * 9
        done = imgasm(home, "size-report", f"{registry.host}/app:1")
    assert done.returncode == 9 and "evil" in re.sub(r"\W*\[31m", "", done.stderr).replace("?", "")
    assert harmless(done.stderr)


def test_a_steps_last_line_beside_its_sign_of_life(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    work = RunningTask(EVIL, None, "lines")
    work.note(EVIL)
    terminal._heart._tell(str(work))
    assert "evil" in (told := capfd.readouterr().err).replace("?[31m", "") and harmless(told)
