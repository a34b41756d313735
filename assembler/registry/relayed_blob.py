"""A blob that comes from another registry while it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.registry.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """A blob of another repository, from registry to registry without a copy on disk."""

    repository: Repository
    blob: Descriptor

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """A connection that breaks is an error of the upload, which then starts again."""
        with self.repository.open_blob(self.blob.digest, offset) as pieces:
            for piece in pieces:
                yield piece[:length]
                length -= min(len(piece), length)
                if not length:
                    return
        if length:
            raise Unreachable(f"{self.repository.name} ended {length} bytes before the end of {self.blob.digest}")

    def check(self, digest: Digest) -> None:
        """The other registry's bytes can't be told from the way's without reading them once more; one retry does."""
