"""``imgasm verify``: is an image what it says, wherever it is, and is there nothing superfluous in it?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assembler.commands.scratch import scratch_layout
from assembler.errors import ImageError, UsageError
from assembler.image.layout import Layout
from assembler.image.load import read_archive
from assembler.image.verify import verify
from assembler.layer.compress import compressor
from assembler.layer.findings import Finding
from assembler.model.place import Place, Store
from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.commands.copy import Copier
    from assembler.layer.read import Readable
    from assembler.progress import Progress

WHAT: Final = (
    "a build's directory or another OCI layout (oci:DIR:NAME for one image in it), an archive, docker-daemon:IMAGE, "
    "containers-storage:IMAGE, or a reference in a registry"
)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What lies in no layout is brought into one that lives no longer than this, in the ways of ``copier``."""

    copier: Copier

    def verify(self, what: str) -> list[Finding]:
        """All findings. What can't be brought here because it is damaged is one itself."""
        place = _place(what)
        if self.copier.platform is not None and place.store is not Store.REGISTRY:
            raise UsageError("--platform chooses from an index in a registry", hint="Leave it out: all is checked.")
        if place.store is Store.LAYOUT:
            return _verify(place.path, self.copier.progress, place.name)
        with scratch_layout(self.copier.scratch) as layout:
            try:
                self._fetch(place, layout)
            except ImageError as error:
                return [Finding("error", printable(what), printable(error.message))]
            return _verify(layout.root, self.copier.progress)

    def _fetch(self, place: Place, layout: Layout) -> None:
        if place.store is Store.REGISTRY:
            self.copier.copy(place, Place(Store.LAYOUT, str(layout.root)))
            return
        with self._archive(place) as archive:
            for loaded in read_archive(archive, layout, lambda: compressor("none")):
                layout.add(loaded.image.descriptor)

    def _archive(self, place: Place) -> AbstractContextManager[Readable]:
        if place.engine is not None:
            return self.copier.engine(place.engine).images.save(place.where)
        return _opened(place)


@contextmanager
def _opened(place: Place) -> Iterator[Readable]:
    try:
        with place.path.open("rb") as file:
            yield file
    except OSError as error:
        raise ImageError(f"{place} can't be read: {error.strerror}") from error


def _place(what: str) -> Place:
    """Where ``what`` is; a path at which nothing is must not turn into a look into Docker's registry."""
    try:
        place = Place.parse(what)
    except UsageError as error:
        raise UsageError(error.message, hint=f"WHAT is {WHAT}.") from error
    if not _is_there(place, what):
        raise UsageError(f"There is nothing at {what}",
                         hint=f"WHAT is {WHAT}; docker://debian is one in Docker's own registry.")
    return place


def _is_there(place: Place, what: str) -> bool:
    """Of engines and registries whether it can be: they say themselves what they do not have."""
    if place.store is Store.LAYOUT:
        return place.path.is_dir()
    if place.store is Store.ARCHIVE:
        return place.path.exists()
    return place.store is Store.ENGINE or what.startswith("docker://") or _names_a_registry(what)


def _names_a_registry(text: str) -> bool:
    """``debian:12`` and ``host.example/debian`` can hardly be meant as paths; ``build/debian`` can."""
    host, slash, _ = text.partition("/")
    return ":" in text or "@" in text or host == "localhost" or (slash == "/" and "." in host)


def verify_layout(place: Path, progress: Progress, *, strict: bool = False) -> list[Finding]:
    """The findings about the layout in the directory ``place``, if ``refuse`` lets them pass."""
    findings = _verify(place, progress)
    refuse(str(place), findings, strict=strict)
    return findings


def _verify(root: Path, progress: Progress, name: str | None = None) -> list[Finding]:
    layout = Layout(root)
    if not any((root / part).exists() for part in ("oci-layout", "index.json", "blobs")):
        layout = Layout.open(root)  # which says why it is none
    with progress.task(f"verifying {root.name}", total=_size(layout)) as task:
        return verify(layout, task.advance, name)


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
            hint="Build or pull the image again; what is wrong is in the files, not in imgasm's reading of them.",
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
