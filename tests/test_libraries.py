"""Which libraries made a layer's bytes can be told, and had again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import deflate
import zstandard

from assembler import __version__
from assembler.commands.compressor_versions import LIBRARIES
from assembler.layer.many_files import in_c
from tests.changeset.test_one_digest import BLOBS

ROOT = Path(__file__).parents[1]


def test_the_pinned_libraries_are_here_and_their_bytes_are_known() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins == {"deflate": deflate.__version__, "zstandard": zstandard.__version__}
    known = {(codec, version) for codec, version, _ in BLOBS}
    assert {("zstd", LIBRARIES["zstd"]), ("gzip", LIBRARIES["deflate"])} <= known


def test_the_version_tells_them_and_whether_the_c_part_is_there() -> None:
    done = subprocess.run([sys.executable, "-m", "assembler", "--version"], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    told = f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}, deflate {deflate.__version__}"
    way = "C" if in_c is not None else "Python: with a C compiler at its installation, imgasm would be faster"
    assert done.stdout.splitlines() == [f"imgasm {__version__}", told, f"small files by {way}"]
