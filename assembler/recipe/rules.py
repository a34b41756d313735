"""What the tables of a recipe must be together: every table may be right alone, and the recipe still impossible."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from assembler.recipe.document import Document
from assembler.recipe.positions import Location
from assembler.recipe.problems import Problems
from assembler.recipe.sources import mount_path, source_name
from assembler.recipe.variables import suggestion

_WILDCARDS = frozenset("*?[")
_KERNELS = ("/dev", "/proc", "/sys")


def check(document: Document, presets: Collection[str], problems: Problems) -> None:
    _names_are_unique(document, problems)
    _places_are_unique(document, problems)
    _presets_exist(document, presets, problems)
    _keep_can_match(document, problems)
    _files_can_stay(document, problems)
    _growth_has_a_baseline(document, problems)


def _names_are_unique(document: Document, problems: Problems) -> None:
    sources = enumerate(document.source)
    _unique(((("source", n, "name"), source_name(source, problems.secrets)) for n, source in sources), problems)
    _unique(((("step", n, "name"), step.name) for n, step in enumerate(document.step)), problems)
    _unique(((("image", n, "name"), image.name) for n, image in enumerate(document.image)), problems)
    _unique(((("image", n, "reference"), image.reference) for n, image in enumerate(document.image)), problems)


def _places_are_unique(document: Document, problems: Problems) -> None:
    # A place that follows from the name is told as the name's fault, once.
    sources = ((("source", n, "path" if source.path else "name"), mount_path(source, problems.secrets))
               for n, source in enumerate(document.source))
    files = ((("file", n, "path"), file.path) for n, file in enumerate(document.file))
    _unique((*sources, *files), problems)
    _unique(((("container", "scratch", n), path) for n, path in enumerate(document.container.scratch)), problems)


def _unique(values: Iterable[tuple[Location, str | None]], problems: Problems) -> None:
    seen: dict[str, Location] = {}
    for at, value in values:
        if value is None or seen.setdefault(value, at) == at or problems.is_silent(at):
            continue
        problems.add(at, f'"{value}" is there already: {problems.name(seen[value])}')


def _presets_exist(document: Document, presets: Collection[str], problems: Problems) -> None:
    for number, preset in enumerate(document.prune.presets):
        if preset not in presets:
            problems.add(("prune", "presets", number), f'there is no preset "{preset}"{suggestion(preset, presets)}',
                         hint="`imgasm schema --presets` shows them all, and what they stand for.")


def _keep_can_match(document: Document, problems: Problems) -> None:
    """What is on scratch can never leave the container, so a pattern that only looks there is a misunderstanding."""
    for number, image in enumerate(document.image):
        for position, keep in enumerate(image.keep):
            glob = keep.path
            scratch = next(filter(_literal_part(glob).is_relative_to, document.container.scratch), None)
            if scratch is not None:
                problems.add(
                    ("image", number, "keep", position),
                    f'"{glob}" can match nothing: {scratch} is scratch, and nothing on scratch reaches a layer; '
                    "let a step put what the image needs somewhere else",
                )


def _files_can_stay(document: Document, problems: Problems) -> None:
    """What is below /dev, /proc and /sys is the kernel's and the engine's, and in no layer."""
    for number, file in enumerate(document.file):
        kernels = next(filter(PurePosixPath(file.path).is_relative_to, _KERNELS), None)
        if kernels is not None:
            problems.add(("file", number, "path"), f'"{file.path}" can reach no image: every engine mounts {kernels}')


def _growth_has_a_baseline(document: Document, problems: Problems) -> None:
    for number, image in enumerate(document.image):
        growth = image.budget.growth
        if growth is not None and growth.baseline is None and image.reference is None:
            problems.add(("image", number, "budget", "growth"), "has nothing to compare with: give the image a "
                         "reference, or growth a baseline")  # fmt: skip


def _literal_part(glob: str) -> PurePosixPath:
    """The leading directories of a glob that hold no wildcard."""
    path = PurePosixPath(glob)
    wild = next((n for n, part in enumerate(path.parts) if _WILDCARDS & set(part)), len(path.parts))
    return PurePosixPath(*path.parts[:wild])
