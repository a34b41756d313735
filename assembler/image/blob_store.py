"""Blobs in files named by their digests (image-spec image-layout.md, "Blobs"). Symbolic links are never followed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from assembler.atomic_files import sync_directory
from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.blob_writer import BlobWriter, blob_path, damaged, no_room
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator


class BlobStore:
    """The directory ``blobs`` below ``root``."""

    is_private = False
    """Whether its files are believed later on, and so must not be files that go to others, too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def new_blob(self, *, hashed: bool = True, algorithm: str = "sha256") -> BlobWriter:
        return BlobWriter(self.root, algorithm, hashed=hashed)

    def put_bytes(self, media_type: str, data: bytes) -> Descriptor:
        descriptor = Descriptor.of(media_type, data)
        if not self.has(descriptor):
            with self.new_blob() as blob:
                blob.write(data)
                blob.commit(descriptor.digest)
        return descriptor

    def path(self, digest: Digest) -> Path:
        return self.root / blob_path(digest)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob of this digest and size is there. Its bytes are not hashed; ``verify`` does."""
        try:
            status = self.path(descriptor.digest).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == descriptor.size

    def open_blob(self, digest: Digest) -> BinaryIO:
        try:
            return self._open(Path(blob_path(digest)))
        except FileNotFoundError:
            raise ImageError(f"the layout {self.root} has no blob {digest}",
                             hint="The layout is not complete; copy or build it again.") from None

    def read(self, descriptor: Descriptor, cap: int = strict_json.MANIFEST_CAP) -> bytes:
        """A small blob's bytes, checked against the descriptor. ``cap`` in bytes."""
        if descriptor.size > cap:
            raise ImageError(f"{descriptor.digest} is {descriptor.size} bytes; at most {cap} are read",
                             hint="Check where the image comes from.")
        with self.open_blob(descriptor.digest) as file:
            data = file.read(descriptor.size + 1)
        check_bytes(descriptor, data)
        return data

    def blobs(self) -> Iterator[Digest]:
        """Every blob's digest, sorted; other files are passed over, and so are directories behind symbolic links."""
        found = []
        for directory in real_files(self.root / "blobs"):
            for path in real_files(directory):
                with contextlib.suppress(ImageError):
                    found.append(Digest.parse(f"{directory.name}:{path.name}"))
        return iter(sorted(found))

    def adopt(self, other: BlobStore, descriptor: Descriptor) -> None:
        """Takes a blob over from ``other``: as a hard link where that is possible and nobody gets the means to change
        what is somebody else's, else as a checked copy."""
        if self.has(descriptor):
            return
        if not other.has(descriptor):
            raise ImageError(f"the layout {other.root} has no whole blob {descriptor.digest}",
                             hint="Copy or build that layout again.")
        target = self.path(descriptor.digest)
        target.parent.mkdir(exist_ok=True)
        if self.is_private or other.is_private or not _is_own(other.path(descriptor.digest)):
            self._copy(other, descriptor)
            return
        try:
            os.link(other.path(descriptor.digest), target, follow_symlinks=False)
        except FileExistsError:
            # A damaged one of the wrong size: the copy takes its place.
            self._copy(other, descriptor)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise no_room(error, self.root) from error
            self._copy(other, descriptor)
        else:
            sync_directory(target.parent)

    def _copy(self, other: BlobStore, descriptor: Descriptor) -> None:
        """The copy shares the disk's blocks where the file system can do that; what it holds is hashed in any case."""
        with other.open_blob(descriptor.digest) as source, self.new_blob(hashed=False) as blob:
            blob.take(source)
            with blob.reread() as written:
                found = Digest.of_file(written, descriptor.digest.algorithm)
            if found != descriptor.digest:
                raise damaged(descriptor.digest, found)
            blob.commit(descriptor.digest)

    def is_file(self, name: str) -> bool:
        try:
            return stat.S_ISREG((self.root / name).lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _open(self, name: Path) -> BinaryIO:
        try:
            descriptor = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ImageError(f"{self.root / name} can't be read: {error.strerror}",
                             hint="Symbolic links inside a layout are not followed.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ImageError(f"{self.root / name} is not a regular file", hint="Copy or build the layout again.")
        return open(descriptor, "rb")

    def read_file(self, name: str, cap: int) -> bytes:
        with self._open(Path(name)) as file:
            data = file.read(cap + 1)
        if len(data) > cap:
            raise ImageError(f"{self.root / name} is larger than {cap} bytes",
                             hint="Check where the layout comes from.")
        return data


def _is_own(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def real_files(directory: Path) -> list[Path]:
    """What is in a directory, sorted; nothing when it is a file, a symbolic link, or not there."""
    return sorted(directory.iterdir()) if directory.is_dir() and not directory.is_symlink() else []


def check_bytes(descriptor: Descriptor, data: bytes) -> None:
    """ImageError unless ``data`` is what ``descriptor`` points to."""
    digest = descriptor.digest
    if len(data) != descriptor.size or hashlib.new(digest.algorithm, data).hexdigest() != digest.hex:
        raise ImageError(f"the blob {digest} does not match its digest",
                         hint="It was damaged or changed; get the image again.")
