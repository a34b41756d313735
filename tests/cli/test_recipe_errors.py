"""What a person sees of a recipe that is wrong, and recipes on standard input."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import engines

if TYPE_CHECKING:
    from pathlib import Path

WRONG = """\
name = "demo"
base = { image = "a" }
[[step]]
name = "compile"
rnu = "make"
[[image]]
name = "demo"
keep = ["opt"]
"""
SAID = """\
error: demo.toml has 2 problems
demo.toml:5:1: [[step]] #1 "compile", rnu: there is no such key; did you mean "run"?
    rnu = "make"
    ^^^
demo.toml:8:9: [[image]] #1 "demo", keep #1: 'opt' is not an absolute glob, such as /opt/nvidia/**
    keep = ["opt"]
            ^^^^^
hint: `imgasm schema` prints every table and key that a recipe can have.
"""


def imgasm(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(folder), "IMGASM_CACHE": str(folder / "cache")}
    return subprocess.run([sys.executable, "-m", "assembler", *arguments], cwd=folder, env=environment, input=given,
                          capture_output=True, text=True, check=False)


def test_the_headline_comes_first_and_each_line_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(WRONG)
    done = imgasm(tmp_path, "plan", "demo.toml")

    assert (done.returncode, done.stderr) == (3, SAID)


def test_a_terminal_shows_it_in_color(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(WRONG)
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    done = subprocess.run([sys.executable, "-m", "assembler", "plan", "demo.toml"], cwd=tmp_path, stderr=theirs,
                          env=environment, check=False)  # fmt: skip
    shown = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    for end in (ours, theirs):
        os.close(end)

    assert done.returncode == 3
    assert "\033[1mdemo.toml:5:1:\033[0m [[step]]" in shown
    assert "\033[1;31m    ^^^\033[0m\n" in shown
    assert "".join(part.partition("m")[2] if at else part for at, part in enumerate(shown.split("\033["))) == SAID


def test_a_recipe_is_read_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "note").write_text("hello")
    text = ('name = "demo"\nbase = { rootfs = "base.tar" }\n[[file]]\npath = "/opt/note"\nfrom = "note"\n'
            '[[image]]\nname = "demo"\n')
    done = imgasm(tmp_path, "build", "-", "--json", given=text)

    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["recipe"] == {"name": "demo", "file": "-"}
    assert (tmp_path / "build/demo/index.json").is_file()


def test_a_mistake_on_standard_input_is_told_with_its_place(tmp_path: Path) -> None:
    done = imgasm(tmp_path, "plan", "-", given=WRONG)

    assert (done.returncode, done.stderr) == (3, SAID.replace("demo.toml", "standard input"))


def test_standard_input_has_no_lock_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    text = 'name = "demo"\nbase = { image = "a" }\n[[source]]\nurl = "x"\n[[image]]\nname = "demo"\n'
    done = imgasm(tmp_path, "lock", "-", given=text)

    assert done.returncode == 4
    assert "a recipe on standard input has no lock file" in done.stderr
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.engine
def test_a_source_of_a_recipe_on_standard_input_is_not_pinned_and_its_digest_told(tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "x").write_text("x")
    text = ('name = "demo"\nbase = { rootfs = "base.tar" }\n[[source]]\nurl = "x"\n[[step]]\nname = "look"\n'
            'run = "cat /imgasm/sources/x"\n[[image]]\nname = "demo"\n')
    done = imgasm(tmp_path, "build", "-", given=text)

    assert done.returncode == 0, done.stderr
    assert f'give it sha256 = "{hashlib.sha256(b"x").hexdigest()}"' in done.stderr


def test_schema_lists_the_presets(tmp_path: Path) -> None:
    said = imgasm(tmp_path, "schema", "--presets").stdout
    assert "apt             Package lists, archives, logs and backups of apt and dpkg.\n" in said
    assert "\n                  /var/lib/apt/lists/**\n" in said


@pytest.mark.parametrize(("name", "what"), [("nowhere.toml", "does not exist"), (".", "is a directory")])
def test_a_recipe_that_is_none_is_told(tmp_path: Path, name: str, what: str) -> None:
    done = imgasm(tmp_path, "plan", name)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: the recipe {name} {what}")
