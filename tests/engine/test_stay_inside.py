"""What a checkpoint that somebody else wrote can't do: write, remove or date a file outside of the container."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.engine.restore_files import pack, unpack
from assembler.engine.stay_inside import Inside
from assembler.errors import EngineError, ImgasmError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root

Entry = tuple[str, bytes, str]
"""Name, type, and content or target."""


def tar(*entries: Entry) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, text in entries:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            archive.addfile(member, io.BytesIO(text.encode()))
    stream.seek(0)
    return stream


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With links as containers have them, which lead somewhere else for this machine."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("mine")
    root = tmp_path / "root"
    (root / "opt").mkdir(parents=True)
    (root / "run").symlink_to(tmp_path / "outside")
    return root


FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize("entries", [
    [("../outside/new", FILE, "evil")],
    [("opt/../../outside/new", FILE, "evil")],
    [("run/new", FILE, "evil")],
    [("run/file", FILE, "evil")],
    [("run", FOLDER, ""), ("run/new", FILE, "evil")],
    [("opt/here", LINK, "../../outside"), ("opt/here/new", FILE, "evil")],
    [("opt/a/b", FILE, "a"), ("opt/a", LINK, "../../outside"), ("opt/a/new", FILE, "evil")],
    [("opt/x", FILE, "a"), ("opt/x", LINK, "../../outside/file")],
    [("opt/mine", HARD, "run/file"), ("opt/mine", FILE, "evil")],
    [("opt/mine", HARD, "run/file")],
])  # fmt: skip
def test_nothing_is_written_outside(root: Path, entries: list[Entry]) -> None:
    with pytest.raises(ImgasmError):
        unpack(tar(*entries), root)
    assert [path.name for path in root.parent.joinpath("outside").iterdir()] == ["file"]
    assert (root.parent / "outside/file").read_text() == "mine"
    assert os.stat(root.parent / "outside/file").st_nlink == 1


@pytest.mark.parametrize("path", [b"run/file", b"../outside/file", b"/etc/hostname", b"opt/../run/file", b"a\0b/c"])
def test_nothing_is_removed_or_dated_outside(root: Path, path: bytes) -> None:
    with pytest.raises(EngineError, match="the checkpoint is not one that imgasm makes"):
        Inside(os.fsencode(root)).refuse_detour(path)


def test_what_pack_made_is_the_same_afterwards(root: Path, tmp_path: Path) -> None:
    (root / "opt/deep/er").mkdir(parents=True)
    (root / "opt/deep/er/big").write_bytes(bytes(3_000_000) + b"end")
    (root / "opt/empty").touch()
    os.link(root / "opt/empty", root / "opt/again")
    os.setxattr(root / "opt/empty", "user.name", b"value")
    os.mkfifo(root / "opt/pipe")
    copy = tmp_path / "copy"
    copy.mkdir()
    with pack(root) as packed:
        unpack(packed, copy)
    assert os.listxattr(copy / "opt/again") == ["user.name"]
    assert (copy / "opt/deep/er/big").read_bytes() == bytes(3_000_000) + b"end"
    assert os.readlink(copy / "run") == str(tmp_path / "outside")
    assert os.lstat(copy / "opt/empty").st_ino == os.lstat(copy / "opt/again").st_ino
    assert sorted(os.listdir(copy / "opt")) == ["again", "deep", "empty", "pipe"]
