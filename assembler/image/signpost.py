"""What those get from an index who choose by platform alone, as every engine does: a small image that says what to do.

Of several entries that fit, a client takes the first (image-spec image-index.md, "manifests"), so this one stands
before the others. Its entrypoint is a sentence. No program is in it, so that it serves every platform: an engine that
is to run it fails, and repeats the sentence in its error.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from assembler.image.annotations import KERNEL_RELEASES, SIGNPOST
from assembler.image.assemble import compose, store_image
from assembler.image.compose_index import order, told_of
from assembler.image.config import ImageSettings, NewLayer
from assembler.layer.entry import Entry
from assembler.layer.tar_header import END, header, padding
from assembler.model import media_types
from assembler.model.node import Kind, Node
from assembler.model.run_config import RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.image.blob_store import BlobStore
    from assembler.image.image import Image
    from assembler.model.platform import Platform

_SENTENCE: Final = (
    "this is no image to run: several are behind its name, of which only some fit this machine's kernel; "
    "`imgasm choose NAME` on the machine prints the digest of the one to pull"
)
_README: Final = f"{_SENTENCE[0].upper()}{_SENTENCE[1:]}.\n".encode()


def with_signposts(images: Iterable[Image], store: BlobStore) -> list[Image]:
    """``images`` in an index's order, each platform's behind a signpost where a platform alone doesn't choose.

    That is so where there are several for one platform, and where one is for certain kernels. The signposts' blobs are
    in ``store`` afterwards.
    """
    found: list[Image] = []
    for _, alike in groupby(sorted(images, key=order), key=lambda image: str(image.platform.normal())):
        group = list(alike)
        if len(group) > 1 or told_of(group[0]).get(KERNEL_RELEASES):
            found.append(_signpost(group[0].platform, store))
        found += group
    return found


def is_signpost(image: Image) -> bool:
    return SIGNPOST in told_of(image)


def _signpost(platform: Platform, store: BlobStore) -> Image:
    """The same bytes for everybody, whatever the index is called: registries and engines keep it once."""
    told = {SIGNPOST: _SENTENCE}
    readme = Entry(b"README", Node(Kind.REGULAR, 0o644, size=len(_README)))
    layer = store.put_bytes(media_types.OCI_LAYER, header(readme) + _README + bytes(padding(len(_README))) + END)
    settings = ImageSettings(RunConfig(entrypoint=(_SENTENCE,), labels=told), platform, told)
    image = compose(None, NewLayer(layer, layer.digest, "imgasm index"), settings)
    store_image(store, image)
    return image
