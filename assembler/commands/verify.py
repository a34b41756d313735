"""``imgasm verify``: is a layout what it says, and is there nothing superfluous in it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.image.layout import Layout
from assembler.image.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.layer.check import Finding
    from assembler.progress import Progress


def verify_layout(place: Path, progress: Progress, *, strict: bool = False) -> list[Finding]:
    """The warnings about the layout in the directory ``place``; errors end in one ImageError that lists everything.

    With ``strict`` a warning counts as an error: what imgasm built must have neither.
    """
    layout = Layout.open(place)
    total = sum(layout.path(digest).lstat().st_size for digest in layout.blobs())
    with progress.task(f"verifying {place.name}", total=total) as task:
        findings = verify(layout, task.advance)
    wrong = [finding for finding in findings if strict or finding.severity == "error"]
    if wrong:
        raise ImageError(
            f"{place} has {len(wrong)} {'problem' if len(wrong) == 1 else 'problems'}",
            detail="\n".join(map(line, findings)),
            hint="Build or pull the image again; what is wrong is in the files, not in imgasm's reading of them.",
        )
    return findings


def line(finding: Finding) -> str:
    return f"{finding.severity}: {finding.where}: {finding.what}"
