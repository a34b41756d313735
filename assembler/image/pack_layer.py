"""A plain tar becomes a layer's blob: compressed, hashed before and after, in one pass."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.image.blob_store import BlobStore
    from assembler.layer.codecs.codec import Compressor
    from assembler.layer.read_tar import Readable

CHUNK: Final = 1 << 20


def pack(
    tar: Readable,
    target: BlobStore,
    compressor: Compressor,
    check: Callable[[Digest], object] = lambda diff_id: None,
    advance: Callable[[int], object] = int,
) -> tuple[Descriptor, Digest]:
    """Compresses ``tar`` into ``target`` and returns its descriptor and diff_id.

    ``check`` sees the diff_id before the blob gets its name; what it raises leaves none. ``advance`` is told of
    uncompressed bytes.
    """
    plain = hashlib.sha256()
    with target.new_blob() as blob:
        while chunk := tar.read(CHUNK):
            plain.update(chunk)
            blob.write(compressor.compress(chunk))
            advance(len(chunk))
        for piece in compressor.flush():
            blob.write(piece)
        diff_id = Digest("sha256", plain.hexdigest())
        check(diff_id)
        digest = blob.commit()
    return Descriptor(compressor.media_type, digest, blob.size), diff_id
