"""A container's writable layer on a real overlay mount: what the mount showed before and after, and both captures.

What the image must be is said without imgasm's help: ``desired`` from what the mount showed, and the reference applier
from the layer's bytes.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.changeset.capture import Capture, of_exports, of_overlay
from assembler.changeset.overlay_tree import UnreadableOverlay
from assembler.changeset.path_rules import Rules
from assembler.engine.overlay_directories import holds_links
from assembler.layer.compress import compressor
from assembler.layer.write_layer import write_layer
from tests.support import applier
from tests.support.both_ways import only_python
from tests.support.exports import export
from tests.support.overlays import OPTIONS, overlay
from tests.support.rootfs import Fact, Facts, groups, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from assembler.layer.entry import Entry

CARRIED = ("security.capability", "security.ima", "system.posix_acl_access", "system.posix_acl_default")


@dataclass(frozen=True)
class Scene:
    """``lowers`` are topmost first, and need the mount ``options``. ``lost`` is what of the container no tar can hold:

    for each path that has such, "socket", "sparse" or names of extended attributes.
    """

    root: Path
    lowers: list[Path]
    upper: Path
    base: Facts
    final: Facts
    base_export: bytes
    final_export: bytes
    xattr_prefix: str = "trusted."
    metacopy: bool = False
    options: str = OPTIONS
    lost: Mapping[bytes, frozenset[str]] = field(default_factory=dict)

    def fresh(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=name, dir=self.root))

    def overlay(self, mounts: Iterable[bytes] = ()) -> Capture:
        """The same in C as in Python."""
        with only_python():
            expected = self._overlay(mounts)
        capture = self._overlay(mounts)
        assert _all_of(capture) == _all_of(expected)
        return capture

    def _overlay(self, mounts: Iterable[bytes]) -> Capture:
        lowers = [os.fsencode(lower) for lower in self.lowers]
        if holds_links(os.fsencode(self.upper) + b".work"):  # as engine.overlay.locate does
            raise UnreadableOverlay("files with several names were changed")
        return of_overlay(os.fsencode(self.upper), lowers, mounts, xattr_prefix=self.xattr_prefix,
                          metacopy=self.metacopy)

    @contextmanager
    def exports(self, keep: Sequence[str] = (), mounts: Iterable[bytes] = ()) -> Iterator[Capture]:
        with self.fresh("spool").joinpath("file").open("wb") as spool:
            yield of_exports(lambda: _opened(self.base_export), {b"": lambda: _opened(self.final_export)}, mounts,
                             spool, Rules.of_patterns(keep))

    def onto(self, *lowers: Path) -> Scene:
        """The same container, whose layers are applied to something else."""
        return replace(self, lowers=list(lowers), options=OPTIONS)

    def made_in_place(self, layer: bytes) -> Facts:
        with overlay(self.fresh("at"), self.lowers, self.fresh("upper"), self.fresh("work"), self.options) as root:
            applier.in_place(io.BytesIO(layer), root)
            return facts(root)

    def made_isolated(self, layer: bytes) -> Facts:
        upper = self.fresh("layer")
        applier.isolated(io.BytesIO(layer), upper)
        with overlay(self.fresh("at"), [upper, *self.lowers], options=self.options) as root:
            return facts(root)

    def made_from_nothing(self, layer: bytes) -> Facts:
        root = self.fresh("scratch")
        applier.in_place(io.BytesIO(layer), root)
        return facts(root)


@contextmanager
def _opened(data: bytes) -> Iterator[io.BytesIO]:
    yield io.BytesIO(data)


@contextmanager
def scene(
    *bases: Callable[[Path], object], container: Callable[[Path], object], options: str = OPTIONS
) -> Iterator[Scene]:
    """``bases`` make one lower directory each, the lowest first, ``container`` the writable one.

    Only the container's mount has ``options``: lower directories hold what an engine unpacked, and that knows no
    metacopy, redirects or indexes. Where the marks are is the same for all.
    """
    marks = options if "userxattr" in options else OPTIONS
    root = Path(tempfile.mkdtemp(prefix="imgasm-scene-", dir=_fast_directory()))
    try:
        merged, lowers = root / "merged", [root / "bottom"]
        merged.mkdir()
        lowers[0].mkdir(mode=0o755)
        bases[0](lowers[0])
        for number, change in enumerate(bases[1:]):
            with _writable(root, f"lower{number}", lowers, marks):
                change(merged)
            lowers.insert(0, root / f"lower{number}")
        with _writable(root, "upper", lowers, options):
            before, before_tar = facts(merged), export(merged)
            container(merged)
        # Mounted anew: the mount that a device was linked in may go on to show two inode numbers (seen with userxattr).
        with _writable(root, "upper", lowers, options):
            after, after_tar, lost = facts(merged), export(merged), _lost(merged)
        prefix = "user." if "userxattr" in options else "trusted."
        yield Scene(root, lowers, root / "upper", before, after, before_tar, after_tar, prefix,
                    "metacopy=on" in options, marks, lost)
    finally:
        shutil.rmtree(root)


@contextmanager
def _writable(root: Path, name: str, lowers: Sequence[Path], options: str) -> Iterator[None]:
    (root / name).mkdir(exist_ok=True)
    (root / f"{name}.work").mkdir(exist_ok=True)
    with overlay(root / "merged", lowers, root / name, root / f"{name}.work", options):
        yield


def facts(root: Path) -> Facts:
    """What is in ``root``; of file capabilities what they mean without a user namespace (trap 15)."""
    return {path: replace(fact, xattrs=tuple(map(_of_everyone, fact.xattrs))) if fact.xattrs else fact
            for path, fact in look(root).items()}


def _of_everyone(pair: tuple[str, bytes]) -> tuple[str, bytes]:
    """linux/capability.h: revision 3 ends in the 4 bytes of a root id, and is revision 2 otherwise."""
    name, value = pair
    if name != "security.capability" or len(value) != 24:
        return pair
    return name, value[:3] + b"\x02" + value[4:20]


def _lost(root: Path) -> dict[bytes, frozenset[str]]:
    found: dict[bytes, frozenset[str]] = {}
    top = os.fsencode(root)
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            file = os.path.join(directory, name)
            if reasons := frozenset(_reasons(file, os.lstat(file))):
                found[file[len(top) + 1 :]] = reasons
    return found


def _reasons(file: bytes, status: os.stat_result) -> Iterator[str]:
    if stat.S_ISSOCK(status.st_mode):
        yield "socket"
        return
    if stat.S_ISREG(status.st_mode) and status.st_size > 1 << 20 and status.st_blocks * 512 < status.st_size / 2:
        yield "sparse"
    for name in os.listxattr(file, follow_symlinks=False):
        value = os.getxattr(file, name, follow_symlinks=False)
        known = name in CARRIED or (name.startswith("user.") and not name.startswith("user.overlay."))
        if not known or not value or "=" in name:
            yield name


def _fast_directory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _all_of(capture: Capture) -> object:
    """Two nodes are equal without ``linked``: here it counts."""
    nodes = {path: node and tuple(node) for path, node in capture.candidates.items()}
    return nodes, capture.final.findings(), {path: capture.final.peers(path) for path in nodes}


def layer_of(entries: Iterable[Entry], threads: int = 1, codec: str = "none") -> bytes:
    """The same bytes by C as by Python."""
    made, expected, entries = io.BytesIO(), io.BytesIO(), tuple(entries)
    write_layer(entries, made, compressor(codec, threads=threads))
    with only_python():
        write_layer(entries, expected, compressor(codec, threads=threads))
    assert made.getvalue() == expected.getvalue()
    return made.getvalue()


def members_of(layer: bytes) -> list[bytes]:
    """The bytes of each of its entries."""
    with tarfile.open(fileobj=io.BytesIO(layer), encoding="utf-8", errors="surrogateescape") as tar:
        members = tar.getmembers()
    ends = (member.offset_data + (-(-member.size // 512) * 512 if member.isreg() else 0) for member in members)
    return [layer[member.offset : end] for member, end in zip(members, ends, strict=True)]


STUBS = (b".dockerenv", b"run/.containerenv", b"etc/mtab", b"dev", b"proc", b"sys")


def without_stubs(base: Facts, final: Facts, mounts: Iterable[bytes], chosen: Callable[[bytes], bool]) -> Facts:
    """What the steps made: not what an engine puts there, nor directories that it made for that alone (trap 20)."""
    stubs = {*STUBS, *mounts}
    own = {path: fact for path, fact in final.items()
           if path in base or not stubs.intersection((path, *above(path)))}
    for directory in sorted({parent for stub in stubs for parent in above(stub)}, key=len, reverse=True):
        if directory in own and directory not in base and not any(
            path.startswith(directory + b"/") and chosen(path) for path in own
        ):
            del own[directory]
    return own


def desired(base: Facts, final: Facts, chosen: Callable[[bytes], bool]) -> Facts:
    """What the image shall hold: each path as the container has it if ``chosen`` says so, else as the base has it."""
    result = {path: fact for path in base.keys() | final.keys()
              if (fact := (final if chosen(path) else base).get(path)) is not None}
    for path in [path for path in result if chosen(path)]:
        for directory in above(path):
            if directory not in result or not result[directory].is_directory:
                result[directory] = final[directory]
    return {path: fact for path, fact in result.items()
            if all(directory in result and result[directory].is_directory for directory in above(path))}


def above(path: bytes) -> list[bytes]:
    """Every directory above ``path``, the outermost first."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


@dataclass(frozen=True)
class Goal:
    """The tree that a layer must make, and what of it can't be asked for. ``written`` are the paths in the layer."""

    desired: Facts
    base: Facts
    chosen: Callable[[bytes], bool]
    written: frozenset[bytes]

    def missed(self, made: Facts) -> list[object]:
        """Every way in which ``made`` is not the goal."""
        wrong: list[object] = [*sorted(self.desired.keys() ^ made.keys())]
        wrong += [(path, fact.itself, made[path].itself) for path, fact in self.desired.items()
                  if path in made and fact.itself != made[path].itself]
        wrong += [(path, "mtime", self._time(path, fact), made[path].mtime) for path, fact in self.desired.items()
                  if path in made and self._time(path, fact) not in (None, made[path].mtime)]
        return wrong or list(self._links(self.desired) ^ self._links(made))

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
