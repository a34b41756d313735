"""Each other module in here but ``codec`` is one compression, and holds all that imgasm knows of it in ``CODEC``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Final, Literal

from assembler.model import media_types

if TYPE_CHECKING:
    from assembler.layer.codecs.codec import Codec

DEFAULT: Final = "zstd"

_FOUND: Final[dict[str, Codec]] = {
    codec.name: codec
    for codec in (
        import_module(f"{__name__}.{module.name}").CODEC for module in iter_modules(__path__) if module.name != "codec"
    )
}

CODECS: Final[dict[str, Codec]] = {DEFAULT: _FOUND[DEFAULT], **_FOUND}

if TYPE_CHECKING:
    CodecName = str
else:
    CodecName = Literal[tuple(CODECS)]
    """For pydantic, which makes the choice and its message of it."""


def codec_of(head: bytes) -> Codec:
    """What the first four bytes of a stream say; ``none`` where no other codec knows them."""
    return next((codec for codec in CODECS.values() if codec.is_start(head)), CODECS["none"])


def media_type(codec: str) -> str:
    """Of a layer in an OCI manifest."""
    return media_types.OCI_LAYER + CODECS[codec].suffix
