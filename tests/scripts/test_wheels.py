"""A wheel has the C part where there is a compiler, and is complete without."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.mark.parametrize(("compiler", "kind", "way"), [
    ("cc", "cp311-abi3-linux_", "small files by C"),
    ("/nowhere/cc", "py3-none-any", "small files by Python: with a C compiler at its installation"),
])  # fmt: skip
def test_a_wheel_is_made_with_and_without_a_compiler(tmp_path: Path, compiler: str, kind: str, way: str) -> None:
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "wheels", ROOT], check=True,
                   env={**os.environ, "CC": compiler})  # fmt: skip
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    assert kind in wheel.name
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    assert not list(installed.rglob("*.c"))
    told = subprocess.run([sys.executable, "-m", "assembler", "--version"], cwd=installed, capture_output=True,
                          text=True, check=True, env={**os.environ, "PYTHONPATH": str(installed)})  # fmt: skip
    assert way in told.stdout
