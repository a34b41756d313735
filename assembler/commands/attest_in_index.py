"""Statements about images in the index that lists them, unsigned: the form of BuildKit, for those who read no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assembler.commands.index import Over
from assembler.image.compose_index import with_entries
from assembler.model import media_types
from assembler.places.held_image import HeldImage
from assembler.trust.attachments import NO_MACHINE, buildkit_entry, buildkit_layer, config_of, tagged
from assembler.trust.statement import IN_TOTO, PROVENANCE, statement

if TYPE_CHECKING:
    from assembler.image.layout import Layout
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest

Predicates = Mapping["Digest", Mapping[str, Any]]
"""How images were built, by the digests that they are pushed with."""


def with_provenance(found: Over, predicates: Predicates, names: Sequence[str], store: Layout) -> Over:
    """``found`` with one statement more for each image that ``predicates`` has. ``store`` gets their blobs."""
    more = [
        HeldImage(held.place, (_stated(held.digest, predicates[held.digest], names, store),), store.read,
                  held.registries, store)
        for held in found.images if held.digest in predicates
    ]  # fmt: skip
    return Over(with_entries(found.index, (one.entries[0] for one in more)), [*found.images, *more])


def _stated(subject: Digest, predicate: Mapping[str, Any], names: Sequence[str], store: Layout) -> Descriptor:
    layer = buildkit_layer(store.put_bytes(IN_TOTO, statement(subject, names, PROVENANCE, predicate)), PROVENANCE)
    manifest = tagged(store.put_bytes(media_types.OCI_CONFIG, config_of([layer], NO_MACHINE)), [layer])
    return buildkit_entry(store.put_bytes(manifest.descriptor.media_type, manifest.data), subject)
