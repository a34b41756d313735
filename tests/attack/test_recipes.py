"""Recipes that want to take all the time or all the memory there is: each a clear error, within a limit of both."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.running import IMGASM, surroundings

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = 'name = "x"\n[base]\nrootfs = "base.tar"\n[[image]]\nname = "x"\n'
BILLION = "[vars]\nv0 = 'xxxxxxxxxx'\n" + "".join(f'v{n} = "{f"{{{{ v{n - 1} }}}}" * 10}"\n' for n in range(1, 10))
MEGABYTE = "[vars]\nv = '" + "x" * 60_000 + "'\n"

BOMBS = {
    "brackets": RECIPE + "x = " + "[" * 100_000 + "]" * 100_000,
    "inline tables": RECIPE + "x = " + "{a=" * 30_000 + "1" + "}" * 30_000,
    "dotted keys": RECIPE + ".".join(["a"] * 20_000) + " = 1",
    "dotted quoted keys": RECIPE + ".".join(['"a b"'] * 20_000) + " = 1",
    "dotted keys inside": RECIPE + "x = {" + " . ".join(["a"] * 20_000) + " = 1}",
    "headers that grow": "\n".join(f"[a{'.a' * number}]" for number in range(1, 1200)) + "\n" + RECIPE,
    "lists in lists": RECIPE + "x = " + "[" * 50 + "]" * 50,
    "digits": f"name = {'9' * 5000}\n",
    "variables of variables": 'name = "{{ v9 }}"\n' + RECIPE[11:] + BILLION,
    "a large variable many times": RECIPE + "labels = [" + '"{{ v }}",' * 50_000 + "]\n" + MEGABYTE,
    "many tables": RECIPE + "x = [" + "{a=1}," * 1_000_000 + "]",
    "endless comments": RECIPE + "# " + "x" * 5_000_000,
}


def plan(home: Path, recipe: str, **how: object) -> subprocess.CompletedProcess[str]:
    """With 30 s of processor time and 1 GB of memory, which a sound recipe is far from."""
    limits = 'ulimit -t 30 -v 1000000; exec "$@"'
    return subprocess.run(["sh", "-c", limits, "sh", IMGASM, "plan", recipe], cwd=home, env=surroundings(home),
                          text=True, capture_output=True, check=False, **how)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_a_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "bomb.toml").write_text(BOMBS[name])
    done = plan(tmp_path, "bomb.toml")
    assert done.returncode == 3, done.stderr[-2000:]
    assert "Traceback" not in done.stderr and len(done.stderr) < 100_000


def test_a_recipe_without_an_end(tmp_path: Path) -> None:
    with open("/dev/zero", "rb") as endless:
        runs = [plan(tmp_path, "/dev/zero"), plan(tmp_path, "-", stdin=endless)]
    for done in runs:
        assert done.returncode == 3 and "more than 1048576 bytes" in done.stderr


def test_what_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file.toml").write_text(RECIPE + '[[file]]\npath = "/a"\nfrom = "fifo"\n')
    done = plan(tmp_path, "file.toml", timeout=120)
    assert done.returncode == 3 and "neither a file nor a directory" in done.stderr
    (tmp_path / "source.toml").write_text(RECIPE + '[[source]]\nurl = "fifo"\n[[step]]\nname = "s"\nrun = "true"\n')
    done = subprocess.run([IMGASM, "lock", "source.toml"], cwd=tmp_path, env=surroundings(tmp_path), text=True,
                          capture_output=True, check=False, timeout=120)  # fmt: skip
    assert done.returncode == 3 and "a source is one file" in done.stderr


def test_a_table_that_is_called_like_an_option(tmp_path: Path) -> None:
    """Found by scripts/fuzz."""
    for table in ("[--set]\n", '"--set" = 1\n', "[--set]\na = 1\n"):
        (tmp_path / "x.toml").write_text(table + RECIPE if "=" in table and "[" not in table else RECIPE + table)
        done = plan(tmp_path, "x.toml")
        assert done.returncode == 3 and "--set" in done.stderr and "Traceback" not in done.stderr, done.stderr
