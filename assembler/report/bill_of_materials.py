"""What an image's new layer holds, for the formats of bills of materials: each file, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.report.build_record import BuildRecord, ImageReport
    from assembler.report.package_facts import Package


@dataclass(frozen=True, slots=True)
class BillFile:
    """A regular file. ``package`` is the name of its owner; where it has none, ``step`` wrote it, or the recipe itself
    did. ``module`` is what a kernel module says: version, license, vermagic, srcversion, compiler."""

    path: str
    size: int
    sha1: str
    sha256: str
    package: str | None = None
    step: str | None = None
    module: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bill:
    """``files`` are all regular files of the layer, in order of path."""

    record: BuildRecord
    image: ImageReport
    files: Sequence[BillFile]

    @property
    def packages(self) -> list[Package]:
        """Those that own a file in the layer."""
        owners = {file.package for file in self.files}
        return [package for package in self.record.packages if package.name in owners]

    @property
    def distributions(self) -> list[tuple[str, str]]:
        """Whose packages these are, by os-release's ID and VERSION_ID: scanners look vulnerabilities up by it."""
        return sorted({package.distribution for package in self.packages if package.distribution[0]})

    def of_package(self, package: Package) -> Iterator[BillFile]:
        return (file for file in self.files if file.package == package.name)

    @property
    def unowned(self) -> list[BillFile]:
        """Files of no package that is described here."""
        known = {package.name for package in self.packages}
        return [file for file in self.files if file.package not in known]

    @property
    def finished(self) -> float:
        """When the last step ended, in seconds since 1970: no bill of one build has another date."""
        return max((step.at + step.seconds for step in self.record.steps if step.at is not None), default=0.0)
