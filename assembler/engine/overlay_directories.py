"""Where a running container's files are: the overlay directories of its ``/``, found through mountinfo.

The same for Docker's overlay2 store, Docker's containerd store, and podman (measured; ``inspect`` shows nothing for the
second). What can't be found, or can't be trusted, is a reason in words: the caller compares two exports instead.
Kernel: fs/overlayfs/params.c (``ovl_show_options``); Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.engine import init_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COLON: Final = re.compile(rb"(?<!\\):")
_BACKSLASH: Final = re.compile(rb"\\(.)")

_STUBS: Final = {
    stat.S_IFDIR: frozenset({b"dev", b"dev/pts", b"dev/shm", b"etc", b"proc", b"sys"}),
    stat.S_IFREG: frozenset({b".dockerenv", b"dev/console", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"}),
    stat.S_IFLNK: frozenset({b"etc/mtab"}),
}
"""What Docker puts beneath a container's writable layer so that it can mount over it (trap 20)."""


@dataclass(frozen=True, slots=True)
class OverlayDirs:
    """``lowers`` are the base's layers, topmost first, without Docker's stubs. All paths can be opened on this machine.

    The flags say what the mount may have used beyond plain whiteouts (trap 8); ``userxattr``: the marks are
    ``user.overlay.*`` instead of ``trusted.overlay.*``.
    """

    upper: Path
    lowers: tuple[Path, ...]
    metacopy: bool = False
    redirect_dir: bool = False
    userxattr: bool = False


@dataclass(frozen=True, slots=True)
class NotReadableInPlace:
    """``reason`` completes the sentence "the container's files can't be read in place, because ..."."""

    reason: str


class _Lost(Exception):
    """Carries the reason to :func:`locate`."""


def locate(
    pid: int, stores: Sequence[Path] = (), told: Mapping[str, str] | None = None
) -> OverlayDirs | NotReadableInPlace:
    """The directories of the container whose process 1 is ``pid``.

    ``stores`` are directories, as the engine sees them, that relative paths may start from. ``told`` is what the engine
    says of the container's directories (``UpperDir``, ``LowerDir``).
    """
    try:
        return _locate(pid, stores, told or {})
    except _Lost as reason:
        return NotReadableInPlace(str(reason))
    except OSError as error:
        return NotReadableInPlace(f"{error.filename}: {error.strerror}")


def _locate(pid: int, stores: Sequence[Path], told: Mapping[str, str]) -> OverlayDirs:
    mount = next((mount for mount in reversed(init_process.mounts_of(pid)) if mount.point == b"/"), None)
    if mount is None or mount.kind != "overlay":
        raise _Lost(f"its / is not an overlay, but {mount.kind if mount else 'not shown'}")
    if init_process.shifts_owners(pid):
        raise _Lost("it runs in a user namespace, where files have other owners than here")
    root = init_process.engine_root(pid)
    if root is None:
        raise _Lost("the engine belongs to another user: this needs root on its machine")
    upper, lowers = layer_paths(mount.options)
    if all(path.isdigit() for path in lowers):
        lowers = _named(upper, lowers, told)
    start = _start(root, upper, lowers, stores)
    directories = [_resolve(root, os.path.join(start, path)) for path in (upper, *lowers)]
    _check(pid, directories)
    if _flag(mount.options, "index") and holds_links(_resolve(root, os.path.join(start, _work(mount.options)))):
        raise _Lost("files with several names were changed, which the writable layer alone does not tell (index=on)")
    kept = directories[2:] if len(directories) > 2 and is_stub_layer(directories[1]) else directories[1:]
    return OverlayDirs(
        Path(os.fsdecode(directories[0])),
        tuple(Path(os.fsdecode(path)) for path in kept),
        metacopy=_flag(mount.options, "metacopy"),
        redirect_dir=_flag(mount.options, "redirect_dir"),
        userxattr=b"userxattr" in mount.options,
    )


def holds_links(work: bytes) -> bool:
    """Whether the overlay whose working directory is ``work`` has copied up files of which not every name is.

    With ``index=on`` their contents lie there for all of their names. The name that was changed may be gone by now,
    with its directory: then nothing in the writable layer tells that the others changed.
    """
    try:
        # What begins with # are whiteouts that the kernel keeps at hand.
        return any(not name.startswith(b"#") for name in os.listdir(os.path.join(work, b"index")))
    except FileNotFoundError:
        return False


