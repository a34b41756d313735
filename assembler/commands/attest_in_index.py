"""Statements about images in the index that lists them, unsigned: the form of BuildKit, for those who read no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assembler.commands.index import Over
from assembler.image.compose_index import with_entries
from assembler.model import media_types
from assembler.places.held_image import HeldImage
from assembler.trust.attachments import NO_MACHINE, buildkit_entry, buildkit_layer, config_of, tagged
from assembler.trust.statement import IN_TOTO, statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.commands.attestations import Predicates
    from assembler.image.layout import Layout
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest

def with_statements(found: Over, predicates: Predicates, names: Sequence[str], store: Layout) -> Over:
    """``found`` with one entry more for each image that ``predicates`` has. ``store`` gets their blobs."""
    more = [
        HeldImage(held.place, (_stated(held.digest, predicates[held.digest], names, store),), store.read,
                  held.registries, store)
        for held in found.images if held.digest in predicates
    ]  # fmt: skip
    return Over(with_entries(found.index, (one.entries[0] for one in more)), [*found.images, *more])


def _stated(
    subject: Digest, about: Mapping[str, Mapping[str, Any]], names: Sequence[str], store: Layout
) -> Descriptor:
    layers = [buildkit_layer(store.put_bytes(IN_TOTO, statement(subject, names, kind, predicate)), kind)
              for kind, predicate in about.items()]  # fmt: skip
    manifest = tagged(store.put_bytes(media_types.OCI_CONFIG, config_of(layers, NO_MACHINE)), layers)
    return buildkit_entry(store.put_bytes(manifest.descriptor.media_type, manifest.data), subject)
