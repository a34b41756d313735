"""What a container may do to its files, as values that hypothesis can shrink, and how each is done to a real tree."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CONTENTS = (b"", b"x", b"y", b"old\n", b"new\n", b"z" * 600)
MODES = (0o644, 0o755, 0o700, 0o1777, 0o4755, 0o2750, 0o000)
# Within what ext4 holds: 1901 to 2446.
TIMES = (0, 10**9 + 1, 1_500_000_000 * 10**9 + 999_999_999, -1, -(2**31) * 10**9 + 500_000_000, 2**33 * 10**9)
OWNERS = ((0, 0), (1, 2), (2**21 + 1, 5), (2**31, 2**31))
ACL = bytes.fromhex(
    "02000000" "01000600ffffffff" "0200040001000000" "04000400ffffffff" "10000400ffffffff" "20000400ffffffff"
)
XATTRS = (
    ("user.a", b"1"), ("user.a", b"\0\n=\xff"), ("user.b", b""), ("user.\u00e4", b"2"), ("trusted.t", b"3"),
    ("user.overlay.opaque", b"y"), ("trusted.overlay.mine", b"1"),
    ("security.capability", bytes.fromhex("0100000200040000000000000000000000000000")),
    ("security.capability", bytes.fromhex("0100000300040000000000000000000000000000" "e8030000")),
    ("system.posix_acl_access", ACL), ("system.posix_acl_default", ACL),
)  # fmt: skip
DEVICES = (
    (stat.S_IFCHR, (7, 300)), (stat.S_IFBLK, (7, 300)), (stat.S_IFCHR, (1, 3)), (stat.S_IFCHR, (4095, 2**20 - 1)),
    (stat.S_IFBLK, (0, 0)),  # the character device 0:0 is a whiteout, which an overlay lets nobody make
)  # fmt: skip
HOLE = (1 << 20) + 4096
"""What imgasm tells of as sparse is larger than 1 MiB."""
TARGETS = (b"a", b"../b", b"/c", b"t" * 120, b"\xff")
_NAMES = (b"a", b"b", b"c")
_ODD = (
    b"a/b\nc", b"\xff\xfe", b"a.wh.b", b"b/" + b"n" * 110, b"c/" + b"m" * 255, b"\xe2\x80\xa8", b" ", b"a/-", b"a/*",
    b"d" * 120 + b"/" + b"e" * 150 + b"/f", b"dev/a", b".dockerenv",
)  # fmt: skip
_SHALLOW = (*_NAMES, *(one + b"/" + two for one in _NAMES for two in _NAMES))
_DEEP = tuple(one + b"/" + two + b"/" + three for one in _NAMES[:2] for two in _NAMES[:2] for three in _NAMES[:2])
PATHS = (*_NAMES, *_SHALLOW, *_SHALLOW, *_DEEP, *_ODD)
"""Few names, so that edits meet."""


@dataclass(frozen=True, slots=True)
class Edit:
    """``how`` is the name of a function below; ``path`` and ``other`` are relative; ``value`` is what it needs."""

    how: str
    path: bytes
    value: object = None
    other: bytes = b""


paths = st.sampled_from(PATHS)
_ALONE = ("mkdir", "remove", "remake", "rewrite", "copy_up", "chmod_back", "forget", "fifo", "sparse")
_VALUES = {"write": CONTENTS, "append": CONTENTS, "symlink": TARGETS, "chmod": MODES, "chown": OWNERS, "touch": TIMES,
           "setxattr": XATTRS, "device": DEVICES}  # fmt: skip
# A branch for each, or what has no value would be rare.
without_sockets = st.one_of(
    *(st.builds(Edit, st.just(how), paths, st.sampled_from(values)) for how, values in _VALUES.items()),
    *(st.builds(Edit, st.just(how), paths) for how in (*_ALONE, "remove", "remake")),
    *(st.builds(Edit, st.just(how), paths, other=paths) for how in ("link", "rename", "link", "rename")),
)
"""What may have become of an image's files: none of them is a socket, for tar can't hold it."""
edits = st.one_of(without_sockets, st.builds(Edit, st.just("socket"), paths))


def perform(directory: Path, todo: Sequence[Edit]) -> None:
    """Does to ``directory`` what can be done; what the kernel refuses (a rename into itself, say) is left out."""
    root = os.fsencode(directory)
    for edit in todo:
        file = os.path.join(root, edit.path)
        try:
            _make_parents(root, edit.path)
            _HOW[edit.how](file, edit.value if not edit.other else os.path.join(root, edit.other))
        except OSError as error:
            if error.errno in (errno.EIO, errno.ENOSPC, errno.ESTALE):
                raise


def _make_parents(root: bytes, path: bytes) -> None:
    for part in path.split(b"/")[:-1]:
        root = os.path.join(root, part)
        if not os.path.lexists(root):
            os.mkdir(root)
        elif os.path.islink(root):
            raise NotADirectoryError(root)


def _remove(file: bytes, _: object = None) -> None:
    if os.path.isdir(file) and not os.path.islink(file):
        shutil.rmtree(file)
    elif os.path.lexists(file):
        os.unlink(file)


def _write(file: bytes, content: bytes) -> None:
    """A new inode, whatever was there before."""
    _remove(file)
    with open(file, "xb") as stream:
        stream.write(content)


def _append(file: bytes, content: bytes) -> None:
    """The same inode (os.open without O_CREAT, not through symlinks)."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _rewrite(file: bytes, _: object) -> None:
    """The same content and metadata in a new inode, as ``cp -a`` and ``mv`` do."""
    if not stat.S_ISREG(os.lstat(file).st_mode):
        return
    shutil.copy2(file, file + b"~", follow_symlinks=False)
    status = os.lstat(file)
    os.chown(file + b"~", status.st_uid, status.st_gid)
    os.chmod(file + b"~", stat.S_IMODE(status.st_mode))
    os.rename(file + b"~", file)


