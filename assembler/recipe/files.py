"""[[file]]: files and directories that are in the container before the first step."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from assembler.model.size import human
from assembler.recipe.problems import Problems, Standing
from assembler.recipe.rows import Row
from assembler.recipe.table import Table
from assembler.recipe.values import ContainerPath, Mode, Owner, Text, fail

_FILE, _PROGRAM = 0o644, 0o755
_KERNELS: Final = ("/dev", "/proc", "/sys")


class FileTable(Table):
    """A file, or a directory with all that is in it, that is in the container before the first step."""

    path: ContainerPath = Field(description="Where it goes in the container.")
    content: str | None = Field(default=None, description="Its text.")
    from_: Annotated[Text | None, Field(alias="from")] = Field(
        default=None, description="A file or directory in the recipe's folder to copy. Of a directory all files and "
        "symbolic links are copied, and what the container has there already stays.")
    mode: Mode | None = Field(
        default=None, description='Permission bits of the file, or of every file in the directory, octal: "0755". '
        "By default 0644; of a directory's files, 0755 for those that their owner may execute.")
    owner: Owner | None = Field(
        default=None, description='"user", "user:group", by number or as the base names them; the group is by default '
        "that of the user's number. By default root.")

    @model_validator(mode="after")
    def _one_origin(self) -> FileTable:
        if (self.content is None) == (self.from_ is None):
            fail("needs exactly one of content and from")
        return self


@dataclass(frozen=True, slots=True)
class File:
    """A file that is in the container before the first step; ``mode`` holds permission bits.

    ``content`` is what is in it, or the file on this machine that has it. ``owner`` is ``user[:group]``, None root.
    """

    path: PurePosixPath
    content: bytes | Path
    mode: int = _FILE
    owner: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def to_json(self) -> dict[str, Any]:
        """Its size, not its content."""
        return {"path": str(self.path), "size": self.size, "owner": self.owner, "mode": f"{self.mode:04o}"}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link at ``path`` in the container."""

    path: PurePosixPath
    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory that is copied with all that is in it; all paths are the container's, and absolute.

    ``directories`` begin with ``path`` itself, and come before what is in them.
    """

    path: PurePosixPath
    directories: tuple[PurePosixPath, ...]
    files: tuple[File, ...]
    links: tuple[Link, ...]
    owner: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "size": self.size, "owner": self.owner,
                "files": [file.to_json() for file in self.files], "links": [str(link.path) for link in self.links]}


def check(tables: Sequence[FileTable], problems: Problems) -> None:
    """What is below /dev, /proc and /sys is the kernel's and the engine's, and in no layer."""
    for number, file in enumerate(tables):
        kernels = next(filter(PurePosixPath(file.path).is_relative_to, _KERNELS), None)
        if kernels is not None:
            problems.add(("file", number, "path"), f'"{file.path}" can reach no image: every engine mounts {kernels}')


def places(tables: Sequence[FileTable]) -> Iterator[Standing]:
    return ((("file", number, "path"), file.path) for number, file in enumerate(tables))


def resolve(table: FileTable, number: int, folder: Path, problems: Problems) -> File | Folder:
    """What is in the recipe's ``folder`` under the name that [[file]] ``number`` has."""
    path = PurePosixPath(table.path)
    try:
        if table.from_ is None:
            return File(path, (table.content or "").encode(), table.mode or _FILE, table.owner)
        origin = _beside(folder, table.from_)
        if origin.is_dir():
            return _folder(path, origin, table)
        if origin.exists() and not origin.is_file():
            raise ValueError("it is neither a file nor a directory")
        with origin.open("rb"):  # what can't be read is told now, not when a container runs
            return File(path, origin, table.mode or _FILE, table.owner)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.add(("file", number, "from"), f'"{table.from_}" can\'t be copied: {reason}')
        return File(path, b"")


def _beside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("it is not in the recipe's folder, which must hold all that the recipe needs")
    return path


def _folder(path: PurePosixPath, origin: Path, table: FileTable) -> Folder:
    directories, files, links = [path], [], []
    for entry in _entries(origin):
        at, mode = path / Path(entry.path).relative_to(origin), entry.stat(follow_symlinks=False).st_mode
        if "\n" in entry.name:
            raise ValueError(f"{str(at)!r} has a line end in its name")
        if stat.S_ISDIR(mode):
            directories.append(at)
        elif stat.S_ISLNK(mode):
            links.append(Link(at, os.readlink(entry.path)))
        elif stat.S_ISREG(mode):
            own = _PROGRAM if mode & stat.S_IXUSR else _FILE
            files.append(File(at, Path(entry.path), table.mode or own, table.owner))
        else:
            raise ValueError(f"{at} is neither a file nor a directory nor a symbolic link")
    return Folder(path, tuple(directories), tuple(files), tuple(links), table.owner)


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """All that is below, each directory before what is in it, in the order of names: the same on every machine."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))


def row(file: File | Folder) -> Row:
    owner = f", owner {file.owner}" if file.owner else ""
    if isinstance(file, File):
        return str(file.path), f"{human(file.size)}, mode {file.mode:04o}{owner}"
    count = len(file.files) + len(file.links)
    return f"{file.path}/", f"{count} {'file' if count == 1 else 'files'}, {human(file.size)}{owner}"
