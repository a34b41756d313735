"""A volume's own archive takes the place of what the export of the rootfs shows there (no engine needed)."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from assembler.changeset.capture import changeset, of_exports
from assembler.changeset.path_rules import Patterns, Rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def archive(**members: str | None) -> Callable[[], io.BytesIO]:
    """Files by path with their contents; None is a directory, ``=path`` a hard link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif content.startswith("="):
                member.type, member.linkname = tarfile.LNKTYPE, content[1:]
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO((content or "").encode()) if member.size else None)
    return lambda: io.BytesIO(stream.getvalue())


def test_12_a_volume_replaces_a_directory_of_the_rootfs_and_nothing_beside_it(tmp_path: Path) -> None:
    rootfs = archive(data=None, **{"data/a": "old", "data/gone": "x", "data/in": None, "data/in/base": "b",
                                   "opt": None, "opt/link": "=data/a", "data2": "y"})  # fmt: skip
    volume = archive(**{"./": None, "./a": "old", "./new": "n", "./hard": "=./new", "./in": None, "./in/scratch": "s"})
    with (tmp_path / "spool").open("wb") as spool:
        capture = of_exports(rootfs, {b"": rootfs, b"data": volume}, [b"data/in", b"data/"], spool, Rules([]))
        entries = changeset(capture, None, Patterns()).changeset.entries
    final = capture.final
    assert set(final.walk()) == {b"data", b"data/a", b"data/new", b"data/hard", b"data/in", b"data/in/base", b"data2",
                                 b"opt", b"opt/link"}  # fmt: skip
    assert final.peers(b"opt/link") == {b"opt/link"}, "its other name is another file now, in the volume"
    assert final.peers(b"data/new") == {b"data/new", b"data/hard"}
    written = {entry.path: entry.node is None for entry in entries}
    assert written == {b"data/gone": True, b"data/new": False, b"data/hard": False, b"opt/link": False}
