"""From what people name, a package, a directory, a vmlinuz or ``running``, to kernels of which something is known."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError, UsageError
from assembler.kernel.compression import Unpackable
from assembler.kernel.file_tree import Directory, mapped
from assembler.kernel.in_tree_modules import find_releases, read_shipped
from assembler.kernel.kernel import Kernel, combined, known
from assembler.kernel.kernel_headers import find_headers, read_config, read_headers
from assembler.kernel.kernel_packages import is_package, open_package
from assembler.kernel.running_kernel import NAME, read_running, running_release, with_available
from assembler.kernel.vmlinux import read_vmlinux, release_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.kernel.file_tree import FileTree

_HINT: Final = (
    "Name a .deb or .rpm of kernel headers or of a kernel, a directory with what is in one, a vmlinuz, or running."
)
_VMLINUZ: Final = (b"vmlinuz", b"vmlinux", b"vmlinuz-", b"vmlinux-")


@contextmanager
def open_kernels(what: str, directory: Path) -> Iterator[list[Kernel]]:
    """The kernels that ``what`` tells of: one for each release.

    Packages are unpacked into ``directory`` for as long as the context lives. UsageError where there is nothing,
    ImageError for a package or kernel that is none.
    """
    path = Path(what)
    if what == NAME:
        yield [running_kernel(Directory("/"))]
    elif is_package(path):
        with open_package(path, directory) as tree:
            yield _kernels(tree, path.name, what)
    elif path.is_dir():
        root, release = root_of(path.absolute())
        yield _kernels(Directory(root), path.name, what, release)
    elif path.is_file():
        yield [_of_image(path)]
    else:
        raise UsageError(f"there is nothing at {what} that tells of a kernel", hint=_HINT)


def running_kernel(tree: FileTree) -> Kernel:
    """The kernel of this machine, whose root ``tree`` is."""
    release = running_release()
    files = [one for one in witnesses(tree, NAME) if one.release == release]
    return with_available(combined([read_running(tree, release), *files]))


def witnesses(tree: FileTree, name: str) -> list[Kernel]:
    """All that ``tree`` tells of kernels, of headers first."""
    return [*header_witnesses(tree, name), *_image_witnesses(tree, name)]


def header_witnesses(tree: FileTree, name: str) -> list[Kernel]:
    return [read_headers(tree, place, name if not place else place.rpartition(b"/")[2].decode("utf-8", "replace"))
            for place in find_headers(tree)]  # fmt: skip


def by_release(found: Sequence[Kernel], name: str | None = None) -> list[Kernel]:
    """One kernel for each release, of all that tells of it. ``name`` is what people call it, if there is only one."""
    releases = dict.fromkeys(one.release for one in found)
    kernels = [combined([one for one in found if one.release == release]) for release in releases]
    return [replace(kernel, name=name if name and len(kernels) == 1 else kernel.release) for kernel in kernels]


def _kernels(tree: FileTree, name: str, what: str, release: str | None = None) -> list[Kernel]:
    found = by_release([one for one in witnesses(tree, name) if release in (None, one.release)], what)
    if not found:
        raise UsageError(f"{what} tells of no kernel: it has neither headers with a release nor a kernel", hint=_HINT)
    return found


def root_of(path: Path) -> tuple[Path, str | None]:
    """The root that a directory /lib/modules/RELEASE stands in, and the release; any other directory is a root."""
    if (path / "kernel").is_dir() and path.parent.name == "modules" and path.parent.parent.name == "lib":
        above = path.parent.parent.parent
        return above.parent if above.name == "usr" else above, path.name
    return path, None


def _image_witnesses(tree: FileTree, name: str) -> list[Kernel]:
    """Of each kernel and its modules; .config lies beside it."""
    images = {one.release: one for one in _images(tree)}
    found = []
    for release, directory in find_releases(tree):
        image = images.pop(release, None)
        shipped = read_shipped(tree, directory, name, image.symbols if image else None)
        found += [shipped, image] if image else [shipped]
    return [*found, *images.values(), *_configs(tree, name)]


def _images(tree: FileTree) -> Iterator[Kernel]:
    places = [b"boot/" + one for one in tree.names(b"boot") if one.startswith(_VMLINUZ)]
    places += [directory + b"/vmlinuz" for _, directory in find_releases(tree)]
    seen = set()
    for place in places:
        data = tree.read(place)
        if data is None or (real := tree.resolve(place)) in seen:
            continue
        seen.add(real)
        name = place.rpartition(b"/")[2].decode("utf-8", "replace")
        try:
            yield read_vmlinux(name, data)
        except Unpackable as error:  # its modules tell nevertheless
            release = release_of(data) or name.partition("-")[2]
            yield known(name, f"kernel image {name}", release=release, unread=f"{name}: {error}")


def _configs(tree: FileTree, name: str) -> Iterator[Kernel]:
    """They lie in /boot, or beside the modules, as Fedora has it, and Debian since 14."""
    places = {file.removeprefix(b"config-").decode("utf-8", "replace"): b"boot/" + file
              for file in tree.names(b"boot") if file.startswith(b"config-")}  # fmt: skip
    places |= {release: directory + b"/config" for release, directory in find_releases(tree)
               if tree.has_file(directory + b"/config")}  # fmt: skip
    for release, place in places.items():
        if text := tree.text(place):
            yield known(name, f"config of {name}", release=release, config=read_config(text))


def _of_image(path: Path) -> Kernel:
    """A vmlinuz; its modules and its configuration are where they lie in a root."""
    root = path.absolute().parent.parent
    try:
        data = mapped(str(path))
        image = read_vmlinux(path.name, data)
    except Unpackable as error:
        raise ImageError(f"{path} tells of no kernel: {error}", hint=_HINT) from error
    release = image.release or release_of(data)
    tree = Directory(root)
    found = [read_shipped(tree, directory, str(path), image.symbols)
             for one, directory in find_releases(tree) if one == release]
    configs = [one for one in _configs(tree, str(path)) if one.release == release]
    return replace(combined([*found, image, *configs]), name=str(path))
