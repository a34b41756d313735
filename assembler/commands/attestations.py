"""What is attested of images that are pushed: how they were built, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from assembler.commands.provenance import BuiltImages
from assembler.trust.statement import CYCLONEDX, PROVENANCE, SPDX

if TYPE_CHECKING:
    from assembler.model.digest import Digest
    from assembler.model.place import Place
    from assembler.places.held_image import HeldImage

Format = Literal["cyclonedx", "spdx"]

Predicates = Mapping["Digest", Mapping[str, Mapping[str, Any]]]
"""By the digest that an image is pushed with, and by the predicate's type."""


@dataclass(frozen=True, slots=True)
class Attesting:
    """``builder`` is the URI of who attests how the images were built, ``sbom`` the format of what is in them.
    ``in_index`` puts both into the index of a push as well, in BuildKit's form."""

    builder: str | None = None
    sbom: Format | None = None
    in_index: bool = False

    def predicates(self, place: Place, images: Iterable[tuple[HeldImage, HeldImage]]) -> Predicates:
        """Of ``images`` out of the build at ``place``: each as it was there, and as it is pushed."""
        if self.builder is None and self.sbom is None:
            return {}
        built = BuiltImages(place)
        return {now.digest: self._about(was.digest, built, place) for was, now in images}

    def _about(self, image: Digest, built: BuiltImages, place: Place) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        if self.builder is not None:
            found[PROVENANCE] = built.provenance(image, self.builder)
        if self.sbom is not None:
            found[_TYPES[self.sbom]] = _bill(image, self.sbom, place)
        return found


NOTHING: Final = Attesting()

_TYPES: Final = {"cyclonedx": CYCLONEDX, "spdx": SPDX}


def _bill(image: Digest, format_: Format, place: Place) -> dict[str, Any]:
    from assembler.commands.sbom import bill_of_materials, document

    return document(bill_of_materials(place.path, str(image)), format_)
