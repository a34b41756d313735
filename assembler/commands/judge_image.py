"""The kernels' verdicts on an image that is being built: before its layer is written, and so before anybody has it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.changeset.tree import EmptyTree
from assembler.changeset.unpulled_tree import UnpulledTree
from assembler.commands.captured_files import CapturedFiles, WithLayer
from assembler.commands.kernel_verdicts import verdicts
from assembler.errors import ModulesRefused, RecipeError
from assembler.kernel.check_image import LIBRARY
from assembler.kernel.image_files import MODULE, walk
from assembler.kernel.image_modules import modules_of
from assembler.kernel.kernel_headers import evidence_files, find_headers, read_headers
from assembler.kernel.module_signature import MARK
from assembler.kernel.open_kernels import by_release, header_witnesses, open_kernels
from assembler.kernel.symbols import module_name
from assembler.kernel.verdict import few
from assembler.model.node import shown
from assembler.report.kernel_verdicts import KernelReason, refusal_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.changeset.capture import Capture, Result
    from assembler.changeset.tree import Tree
    from assembler.kernel.file_tree import FileTree
    from assembler.kernel.image_modules import ImageModules
    from assembler.kernel.kernel import Kernel
    from assembler.places.world import World
    from assembler.progress import Progress
    from assembler.recipe.images import Image
    from assembler.report.kernel_verdicts import ImageVerdicts

_BELOW: Final = (b"lib/modules", b"usr/lib/modules", b"opt")
"""Where an image below may have modules."""
_DEPTH: Final = 8
_CONTAINER: Final = "the container"


def judge_image(
    image: Image, capture: Capture, onto: Tree | None, result: Result, world: World
) -> ImageVerdicts | None:
    """What kernels say to the modules that ``image`` will have; None where its new layer has nothing to do with any.

    The kernels are those that the recipe names for the image, else those whose headers are in the container.
    """
    entries = result.changeset.entries
    if not any(MODULE.search(path) or LIBRARY.search(path) for path in entries.sources()):
        return None
    below = CapturedFiles(_known_below(capture, onto))
    files = WithLayer(entries, below)
    own = [entry.path for entry in entries if entry.node is not None and MODULE.search(entry.path)]
    older = [path for top in _BELOW for path in walk(below, top, _DEPTH) if MODULE.search(path)]
    paths = sorted(path for path in {*own, *older} if files.is_file(path))
    below.fetch(path for path in older if path in paths)
    container = CapturedFiles(capture.final)
    container.fetch(evidence_files(container, [one.encode() for one in image.kernels or () if isinstance(one, str)]))
    with ExitStack() as stack:
        kernels = _kernels(image, container, world.cache, stack)
        modules = modules_of(files, paths)
        found = verdicts(image.name, modules, kernels)
    if not found.modules:
        return None
    if image.kernels is None:
        found = _without_obligation(found, {module.release for module in modules.modules})
    more = [*_lost_signatures(modules, paths, capture), *_unread(paths, files)]
    return found.model_copy(update={"beside": (*found.beside, *more)})


def _known_below(capture: Capture, onto: Tree | None) -> Tree:
    """Of a base that was not pulled nothing is read for this."""
    if onto is None:
        return capture.base
    return EmptyTree() if isinstance(onto, UnpulledTree) else onto


def _kernels(image: Image, container: FileTree, cache: Path, stack: ExitStack) -> list[Kernel]:
    """RecipeError for one of which nothing is there."""
    found = by_release(header_witnesses(container, _CONTAINER))
    if image.kernels is None:
        return found
    kernels: list[Kernel] = []
    for one in image.kernels:
        if isinstance(one, Path):
            kernels += stack.enter_context(open_kernels(str(one), cache))
        elif one.startswith("/"):
            kernels.append(_headers_at(image, one, container))
        else:
            kernels += _of_release(image, one, found)
    return kernels


def _headers_at(image: Image, path: str, container: FileTree) -> Kernel:
    place = container.resolve(path.encode())
    if place is None or place not in find_headers(container, (place,)):
        raise RecipeError(f"image {image.name}: kernels names {path}, and the container has no kernel's headers there",
                          hint="Name a directory with Module.symvers and .config, or let a step install the headers.")
    return read_headers(container, place, path)


def _of_release(image: Image, release: str, found: Sequence[Kernel]) -> list[Kernel]:
    kernels = [kernel for kernel in found if kernel.release == release]
    if not kernels:
        there = ", ".join(kernel.release for kernel in found) or "none"
        raise RecipeError(f"image {image.name}: kernels names {release}, of which the container has no headers",
                          hint=f"Let a step install them; those that are there are of {there}.")
    return kernels


def _without_obligation(found: ImageVerdicts, releases: set[str]) -> ImageVerdicts:
    """Of headers that somebody installed, those count that the modules were compiled for; others show what fits too."""
    if not any(kernel.release in releases for kernel in found.kernels):
        return found
    return found.model_copy(update={"kernels": tuple(
        kernel.model_copy(update={"is_required": kernel.release in releases}) for kernel in found.kernels)})


def _unread(paths: Sequence[bytes], files: FileTree) -> Iterator[KernelReason]:
    """Exports keep only what differs from the base."""
    if unread := [shown(path) for path in paths if files.read(path) is None]:
        what = f"{few(unread)}: these modules of the base were not looked into"
        yield KernelReason(weight="warning", rule="unread", what=what, origins=(_CONTAINER,))


def _lost_signatures(modules: ImageModules, paths: Sequence[bytes], capture: Capture) -> Iterator[KernelReason]:
    """Modules that are signed elsewhere in the container, and not in the image."""
    unsigned = {module.name for module in modules.modules if not module.is_signed}
    files = CapturedFiles(capture.final)
    others = {path: module_name(path.decode("utf-8", "replace")) for path, node in capture.candidates.items()
              if node is not None and path not in paths and MODULE.search(path)}  # fmt: skip
    files.fetch(path for path, name in others.items() if name in unsigned)
    for path, name in others.items():
        data = files.data(path) if name in unsigned else None
        if data is not None and bytes(data[-len(MARK) :]) == MARK:
            what = f"{name} is signed in the container, and has lost its signature in the image: strip takes it away"
            yield KernelReason(weight="warning", rule="signature-lost", what=what, origins=(_CONTAINER,))


def tell(found: ImageVerdicts, progress: Progress, *, may_refuse: bool) -> None:
    """ModulesRefused where a kernel that the image must fit takes a module not, unless that ``may`` be."""
    if found.is_refused:
        lines = "\n".join(refusal_lines(found))
        if not may_refuse:
            raise ModulesRefused(
                f"image {found.image}: a kernel would refuse its modules",
                detail=lines,
                hint="docs/kernels.md says what each reason means. `kernels` in [[image]] names the kernels that the "
                "image is for; --allow-refused-modules builds it nevertheless.",
            )
        progress.warn(f"image {found.image}: a kernel would refuse its modules\n{lines}")
        return
    for reason in found.beside:
        progress.warn(f"image {found.image}: {reason.what}")
    for kernel in found.kernels:
        for verdict in kernel.modules:
            for reason in verdict.reasons:
                if reason.weight == "unknown" and kernel.is_required:
                    progress.warn(f"image {found.image}: {verdict.module} on {kernel.release}: {reason.what}")
    progress.say(f"image {found.image}: {found.summary}")