def _work(options: Sequence[bytes]) -> bytes:
    return next((init_process.unescape(option[8:]) for option in options if option.startswith(b"workdir=")), b"")


def layer_paths(options: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The upper directory and the lower ones, topmost first, as the mount's options tell them.

    ``lowerdir=a:b`` is the old form, ``lowerdir+=a,lowerdir+=b`` the new mount API's (kernel 6.7).
    """
    upper, lowers = b"", []
    for option in options:
        key, _, value = option.partition(b"=")
        text = init_process.unescape(value)
        if key == b"upperdir":
            upper = text
        elif key == b"lowerdir":
            lowers += [_BACKSLASH.sub(rb"\1", part) for part in _COLON.split(text)]
        elif key == b"lowerdir+":
            lowers.append(text)
        elif key == b"datadir+":
            raise _Lost("it uses data-only layers")
    if not upper:
        raise _Lost("it is read-only")
    if not all(lowers):
        raise _Lost("it uses data-only layers")
    return upper, lowers


def _named(upper: bytes, numbers: list[bytes], told: Mapping[str, str]) -> list[bytes]:
    """podman 5 mounts many layers by the numbers of files that it had open; which these were, it alone can tell."""
    lowers = os.fsencode(told.get("LowerDir", "")).split(b":")
    if os.fsencode(told.get("UpperDir", "")) != upper or len(lowers) != len(numbers):
        return numbers
    return lowers


def _start(root: Path, upper: bytes, lowers: Sequence[bytes], stores: Sequence[Path]) -> bytes:
    """Where relative paths start: engines change to their store before a mount whose options would be too long."""
    if all(os.path.isabs(path) for path in (upper, *lowers)):
        return b"/"
    candidates = [os.fsencode(store) for store in stores]
    while os.path.isabs(upper) and upper != b"/":
        upper = os.path.dirname(upper)
        candidates.append(upper)
    for start in candidates:
        if all(os.path.isdir(_resolve(root, os.path.join(start, path))) for path in (upper, *lowers)):
            return start
    raise _Lost("its layers have relative paths, and it is not known from where")


def _resolve(root: Path, path: bytes) -> bytes:
    """``path`` of the engine as a path of this machine. Docker's and podman's ``l/ABC`` are links to ``../id/diff``.

    Links are followed one by one: realpath would leave ``/proc/pid/root``, and with it the engine's mounts.
    """
    for _ in range(8):
        here = os.path.join(os.fsencode(root), path.lstrip(b"/"))
        if not os.path.islink(here):
            return init_process.plainest(here, path)
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(here)))
    raise _Lost(f"{os.fsdecode(path)} is a link to a path that does not exist")


def _check(pid: int, directories: Sequence[bytes]) -> None:
    """An overlay's root has the inode number of its upper directory: a sure sign that these are its files."""
    for path in directories:
        if not os.access(path, os.R_OK | os.X_OK) or not os.path.isdir(path):
            raise _Lost(f"{os.fsdecode(path)} can't be read: this needs root on the engine's own machine")
    if os.stat(directories[0]).st_ino != os.stat(f"/proc/{pid}/root/").st_ino:
        raise _Lost(f"{os.fsdecode(directories[0])} is not this container's directory")


def is_stub_layer(directory: bytes) -> bool:
    """Is this Docker's own layer of mount stubs (``<id>-init``)? It is empty but for the stubs, and always marked."""
    marked = os.path.lexists(os.path.join(directory, b".dockerenv"))
    return marked and all(_is_stub(directory, path) for path in _paths(directory))


def _paths(directory: bytes) -> Iterator[bytes]:
    """Lazily: a caller that stops at the first strange directory has read no more than that."""
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield os.path.relpath(os.path.join(parent, name), directory)


def _is_stub(directory: bytes, path: bytes) -> bool:
    status = os.lstat(os.path.join(directory, path))
    known = path in _STUBS.get(stat.S_IFMT(status.st_mode), ())
    return known and not (stat.S_ISREG(status.st_mode) and status.st_size)


def _flag(options: Sequence[bytes], name: str) -> bool:
    """The kernel shows only options that differ from the module's defaults."""
    for option in options:
        key, _, value = option.decode(errors="replace").partition("=")
        if key == name:
            return value == "on"
    try:
        with open(f"/sys/module/overlay/parameters/{name}", encoding="ascii") as file:
            return file.read().strip() == "Y"
    except OSError:
        return False
