"""A folder of OCI layouts that many builds share: one for each base that was made, pulled or read out of an engine.

    KEY/         a layout; it is whole as soon as its index lists the image that it is for
    KEY/making   locked by the build that makes it, or adds the same image in another compression
    KEY/using    locked by every build that reads it, together
    KEY/verified what its blobs were like when they were hashed last
    work-*/      what is being made; see :func:`assembler.locks.work_directory`
    loading      locked by the build that loads a base into an engine

One build makes a base, and the others wait for it. It is made in its layout, where every blob is named by its digest:
a build that is killed leaves blobs which no image lists, and one that makes the base again adds to what others may be
reading. Blobs that are not listed any more are removed by the last build that had the layout open.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, Self

from assembler.errors import ImageError, ImgasmError
from assembler.image import verified_blobs
from assembler.image.annotations import FULL_NAME
from assembler.image.blob_origins import missing
from assembler.image.image import Image, read_image
from assembler.image.layout import Layout
from assembler.locks import attempt, exclusive, lock
from assembler.model.descriptor import Descriptor
from assembler.model.reference import Reference
from assembler.private_folder import MODE, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.progress import Progress

_NAME: Final = "localhost/imgasm/base:made"
_GENERATION: Final = "io.imgasm.generation"
"""Counts how often the image was made: two of them may be the same to the last byte."""

_MAKING: Final = "making"
_USING: Final = "using"
_LOADING: Final = "loading"


class LayoutCache:
    """What it gave is safe from being removed until it is closed: as long as its ``with`` block runs."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self._progress = progress
        self._using: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        while self._using:
            root, descriptor = self._using.popitem()
            os.close(descriptor)
            with contextlib.suppress(OSError, ImgasmError):  # the next one tidies up; no build fails for it
                tidy(root)

    def get(self, key: str, what: str, make: Callable[[Layout], Image], *, refresh: bool) -> tuple[Layout, Image]:
        """The layout called ``key``, and the image that ``make`` writes to it if it is not there, or to ``refresh``.

        One that another build made while this one waited for it is fresh. ``what`` is what messages call it.
        """
        layout = self._open(key)
        before = found = _whole(layout, _NAME)
        if found is None or refresh:
            with self._alone(layout.root / _MAKING, f"making {what}"):
                found = _whole(layout, _NAME)
                if found is None or found == before:
                    found = _named(make(layout).descriptor, found)
                    layout.list_alone(found)
        return layout, read_image(layout, found)

    def also(self, layout: Layout, name: str, what: str, make: Callable[[], Image]) -> Image:
        """Another image called ``name`` in a layout that :meth:`get` gave; ``make`` writes it if nobody has."""
        found = _whole(layout, name)
        if found is None:
            with self._alone(layout.root / _MAKING, f"making {what}"):
                found = _whole(layout, name) or layout.tag(make().descriptor, Reference.parse(name))
        return read_image(layout, found)

    def loading(self, what: str) -> AbstractContextManager[int]:
        """While no other build loads something into an engine."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self._alone(self.folder / _LOADING, f"loading {what} into the engine")

    def _alone(self, path: Path, doing: str) -> AbstractContextManager[int]:
        return exclusive(path, lambda: self._progress.say(f"another build is {doing}; waiting for it"))

    def _open(self, key: str) -> Layout:
        root = self.folder / key
        refuse_foreign(root, "blobs", "blobs/sha256", "index.json", verified_blobs.NAME)
        layout = Layout.create(root, MODE)
        layout.is_private = True
        if root not in self._using:
            self._using[root] = _use(root / _USING)
        return layout


def _use(path: Path) -> int:
    """A cache that only others may write can be read, if they left nothing to be made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    lock(descriptor, path, shared=True)
    return descriptor


def _whole(layout: Layout, name: str) -> Descriptor | None:
    """The image of that name; None until it is made, or when one of its blobs is missing or damaged."""
    found = next((entry for entry in layout.index() if entry.annotations.get(FULL_NAME) == name), None)
    with contextlib.suppress(ImageError):
        if found is not None:
            image = read_image(layout, found)
            verified_blobs.remove_changed(layout, [descriptor for descriptor, _ in image.layers])
            return None if missing(layout, image) else found
    return None


def _named(made: Descriptor, former: Descriptor | None) -> Descriptor:
    generation = int(former.annotations.get(_GENERATION, "0")) + 1 if former is not None else 1
    annotations = {**made.annotations, FULL_NAME: _NAME, _GENERATION: str(generation)}
    return Descriptor(made.media_type, made.digest, made.size, annotations, made.extra)


def tidy(root: Path) -> int:
    """Removes what no image lists, if nobody else makes or reads anything there; returns its bytes."""
    with attempt(root / _MAKING) as alone, attempt(root / _USING) as unused:
        return Layout.open(root).remove_unreferenced() if alone and unused else 0
