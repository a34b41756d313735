"""What the same steps and the same files cost as a Dockerfile, of one stage and of two. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report.record_part import RecordPart, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.model.step_usage import StepUsage


class LastStage(RecordPart):
    """The last stage of a Dockerfile of two: ``COPY --from`` of the regular files that the image's layer holds.

    They are the same files, so ``bytes`` are the layer's contents, and ``compressed`` is what this build's own
    compressor made of them. ``removals`` are the layer's whiteouts, which no COPY can say.
    """

    image: str
    bytes: int
    compressed: int
    removals: int = 0


class DockerfileCost(RecordPart):
    """What the same steps cost as a Dockerfile of one stage with one RUN each, where deleting frees nothing.

    ``steps`` is what each RUN layer would hold, uncompressed; ``bytes`` their sum, ``scratch`` the part of it that
    imgasm kept on scratch volumes. ``compressed_estimate`` is that sum at the ratio that this build's own layers were
    compressed with. In ``two_stages`` the steps' layers stay in the builder's cache, and each image gets the files
    that its layer holds. The base is in none of the figures.
    """

    steps: tuple[int, ...]
    bytes: int
    scratch: int
    compressed_estimate: int | None
    two_stages: tuple[LastStage, ...] = ()

    @classmethod
    def of(cls, steps: Sequence[StepUsage], images: Sequence[LastStage]) -> Self | None:
        """None where the engine did not let the steps' bytes be seen."""
        if not steps or any(step.added is None for step in steps):
            return None
        scratch = [step.scratch_added or 0 for step in steps]
        layers = tuple((step.added or 0) + aside for step, aside in zip(steps, scratch, strict=True))
        contents, blobs = sum(image.bytes for image in images), sum(image.compressed for image in images)
        return cls(
            steps=layers,
            bytes=sum(layers),
            scratch=sum(scratch),
            compressed_estimate=sum(layers) * blobs // contents if contents else None,
            two_stages=tuple(images),
        )

    def one_stage(self) -> str:
        """A sentence's end: what an image has to carry."""
        scratch = f", {human(self.scratch)} of it on scratch volumes here" if self.scratch else ""
        guess, compressed = self.compressed_estimate, ""
        if guess is not None:
            compressed = f"; about {human(guess)} compressed (an estimate, at this build's own ratio)"
        layers = counted(len(self.steps), "layer")
        return f"{human(self.bytes)} in {layers}, uncompressed (deleting frees nothing){scratch}{compressed}"

    def last_stages(self) -> Iterator[tuple[str, str]]:
        """For each image its name, and a sentence's end: what it carries, here and with two stages alike."""
        for stage in self.two_stages:
            times = self.bytes / stage.bytes if stage.bytes else 0
            less = f", {times:.1f} times less than one stage" if times >= 1.05 else ""
            gone = f"; COPY can't remove {counted(stage.removals, 'path')}" if stage.removals else ""
            yield printable(stage.image), f"{human(stage.bytes)}, {human(stage.compressed)} compressed{less}{gone}"


HEADING: Final = "As a Dockerfile"
ONE_STAGE: Final = "one stage, one RUN for each step"


def two_stages(cost: DockerfileCost) -> str:
    """What the other way is, and what it does not save."""
    kept = f"the first stage's {human(cost.bytes)} stay in the builder's cache"
    return f"two stages, COPY --from of the same files: no more than here, but {kept}"
