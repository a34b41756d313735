"""A last look for secrets at what is about to leave: a layer before it is published, a checkpoint before it is kept."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from assembler.errors import ChangesetError
from assembler.layer.decompress import decompress
from assembler.layer.read_tar import read_tar
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.layer.read_tar import Readable
    from assembler.model.secrets import Secrets

_LEAST: Final = 8
"""Characters. A shorter value is found everywhere by chance."""
_GZIP: Final = b"\x1f\x8b"
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SecretSearch:
    """``patterns`` are the values as they are, in base64 and in hex."""

    patterns: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets: Secrets) -> SecretSearch:
        values = {text.strip().encode() for text in secrets.values}
        return cls(tuple({form for value in values if len(value) >= _LEAST for form in _forms(value)}))

    def refuse(self, layer: Readable, what: str) -> None:
        """ChangesetError where a value is in the tar ``layer``, compressed or not: in a name, a link, an attribute, a
        file, or in a file as gzip packs it."""
        if not self.patterns:
            return
        for member in read_tar(decompress(layer)):
            about = (member.path, member.node().target, *(part for pair in member.xattrs for part in pair))
            if any(self.holds(text) for text in about) or self._in_content(member.chunks()):
                raise ChangesetError(
                    f"{what}: the value of a secret is in {shown(member.path)}",
                    hint="Do not write it there, or remove the file in a step, or keep it out with [prune].",
                )

    def refuse_stream(self, stream: Readable, what: str) -> None:
        """ChangesetError where a value is in ``stream``, compressed or not, as it is."""
        if self.patterns and self._in_content(iter(partial(decompress(stream).read, _PIECE), b"")):
            raise ChangesetError(f"the value of a secret is in {what}")

    def _in_content(self, chunks: Iterable[bytes]) -> bool:
        plain, packed = _Window(self), _Window(self)
        unpack = None
        for number, chunk in enumerate(chunks):
            if number == 0 and chunk.startswith(_GZIP):
                unpack = zlib.decompressobj(wbits=31)
            if plain.sees(chunk):
                return True
            for piece in _unpacked(unpack, chunk) if unpack is not None else ():
                if packed.sees(piece):
                    return True
        return False

    def holds(self, text: bytes) -> bool:
        return any(pattern in text for pattern in self.patterns)


class _Window:
    """Looks at a stream piece by piece, also across their borders."""

    def __init__(self, search: SecretSearch) -> None:
        self._search = search
        self._overlap = max(map(len, search.patterns)) - 1
        self._tail = b""

    def sees(self, piece: bytes) -> bool:
        text = self._tail + piece
        self._tail = text[-self._overlap :]
        return self._search.holds(text)


def _unpacked(unpack: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """What becomes of a chunk of a gzip file, at most 1 MiB at a time; what is no gzip after all ends it."""
    try:
        while chunk and not unpack.eof:
            yield unpack.decompress(chunk, _PIECE)
            chunk = unpack.unconsumed_tail
    except zlib.error:
        return


def _forms(value: bytes) -> Iterator[bytes]:
    """Base64 packs three bytes into four letters, so it has three forms; the letters at the ends have others' bits."""
    yield value
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for before in range(3):
        letters = base64.b64encode(bytes(before) + value)
        core = letters[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))
