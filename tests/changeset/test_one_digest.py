"""One tree, one digest, on every machine: the digests here were made on one, and every other must make them again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import deflate
import pytest
import zstandard

from assembler.layer.compress import compressor
from tests.support import corpus
from tests.support.making import make
from tests.support.scene import scene

DIFF_ID = "94771bf73dcc26af278bc57bfb8173eeb28458e52f930241cb8ceffb0aa21f34"
"""Of a layer with all traps in it: directories, links, devices, attributes, whiteouts, names of every sort.

It is another than of imgasm before hard links repeated capabilities: trees without such links have the digest they had.
"""

BLOBS = {
    ("zstd", "1.5.7", 100): "17186d94d9e5cc318703a7aa463544728ff9e3c292c978003b7c7b276e691e75",
    ("zstd", "1.5.7", 100_000): "d84c4fada6c1da246cc49400d591160648bd2d5c583fd095cd43e0c466f4ea21",
    ("gzip", "0.9.0", 100_000): "2dd56e26125a299c488b796ce0b6aa2c6e6a32a55c4a2fb817c06f4fbc59951b",
}
"""Of 20 MB by each codec at its usual level, by the library's version, as another may make other bytes, and by what the
files have in bytes.

In zstd's levels 1 to 4 they are others than of imgasm before it had a part in C: the tables are others.
"""

VERSIONS = {"zstd": ".".join(map(str, zstandard.ZSTD_VERSION)), "gzip": deflate.__version__}


def long_ago(root: Path) -> None:
    """The base is not clamped, so its times are part of the layer where it repeats a directory."""
    corpus.base(root)
    for directory, _, files in os.walk(root, topdown=False):
        for name in (*files, "."):
            os.utime(Path(directory, name), (1, 1), follow_symlinks=False)


def test_a_layer_of_all_traps_has_the_digest_that_it_has_everywhere() -> None:
    with scene(long_ago, container=corpus.container) as done:
        assert hashlib.sha256(make(done, clamp=0).layer).hexdigest() == DIFF_ID


@pytest.mark.parametrize(("codec", "file_size"), [("zstd", 100), ("zstd", 100_000), ("gzip", 100_000)])
def test_a_blob_has_the_digest_that_it_has_everywhere(codec: str, file_size: int) -> None:
    """A new version of a library fails here: a look at the layers that it makes, and its digest joins the others."""
    squeeze, sha256 = compressor(codec, file_size=file_size), hashlib.sha256()
    for number in range(20):
        lines = (hashlib.sha256(b"%d" % (number * 7 + line % 4099)).hexdigest().encode() for line in range(15_420))
        sha256.update(squeeze.compress(b"\n".join(lines)))
    sha256.update(b"".join(squeeze.flush()))
    assert sha256.hexdigest() == BLOBS.get((codec, VERSIONS[codec], file_size))
