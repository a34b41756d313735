"""What must be in an image beside its modules: firmware, user space of the same version, modprobe's lists.

Sources: Documentation/driver-api/firmware/fw_search_path.rst of the kernel, modules.dep(5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from assembler.kernel.image_files import walk
from assembler.kernel.loader_config import directories_above
from assembler.kernel.verdict import Reason, Weight, few
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from assembler.kernel.file_tree import FileTree
    from assembler.kernel.loader_config import Loader
    from assembler.kernel.module import Module

_COMPRESSED: Final = (b"", b".xz", b".zst")
_UPDATES: Final = (b"", b"updates/")
_DIRECTORIES: Final = (b"firmware", b"lib/firmware", b"usr/lib/firmware")
_LIBRARIES: Final = (b"usr", b"lib", b"lib64", b"opt")
_DEPTH: Final = 5
LIBRARY: Final = re.compile(rb"(libcuda|libnvidia-[\w-]+)\.so\.(\d{3,}\.\d+(?:\.\d+)?)$")
"""NVIDIA's of one driver; its other libraries have versions of their own, which are lower."""
_RELEASE_DIRECTORY: Final = re.compile(rb"((?:.*/)?lib/modules/[^/]+)/")
_NVIDIA: Final = "nvidia"


def beside(
    modules: Sequence[Module], paths: Sequence[bytes], tree: FileTree, loaders: Sequence[Loader]
) -> list[Reason]:
    """What is wrong with the image that holds ``modules``, which are the files at ``paths``."""
    return [
        *_of_loaders(modules, loaders),
        *_of_firmware(modules, paths, tree, loaders),
        *_of_user_space(modules, tree),
        *_of_modprobe(paths, tree),
    ]


def _of_loaders(modules: Sequence[Module], loaders: Sequence[Loader]) -> Iterator[Reason]:
    names = {module.name for module in modules}
    for loader in loaders:
        if missing := [name for name in loader.modules if name not in names and name not in loader.optional]:
            what = f"{shown(loader.path)} inserts {few(missing)}, which the image does not have"
            yield Reason(Weight.REFUSED, "no-module", what, ("the image",))


def _of_firmware(
    modules: Sequence[Module], paths: Sequence[bytes], tree: FileTree, loaders: Sequence[Loader]
) -> Iterator[Reason]:
    above = dict.fromkeys(directory for path in paths for directory in directories_above(path))
    places = [b"%s/%s" % (directory, name) if directory else name for directory in above for name in _DIRECTORIES]
    places += [loader.firmware for loader in loaders if loader.firmware]
    for module in modules:
        missing = [name for name in module.info.get("firmware", ()) if not _is_there(name.encode(), places, tree)]
        if missing:
            what = f"{module.name} names firmware that is not in the image: {few(missing)}; the host must have it"
            yield Reason(Weight.WARNING, "firmware", what, ("the module", "the image"))


def _is_there(name: bytes, places: Collection[bytes], tree: FileTree) -> bool:
    return any(tree.has_file(b"%s/%s%s%s" % (place, updates, name, suffix))
               for place in places for updates in _UPDATES for suffix in _COMPRESSED)  # fmt: skip


def _of_user_space(modules: Sequence[Module], tree: FileTree) -> Iterator[Reason]:
    """NVIDIA's libraries and its module speak to each other in one version only, to the last digit."""
    versions = {module.version for module in modules if module.name == _NVIDIA and module.version}
    if not versions:
        return
    found: dict[str, list[str]] = {}
    for top in _LIBRARIES:
        for path in walk(tree, top, _DEPTH):
            if library := LIBRARY.search(path):
                found.setdefault(library[2].decode(), []).append(library[1].decode())
    for version in sorted(found.keys() - versions):
        what = (f"API mismatch: the client has the version {version}, but this kernel module has the version "
                f"{' and '.join(sorted(versions))}: {few(sorted(set(found[version])))}")  # fmt: skip
        yield Reason(Weight.REFUSED, "user-space", what, ("the module", "the image"))


def _of_modprobe(paths: Sequence[bytes], tree: FileTree) -> Iterator[Reason]:
    """Where modprobe looks for modules, it finds those that its list has."""
    directories: dict[bytes, list[bytes]] = {}
    for path in paths:
        if found := _RELEASE_DIRECTORY.match(path):
            directories.setdefault(found[1], []).append(path)
    for directory, files in directories.items():
        text = tree.text(directory + b"/modules.dep")
        if text is None:
            what = f"{shown(directory)} has no modules.dep: modprobe finds none of its modules without depmod"
            yield Reason(Weight.WARNING, "modules-dep", what, ("the image",))
            continue
        listed = {_absolute(line.partition(":")[0], directory) for line in text.splitlines()}
        if missing := [shown(path) for path in files if path not in listed]:
            what = f"{shown(directory)}/modules.dep does not list {few(missing)}: depmod was run before"
            yield Reason(Weight.WARNING, "modules-dep", what, ("the image",))


def _absolute(name: str, directory: bytes) -> bytes:
    path = name.encode()
    return path[1:] if path.startswith(b"/") else b"%s/%s" % (directory, path)
