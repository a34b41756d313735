"""The records of all builds into one layout, in one file beside its index.json.

A single build's record stands there as it is; several stand in a :class:`Builds`. A record stays as long as the layout
lists one of its images.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from assembler.atomic_files import replace_file
from assembler.errors import ImageError, UsageError
from assembler.image.annotations import FULL_NAME, IMAGE_NAME
from assembler.image.index_entries import called
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.report.build_record import FORMAT, BuildRecord
from assembler.report.record_part import RecordPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from assembler.report.build_record import ImageReport

RECORD_NAME: Final = "imgasm.json"
"""Image layouts may hold further files (image-spec image-layout.md, "Content")."""


class Builds(RecordPart):
    """The one that was finished last stands last."""

    format: Literal[1] = FORMAT
    kind: Literal["builds"] = "builds"
    builds: tuple[BuildRecord, ...]

    def images(self) -> Iterator[tuple[BuildRecord, ImageReport]]:
        return ((record, image) for record in self.builds for image in record.images)

    def of_recipe(self, name: str) -> BuildRecord | None:
        return next((record for record in reversed(self.builds) if record.recipe.name == name), None)

    def with_build(self, record: BuildRecord, listed: Collection[str]) -> Builds:
        """And ``record``. ``listed`` are the digests of the images that the layout lists now: what was built under the
        same names before is gone, and neither is what another build has replaced in the meantime."""
        new = {image.manifest for image in record.images}
        former = [_only(one, set(listed) - new) for one in self.builds]
        return Builds(builds=tuple(one for one in (*former, _only(record, listed)) if one.images))

    def only(self, name: str | None) -> Builds:
        """The images that ``name`` means, as in the layout, with what there is to tell of the builds that made them.

        UsageError for none.
        """
        if name is None:
            return self
        wanted = {str(entry.digest) for entry in called([_entry(image) for _, image in self.images()], name)}
        if not wanted:
            names = ", ".join(image.name for _, image in self.images())
            raise UsageError(f"The build has no image {name}", hint=f"It has: {names}.")
        found = (_only(record, wanted) for record in self.builds)
        return Builds(builds=tuple(record for record in found if record.images))

    def to_json(self, indent: int | None = None) -> str:
        return (self.builds[0] if len(self.builds) == 1 else self).model_dump_json(indent=indent)

    def save(self, directory: Path) -> Path:
        """Writes the records into ``directory``, whole or not at all, and returns the file's path."""
        target = directory / RECORD_NAME
        replace_file(target, self.to_json().encode() + b"\n")
        return target

    @classmethod
    def load(cls, path: Path) -> Builds:
        """Reads the records at ``path``, a build's directory or the file itself."""
        file = path / RECORD_NAME if path.is_dir() else path
        try:
            found = _FILE.validate_json(file.read_bytes())
        except OSError as error:
            raise UsageError(
                f"{path} holds no build of imgasm: {RECORD_NAME} can't be read ({error.strerror})",
                hint="Name the directory that `imgasm build` wrote, or build first.",
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ImageError(
                f"{file} is not a record of a build that this imgasm can read: {where}: {first['msg']}",
                hint="Build again, or read it with the imgasm that wrote it.",
            ) from error
        return found if isinstance(found, Builds) else Builds(builds=(found,))


_FILE: TypeAdapter[BuildRecord | Builds] = TypeAdapter(Annotated[BuildRecord | Builds, Field(discriminator="kind")])


def is_build(path: Path) -> bool:
    """Is it a build's directory, or the record in it?"""
    return (path / RECORD_NAME).is_file() or (path.name == RECORD_NAME and path.is_file())


def _entry(image: ImageReport) -> Descriptor:
    """As index.json lists it."""
    names = {IMAGE_NAME: image.name, FULL_NAME: image.reference or f"localhost/{image.name}:latest"}
    return Descriptor(media_types.OCI_MANIFEST, Digest.parse(image.manifest), 0, names)


def _only(record: BuildRecord, manifests: Collection[str]) -> BuildRecord:
    """Without the other images, and what a budget said of them."""
    images = tuple(image for image in record.images if image.manifest in manifests)
    if images == record.images:
        return record
    names = {image.name for image in images}
    return record.model_copy(update={
        "images": images,
        "checked": tuple(name for name in record.checked if name in names),
        "broken": tuple(violation for violation in record.broken if violation.image in names),
    })
