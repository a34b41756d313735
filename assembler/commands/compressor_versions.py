"""The libraries that make compressed bytes: another version may make others of the same tar, which is not a mistake.

When two builds are compared, they show why digests differ although diff_ids don't.
"""

from __future__ import annotations

from typing import Final

import deflate
import zstandard

LIBRARIES: Final = {"zstd": ".".join(map(str, zstandard.ZSTD_VERSION)), "deflate": deflate.__version__}
"""Names and versions: libzstd's own, and that of the package that brings libdeflate, which does not tell."""
