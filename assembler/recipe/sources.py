"""Where a [[source]] comes from and where it is mounted, when the recipe leaves that out."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from assembler.model.secrets import NO_SECRETS, Secrets
from assembler.recipe.document import SourceTable

MOUNTS = "/imgasm/sources"


def source_name(source: SourceTable, secrets: Secrets = NO_SECRETS) -> str:
    """It is in the container's arguments, so what is secret in the URL is not in it."""
    last = PurePosixPath(unquote(urlsplit(secrets.mask(source.url)).path)).name
    return source.name or (last if last not in ("", "..") else "source")


def mount_path(source: SourceTable, secrets: Secrets = NO_SECRETS) -> str:
    return source.path or f"{MOUNTS}/{source_name(source, secrets)}"


def local_path(url: str) -> Path | None:
    """The path of an absolute file: URL."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def absolute_url(url: str, folder: Path) -> str:
    """``url`` as it is, or the file: URL of a path, which is relative to the recipe's ``folder``."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return url
    return (folder / (unquote(parts.path) if parts.scheme else url)).resolve().as_uri()
