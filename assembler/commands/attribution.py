"""Every file of a new layer with what can be told of it: its step, its share of the blob, its kind and its package.

This is done while the container's files can still be read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assembler.changeset.path_rules import Rules
from assembler.model.node import Kind
from assembler.model.prune_presets import PRESETS
from assembler.report import hints
from assembler.report.debug_symbols import debug_bytes
from assembler.report.file_kinds import HEAD, kind_of
from assembler.report.file_table import LayerRow, shares
from assembler.report.package_facts import packages_in
from assembler.report.package_owners import PackageOwners, owners_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from assembler.changeset.capture import Capture
    from assembler.changeset.tree import Tree
    from assembler.commands.write_images import Written
    from assembler.layer.entry import Entry
    from assembler.measure.step_meter import Meter
    from assembler.model.node import Content, Node
    from assembler.report.hints import Hint
    from assembler.report.layer_summary import LayerFile
    from assembler.report.package_facts import Package

_WITH_SECTIONS: Final = frozenset({"ELF", "kernel module", "object file"})


@dataclass(frozen=True, slots=True)
class Attributed:
    """``entries`` is all of the layer, ``rows`` its files with content, ``rest`` the blob's bytes for all others."""

    entries: list[LayerFile] = field(default_factory=list)
    rows: list[LayerRow] = field(default_factory=list)
    rest: int = 0
    hints: tuple[Hint, ...] = ()


class Attribution:
    """What one build knows of all its files, asked once for each of its images. ``unused`` are presets."""

    def __init__(self, capture: Capture, meter: Meter, used_presets: Iterable[str]) -> None:
        self._final = capture.final
        self.meter = meter
        self._unused = Rules.of_prune([preset for preset in PRESETS if preset not in set(used_presets)], ())
        found = owners_in(_TreeFiles(capture.final))
        self.packages_known = found is not None
        self._owners = found or PackageOwners(())

    def packages(self, names: Collection[str]) -> list[Package]:
        """What the container's databases tell of these packages."""
        return packages_in(_TreeFiles(self._final), names)

    def of(self, written: Written) -> Attributed:
        source_of = written.result.changeset.entries.source_of
        taken = _shares(written.layer.ends, written.layer.marks)
        entries: list[LayerFile] = []
        rows: list[LayerRow] = []
        debug: list[tuple[LayerRow, int]] = []
        for entry, share in zip(written.result.changeset.entries, taken, strict=False):  # one more: the archive's end
            source = source_of(entry.path)
            entries.append(_entry(entry, self.meter.step_of(source)))
            if entry.content is not None:
                row, in_debug = self._row(entry, entry.content, source, share)
                rows.append(row)
                debug.append((row, in_debug))
        found = [
            *hints.of_presets(rows, self._preset_of),
            *hints.of_equal(rows, lambda path: self._final.digest(source_of(path))),
            *hints.of_debug(debug),
        ]
        rest = written.layer.descriptor.size - sum(row.share or 0 for row in rows)
        return Attributed(entries, rows, rest, tuple(sorted(found, key=lambda hint: -hint.bytes)))

    def _row(self, entry: Entry, content: Content, source: bytes, share: int) -> tuple[LayerRow, int]:
        """With the bytes of debugging information in it."""
        assert entry.node is not None
        size = entry.node.size
        with _Reader(content, size) as reader:
            kind = kind_of(entry.path, lambda: reader.read(0, HEAD))
            in_debug = debug_bytes(reader.read) if kind in _WITH_SECTIONS else 0
        step = self.meter.step_of(source)
        return LayerRow(entry.path, size, step, share, kind, self._owner(entry.node, source)), min(in_debug, size)

    def _owner(self, node: Node, source: bytes) -> str | None:
        """A file with several names belongs to the package that knows one of them."""
        names = sorted(self._final.peers(source)) if node.linked else [source]
        return next(filter(None, map(self._owners.of, names)), None)

    def _preset_of(self, path: bytes) -> str | None:
        rule = self._unused.match(path)
        return rule.preset if rule else None


def _entry(entry: Entry, step: int | None) -> LayerFile:
    if entry.node is None:
        return entry.path, "whiteout", 0, None
    if entry.link is not None:
        return entry.path, "hard link", 0, None
    return entry.path, entry.node.kind.value, entry.node.size if entry.node.kind is Kind.REGULAR else 0, step


def _shares(ends: Sequence[int], marks: Sequence[tuple[int, int]]) -> list[int]:
    """The blob's bytes for each entry, and at last for the archive's end."""
    before = (0, *ends)
    sizes = [end - start for start, end in zip(before, ends, strict=False)]
    return shares([*sizes, marks[-1][0] - before[-1]], marks)


class _Reader:
    """Pieces of a file, which is opened when the first is asked for."""

    def __init__(self, content: Content, size: int) -> None:
        self._content = content
        self._size = size
        self._descriptor = -1

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        if self._descriptor < 0:
            self._descriptor = os.open(self._content.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        if offset >= self._size:
            return b""
        return os.pread(self._descriptor, min(size, self._size - offset), self._content.offset + offset)


class _TreeFiles:
    """A tree as the readers of package databases want it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def names(self, path: bytes) -> Iterable[bytes]:
        return self._tree.names(path)

    def read(self, path: bytes) -> bytes | None:
        node = self._tree.node(path)
        if node is None or node.kind is not Kind.REGULAR or not node.size:
            return b""
        content = self._tree.content(path)
        if content is None:
            return None
        with _Reader(content, node.size) as reader:
            return reader.read(0, node.size)

    def target(self, path: bytes) -> bytes | None:
        node = self._tree.node(path)
        return node.target if node is not None and node.kind is Kind.SYMLINK else None
