"""A layout's blobs: what is there, what of it is whole, and what of it somebody refers to."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.image.blob_store import real_files
from assembler.image.blob_writer import blob_path
from assembler.layer.findings import Finding, Severity
from assembler.model.digest import Digest
from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.image.blob_store import BlobStore
    from assembler.model.descriptor import Descriptor

_CHUNK: Final = 1 << 20
_LONGEST: Final = 1000
"""Characters: documents can hold texts of megabytes."""


class Findings:
    """In the order in which they were made, each once: several images may have the same layer."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self._told: set[Finding] = set()

    def note(self, severity: Severity, where: str, what: str) -> None:
        self.add(Finding(severity, printable(where), printable(what[:_LONGEST])))

    def add(self, finding: Finding) -> None:
        if finding not in self._told:
            self._told.add(finding)
            self.all.append(finding)


class Inventory:
    """``sizes`` are those of the files that are called by a digest. ``advance`` gets the number of hashed bytes."""

    def __init__(self, store: BlobStore, findings: Findings, advance: Callable[[int], object]) -> None:
        self.sizes: dict[Digest, int] = {}
        self._store = store
        self._note = findings.note
        self._advance = advance
        self._whole: set[Digest] = set()
        self._reached: set[Digest] = set()

    def take_stock(self) -> None:
        """Hashes everything. Symbolic links are not followed."""
        blobs = self._store.root / "blobs"
        if not os.path.lexists(blobs):
            self._note("error", "blobs", "is not there")
        elif blobs.is_symlink() or not blobs.is_dir():
            self._note("error", "blobs", "is not a directory")
        for directory in self._files(blobs):
            if directory.is_symlink() or not directory.is_dir():
                self._note("error", f"blobs/{directory.name}", "is not a directory, so it holds no algorithm's blobs")
            for path in self._files(directory):
                self._blob(path)

    def _files(self, directory: Path) -> list[Path]:
        try:
            return real_files(directory)
        except OSError as error:
            self._note("error", str(directory.relative_to(self._store.root)), reason(error))
            return []

    def _blob(self, path: Path) -> None:
        where = f"blobs/{path.parent.name}/{path.name}"
        try:
            digest = Digest.parse(f"{path.parent.name}:{path.name}")
        except ImageError:
            self._note("error", where, "the name is not a digest")
            return
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            self._note("error", where, "not a regular file")
            return
        self.sizes[digest] = status.st_size
        try:
            found = self._hash(digest)
        except (ImageError, OSError) as error:
            self._note("error", where, reason(error))
            return
        if found == digest.hex:
            self._whole.add(digest)
        else:
            self._note("error", where, "the bytes do not match the digest in the name")

    def _hash(self, digest: Digest) -> str:
        sum_ = hashlib.new(digest.algorithm)
        with self._store.open_blob(digest) as file:
            while chunk := file.read(_CHUNK):
                sum_.update(chunk)
                self._advance(len(chunk))
        return sum_.hexdigest()

    def use(self, descriptor: Descriptor, where: str, *, may_lack: bool = False) -> bool:
        """Notes that ``where`` refers to a blob, and all that is wrong with that; whether the blob can be read."""
        digest = descriptor.digest
        self._reached.add(digest)
        self._embedded(descriptor, where)
        size = self.sizes.get(digest)
        if size is None:
            if not may_lack:
                self._note("error", where, f"refers to {digest}, which is not there")
        elif descriptor.size not in (size, -1):
            self._note("error", where, f"says that {digest} has {descriptor.size} bytes; it has {size}")
        return digest in self._whole

    def _embedded(self, descriptor: Descriptor, where: str) -> None:
        data = descriptor.extra.get("data")
        if not isinstance(data, str):
            return
        try:
            found = hashlib.new(descriptor.digest.algorithm, base64.b64decode(data, validate=True)).hexdigest()
        except ValueError:
            self._note("error", where, f"the data inside the descriptor of {descriptor.digest} is not base64")
            return
        if found != descriptor.digest.hex:
            self._note("error", where, f"the data inside the descriptor of {descriptor.digest} is something else")

    def spare(self, digest: Digest) -> None:
        """Somebody refers to it, whether it is there or not."""
        self._reached.add(digest)

    def read(self, digest: Digest, cap: int) -> bytes:
        """A small blob's bytes. ImageError, also where it has more than ``cap`` bytes."""
        if self.sizes[digest] > cap:
            raise ImageError(f"it has {self.sizes[digest]} bytes; imgasm reads at most {cap}")
        try:
            with self._store.open_blob(digest) as file:
                return file.read(cap)
        except OSError as error:
            raise ImageError(reason(error)) from error

    def unreferenced(self) -> None:
        for digest in sorted(self.sizes.keys() - self._reached):
            self._note("warning", blob_path(digest), f"{self.sizes[digest]} bytes that no image refers to")


def reason(error: ImageError | OSError) -> str:
    return error.message if isinstance(error, ImageError) else f"can't be read: {error.strerror}"
