"""[[source]]: inputs that are fetched once, checked, and mounted read-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field

from assembler.model.secrets import NO_SECRETS, Secrets, without_userinfo
from assembler.recipe.problems import Problems, Standing
from assembler.recipe.rows import Row
from assembler.recipe.table import MAY_BE_SECRET, Given, Table
from assembler.recipe.values import ContainerPath, FileName, Sha256, SourceUrl

MOUNTS = "/imgasm/sources"


class SourceTable(Table):
    """An input that is fetched once, checked, and mounted read-only: no layer ever holds it."""

    url: Annotated[SourceUrl, MAY_BE_SECRET] = Field(
        description="An http, https or file URL, or a path relative to the recipe.")
    name: FileName | None = Field(default=None, description="By default the last part of the URL.")
    path: ContainerPath | None = Field(
        default=None, description="Where it is mounted; by default /imgasm/sources/<name>.")
    sha256: Sha256 | None = Field(
        default=None, description="64 hex digits. Without them the lock file beside the recipe pins.")


@dataclass(frozen=True, slots=True)
class Source:
    """``path`` is where it is mounted. ``sha256`` is 64 hex digits.

    ``declared`` is the URL or relative path as the recipe has it, variables replaced and secrets hidden: what the lock
    file calls it on every machine. ``url`` is always absolute, and may hold secrets.
    """

    name: str
    declared: str
    url: str = field(repr=False)
    path: PurePosixPath
    sha256: str | None = None


def check(tables: Sequence[SourceTable], problems: Problems) -> None:
    names = (source_name(source, problems.secrets) for source in tables)
    problems.unique((("source", number, "name"), name) for number, name in enumerate(names))


def places(tables: Sequence[SourceTable], secrets: Secrets) -> Iterator[Standing]:
    """Where they are mounted. A place that follows from the name is told as the name's fault, once."""
    for number, source in enumerate(tables):
        yield ("source", number, "path" if source.path else "name"), mount_path(source, secrets)


def resolve(table: SourceTable, number: int, given: Given, problems: Problems) -> Source:
    """What [[source]] ``number`` is."""
    url = absolute_url(table.url, given.folder)
    if (path := _local_path(url)) is not None and path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "no file"
        problems.add(("source", number, "url"), f'"{table.url}" is {what}, and a source is one file: pack it, '
                     "or let a [[file]] copy it into the container")  # fmt: skip
    declared = given.secrets.mask(without_userinfo(table.url))
    return table.into(
        Source,
        name=source_name(table, given.secrets),
        declared=declared,
        url=url,
        path=PurePosixPath(mount_path(table, given.secrets)),
        sha256=table.sha256 or given.locked.get(declared),
    )


def source_name(source: SourceTable, secrets: Secrets = NO_SECRETS) -> str:
    """It is in the container's arguments, so what is secret in the URL is not in it."""
    last = PurePosixPath(unquote(urlsplit(secrets.mask(source.url)).path)).name
    return source.name or (last if last not in ("", "..") else "source")


def mount_path(source: SourceTable, secrets: Secrets = NO_SECRETS) -> str:
    return source.path or f"{MOUNTS}/{source_name(source, secrets)}"


def absolute_url(url: str, folder: Path) -> str:
    """``url`` as it is, or the file: URL of a path, which is relative to the recipe's ``folder``."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return url
    return (folder / (unquote(parts.path) if parts.scheme else url)).resolve().as_uri()


def _local_path(url: str) -> Path | None:
    """The path of an absolute file: URL."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def row(source: Source) -> Row:
    pin = f"sha256 {source.sha256}" if source.sha256 else "not pinned yet"
    return str(source.path), f"{source.url} ({pin})"
