"""A Debian archive of one package in a directory: apt reads it at once and without a network."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONTROL = """\
Package: {name}
Version: 1.0
Architecture: {architecture}
Maintainer: Nobody <nobody@example.com>
Description: a package for the tests
"""


def debian_mirror(directory: Path, name: str, files: Mapping[str, bytes], architecture: str = "all") -> str:
    """The sources.list line of a new archive in ``directory`` with the package ``name`` that holds ``files``."""
    control = _CONTROL.format(name=name, architecture=architecture)
    contents = directory / name
    for path, content in {**files, "DEBIAN/control": control.encode()}.items():
        (contents / path).parent.mkdir(parents=True, exist_ok=True)
        (contents / path).write_bytes(content)
    deb = directory / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", contents, deb], check=True, capture_output=True)
    (directory / "Packages").write_text(
        f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
        f"SHA256: {sha256(deb.read_bytes()).hexdigest()}\n"
    )
    return f"deb [trusted=yes] copy:{directory} ./"
