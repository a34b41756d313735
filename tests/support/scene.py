"""A container's writable layer on a real overlay mount: what the mount showed before and after, and both captures.

What the image must be is said without imgasm's help: ``wished`` from what the mount showed, and the reference applier
from the layer's bytes.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.changeset.capture import Capture, of_exports, of_overlay
from assembler.changeset.rules import Rules
from assembler.layer.compress import compressor
from assembler.layer.write import write_layer
from tests.support import applier
from tests.support.exports import export
from tests.support.overlays import OPTIONS, overlay
from tests.support.rootfs import Fact, Facts, groups, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from assembler.layer.entry import Entry

@dataclass(frozen=True)
class Scene:
    """``lowers`` are topmost first."""

    root: Path
    lowers: list[Path]
    upper: Path
    base: Facts
    final: Facts
    base_export: bytes
    final_export: bytes
    xattr_prefix: str = "trusted."

    def fresh(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=name, dir=self.root))

    def overlay(self, mounts: Iterable[bytes] = ()) -> Capture:
        lowers = [os.fsencode(lower) for lower in self.lowers]
        return of_overlay(os.fsencode(self.upper), lowers, mounts, xattr_prefix=self.xattr_prefix)

    @contextmanager
    def exports(self, keep: Sequence[str] = (), mounts: Iterable[bytes] = ()) -> Iterator[Capture]:
        with self.fresh("spool").joinpath("file").open("wb") as spool:
            yield of_exports(lambda: _opened(self.base_export), lambda: _opened(self.final_export), mounts, spool,
                             Rules.of_patterns(keep))

    def made_in_place(self, layer: bytes) -> Facts:
        with overlay(self.fresh("at"), self.lowers, self.fresh("upper"), self.fresh("work")) as root:
            applier.in_place(io.BytesIO(layer), root)
            return look(root)

    def made_isolated(self, layer: bytes) -> Facts:
        upper = self.fresh("layer")
        applier.isolated(io.BytesIO(layer), upper)
        with overlay(self.fresh("at"), [upper, *self.lowers]) as root:
            return look(root)

    def made_from_nothing(self, layer: bytes) -> Facts:
        root = self.fresh("scratch")
        applier.in_place(io.BytesIO(layer), root)
        return look(root)


@contextmanager
def _opened(data: bytes) -> Iterator[io.BytesIO]:
    yield io.BytesIO(data)


@contextmanager
def scene(
    *bases: Callable[[Path], object], container: Callable[[Path], object], options: str = OPTIONS
) -> Iterator[Scene]:
    """``bases`` make one lower directory each, the lowest first, ``container`` the writable one."""
    root = Path(tempfile.mkdtemp(prefix="imgasm-scene-", dir=_fast_directory()))
    try:
        merged, lowers = root / "merged", [root / "bottom"]
        merged.mkdir()
        lowers[0].mkdir(mode=0o755)
        bases[0](lowers[0])
        for number, change in enumerate(bases[1:]):
            with _writable(root, f"lower{number}", lowers, options):
                change(merged)
            lowers.insert(0, root / f"lower{number}")
        with _writable(root, "upper", lowers, options):
            before, before_tar = look(merged), export(merged)
            container(merged)
            after, after_tar = look(merged), export(merged)
        prefix = "user." if "userxattr" in options else "trusted."
        yield Scene(root, lowers, root / "upper", before, after, before_tar, after_tar, prefix)
    finally:
        shutil.rmtree(root)


@contextmanager
def _writable(root: Path, name: str, lowers: Sequence[Path], options: str) -> Iterator[None]:
    (root / name).mkdir()
    (root / f"{name}.work").mkdir()
    with overlay(root / "merged", lowers, root / name, root / f"{name}.work", options):
        yield


def _fast_directory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def layer_of(entries: Iterable[Entry], threads: int = 1, codec: str = "none") -> bytes:
    sink = io.BytesIO()
    write_layer(entries, sink, compressor(codec, threads=threads))
    return sink.getvalue()


def wished(base: Facts, final: Facts, chosen: Callable[[bytes], bool]) -> Facts:
    """What the image shall hold: each path as the container has it if ``chosen`` says so, else as the base has it."""
    result = {path: fact for path in base.keys() | final.keys()
              if (fact := (final if chosen(path) else base).get(path)) is not None}
    for path in [path for path in result if chosen(path)]:
        for above in _above(path):
            if above not in result or not result[above].is_directory:
                result[above] = final[above]
    return {path: fact for path, fact in result.items()
            if all(above in result and result[above].is_directory for above in _above(path))}


def _above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


@dataclass(frozen=True)
class Goal:
    """The tree that a layer must make, and what of it can't be asked for. ``written`` are the paths in the layer."""

    wish: Facts
    base: Facts
    chosen: Callable[[bytes], bool]
    written: frozenset[bytes]

    def missed(self, made: Facts) -> list[object]:
        """Every way in which ``made`` is not the goal."""
        wrong: list[object] = [*sorted(self.wish.keys() ^ made.keys())]
        wrong += [(path, fact.itself, made[path].itself) for path, fact in self.wish.items()
                  if path in made and fact.itself != made[path].itself]
        wrong += [(path, "mtime", self._time(path, fact), made[path].mtime) for path, fact in self.wish.items()
                  if path in made and self._time(path, fact) not in (None, made[path].mtime)]
        return wrong or list(self._links(self.wish) ^ self._links(made))

    def _time(self, path: bytes, fact: Fact) -> int | None:
        """A time alone is no change worth an entry; a directory's changes with its content, by the engine itself."""
        was = self.base.get(path)
        if was is None or was.itself != fact.itself or (path in self.written and not fact.is_directory):
            return fact.mtime
        return None if fact.is_directory else was.mtime

    def _links(self, facts: Facts) -> frozenset[frozenset[bytes]]:
        """Between a name that the container decides about and one that it doesn't, either is right."""
        sides = [{path: fact for path, fact in facts.items() if self.chosen(path) is side} for side in (True, False)]
        return groups(sides[0]) | groups(sides[1])