def _mkdir(file: bytes, _: object) -> None:
    if not os.path.isdir(file) or os.path.islink(file):
        _remove(file)
        os.mkdir(file)


def _remake(file: bytes, _: object) -> None:
    """Deleted and made again, with one new file."""
    _remove(file)
    os.mkdir(file)
    _write(os.path.join(file, b"a"), b"remade")


def _symlink(file: bytes, target: bytes) -> None:
    _remove(file)
    os.symlink(target, file)


def _link(file: bytes, other: bytes) -> None:
    if not os.path.isdir(other) and file != other:
        os.lstat(other)
        _remove(file)
        os.link(other, file, follow_symlinks=False)


def _sparse(file: bytes, _: object) -> None:
    _write(file, b"")
    with open(file, "r+b") as stream:
        stream.seek(HOLE)
        stream.write(b"end")


def _rename(file: bytes, other: bytes) -> None:
    """mv: a directory that the overlay can't rename (EXDEV, for redirect_dir is off) is copied and removed."""
    try:
        os.rename(file, other)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        subprocess.run(["mv", "--no-target-directory", file, other], check=False, capture_output=True)


def _node(file: bytes, kind: int, device: tuple[int, int] = (0, 0)) -> None:
    _remove(file)
    os.mknod(file, kind | 0o640, os.makedev(*device))


def _socket(file: bytes, _: object) -> None:
    _remove(file)
    directory = os.open(os.path.dirname(file), os.O_PATH)  # a socket's own path may have 107 bytes only
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(b"/proc/self/fd/%d/~" % directory)
        os.rename(b"~", file, src_dir_fd=directory)
    finally:
        os.close(directory)


def _chmod(file: bytes, mode: int) -> None:
    if not os.path.islink(file):
        os.chmod(file, mode)


def _chmod_back(file: bytes, _: object) -> None:
    mode = stat.S_IMODE(os.lstat(file).st_mode)
    _chmod(file, mode ^ 0o111)
    _chmod(file, mode)


def _copy_up(file: bytes, _: object) -> None:
    _append(file, b"")


def _chown(file: bytes, owner: tuple[int, int]) -> None:
    os.chown(file, *owner, follow_symlinks=False)


def _touch(file: bytes, nanoseconds: int) -> None:
    os.utime(file, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def _setxattr(file: bytes, pair: tuple[str, bytes]) -> None:
    os.setxattr(file, *pair, follow_symlinks=False)


def _forget(file: bytes, _: object) -> None:
    for name in os.listxattr(file, follow_symlinks=False):
        os.removexattr(file, name, follow_symlinks=False)


_HOW: dict[str, Callable[[bytes, Any], None]] = {
    "write": _write, "append": _append, "rewrite": _rewrite, "sparse": _sparse, "mkdir": _mkdir, "remake": _remake,
    "remove": _remove, "symlink": _symlink, "link": _link, "rename": _rename, "socket": _socket, "copy_up": _copy_up,
    "fifo": lambda file, _: _node(file, stat.S_IFIFO), "device": lambda file, what: _node(file, *what),
    "chmod": _chmod, "chmod_back": _chmod_back, "chown": _chown, "touch": _touch, "setxattr": _setxattr,
    "forget": _forget,
}  # fmt: skip
