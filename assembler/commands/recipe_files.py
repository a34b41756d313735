"""The recipe's own files on their way into a container, or into a layer where no container is made."""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from assembler.errors import RecipeError
from assembler.layer.entry import Entry
from assembler.layer.tar_header import END, header, padding
from assembler.model.node import Kind, Node
from assembler.recipe.files import File, Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import PurePosixPath

    from assembler.engine.session import Session

_CHUNK = 1 << 20

Added = tuple[Entry, File | None]
"""A member of a tar, and where its content is."""


class UserIds:
    """Users and groups by number. ``read`` gives /etc/passwd and /etc/group of the base, where there is a name."""

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read

    def ids(self, owner: str | None) -> tuple[int, int]:
        """User and group of ``user[:group]``; None is root. Without a group it is the user's number, as in a
        Dockerfile's --chown. RecipeError for a name that the base does not have."""
        user, _, group = (owner or "0").partition(":")
        uid = self._number(user, "user", "/etc/passwd")
        return uid, self._number(group, "group", "/etc/group") if group else uid

    def _number(self, name: str, kind: str, file: str) -> int:
        if name.isdecimal():
            return int(name)
        for line in self._read(file).splitlines():
            fields = line.split(":")
            if fields[0] == name and len(fields) > 2 and fields[2].isdecimal():
                return int(fields[2])
        raise RecipeError(f"a [[file]] belongs to the {kind} {name!r}, which the base does not have",
                          hint="Steps that add users run later: give the owner by number, or let a step chown.")


def write_files(session: Session, files: Sequence[File | Folder]) -> None:
    """Writes them into the running container, one after the other."""
    owners = UserIds(session.read_text)
    for file in files:
        uid, gid = owners.ids(file.owner)
        if isinstance(file, File):
            with opened(file) as stream:
                session.write_file(file.path, stream, file.mode, f"{uid}:{gid}")
        else:
            with tempfile.TemporaryFile() as tar:
                write_tar(members(replace(file, directories=()), (uid, gid)), tar)
                tar.seek(0)
                links = [link.path for link in file.links]
                session.write_folder(file.directories, tar, links, f"{uid}:{gid}")


def members(file: File | Folder, owner: tuple[int, int]) -> Iterator[Added]:
    """What becomes of ``file`` in a tar; directories come first."""
    uid, gid = owner
    folder = file if isinstance(file, Folder) else Folder(file.path, (), (file,), ())
    for directory in folder.directories:
        yield Entry(_relative(directory), Node(Kind.DIRECTORY, 0o755, uid, gid)), None
    for one in folder.files:
        yield Entry(_relative(one.path), Node(Kind.REGULAR, one.mode, uid, gid, size=one.size)), one
    for link in folder.links:
        yield Entry(_relative(link.path), Node(Kind.SYMLINK, 0o777, uid, gid, target=os.fsencode(link.target))), None


def write_tar(added: Iterable[Added], sink: BinaryIO) -> None:
    for entry, file in added:
        sink.write(header(entry))
        if file is not None:
            with opened(file) as stream:
                written = sum(sink.write(chunk) for chunk in iter(lambda: stream.read(_CHUNK), b""))
            if entry.node is None or written != entry.node.size:
                raise RecipeError(f"{file.content!s} was written to while it was read",
                                  hint="Build again when it is finished.")
            sink.write(bytes(padding(written)))
    sink.write(END)


@contextmanager
def opened(file: File) -> Iterator[BinaryIO]:
    if isinstance(file.content, bytes):
        yield io.BytesIO(file.content)
        return
    try:
        with file.content.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise RecipeError(f"{file.content} was removed after the recipe was read",
                          hint="Don't change the recipe's folder during a build.") from error


def _relative(path: PurePosixPath) -> bytes:
    return os.fsencode(path).strip(b"/")
