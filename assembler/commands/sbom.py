"""``imgasm sbom``: what an image's new layer holds, down to the last file, whatever was pruned from it.

Scanners look for package databases, which a small image doesn't have. What the databases said was noted at the build,
before they were left out; the files themselves are read here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal

from assembler.errors import UsageError
from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.kernel.module import read_module
from assembler.layer.decompress import decompress
from assembler.layer.entry import hidden_by
from assembler.layer.read_tar import read_tar
from assembler.model.digest import Digest
from assembler.model.node import Kind
from assembler.report.bill_of_materials import Bill, BillFile
from assembler.report.build_records import Builds
from assembler.report.cyclonedx import cyclonedx
from assembler.report.record_part import path_text
from assembler.report.spdx import spdx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.layer.read_tar import Member
    from assembler.report.build_record import BuildRecord, ImageReport
    from assembler.report.file_table import FileRow

_MODULES: Final = (b".ko", b".ko.xz", b".ko.gz", b".ko.zst")
_LARGEST_MODULE: Final = 1 << 30


def bill_of_materials(directory: Path, name: str | None) -> Bill:
    """Of the image called ``name`` in the build's ``directory``, or of its only one. UsageError where it is not clear
    which is meant."""
    found = list(Builds.load(directory).only(name).images())
    if len(found) != 1:
        names = ", ".join(image.name for _, image in found)
        raise UsageError(f"{directory} holds {len(found)} images", hint=f"Choose one with --image: {names}.")
    record, image = found[0]
    return Bill(record, image, sorted(_files(Layout.open(directory), record, image), key=lambda file: file.path))


def document(bill: Bill, format_: Literal["cyclonedx", "spdx"]) -> dict[str, Any]:
    return cyclonedx(bill) if format_ == "cyclonedx" else spdx(bill)


def _files(layout: Layout, record: BuildRecord, image: ImageReport) -> Iterator[BillFile]:
    rows = {row.path: row for row in image.table.rows()} if image.table is not None else {}
    layer, _ = read_image(layout, Digest.parse(image.manifest)).layers[-1]
    with layout.open_blob(layer.digest) as blob:
        for member in read_tar(decompress(blob)):
            if member.kind is Kind.REGULAR and not member.is_link and hidden_by(member.path) is None:
                path = path_text(member.path)
                yield _file(path, member, rows.get(path), record)


def _file(path: str, member: Member, row: FileRow | None, record: BuildRecord) -> BillFile:
    is_module = member.path.endswith(_MODULES)
    data = bytearray()
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    for chunk in member.chunks():
        sha1.update(chunk)
        sha256.update(chunk)
        if is_module and len(data) < _LARGEST_MODULE:
            data += chunk
    return BillFile(
        path, member.size, sha1.hexdigest(), sha256.hexdigest(),
        row.package if row is not None else None,
        record.step_name(row.step) if row is not None else None,
        _module(path, data) if is_module else {},
    )  # fmt: skip


def _module(path: str, data: bytearray) -> dict[str, str]:
    module = read_module(path, memoryview(data))
    told = {"version": module.version, "license": module.one("license"), "vermagic": module.vermagic,
            "srcversion": module.one("srcversion"), "compiler": ", ".join(module.compilers)}  # fmt: skip
    return {key: value for key, value in told.items() if value}
