"""Commands about images that were built: push, load, verify."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from assembler.cli import connection, options, surroundings
from assembler.cli.show import emit
from assembler.cli.terminal import Terminal
from assembler.commands.budget import refuse_over_budget
from assembler.commands.copy import Copier
from assembler.commands.load import load_layout
from assembler.commands.push import Pushed, Wanted, push_layout
from assembler.commands.registries import Registries
from assembler.commands.verify import WHAT, Verifier, refuse
from assembler.commands.verify import as_json as finding_json
from assembler.commands.verify import line as finding_line
from assembler.engine.client import Engine
from assembler.engine.connect import connect
from assembler.errors import UsageError
from assembler.layer.findings import Finding
from assembler.model.place import EngineName
from assembler.model.platform import Platform
from assembler.model.size import human, parse_size
from assembler.registry.push import PushOptions

_Name = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--image", metavar="NAME", help="One image of the layout, by its reference, tag or digest."),
]


def register(app: typer.Typer) -> None:
    app.command()(push)
    app.command()(load)
    app.command()(verify)


def push(
    what: options.What = None,
    destination: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[DEST]", help="A reference. By default the one that the recipe gives each image."),
    ] = None,
    name: _Name = None,
    mount_from: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="REPOSITORY", help="A repository of the same registry that may have blobs to mount."),
    ] = None,
    tag: options.Tags = None,
    index: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="REFERENCE", help="Push all images into one repository, an index over them under this."),
    ] = None,
    compression: Annotated[
        Optional[options.CodecName],  # noqa: UP045
        typer.Option(help="Convert the layers that are here on the way. The layout stays what it is."),
    ] = None,
    docker: Annotated[
        bool, typer.Option("--docker", help="Push Docker's own manifest (v2, schema 2) with gzip layers.")
    ] = False,
    copy_base_layers: options.CopyBaseLayers = False,
    over_budget: options.OverBudget = False,
    chunk_size: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SIZE", help="Send blobs in pieces of this size (16MB); by default each in one."),
    ] = None,
    plain_http: connection.PlainHttp = None,
    authfile: connection.AuthFile = None,
    ca_file: connection.CaFile = None,
    cert: connection.Cert = None,
    key: connection.Key = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put a build's images into a registry. What the registry has already is not sent again.

    Layers of a base that was not pulled are mounted from the base's repository, where it is in the same registry.
    After an interruption, the same command goes on where the registry kept what it had.
    """
    terminal = Terminal(quiet=quiet)
    place = _place(what)
    if not over_budget:
        refuse_over_budget(place)
    wanted = Wanted(
        destination, name, tuple(tag or ()), index, compression and compression.value, docker, copy_base_layers
    )
    registries = Registries(
        connection.credentials(authfile), connection.settings(plain_http, ca_file, cert, key), terminal.warn
    )
    settings = PushOptions(tuple(mount_from or ()), _size("--chunk-size", chunk_size), _journal(place))
    pushed = push_layout(place, wanted, registries, terminal, settings, surroundings.cache_folder())
    emit(json.dumps([_as_json(one) for one in pushed], indent=1) if as_json else "\n".join(map(_line, pushed)))


def load(
    what: options.What = None,
    name: _Name = None,
    engine: options.EngineOption = None,
    copy_base_layers: options.CopyBaseLayers = False,
    as_json: options.Json = False,
) -> None:
    """Load a build's images into the local Docker or podman."""
    terminal = Terminal()
    loaded = load_layout(
        _place(what), name, options.engine(engine), options.registries(terminal), terminal,
        surroundings.cache_folder(), copy_base_layers=copy_base_layers,
    )  # fmt: skip
    if as_json:
        emit(json.dumps([{"reference": str(one.reference or ""), "id": one.identity} for one in loaded], indent=1))
    else:
        emit("\n".join(str(one.reference or one.identity) for one in loaded))


def verify(
    what: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[WHAT]", help=f"{WHAT[0].upper()}{WHAT[1:]}. The last build by default."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    platform: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="OS/ARCH", help="One image of an index in a registry. By default all of them."),
    ] = None,
    plain_http: connection.PlainHttp = None,
    authfile: connection.AuthFile = None,
    ca_file: connection.CaFile = None,
    cert: connection.Cert = None,
    key: connection.Key = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check an image: every blob's digest, every document against the image-spec, every header of its tars.

    All that is wrong is listed, not only the first of it, and errors end in exit code 8.

    What is in no OCI layout is first copied into one, in the cache folder and for as long as this takes. Of a registry
    that proves what it serves, byte for byte. Of an archive or engine it proves the image as imgasm reads it: what does
    not belong to an image is passed over, layers that lie there uncompressed have no digest but their diff_id, and a
    file that is damaged is told of by the first thing in it that can't be read.
    """
    terminal = Terminal(quiet=quiet)
    registries = Registries(
        connection.credentials(authfile), connection.settings(plain_http, ca_file, cert, key), terminal.warn
    )
    copier = Copier(
        registries, _engine, surroundings.cache_folder(), terminal, PushOptions(), surroundings.platform(),
        Platform.parse(platform) if platform else None,
    )  # fmt: skip
    place = what or str(_place(None))
    findings = Verifier(copier).verify(place)
    if as_json:
        emit(json.dumps([finding_json(finding) for finding in findings], indent=1))
    refuse(place, findings, strict=strict)
    if not as_json:
        _tell(findings, terminal)


def _tell(findings: list[Finding], terminal: Terminal) -> None:
    """Warnings are a result; what was not looked at is said beside it."""
    for finding in findings:
        if finding.severity == "note":
            terminal.say(finding_line(finding))
    emit("\n".join(finding_line(one) for one in findings if one.severity != "note") or "nothing is wrong")


def _engine(name: EngineName) -> Engine:
    return connect(name, surroundings.engine_options(name))


def _place(what: Path | None) -> Path:
    place = what or surroundings.last_build()
    if place is None:
        raise UsageError("There is no last build.", hint="Run imgasm build RECIPE first, or name a build's directory.")
    return place


def _journal(layout: Path) -> Path | None:
    """Where open uploads are noted. A layout that can't be written to can be pushed nevertheless."""
    return layout / "imgasm-push.jsonl" if os.access(layout, os.W_OK) else None


def _size(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if size < 1:
        raise UsageError(f"{option}: a piece must have at least one byte")
    return size


def _line(pushed: Pushed) -> str:
    report = pushed.report
    here = f", {human(report.kept)} went on where it broke off" if report.kept else ""
    return f"{pushed.reference.name}@{report.digest}  {human(report.sent)} sent{here}"


def _as_json(pushed: Pushed) -> dict[str, object]:
    report = pushed.report
    return {
        "reference": str(pushed.reference),
        "digest": str(report.digest),
        "sent": report.sent,
        "resumed": report.kept,
        "blobs": {str(blob.descriptor.digest): blob.way.value for blob in report.blobs},
    }
