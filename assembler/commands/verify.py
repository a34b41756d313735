"""``imgasm verify``: is an image what it says, wherever it is, and is there nothing superfluous in it?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from assembler.commands.boot_modules import boot_files, boot_layout
from assembler.commands.kernel_verdicts import is_modules, judge_files, judge_layout
from assembler.commands.verify_signatures import check_trust
from assembler.errors import ImageError, UsageError
from assembler.image.layout import Layout
from assembler.image.verify_layout import verify_layout
from assembler.layer.findings import Finding
from assembler.model.place import Place, Store
from assembler.model.printable import printable
from assembler.places.check_place import check_presence
from assembler.places.open import open_place
from assembler.places.put import PutOptions, put
from assembler.places.temporary_layout import temporary_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.commands.boot_modules import Boots
    from assembler.commands.verify_signatures import Trusted
    from assembler.kernel.kernel import Kernel
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.progress import Progress
    from assembler.report.kernel_boots import ImageBoots
    from assembler.report.kernel_verdicts import ImageVerdicts


@dataclass(frozen=True, slots=True)
class Verified:
    """``findings`` are about the image as such, ``kernels`` about its modules, where kernels were asked, and ``boots``
    where some were booted. ``trust`` is about its signatures: with an error there, it was not even downloaded."""

    findings: list[Finding]
    kernels: list[ImageVerdicts] = field(default_factory=list)
    boots: list[ImageBoots] = field(default_factory=list)
    trust: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """The kernels that an image's modules are held against, those that are booted with them, and who must have signed
    it."""

    kernels: Sequence[Kernel] = ()
    boots: Boots | None = None
    trusted: Trusted | None = None

    @property
    def about_modules(self) -> bool:
        return bool(self.kernels) or self.boots is not None


NOBODY: Final = Asked()


def verify_place(
    what: str, name: str | None, platform: Platform | None, world: World, asked: Asked = NOBODY
) -> Verified:
    """All findings about ``what``, or about the image called ``name`` in it, and what kernels say to its modules.

    What lies in no layout is brought into one that lives no longer than this. What can't be brought there because it is
    damaged is a finding itself. ``platform`` chooses from an index in a registry.
    """
    if asked.about_modules and asked.trusted is None and is_modules(what):
        return Verified(
            [],
            [judge_files(what, asked.kernels)] if asked.kernels else [],
            [boot_files(what, asked.boots, world)] if asked.boots is not None else [],
        )
    place = Place.parse(what)
    if platform is not None and place.store is not Store.REGISTRY:
        raise UsageError("--platform chooses from an index in a registry", hint="Leave it out: all images are checked.")
    if asked.trusted is None:
        return _verify_at(place, name, platform, world, asked)
    place, trust = check_trust(place, platform, asked.trusted, world)
    if any(finding.severity == "error" for finding in trust):
        return Verified([], trust=trust)
    return replace(_verify_at(place, name, platform, world, asked), trust=trust)


def _verify_at(place: Place, name: str | None, platform: Platform | None, world: World, asked: Asked) -> Verified:
    if place.store is Store.LAYOUT:
        check_presence(place)
        return _verified(Layout(place.path), name or place.name, world, asked)
    try:
        with _as_layout(place, platform, world) as layout:
            return _verified(layout, name or place.name, world, asked)
    except ImageError as error:
        return Verified([Finding("error", printable(str(place)), printable(error.message))])


def _verified(layout: Layout, name: str | None, world: World, asked: Asked) -> Verified:
    """An image that is damaged is not asked for its modules."""
    findings = check_layout(layout.root, world.progress, name)
    if any(finding.severity == "error" for finding in findings):
        return Verified(findings)
    return Verified(
        findings,
        judge_layout(layout, name, asked.kernels, world) if asked.kernels else [],
        boot_layout(layout, name, asked.boots, world) if asked.boots is not None else [],
    )


@contextmanager
def _as_layout(place: Place, platform: Platform | None, world: World) -> Iterator[Layout]:
    check_presence(place)
    with open_place(place, world) as found:
        if found.store is not None:  # what an archive was unpacked to
            for entry in found.entries:
                found.store.add(entry)
            yield found.store
            return
        with temporary_layout(world.cache) as layout:
            put(found.one(), Place(Store.LAYOUT, str(layout.root)), world, PutOptions(platform))
            yield layout


def check_layout(root: Path, progress: Progress, name: str | None = None) -> list[Finding]:
    """The findings about the layout in the directory ``root``, or about what it calls ``name``."""
    layout = Layout(root)
    if not any((root / part).exists() for part in ("oci-layout", "index.json", "blobs")):
        layout = Layout.open(root)  # which says why it is none
    with progress.task(f"verifying {root.name}", total=_size(layout)) as task:
        return verify_layout(layout, task.advance, name)


def _size(layout: Layout) -> int | None:
    """Bytes of all blobs; None where not even that can be read, which is a finding later."""
    try:
        return sum(layout.path(digest).lstat().st_size for digest in layout.blobs())
    except OSError:
        return None


def refuse(what: str, findings: Sequence[Finding], *, strict: bool = False) -> None:
    """An ImageError that lists everything, if there are errors; with ``strict`` also if there are warnings: what imgasm
    built must have neither."""
    severities = ("error", "warning") if strict else ("error",)
    wrong = sum(finding.severity in severities for finding in findings)
    if wrong:
        raise ImageError(
            f"{what} has {wrong} {'problem' if wrong == 1 else 'problems'}",
            detail="\n".join(map(line, findings)),
            hint="Build or pull the image again: its files are wrong.",
        )


def refuse_untrusted(what: str, findings: Sequence[Finding]) -> None:
    """An ImageError that lists what keeps the image from being used."""
    if any(finding.severity == "error" for finding in findings):
        raise ImageError(
            f"{what} is not to be trusted",
            detail="\n".join(map(line, findings)),
            hint="Don't use it before you know why: another image may stand under its name, or nobody signed it yet.",
        )


def line(finding: Finding) -> str:
    return f"{finding.severity}: {finding.where}: {finding.what}"


def as_json(finding: Finding) -> dict[str, Any]:
    """``what`` is for people; ``count`` says how often it is so, ``paths`` are the first few examples."""
    return {
        "severity": finding.severity,
        "where": finding.where,
        "what": finding.what,
        "count": finding.count,
        "paths": list(finding.paths),
    }
