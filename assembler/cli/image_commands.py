"""Commands about images: push, load, verify, copy."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assembler.cli import shared_options
from assembler.cli.last_build import last_build
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.push_options import Pushing
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.shared_options import ImageChoice, Printing
from assembler.cli.signing_options import Trusting, read_private_key
from assembler.cli.terminal import Terminal
from assembler.errors import UsageError
from assembler.model.size import human

if TYPE_CHECKING:
    from assembler.commands.push import Pushed
    from assembler.commands.verify import Verified
    from assembler.layer.findings import Finding


@dataclass(frozen=True)
class Copying:
    """What is copied of an image."""

    image: shared_options.ImageName = None
    platform: Annotated[
        str | None,
        typer.Option(metavar="OS/ARCH", help="Copy one image of an index. By default all are copied."),
    ] = None
    copy_base_layers: shared_options.CopyBaseLayers = False


@dataclass(frozen=True)
class Checking:
    """What is checked, how strictly, and the kernels that the image's modules are held against."""

    strict: Annotated[
        bool, typer.Option("--strict", help="Let warnings count as errors, and what nobody knows of a kernel.")
    ] = False
    platform: Annotated[
        str | None,
        typer.Option(metavar="OS/ARCH", help="Check one image of an index in a registry. By default all."),
    ] = None
    kernels: Annotated[
        list[str] | None,
        typer.Option("--kernel", metavar="KERNEL", help="Would this kernel take the image's modules? A .deb or .rpm of "
                     "its headers or of the kernel, a directory with what is in one, a vmlinuz, or running. Can be "
                     "repeated."),
    ] = None  # fmt: skip
    boots: Annotated[
        list[str] | None,
        typer.Option("--boot", metavar="KERNEL", help="Boot this kernel in QEMU, insert the image's modules, and tell "
                     "what it says. A .deb or .rpm of a kernel, a directory with what is in one, a vmlinuz, or "
                     "running. Can be repeated."),
    ] = None  # fmt: skip
    command_line: Annotated[
        str | None,
        typer.Option("--kernel-arguments", metavar="TEXT", help="What these kernels are started with: "
                     "module.sig_enforce=1, lockdown=integrity. By default nobody knows."),
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        if self.command_line is not None and not (self.kernels or self.boots):
            raise UsageError("--kernel-arguments is about the kernels that --kernel and --boot name",
                             hint="Give one of them.")  # fmt: skip


def register(app: typer.Typer) -> None:
    for command in (push, load, verify, copy):
        app.command()(takes_groups(command))


def push(
    *,
    build: ImageChoice,
    destination: Annotated[
        str | None,
        typer.Argument(metavar="DEST", help="A reference. By default the one that the recipe gives each image."),
    ] = None,
    pushing: Pushing,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Push a build's images to a registry. What the registry has already is not sent again.

    Layers of a base that was not pulled are mounted from the base's repository, if that is in the same registry. After
    an interruption, the same command continues where the registry kept what it had.
    """
    from assembler.commands.budget import refuse_over_budget
    from assembler.commands.kernel_verdicts import refused_images
    from assembler.commands.push import Wanted, push
    from assembler.registry.push import PushOptions

    terminal = printing.terminal()
    place = build.place(terminal)
    if not pushing.over_budget and place.directory is not None:
        refuse_over_budget(place.directory)
    for sentence in refused_images(place.directory) if place.directory is not None else ():
        terminal.warn(sentence)
    wanted = Wanted(
        destination, build.image, tuple(pushing.tag or ()), pushing.index,
        pushing.compression and pushing.compression.value, pushing.docker, pushing.copy_base_layers,
        read_private_key(pushing.sign) if pushing.sign else None, pushing.attesting(),
    )  # fmt: skip
    settings = PushOptions(tuple(pushing.mount_from or ()), pushing.piece(), _journal(place.directory))
    pushed = push(place, wanted, connection.world(terminal), settings)
    if printing.as_json:
        emit_json(json.dumps([_as_json(one) for one in pushed], indent=1))
    else:
        emit("\n".join(map(_line, pushed)))


def load(
    *,
    build: ImageChoice,
    engine: shared_options.EngineOption = None,
    copy_base_layers: shared_options.CopyBaseLayers = False,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Load a build's images into the local Docker or podman.

    A registry is asked only with --copy-base-layers.
    """
    from assembler.commands.load import load

    terminal = printing.terminal()
    world = connection.world(terminal)
    place, into = build.place(terminal), world.engine(engine)
    loaded = load(place, build.image, into, world, copy_base_layers=copy_base_layers)
    names = [(str(name), one.identity) for one in loaded for name in one.references or ("",)]
    if printing.as_json:
        emit_json(json.dumps([{"reference": name, "id": identity} for name, identity in names], indent=1))
    else:
        emit("\n".join(name or identity for name, identity in names))


def verify(
    *,
    chosen: ImageChoice,
    checking: Checking,
    trusting: Trusting,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Check an image: every blob's digest, every document against the image-spec, every header of its tars.

    Everything that is wrong is listed, not only the first mistake. Errors end in exit code 8.

    An image that is not in an OCI layout is first copied into a temporary one, in the cache folder. For a registry,
    this proves what it serves, byte for byte. For an archive or engine, it proves the image as imgasm reads it: files
    that do not belong to the image are ignored, uncompressed layers have no digest but their diff_id, and only the
    first fault of a damaged file is reported.

    With --signed-by or --policy it is first asked who signed the image in its registry, and what is not trusted is not
    downloaded. A signature is good for the tag that it names, and for the digest.

    With --kernel the modules in the image are held against kernels: one line for each, loads, refused or unknown, with
    what the kernel would say. With --boot they are inserted into a kernel that runs in QEMU, by the image's own loader
    if it has one, and this is what the kernel did say. A module that a kernel refuses ends in exit code 12. WHAT can
    then be a directory of modules or one module, too.
    """
    from assembler.commands.boot_modules import open_boots, refuse_boots
    from assembler.commands.kernel_verdicts import open_all, refuse_modules
    from assembler.commands.verify import Asked, as_json, refuse, refuse_untrusted, verify_place

    terminal = printing.terminal()
    place = chosen.what or str(last_build(terminal))
    world = connection.world(terminal)
    with (
        open_all(checking.kernels or (), checking.command_line, world.cache) as kernels,
        open_boots(checking.boots or (), checking.command_line, world.cache) as boots,
    ):
        platform = shared_options.platform(checking.platform)
        verified = verify_place(place, chosen.image, platform, world, Asked(kernels, boots, trusting.trusted()))
    findings = [*verified.trust, *verified.findings]
    if printing.as_json:
        told = [as_json(finding) for finding in findings]
        asked = checking.kernels or checking.boots
        emit_json(_kernels_json(told, verified) if asked else json.dumps(told, indent=1))
    refuse_untrusted(place, verified.trust)
    refuse(place, findings, strict=checking.strict)
    refuse_modules(verified.kernels, strict=checking.strict)
    refuse_boots(verified.boots)
    if not printing.as_json:
        _tell(findings, terminal)
        _tell_kernels(verified, terminal)


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Where the image is.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Where to copy it.")],
    copying: Copying,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Copy an image between registries, OCI layouts, archives and engines. Blobs that are copied unchanged keep their
    digests.

    Write both places as for skopeo:

        docker://REFERENCE, or just REFERENCE    an image in a registry

        oci:DIR[:NAME], or DIR                   in an OCI layout, such as a build

        oci-archive:FILE[:NAME], or FILE.tar     in an archive, which Docker, podman, skopeo and containerd load

        docker-archive:FILE[:REFERENCE]          the same with one image; of an index, this machine's

        docker-daemon:NAME                       in the local Docker

        containers-storage:NAME                  in the local podman

    NAME is one image of several, as --image takes it. A path that does not exist yet begins with / or ./ or ../, or
    ends in .tar. Layers that lie uncompressed in an archive or engine are compressed with gzip for a registry or
    layout.
    """
    from assembler.commands.copy import copy
    from assembler.model.place import Place
    from assembler.places.check_place import named_place
    from assembler.places.put import PutOptions

    terminal = printing.terminal()
    wanted = PutOptions(shared_options.platform(copying.platform), copying.copy_base_layers)
    world = connection.world(terminal)
    digest = copy(named_place(source), copying.image, Place.target(target), world, wanted)
    if printing.as_json:
        emit_json(json.dumps({"target": target, "digest": str(digest)}))
    else:
        emit(f"{target}  {digest}")


def _kernels_json(findings: list[dict[str, Any]], verified: Verified) -> str:
    from assembler.report.kernel_verdicts import KernelsReport, VerifyFinding

    told = tuple(VerifyFinding(**finding) for finding in findings)
    report = KernelsReport(findings=told, images=tuple(verified.kernels), boots=tuple(verified.boots))
    return report.model_dump_json(indent=1)


def _tell_kernels(verified: Verified, terminal: Terminal) -> None:
    from assembler.report.kernel_boots import boot_lines
    from assembler.report.kernel_verdicts import verdict_lines

    for image in verified.kernels:
        if not image.modules:
            terminal.warn(f"{image.image} holds no kernel modules")
        emit("\n".join(verdict_lines(image)))
    for booted in verified.boots:
        if not any(kernel.modules for kernel in booted.kernels):
            terminal.warn(f"{booted.image} holds no kernel modules")
        emit("\n".join(boot_lines(booted)))


def _tell(findings: list[Finding], terminal: Terminal) -> None:
    """Warnings are a result; what was not checked goes to standard error."""
    from assembler.commands.verify import line as finding_line

    for finding in findings:
        if finding.severity == "note":
            terminal.say(finding_line(finding))
    emit("\n".join(finding_line(one) for one in findings if one.severity != "note") or "nothing is wrong")


def _journal(layout: Path | None) -> Path | None:
    """Where open uploads are noted. A layout that can't be written to can be pushed nevertheless."""
    return layout / "imgasm-push.jsonl" if layout is not None and os.access(layout, os.W_OK) else None


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
