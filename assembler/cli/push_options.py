"""What push takes: what goes into the registry, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from assembler.cli import budget_options, shared_options
from assembler.cli.signing_options import SignOption
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.commands.attestations import Attesting


@dataclass(frozen=True)
class Pushing:
    """What goes into the registry, and how."""

    mount_from: Annotated[
        list[str] | None,
        typer.Option(metavar="REPOSITORY", help="A repository of the same registry that may have blobs to mount."),
    ] = None
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG",
                     help="Another tag for the image, beside the one in its reference. Can be repeated."),
    ] = None  # fmt: skip
    index: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="Push all images into one repository, with an index of this name."),
    ] = None
    compression: Annotated[
        shared_options.CodecName | None,
        typer.Option(help="Convert local layers while pushing. The layout is not changed."),
    ] = None
    docker: Annotated[
        bool, typer.Option("--docker", help="Push Docker's own manifest (v2, schema 2) with gzip layers.")
    ] = False
    copy_base_layers: shared_options.CopyBaseLayers = False
    sign: SignOption = None
    provenance: Annotated[
        str | None,
        typer.Option(metavar="BUILDER", help="Attest how the images were built, as a build's directory tells it (SLSA "
                     "provenance v1). BUILDER is the URI of who built them. --sign signs it."),
    ] = None  # fmt: skip
    sbom: Annotated[
        shared_options.BillFormat | None,
        typer.Option("--sbom", help="Attest what is in the images' new layers, as imgasm sbom tells it. --sign signs "
                     "it."),
    ] = None  # fmt: skip
    attest_in_index: Annotated[
        bool,
        typer.Option("--attest-in-index", help="Put what is attested into the index of --index as well, unsigned and "
                     "in BuildKit's form, which `docker buildx imagetools inspect` shows."),
    ] = False  # fmt: skip
    over_budget: Annotated[
        bool, typer.Option("--over-budget", help="Push even if the build is over a budget.")
    ] = False
    chunk_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Send blobs in chunks of this size (16MB). By default each is sent whole."),
    ] = None

    def __post_init__(self) -> None:
        attested = self.provenance is not None or self.sbom is not None
        if attested and not (self.sign or self.attest_in_index):
            raise UsageError("what is attested is signed", hint="Give the key with --sign.")
        if self.provenance is not None and not urlsplit(self.provenance).scheme:
            raise UsageError(f"--provenance {self.provenance} is no URI",
                             hint="https://ci.example.com/runner is one.")
        if self.attest_in_index and not (attested and self.index):
            raise UsageError("--attest-in-index puts into an index what is attested",
                             hint="Give --index, and --provenance or --sbom.")

    def attesting(self) -> Attesting:
        from assembler.commands.attestations import Attesting

        return Attesting(self.provenance, None if self.sbom is None else self.sbom.value, self.attest_in_index)

    def piece(self) -> int | None:
        size = budget_options.parse("--chunk-size", self.chunk_size)
        if size is not None and size < 1:
            raise UsageError("--chunk-size must be at least one byte")
        return size
