"""What a build did, as it is kept beside the layout's index.json: the one source of every report.

Reports of whatever face read this file and nothing else. ``format`` changes when a reader of the former one would be
wrong; keys may be added without that, and readers ignore what they do not know. Sizes are bytes, times seconds. A step
is named by its position in ``steps``; None stands for what was there before the first step, or can't be known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from assembler.model.inputs import Inputs
from assembler.model.size import human
from assembler.model.step_usage import StepUsage
from assembler.report.dockerfile_cost import DockerfileCost, LastStage
from assembler.report.file_table import FileTable
from assembler.report.hints import Hint
from assembler.report.kernel_verdicts import ImageVerdicts
from assembler.report.package_facts import Package
from assembler.report.record_part import RecordPart

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = 1


class RecipeName(RecordPart):
    name: str
    file: str


class EngineName(RecordPart):
    """``capture`` is how the container's files were read."""

    name: str
    version: str
    storage: str | None = None
    capture: Literal["overlay", "exports"] | None = None


class Tally(RecordPart):
    files: int = 0
    bytes: int = 0


class PruneRule(RecordPart):
    """What one rule kept out of the layer. ``preset`` is the preset that the rule comes from."""

    pattern: str
    preset: str | None = None
    files: int
    bytes: int


class Drop(RecordPart):
    """What a layer can't carry, or the way of reading could not see: a socket, an extended attribute."""

    path: str
    what: str


class Discard(RecordPart):
    """Bytes that one step wrote and a later one deleted or replaced."""

    written_by: int | None
    removed_by: int
    bytes: int


class Heavy(RecordPart):
    """A file or directory among the largest. ``steps``: bytes by the step that wrote them last, largest first."""

    path: str
    bytes: int
    files: int = 1
    steps: tuple[tuple[int | None, int], ...] = ()


class LayerSize(RecordPart):
    """``compressed`` is the blob's size, ``uncompressed`` the tar's, ``content`` the files' in it. What was not read is
    None.

    ``rest`` is what the blob needs for all but files with content: with the shares of these it sums to the blob.
    """

    digest: str
    diff_id: str
    media_type: str
    compressed: int
    uncompressed: int | None
    content: int = 0
    rest: int | None = None


class BaseLayer(RecordPart):
    """``uncompressed`` is the tar's size, None where only the manifest was read."""

    digest: str
    compressed: int
    uncompressed: int | None = None


class ImageReport(RecordPart):
    """One image: its new layer in detail, what it stands on by size. ``kinds`` counts the layer's entries."""

    name: str
    reference: str | None = None
    manifest: str
    base: tuple[BaseLayer, ...] = ()
    layer: LayerSize
    kinds: dict[str, int]
    steps: tuple[tuple[int | None, Tally], ...]
    directories: tuple[Heavy, ...]
    files: tuple[Heavy, ...]
    touched: Tally = Tally()
    """Files that differ from the base only in their times, and were left out."""
    table: FileTable | None = None
    """Every file with content, for the reports that show each."""
    hints: tuple[Hint, ...] = ()
    """What the layer could still do without."""
    verdicts: ImageVerdicts | None = None
    """What kernels say to its modules; None for an image that has none."""

    @property
    def entries(self) -> int:
        return sum(self.kinds.values())

    @property
    def packages(self) -> list[tuple[str, Tally]]:
        """What the packages that own files in the layer have there, the largest first."""
        found: dict[str, Tally] = {}
        for row in self.table.rows() if self.table is not None else ():
            if row.package is not None:
                former = found.get(row.package, Tally())
                found[row.package] = Tally(files=former.files + 1, bytes=former.bytes + row.size)
        return sorted(found.items(), key=lambda item: (-item[1].bytes, item[0]))

    @property
    def compressed(self) -> int:
        """What a registry holds for the image's layers."""
        return self.layer.compressed + sum(layer.compressed for layer in self.base)


class Violation(RecordPart):
    """One broken limit. ``actual`` is None if nobody could measure it; ``culprits`` are lines for people."""

    image: str
    what: str
    limit: int
    actual: int | None = None
    culprits: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        if self.actual is None:
            return f"{self.image}: {self.what} can't be measured here, but has a budget of {human(self.limit)}"
        over = human(self.actual - self.limit)
        return f"{self.image}: {self.what} is {human(self.actual)}, {over} over its budget of {human(self.limit)}"


class CacheSize(RecordPart):
    """What a [[cache]] held when the steps had ended. ``bytes`` is None if nobody could see."""

    name: str
    path: str
    bytes: int | None


class Material(RecordPart):
    """What a build was made of, as its recipe calls it. ``uri`` says where it came from, where that can be said."""

    name: str
    uri: str | None = None
    digest: str


class BuildRecord(RecordPart):
    format: Literal[1] = FORMAT
    kind: Literal["build"] = "build"
    imgasm: str
    libraries: dict[str, str] = Field(default_factory=dict)
    """What compressed the layers, and its version: another may make other bytes of the same tar."""
    recipe: RecipeName
    vars: dict[str, str] = Field(default_factory=dict)
    engine: EngineName | None = None
    packages: tuple[Package, ...] = ()
    """Those that own a file in one of the layers, as the container's database told of them before it was pruned."""
    inputs: Inputs | None = None
    """What all of this came from, as digests."""
    materials: tuple[Material, ...] = ()
    """The recipe, its base, its sources, and what images are stacked on."""
    steps: tuple[StepUsage, ...] = ()
    discarded: tuple[Discard, ...] = ()
    prune: tuple[PruneRule, ...] = ()
    drops: tuple[Drop, ...] = ()
    images: tuple[ImageReport, ...] = ()
    caches: tuple[CacheSize, ...] = ()
    warnings: tuple[str, ...] = ()
    """What was told of the images, for those who meet them later."""
    notes: tuple[str, ...] = ()
    """What could not be known of this build, and why."""
    checked: tuple[str, ...] = ()
    """Images that were held against a budget, ``broken`` is what was over it."""
    broken: tuple[Violation, ...] = ()

    @model_validator(mode="after")
    def _steps_are_there(self) -> Self:
        if any(step is not None and not 0 <= step < len(self.steps) for step in self._named_steps()):
            raise ValueError("a step is named that is not there")
        return self

    def _named_steps(self) -> Iterator[int | None]:
        for discard in self.discarded:
            yield from (discard.written_by, discard.removed_by)
        for image in self.images:
            yield from (step for step, _ in image.steps)
            yield from (step for heavy in (*image.directories, *image.files) for step, _ in heavy.steps)
            yield from image.table.steps if image.table else ()

    def step_name(self, step: int | None) -> str:
        return "before the first step" if step is None else self.steps[step].name

    @computed_field  # type: ignore[prop-decorator]
    @property
    def dockerfile(self) -> DockerfileCost | None:
        """None where the engine did not let the steps' bytes be seen."""
        return DockerfileCost.of(self.steps, [_last_stage(image) for image in self.images])


def _last_stage(image: ImageReport) -> LastStage:
    layer = image.layer
    return LastStage(image=image.name, bytes=layer.content, compressed=layer.compressed,
                     removals=image.kinds.get("whiteout", 0))  # fmt: skip
