"""The modules that were shipped with a kernel, in /lib/modules/RELEASE, as witnesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.kernel.compression import Unpackable, packing_of, unpack
from assembler.kernel.elf import Elf, NotElf
from assembler.kernel.kernel import Kernel, Machine, known
from assembler.kernel.module import Module, read_module
from assembler.kernel.symbols import Export, Symbols, module_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.kernel.file_tree import FileTree

PARENTS: Final = (b"lib/modules", b"usr/lib/modules")


class Shipped:
    """The exports of a kernel and of its modules. A module is read when it is asked for."""

    def __init__(self, built_in: Symbols, tree: FileTree, files: dict[str, bytes]) -> None:
        self._built_in = built_in
        self._tree = tree
        self._files = files
        self._read: set[str] = set()
        self._exports: dict[str, Export] = {}
        self.is_complete = True

    def built_in(self, name: str) -> Export | None:
        return self._built_in.built_in(name)

    def find(self, name: str, likely: Iterable[str], *, everywhere: bool) -> Export | None:
        if (found := self.built_in(name)) is not None:
            return found
        for module in likely:
            self._learn(module)
        if name not in self._exports and everywhere:
            for module in self._files:
                self._learn(module)
        return self._exports.get(name)

    def has_looked_everywhere(self) -> bool:
        return len(self._read) == len(self._files)

    def _learn(self, name: str) -> None:
        if name in self._read or name not in self._files:
            return
        self._read.add(name)
        data = self._tree.read(self._files[name])
        if data is not None and _exports_something(data):
            for symbol, export in read_module(name, data).exports.items():
                self._exports.setdefault(symbol, export)


def _exports_something(data: memoryview) -> bool:
    """Most modules don't, and their section headers say so: that spares their symbols."""
    packing = packing_of(data)
    try:
        elf = Elf.parse(memoryview(unpack(data, packing)) if packing else data)
    except (NotElf, Unpackable):
        return False
    return any(section.name.startswith("__ksymtab") and section.name != "__ksymtab_strings"
               for section in elf.sections)  # fmt: skip


def find_releases(tree: FileTree) -> list[tuple[str, bytes]]:
    """Every release that ``tree`` has modules for, and the directory where they are."""
    found: dict[str, bytes] = {}
    for parent in PARENTS:
        for name in tree.names(parent):
            directory = b"%s/%s" % (parent, name)
            if b"kernel" in tree.names(directory):
                found.setdefault(name.decode("utf-8", "replace"), directory)
    return list(found.items())


def read_shipped(tree: FileTree, directory: bytes, name: str, built_in: Symbols | None) -> Kernel:
    """What the modules below ``directory`` tell. ``built_in`` are the kernel's own exports, if anybody knows them:
    without these a symbol that no module has is not known to be missing."""
    files = module_files(tree, directory)
    first = _first_whole(tree, files.values())
    built = tree.text(directory + b"/modules.builtin")
    return known(
        name,
        f"modules of {name}",
        release=directory.rpartition(b"/")[2].decode("utf-8", "replace"),
        vermagic=first.vermagic if first else None,
        struct_size=first.struct_size if first else None,
        machine=Machine(first.machine, first.bits, first.end) if first else None,
        in_tree=frozenset(files),
        built_in=None if built is None else frozenset(map(module_name, built.splitlines())),
        symbols=Shipped(built_in, tree, files) if built_in is not None else None,
    )


def module_files(tree: FileTree, directory: bytes) -> dict[str, bytes]:
    """The paths of all modules below ``directory``, by the modules' names."""
    return {module_name(path.decode("utf-8", "replace")): path for path in _modules(tree, directory)}


def _modules(tree: FileTree, directory: bytes) -> Iterator[bytes]:
    top = tree.resolve(directory + b"/kernel")
    pending = [] if top is None else [top]
    while pending:
        above = pending.pop()
        for name in sorted(tree.children(above)):
            path = b"%s/%s" % (above, name)
            if b".ko" in name:
                yield path
            elif tree.target(path) is None:
                pending.append(path)


def _first_whole(tree: FileTree, files: Iterable[bytes]) -> Module | None:
    for file in files:
        data = tree.read(file)
        found = read_module("", data) if data is not None else None
        if found is not None and found.vermagic and not found.damage:
            return found
    return None
