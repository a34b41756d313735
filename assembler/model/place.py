"""Where an image is, as people write it. The names are those of skopeo and podman (containers-transports(5)).

    oci:DIRECTORY[:NAME]       an OCI layout, NAME being one image in it
    oci-archive:FILE[:NAME]    an archive, NAME being one image in it (a tag, or whatever it was saved as)
    docker-archive:FILE[:REFERENCE]    the same, as Docker knows it; what is in a file that is there tells both apart
    docker-daemon:REFERENCE    an image that the local Docker has
    containers-storage:REFERENCE    an image that the local podman has
    docker://REFERENCE         an image in a registry

Without such a prefix a directory that is there is a layout, a file that is there an archive, and all else is a
reference in a registry. What begins with ``/``, ``./`` or ``../`` is never a reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from assembler.errors import UsageError
from assembler.model.engines import ENGINES, EngineName
from assembler.model.reference import Reference

_ENGINES: Final = {known.transport: name for name, known in ENGINES.items()}

TRANSPORTS: Final = (
    "docker:", "oci:", "oci-archive:", "docker-archive:", *(f"{transport}:" for transport in _ENGINES)
)  # fmt: skip

KINDS: Final = (
    "Name a build's directory or another OCI layout, an archive, "
    f"{', '.join(f'{transport}:IMAGE' for transport in _ENGINES)}, or a reference in a registry."
)


class Store(StrEnum):
    LAYOUT = "layout"
    ARCHIVE = "archive"
    ENGINE = "engine"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Place:
    """``where`` is a path of a layout or an archive, else a reference or an engine's id of an image.

    ``name`` chooses from a layout or an archive of several images, and is what a target calls its image.
    ``engine`` is set exactly for ``Store.ENGINE``. ``for_docker``: an archive that holds single images.
    """

    store: Store
    where: str
    name: str | None = None
    engine: EngineName | None = None
    for_docker: bool = False

    @classmethod
    def parse(cls, text: str) -> Place:
        """Where an image is. UsageError for a path at which nothing is: it is no question to Docker's registry."""
        place = cls._prefixed(text) or cls._path(text)
        if place is None and not _names_a_registry(text):
            raise UsageError(f"There is nothing at {text}", hint=KINDS if _is_path(text) else _meant(text))
        return place or cls._reference(text)

    @classmethod
    def target(cls, text: str) -> Place:
        """Where an image should go: of paths that are not there yet, what ends in .tar becomes an archive."""
        place = cls._prefixed(text) or cls._path(text)
        if place is None and (_is_path(text) or text.endswith(".tar")):
            return cls(Store.ARCHIVE if text.endswith(".tar") else Store.LAYOUT, text)
        return place or cls._reference(text)

    @classmethod
    def told(cls, where: str | Path) -> Place:
        """As a recipe has it once it is read: a layout's path, or a reference unless its beginning says otherwise."""
        if isinstance(where, Path):
            return cls(Store.LAYOUT, str(where))
        return cls._prefixed(where) or cls(Store.REGISTRY, where)

    @classmethod
    def beside(cls, text: str, folder: Path) -> str | Path:
        """``text``, which a recipe in ``folder`` has, for :meth:`told`: with its path, if it has one, made absolute."""
        transport, colon, rest = text.partition(":")
        if text.startswith(("/", "./", "../")):
            return (folder / text).resolve()
        if colon and transport in ("oci", "oci-archive", "docker-archive"):
            path, name = _split(rest)
            return f"{transport}:{(folder / path).resolve()}" + (f":{name}" if name else "")
        return text

    @classmethod
    def _prefixed(cls, text: str) -> Place | None:
        transport, colon, rest = text.partition(":")
        if transport == "docker" and rest.startswith("//"):
            return cls(Store.REGISTRY, str(Reference.parse(rest[2:])))
        if colon and rest and transport in _ENGINES:
            return cls(Store.ENGINE, rest, engine=_ENGINES[transport])
        if colon and rest and transport in ("oci", "oci-archive", "docker-archive"):
            path, name = _split(rest)
            store = Store.LAYOUT if transport == "oci" else Store.ARCHIVE
            return cls(store, path, name, for_docker=transport == "docker-archive")
        return None

    @classmethod
    def _path(cls, text: str) -> Place | None:
        path = Path(text)
        if path.is_dir():
            return cls(Store.LAYOUT, text)
        return cls(Store.ARCHIVE, text) if path.exists() else None

    @classmethod
    def _reference(cls, text: str) -> Place:
        return cls(Store.REGISTRY, str(Reference.parse(text)))

    @property
    def path(self) -> Path:
        return Path(self.where)

    @property
    def directory(self) -> Path | None:
        """A layout's."""
        return self.path if self.store is Store.LAYOUT else None

    @property
    def reference(self) -> Reference:
        return Reference.parse(self.where)

    def __str__(self) -> str:
        return f"{self.where}:{self.name}" if self.name else self.where


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../"))


def _names_a_registry(text: str) -> bool:
    """``debian:12`` and ``host.example/debian`` can hardly be meant as paths; ``build/debian`` can."""
    host, slash, _ = text.partition("/")
    named = ":" in text or "@" in text or host == "localhost" or (slash == "/" and "." in host)
    return named and not _is_path(text)


def _meant(text: str) -> str:
    build = Path("build", text)
    if build.is_dir():
        return f"The build of that name is in {build}: name that."
    return f"{KINDS} docker://{text} is one in Docker's own."


def _split(text: str) -> tuple[str, str | None]:
    """``PATH:NAME``, unless there is something at a path with a colon in it."""
    path, _, name = text.partition(":")
    return (path, name) if name and not Path(text).exists() else (text, None)
