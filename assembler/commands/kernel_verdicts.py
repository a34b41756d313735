"""Whether kernels would take the modules of images: ``imgasm verify --kernel``, and what every build asks."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.atomic_files import spool
from assembler.errors import ModulesRefused
from assembler.image.image import image_of
from assembler.image.index_entries import called, name_of
from assembler.image.manifests import closure
from assembler.image.strict_json import CONFIG_CAP
from assembler.kernel.file_tree import Directory
from assembler.kernel.image_files import MODULE, ImageFiles, walk
from assembler.kernel.image_modules import ImageModules, modules_of
from assembler.kernel.kernel import Host
from assembler.kernel.open_kernels import open_kernels
from assembler.layer.decompress import decompress
from assembler.model.printable import printable
from assembler.report.build_records import Builds, is_build
from assembler.report.kernel_verdicts import (
    ImageVerdicts,
    KernelReason,
    KernelVerdict,
    ModuleVerdict,
    verdict_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.image.image import Image
    from assembler.image.layout import Layout
    from assembler.kernel.kernel import Kernel
    from assembler.kernel.module import Module
    from assembler.kernel.verdict import Reason, Verdict
    from assembler.places.world import World

_DEPTH = 16
"""Directories between a folder of modules and a module in it."""


@contextmanager
def open_all(whats: Sequence[str], command_line: str | None, directory: Path) -> Iterator[list[Kernel]]:
    """The kernels that ``whats`` name, as long as the context lives; packages take room in ``directory`` meanwhile.

    ``command_line`` is what they are started with, where somebody knows it.
    """
    with ExitStack() as stack:
        found = [kernel for what in whats for kernel in stack.enter_context(open_kernels(what, directory))]
        host = Host.of_command_line(command_line) if command_line is not None else None
        yield found if host is None else [kernel.started_with(host) for kernel in found]


def judge_layout(layout: Layout, name: str | None, kernels: Sequence[Kernel], world: World) -> list[ImageVerdicts]:
    """Verdicts on all images of the layout, or on what it calls ``name``."""
    return [_judge_image(label, image, layout, kernels, world) for label, image in images_of(layout, name)]


def images_of(layout: Layout, name: str | None) -> Iterator[tuple[str, Image]]:
    """Each image of the layout once, or what it calls ``name``, with what people call it."""
    entries = layout.index() if name is None else called(layout.index(), name)
    found = set()
    for entry in entries:
        for document in closure(entry, layout.read):
            digest = str(document.descriptor.digest)
            if document.is_index or document.artifact is not None or digest in found:
                continue
            found.add(digest)
            label = name_of(entry) if document.descriptor.digest == entry.digest else None
            yield printable(label or digest), image_of(document, layout.read(document.config, CONFIG_CAP))


def _judge_image(
    label: str, image: Image, layout: Layout, kernels: Sequence[Kernel], world: World
) -> ImageVerdicts:
    far = [blob for blob, _ in image.layers if not layout.has(blob)]
    if far:
        lacking = f"{len(far)} of {len(image.layers)} layers are not here"
        world.progress.warn(f"{label}: {lacking}: the modules and firmware in them are not known")
    world.cache.mkdir(parents=True, exist_ok=True)
    with spool(world.cache) as sink, world.progress.task(f"modules of {label}"):
        files = ImageFiles(sink)
        for blob, _ in image.layers:
            if blob not in far:
                with layout.open_blob(blob.digest) as packed:
                    files.lay(decompress(packed))
        return verdicts(label, modules_of(files, files.modules()), kernels)


def is_modules(what: str) -> bool:
    """Whether ``what`` is a module's file, or a directory that holds modules and no image."""
    path = Path(what)
    if path.is_file():
        return MODULE.search(path.name.encode()) is not None
    is_image = any((path / part).exists() for part in ("oci-layout", "index.json", "blobs"))
    return path.is_dir() and not is_image and next(modules_below(path), None) is not None


def judge_files(what: str, kernels: Sequence[Kernel]) -> ImageVerdicts:
    """Verdicts on the modules in the directory ``what``, or on that one file."""
    path = Path(what)
    if path.is_file():
        return verdicts(what, modules_of(Directory(path.parent), [path.name.encode()]), kernels)
    return verdicts(what, modules_of(Directory(path), list(modules_below(path))), kernels)


def modules_below(path: Path) -> Iterator[bytes]:
    return (found for found in walk(Directory(path), b"", _DEPTH) if MODULE.search(found))


def verdicts(label: str, modules: ImageModules, kernels: Sequence[Kernel]) -> ImageVerdicts:
    """As a report has them. What is no module is wrong with or without a kernel."""
    damaged = [] if kernels else [damage for module in modules.modules for damage in _damages(module)]
    return ImageVerdicts(
        image=label,
        modules=len(modules.modules),
        beside=(*map(_reason, modules.beside), *damaged),
        kernels=tuple(
            KernelVerdict(
                kernel=printable(kernel.name),
                release=printable(kernel.release),
                origins=dict(kernel.origins),
                modules=tuple(map(_module, modules.judged_by(kernel))),
            )
            for kernel in kernels
        ),
    )


def _damages(module: Module) -> Iterator[KernelReason]:
    for damage in module.damage:
        yield KernelReason(weight="warning", rule=damage.rule, what=f"{module.path} is no kernel module: {damage.what}")


def _module(verdict: Verdict) -> ModuleVerdict:
    return ModuleVerdict(
        module=printable(verdict.module),
        path=verdict.path,
        outcome=verdict.outcome.value,
        reasons=tuple(map(_reason, verdict.reasons)),
        needs=verdict.needs,
    )


def _reason(reason: Reason) -> KernelReason:
    return KernelReason(weight=reason.weight.value, rule=reason.rule, what=printable(reason.what),
                        origins=reason.origins)


def refused_images(layout: Path) -> list[str]:
    """Of a build's layout, what was let through although a kernel would refuse it, as sentences."""
    builds = Builds.load(layout).builds if is_build(layout) else ()
    return [f"image {image.name} was built although a kernel would refuse its modules ({image.verdicts.summary})"
            for record in builds for image in record.images
            if image.verdicts is not None and image.verdicts.is_refused]  # fmt: skip


def refuse_modules(images: Sequence[ImageVerdicts], *, strict: bool = False) -> None:
    """ModulesRefused that lists what kernels say; with ``strict`` also where nobody knows, or warns."""
    weights = ("refused", "unknown", "warning") if strict else ("refused",)
    wrong = [image for image in images if any(image.count(weight) for weight in weights)]
    if wrong:
        count = sum(image.count(weight) for image in wrong for weight in weights)
        raise ModulesRefused(
            f"{', '.join(image.image for image in wrong)}: {count} {'reason' if count == 1 else 'reasons'} against "
            "modules",
            detail="\n".join(line for image in wrong for line in verdict_lines(image)),
            hint="docs/kernels.md says what each reason means. Compile the modules against this kernel's headers, or "
            "name another kernel.",
        )
