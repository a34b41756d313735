"""An OCI image layout as a store of blobs and names (image-spec image-layout.md).

Blobs are written whole or not at all; index.json is replaced in one step, under a lock on the layout's directory, so
any number of builds can write to one layout. Symbolic links inside a layout are never followed.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assembler.atomic_files import replace_file
from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.blob_store import BlobStore
from assembler.image.blob_writer import TEMPORARY, no_room
from assembler.image.index_entries import entry_called, find, merged
from assembler.locks import attempt, exclusive_directory, lock, remove_abandoned
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from assembler.model.platform import Platform
    from assembler.model.reference import Reference

_VERSION: Final = canonical_json({"imageLayoutVersion": "1.0.0"})
INDEX_CAP: Final = 16 << 20


class Layout(BlobStore):
    """``Layout.create`` makes one, or opens what is there; ``Layout.open`` wants one that is there."""

    @classmethod
    def create(cls, root: Path, mode: int = 0o777) -> Layout:
        """``mode`` is that of new directories, less the umask."""
        try:
            root.mkdir(mode, parents=True, exist_ok=True)
        except OSError as error:
            raise no_room(error, root) from error
        layout = cls(root)
        with layout.locked():  # so that nobody sees a half-made one
            remove_abandoned(root, TEMPORARY)
            if not layout.is_file("oci-layout"):
                layout._refuse_foreign()
                replace_file(root / "oci-layout", _VERSION, prefix=TEMPORARY)
            if not layout.is_file("index.json"):
                layout._write_index([])
            try:
                for folder in (root / "blobs", root / "blobs" / "sha256"):
                    folder.mkdir(mode, exist_ok=True)
            except OSError as error:
                raise no_room(error, root) from error
            made = cls.open(root)
            made._keep_in_use()
        return made

    def _keep_in_use(self) -> None:
        """As long as this object lives: what it wrote and has not listed yet is no garbage."""
        try:
            descriptor = os.open(self.root / "oci-layout", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # another user's, who may write there but not read
        lock(descriptor, self.root, shared=True)
        weakref.finalize(self, os.close, descriptor)

    def _refuse_foreign(self) -> None:
        """ImageError for a directory that is not a layout."""
        if any(not path.name.startswith(TEMPORARY) for path in self.root.iterdir()):
            raise ImageError(f"{self.root} is a directory with other files in it, not an OCI layout",
                             hint="Name an empty or a new directory.")

    @classmethod
    def open(cls, root: Path) -> Layout:
        layout = cls(root)
        hint = "Name a directory with the files oci-layout and index.json in it."
        if not layout.is_file("oci-layout"):
            raise ImageError(f"{root} is not an OCI layout: it has no file oci-layout", hint=hint)
        version = strict_json.parse(layout.read_file("oci-layout", 4096), "oci-layout").get("imageLayoutVersion")
        if version != "1.0.0":
            raise ImageError(f"{root} is an OCI layout of version {version!r}",
                             hint="imgasm and containerd read 1.0.0.")
        if not layout.is_file("index.json"):
            raise ImageError(f"{root} is not an OCI layout: it has no file index.json", hint=hint)
        for directory in (root / "blobs", *(root / "blobs" / name for name in ("sha256", "sha512"))):
            if directory.is_symlink():
                raise ImageError(f"{directory} is a symbolic link, which imgasm does not follow", hint=hint)
        return layout

    def index(self) -> tuple[Descriptor, ...]:
        """What index.json lists."""
        value = strict_json.parse_index(self.read_file("index.json", INDEX_CAP), media_types.OCI_INDEX)
        return tuple(strict_json.descriptors(value, "manifests"))

    def add(self, descriptor: Descriptor) -> None:
        """Lists a manifest as it is, under the names that its annotations give it.

        It takes a name from the image that had it: that one stays only if it has another. Without a name nothing
        happens when its digest is listed already.
        """
        with self.locked():
            listed = self.index()
            wanted = merged(listed, descriptor)
            if wanted != list(listed):
                self._write_index(wanted)

    def list_alone(self, descriptor: Descriptor) -> None:
        """Lists ``descriptor`` and nothing else. The blobs of what was listed stay until they are removed."""
        with self.locked():
            self._write_index([descriptor])

    def tag(self, descriptor: Descriptor, reference: Reference) -> Descriptor:
        """Gives the image a name; ``latest`` is the tag of a reference that has neither tag nor digest.

        An image whose reference has a digest and no tag is listed without a name.
        """
        named = entry_called(descriptor, reference.with_default_tag())
        self.add(named)
        return named

    def find(self, name: str | Digest | None = None, platform: Platform | None = None) -> Descriptor:
        """The listed manifest of this name (:func:`assembler.image.index_entries.called`); without one the only one.

        ``platform`` chooses where several are left.
        """
        return find(self.index(), name, platform, f"the layout {self.root}")[0]

    def remove_unreferenced_if_unused(self) -> int | None:
        """As :meth:`remove_unreferenced`; None, and nothing is done, while a process has it open to write to it."""
        with attempt(self.root / "oci-layout") as unused:
            return self.remove_unreferenced() if unused else None

    def remove_unreferenced(self) -> int:
        """Removes blobs that no listed image needs, and returns their bytes. Not while something writes to it."""
        with self.locked():
            remove_abandoned(self.root, TEMPORARY)
            needed = {digest for entry in self.index() for digest in self._reachable(entry)}
            paths = [self.path(digest) for digest in self.blobs() if digest not in needed]
            size = sum(path.lstat().st_size for path in paths)
            for path in paths:
                path.unlink()
        return size

    def _reachable(self, descriptor: Descriptor) -> Iterator[Digest]:
        yield descriptor.digest
        if descriptor.media_type not in media_types.INDEXES | media_types.MANIFESTS or not self.has(descriptor):
            return
        value = strict_json.parse(self.read(descriptor), "the manifest")
        config = [Descriptor.from_json(value["config"])] if "config" in value else []
        for child in (*config, *strict_json.descriptors(value, "layers"), *strict_json.descriptors(value, "manifests")):
            yield from self._reachable(child)

    def _write_index(self, manifests: Sequence[Descriptor]) -> None:
        value: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX}
        if self.is_file("index.json"):
            value = strict_json.parse_index(self.read_file("index.json", INDEX_CAP), media_types.OCI_INDEX)
        value["manifests"] = [entry.to_json() for entry in manifests]
        replace_file(self.root / "index.json", canonical_json(value), prefix=TEMPORARY)

    def locked(self) -> AbstractContextManager[None]:
        """While nobody else writes documents of this layout. What takes this lock itself must not be called inside."""
        return exclusive_directory(self.root)
