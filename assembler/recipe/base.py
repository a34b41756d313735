"""[base]: where the build environment comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from assembler.model.bootstrap import Bootstrap
from assembler.model.place import TRANSPORTS, Place
from assembler.recipe.rows import Row
from assembler.recipe.table import MAY_BE_SECRET, Table
from assembler.recipe.values import ImageReference, Text, fail


class BootstrapTable(Table):
    """A Debian-like base made by mmdebstrap: no image registry needed."""

    suite: Text = Field(description="The release: bookworm, trixie, jammy.")
    packages: list[Text] = Field(default=[], description="Packages beyond those of the variant.")
    components: list[Text] = Field(default=["main"], description="Archive components: main, contrib, non-free.")
    variant: Text = Field(default="minbase", description="mmdebstrap's --variant.")
    architecture: Text | None = Field(
        default=None, description="Debian's name, such as amd64; by default this machine's.")
    mirror: Annotated[Text | None, MAY_BE_SECRET] = Field(
        default=None, description="URL of the package archive, or a line for apt's sources.list; a snapshot's pins the "
        "base. By default mmdebstrap's choice.")


class BaseTable(Table):
    """Where the build environment comes from: exactly one of the four."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    image: ImageReference | None = Field(default=None, description="An image that the engine pulls.")
    bootstrap: BootstrapTable | None = Field(default=None, description="Made here by mmdebstrap.")
    rootfs: Text | None = Field(default=None, description="A root file system as a tarball, relative to the recipe.")
    layout: Text | None = Field(
        default=None, description="An OCI layout, such as a former build, relative to the recipe; oci:DIR:NAME for one "
        "image of several.")

    @model_validator(mode="after")
    def _exactly_one(self) -> BaseTable:
        if len(self.model_fields_set) != 1:
            given = " and ".join(sorted(self.model_fields_set)) or "none of them"
            fail(f"needs exactly one of image, bootstrap, rootfs and layout, but has {given}")
        return self


@dataclass(frozen=True, slots=True)
class Base:
    """Exactly one of the four is set. Paths are absolute.

    ``layout`` is a path, or a text that names one image in it: ``oci:/DIR:NAME``.
    """

    image: str | None = None
    bootstrap: Bootstrap | None = None
    rootfs: Path | None = None
    layout: str | Path | None = None


def resolve(table: BaseTable, folder: Path) -> Base:
    return table.into(
        Base,
        bootstrap=table.bootstrap.into(Bootstrap) if table.bootstrap else None,
        rootfs=(folder / table.rootfs).resolve() if table.rootfs else None,
        layout=_layout(table.layout, folder) if table.layout else None,
    )


def _layout(text: str, folder: Path) -> str | Path:
    return Place.beside(text, folder) if text.startswith(TRANSPORTS) else (folder / text).resolve()


def row(base: Base) -> Row:
    if base.bootstrap:
        return "base", _bootstrap(base.bootstrap)
    kind, value = next((field.name, value) for field in fields(base) if (value := getattr(base, field.name)))
    return "base", f"{kind} {value}"


def _bootstrap(bootstrap: Bootstrap) -> str:
    packages = f" with {' '.join(bootstrap.packages)}" if bootstrap.packages else ""
    origin = f" from {bootstrap.mirror}" if bootstrap.mirror else ""
    machine = f" for {bootstrap.architecture}" if bootstrap.architecture else ""
    return f"{bootstrap.suite} {'/'.join(bootstrap.components)} ({bootstrap.variant}){packages}{machine}{origin}"
