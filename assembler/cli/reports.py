"""Commands about sizes: size-report, compare."""

from __future__ import annotations

import platform as machine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from assembler.cli import connection, faces, limits, options, surroundings
from assembler.cli.show import drawn, emit
from assembler.cli.terminal import Terminal
from assembler.commands.baseline import find_baseline
from assembler.commands.budget import check_budgets, raise_if_broken
from assembler.commands.compare import compare_images
from assembler.commands.opening import Opener
from assembler.commands.registries import Registries
from assembler.commands.size_report import size_report as read_report
from assembler.engine.connect import connect
from assembler.errors import UsageError
from assembler.model.place import Place, Store
from assembler.model.platform import Platform
from assembler.report.compare import render_comparison
from assembler.report.layers import LayersReport, as_record
from assembler.report.layers_text import render_layers

if TYPE_CHECKING:
    from assembler.engine.client import Engine
    from assembler.model.budget import Budget
    from assembler.model.place import EngineName
    from assembler.report.record import BuildRecord

_WHAT = (
    "A build's directory, an OCI layout, an archive, a reference in a registry, docker-daemon:IMAGE or "
    "containers-storage:IMAGE"
)
_What = Annotated[
    Optional[str],  # noqa: UP045  Typer reads it at run time
    typer.Argument(metavar="[WHAT]", help=f"{_WHAT}. The last build by default."),
]
_Image = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--image", metavar="NAME", help="One of several images."),
]
_Deep = Annotated[bool, typer.Option("--deep", help="Read an image's layers in a registry too, keeping none of them.")]
_Platform = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--platform", metavar="OS/ARCH", help="Which image of an index.", show_default="this machine's"),
]


def register(app: typer.Typer) -> None:
    app.command("size-report")(size_report)
    app.command()(compare)


def size_report(
    what: _What = None,
    image: _Image = None,
    deep: _Deep = False,
    platform: _Platform = None,
    html: faces.Html = None,
    svg: faces.Svg = None,
    junit: faces.Junit = None,
    markdown: faces.Markdown = False,
    as_json: options.Json = False,
    max_layer: limits.MaxLayer = None,
    max_layer_unpacked: limits.MaxLayerUnpacked = None,
    max_image: limits.MaxImage = None,
    max_image_unpacked: limits.MaxImageUnpacked = None,
    max_peak: limits.MaxPeak = None,
    max_path: limits.MaxPath = None,
    max_growth: limits.MaxGrowth = None,
    growth_floor: limits.GrowthFloor = None,
    baseline: limits.Baseline = None,
    plain_http: connection.PlainHttp = None,
    authfile: connection.AuthFile = None,
    ca_file: connection.CaFile = None,
    cert: connection.Cert = None,
    key: connection.Key = None,
) -> None:
    """Show where the bytes went: of a build per step, prune rule and file; of any other image per layer.

    Of an image in a registry only the manifest is read, unless --deep. Budgets that are broken end in exit code 10.
    """
    terminal = Terminal()
    settings = connection.settings(plain_http, ca_file, cert, key)
    registries = Registries(connection.credentials(authfile), settings, terminal.warn)
    budget = limits.budget(
        max_layer, max_layer_unpacked, max_image, max_image_unpacked, max_peak, max_path,
        limits.growth(max_growth, growth_floor, baseline),
    )  # fmt: skip
    opener = _opener(registries, platform)
    report = read_report(what or _last_build(), image, opener, terminal, deep=deep)
    if isinstance(report, LayersReport) and report.contents is None and budget.needs_contents:
        raise UsageError("Only the manifest was read, which does not tell what the budget limits", hint="Add --deep.")
    record = as_record(report) if isinstance(report, LayersReport) else report
    record = _held_against(record, budget, baseline, registries, opener.platform)
    shown = faces.Faces(as_json, markdown, html, svg, junit)
    if isinstance(report, LayersReport):
        shown.show_as(record, report.model_dump_json, lambda width, color: render_layers(report, width, color))
    else:
        shown.show(record)
    raise_if_broken(record)


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=f"{_WHAT}.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The same.")],
    image: _Image = None,
    deep: _Deep = False,
    platform: _Platform = None,
    as_json: options.Json = False,
    plain_http: connection.PlainHttp = None,
    authfile: connection.AuthFile = None,
    ca_file: connection.CaFile = None,
    cert: connection.Cert = None,
    key: connection.Key = None,
) -> None:
    """Show what grew and what shrank between two builds or images: by path, by step, by package."""
    terminal = Terminal()
    settings = connection.settings(plain_http, ca_file, cert, key)
    registries = Registries(connection.credentials(authfile), settings, terminal.warn)
    comparison = compare_images(before, after, image, _opener(registries, platform), terminal, deep=deep)
    if as_json:
        emit(comparison.model_dump_json(indent=1))
    else:
        emit(drawn(lambda width, color: render_comparison(comparison, width, color)))


def _opener(registries: Registries, platform: str | None) -> Opener:
    wanted = Platform.parse(platform) if platform else Platform.of_machine(machine.machine())
    return Opener(registries, _engine, surroundings.cache_folder() / "archives", wanted)


def _engine(name: EngineName) -> Engine:
    return connect(name, surroundings.engine_options(name))


def _last_build() -> str:
    place = surroundings.last_build()
    if place is None:
        raise UsageError("There is no last build to report on.",
                         hint="Run `imgasm build RECIPE` first, or name a build, an image or an archive.")
    return str(place)


def _held_against(
    record: BuildRecord, budget: Budget, baseline: str | None, registries: Registries, platform: Platform | None
) -> BuildRecord:
    if not budget:
        return record
    found = {}
    for image in record.images if baseline is not None else ():
        known = find_baseline(_where(baseline or ""), image.name, registries, platform)
        if known is None:
            raise UsageError(f"There is nothing at --baseline {baseline}", hint="Is it spelled right?")
        found[image.name] = known
    return check_budgets(record, {image.name: budget for image in record.images}, found)


def _where(baseline: str) -> str | Path:
    place = Place.parse(baseline)
    if place.store not in (Store.LAYOUT, Store.REGISTRY) and Path(baseline).name != "imgasm.json":
        raise UsageError(f"--baseline {baseline}: only a build, a layout or a reference can be one")
    return place.where if place.store is Store.REGISTRY else place.path
