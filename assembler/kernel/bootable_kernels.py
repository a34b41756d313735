"""Kernels that can be booted: a vmlinuz, and the modules that were shipped with it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError, UsageError
from assembler.kernel.file_tree import Directory, mapped
from assembler.kernel.in_tree_modules import find_releases, module_files
from assembler.kernel.kernel_packages import is_package, open_package
from assembler.kernel.module import Module, read_module
from assembler.kernel.open_kernels import root_of
from assembler.kernel.running_kernel import NAME, running_release
from assembler.kernel.vmlinux import release_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.kernel.file_tree import FileTree

_HINT: Final = "Name a package with a kernel (linux-image-*.deb), a directory with boot/vmlinuz-* in it, or a vmlinuz."
_IMAGE: Final = b"vmlinuz"


@dataclass(frozen=True, slots=True)
class BootableKernel:
    """``name`` is what people called it; ``image`` its vmlinuz, ``files`` the modules in ``tree``, by name."""

    name: str
    release: str
    image: memoryview
    tree: FileTree
    files: dict[str, bytes]

    def own_modules(self, names: Iterable[str]) -> list[tuple[Module, memoryview]]:
        """Those of the kernel's own modules that are called so, with what they need, in order of insertion."""
        found: dict[str, tuple[Module, memoryview]] = {}
        for name in names:
            self._collect(name, found, set())
        return list(found.values())

    def _collect(self, name: str, found: dict[str, tuple[Module, memoryview]], above: set[str]) -> None:
        if name not in self.files or name in found or name in above:
            return
        data = self.tree.read(self.files[name])
        if data is None:
            return
        module = read_module(name, data)
        for need in module.depends:
            self._collect(need, found, {*above, name})
        found[name] = module, data


@contextmanager
def open_bootable(what: str, directory: Path) -> Iterator[list[BootableKernel]]:
    """The kernels that ``what`` holds. A package is unpacked into ``directory`` for as long as the context lives.

    UsageError where there is none, ImageError for a package or kernel that is damaged.
    """
    path = Path(what)
    if what == NAME:
        yield _found(Directory("/"), what, running_release())
    elif is_package(path):
        with open_package(path, directory) as tree:
            yield _found(tree, what)
    elif path.is_dir():
        root, release = root_of(path.absolute())
        yield _found(Directory(root), what, release)
    elif path.is_file():
        yield [_of_image(path)]
    else:
        raise UsageError(f"there is no kernel at {what} to boot", hint=_HINT)


def _found(tree: FileTree, what: str, release: str | None = None) -> list[BootableKernel]:
    folders = dict(find_releases(tree))
    images = [b"boot/" + name for name in tree.names(b"boot") if name.startswith(_IMAGE + b"-")]
    images += [folder + b"/" + _IMAGE for folder in folders.values() if tree.has_file(folder + b"/" + _IMAGE)]
    found: dict[str, BootableKernel] = {}
    for place in images:
        data = tree.read(place)
        if data is None:
            continue
        name = place.rpartition(b"/")[2].decode("utf-8", "replace")
        told = name.removeprefix("vmlinuz-") if name != "vmlinuz" else place.split(b"/")[-2].decode("utf-8", "replace")
        if release in (None, told) and told not in found:
            found[told] = BootableKernel(what, told, data, tree, _files(tree, folders.get(told)))
    if not found:
        raise UsageError(f"{what} holds no kernel that can be booted", hint=_HINT)
    return list(found.values())


def _of_image(path: Path) -> BootableKernel:
    """Its modules are where they lie in a root."""
    data, tree = mapped(str(path)), Directory(path.absolute().parent.parent)
    release = release_of(data)
    if not release:
        raise ImageError(f"{path} can't be booted: it is no kernel for x86-64", hint=_HINT)
    return BootableKernel(str(path), release, data, tree, _files(tree, dict(find_releases(tree)).get(release)))


def _files(tree: FileTree, directory: bytes | None) -> dict[str, bytes]:
    return module_files(tree, directory) if directory is not None else {}
