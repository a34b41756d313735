"""Every registry there is, with the credentials and settings that the command line found."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.errors import RegistryError
from assembler.registry.find_credential import find_credential
from assembler.registry.pull import stream_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.image.blob_store import BlobStore
    from assembler.model.descriptor import Descriptor
    from assembler.model.reference import Reference
    from assembler.registry.client import RegistryClient
    from assembler.registry.connection_settings import ConnectionSettings
    from assembler.registry.find_credential import CredentialSources
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Registries:
    """``warn`` takes a sentence that a user should see. Connections live as long as the contexts."""

    credentials: CredentialSources
    settings: ConnectionSettings
    warn: Callable[[str], None]

    def impatient(self) -> Registries:
        """The same for questions that have another answer at hand: asked once."""
        return replace(self, settings=replace(self.settings, retry=replace(self.settings.retry, patience=0)))

    @contextmanager
    def client(self, reference: Reference, *, pushing: bool = False) -> Iterator[RegistryClient]:
        """The registry that ``reference`` names, with what its repository may be asked with.

        Imported here: most of what needs no registry takes less time than httpx to import.
        """
        from assembler.registry.client import connect

        credential = find_credential(
            reference.registry, reference.repository, self.credentials, self.warn, pushing=pushing
        )
        with connect(reference.registry, credential, self.settings, self.warn) as client:
            yield client

    @contextmanager
    def repository(self, reference: Reference) -> Iterator[Repository]:
        """For reading."""
        with self.client(reference) as client:
            yield client.repository(reference.repository)

    @contextmanager
    def holder(self, blob: Descriptor, origins: Sequence[Reference]) -> Iterator[Repository]:
        """The first of ``origins`` that has ``blob``. RegistryError when none has."""
        with self.find(blob, origins) as repository:
            if repository is None:
                places = ", ".join(origin.name for origin in origins) or "no registry is known that has it"
                raise RegistryError(
                    f"the base's layer {blob.digest} ({blob.size} bytes) was not found: {places}",
                    hint="If the base was removed from its registry, build on another one.",
                )
            yield repository

    @contextmanager
    def find(self, blob: Descriptor, origins: Sequence[Reference]) -> Iterator[Repository | None]:
        """The first of ``origins`` that has ``blob``, if one has."""
        for origin in origins:
            with self.repository(origin) as repository:
                if repository.has_blob(blob):
                    yield repository
                    return
        yield None

    def fetch(self, blob: Descriptor, origins: Sequence[Reference], store: BlobStore,
              advance: Callable[[int], object] = int) -> None:
        """Downloads ``blob`` into ``store``, checked."""
        with self.holder(blob, origins) as repository:
            _download(repository, blob, store, advance)

    def fetch_if_there(self, blob: Descriptor, origins: Sequence[Reference], store: BlobStore) -> None:
        """The same for a blob that may be in none of them."""
        with self.find(blob, origins) as repository:
            if repository is not None:
                _download(repository, blob, store, int)


def _download(
    repository: Repository, blob: Descriptor, store: BlobStore, advance: Callable[[int], object]
) -> None:
    with store.new_blob(algorithm=blob.digest.algorithm) as writer:
        for piece in stream_blob(repository, blob):
            advance(writer.write(piece))
        writer.commit(blob.digest)
