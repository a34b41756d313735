"""The modules of an image, in the order in which they are inserted, and the verdicts of kernels on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.kernel.check_image import beside
from assembler.kernel.judge import BUSYBOX, KMOD, judge
from assembler.kernel.loader_config import Loader, directories_above, find_loaders
from assembler.kernel.module import Module, in_order, read_module
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.kernel.file_tree import FileTree
    from assembler.kernel.kernel import Kernel
    from assembler.kernel.verdict import Reason, Verdict

_KMOD: Final = (b"usr/bin/kmod", b"bin/kmod", b"usr/sbin/kmod", b"sbin/kmod")
_BUSYBOX: Final = b"busybox"
_PROGRAMS: Final = (b"", b"bin", b"sbin", b"usr/bin", b"usr/sbin")


@dataclass(frozen=True, slots=True)
class ImageModules:
    """``modules`` are in order of insertion; ``reads`` are the compressions that the image's own program knows.

    ``beside`` is what is wrong with the image whatever the kernel is.
    """

    modules: tuple[Module, ...]
    reads: frozenset[str] | None
    beside: tuple[Reason, ...]

    def judged_by(self, kernel: Kernel) -> list[Verdict]:
        return judge(self.meant_for(kernel.release), kernel, self.reads)

    def meant_for(self, release: str) -> list[Module]:
        """Of several modules of one name the one that was compiled for ``release``; all, where none of them was."""
        made = {module.name for module in self.modules if module.release == release}
        return [module for module in self.modules if module.release == release or module.name not in made]


def modules_of(tree: FileTree, paths: Sequence[bytes]) -> ImageModules:
    """What the files at ``paths`` of an image's ``tree`` are."""
    found = {path: data for path in paths if (data := tree.read(path)) is not None}
    modules = [read_module(shown(path), data) for path, data in found.items()]
    loaders = find_loaders(tree, found)
    ordered = _as_told(in_order(modules), loaders)
    return ImageModules(tuple(ordered), _reads(tree, list(found)), tuple(beside(modules, list(found), tree, loaders)))


def _as_told(modules: Sequence[Module], loaders: Sequence[Loader]) -> list[Module]:
    """What a loader inserts comes first, as it is told; all else as it needs each other."""
    names = [name for loader in loaders for name in loader.modules]
    told = [module for name in dict.fromkeys(names) for module in modules if module.name == name]
    return [*told, *(module for module in modules if module.name not in names)]


def _reads(tree: FileTree, paths: Sequence[bytes]) -> frozenset[str] | None:
    if any(map(tree.has_file, _KMOD)):
        return KMOD
    above = {directory for path in paths for directory in directories_above(path)}
    places = (b"%s/%s" % (directory, _BUSYBOX) if directory else _BUSYBOX for directory in (*_PROGRAMS, *above))
    return BUSYBOX if any(map(tree.has_file, places)) else None
