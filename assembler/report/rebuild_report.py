"""What a build gave that was made again: the same, or what differs, which step wrote it, and why perhaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from assembler.model.printable import printable
from assembler.report.record_part import RecordPart, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 10


class FileDifference(RecordPart):
    """``field`` is ``content``, a field of the tar's header, ``entry`` for what only one of the builds has, or
    ``config`` for what is no file. ``offset`` is the first byte that differs, ``former_bytes`` and ``now_bytes`` what
    stands around it, with escapes."""

    path: str
    field: str
    former: str | None = None
    now: str | None = None
    offset: int | None = None
    former_bytes: str | None = None
    now_bytes: str | None = None
    step: str | None = None
    cause: str


class ImageRebuilt(RecordPart):
    """``former`` and ``now`` are manifests' digests."""

    name: str
    former: str
    now: str
    differences: tuple[FileDifference, ...] = ()

    @property
    def is_same(self) -> bool:
        return self.former == self.now


class RebuildReport(RecordPart):
    """``changes`` are inputs that are others than they were, ``as_if`` what was made different on purpose."""

    recipe: str
    as_if: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    images: tuple[ImageRebuilt, ...] = Field(default_factory=tuple)

    @property
    def is_same(self) -> bool:
        return all(image.is_same for image in self.images)


def rebuild_lines(report: RebuildReport) -> Iterator[str]:
    for change in report.changes:
        yield f"not the same inputs: {change}"
    for image in report.images:
        if image.is_same:
            yield f"{image.name}  {image.now}  the same"
            continue
        yield f"{image.name}  {image.former}  is now  {image.now}"
        for one in image.differences[:_SHOWN]:
            yield from _difference(one)
        if more := len(image.differences) - _SHOWN:
            yield from [f"  and {counted(more, 'difference')} more"] if more > 0 else []


def _difference(one: FileDifference) -> Iterator[str]:
    by = f", written by {one.step}" if one.step else ""
    yield f"  {one.path}: {one.field}{by}"
    if one.offset is None:
        yield f"      {printable(one.former or 'not there')}  ->  {printable(one.now or 'not there')}"
    else:
        yield f"      from byte {one.offset} on: {one.former_bytes}"
        yield f"      {'':>{len(f'from byte {one.offset} on')}}  {one.now_bytes}"
    yield f"      likely cause: {one.cause}"
