"""The libraries that make compressed bytes: another version may make others of the same tar, which is no mistake.

Whoever compares two builds finds in them why digests differ although diff_ids don't.
"""

from __future__ import annotations

from typing import Final

import deflate
import zstandard

LIBRARIES: Final = {"zstd": ".".join(map(str, zstandard.ZSTD_VERSION)), "deflate": deflate.__version__}
"""Names and versions: libzstd's own, and that of the package that brings libdeflate, which does not tell."""
