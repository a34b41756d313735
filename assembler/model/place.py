"""Where an image is, as people write it. The names are those of skopeo and podman (containers-transports(5)).

    oci:DIRECTORY[:NAME]       an OCI layout, NAME being one image in it
    oci-archive:FILE           an archive in either form; both are told apart by what is in them
    docker-archive:FILE
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
from typing import Final, Literal

from assembler.errors import UsageError
from assembler.model.reference import Reference

EngineName = Literal["docker", "podman"]

_ENGINES: Final[dict[str, EngineName]] = {"docker-daemon": "docker", "containers-storage": "podman"}


class Store(StrEnum):
    LAYOUT = "layout"
    ARCHIVE = "archive"
    ENGINE = "engine"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Place:
    """``where`` is a path of a layout or an archive, else a reference or an engine's id of an image.

    ``name`` chooses from a layout of several images. ``engine`` is set exactly for ``Store.ENGINE``.
    """

    store: Store
    where: str
    name: str | None = None
    engine: EngineName | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Where an image is."""
        return cls._prefixed(text) or cls._bare(text)

    @classmethod
    def target(cls, text: str) -> Place:
        """Where an image shall go: of paths that are not there yet, what ends in .tar becomes an archive."""
        is_path = text.startswith(("/", "./", "../"))
        prefixed = cls._prefixed(text)
        if prefixed is not None or (not is_path and not text.endswith(".tar")) or Path(text).exists():
            return prefixed or cls._bare(text)
        return cls(Store.ARCHIVE if text.endswith(".tar") else Store.LAYOUT, text)

    @classmethod
    def _prefixed(cls, text: str) -> Place | None:
        transport, colon, rest = text.partition(":")
        if transport == "docker" and rest.startswith("//"):
            return cls(Store.REGISTRY, str(Reference.parse(rest[2:])))
        if colon and rest and transport in _ENGINES:
            return cls(Store.ENGINE, rest, engine=_ENGINES[transport])
        if colon and rest and transport in ("oci-archive", "docker-archive"):
            return cls(Store.ARCHIVE, rest)
        if colon and rest and transport == "oci":
            return cls._layout(rest)
        return None

    @classmethod
    def _layout(cls, text: str) -> Place:
        path, _, name = text.partition(":")
        return cls(Store.LAYOUT, text) if not name or Path(text).is_dir() else cls(Store.LAYOUT, path, name)

    @classmethod
    def _bare(cls, text: str) -> Place:
        path = Path(text)
        if path.is_dir():
            return cls(Store.LAYOUT, text)
        if path.exists():
            return cls(Store.ARCHIVE, text)
        if text.startswith(("/", "./", "../")):
            raise UsageError(f"There is nothing at {text}",
                             hint="Name a layout's directory, an archive, docker-daemon:IMAGE or a reference.")
        return cls(Store.REGISTRY, str(Reference.parse(text)))

    @property
    def path(self) -> Path:
        return Path(self.where)

    @property
    def reference(self) -> Reference:
        return Reference.parse(self.where)

    def __str__(self) -> str:
        return f"{self.where}:{self.name}" if self.name else self.where
