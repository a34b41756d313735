"""What is mounted over a container's own files, and so can reach no layer.

Most of it is nobody's loss: the kernel's (/proc, /sys, /dev), scratch, and sources, which are read-only. Two kinds are:

* The base image's VOLUMEs. podman need not mount them; Docker does, with a copy of the image's files. Root on the
  engine's machine takes them away before anything runs, and what lay beneath are the image's own files. Elsewhere
  they are read beside the rootfs, as the part of it that they are.
* Files of the engine's own (/etc/hosts, /etc/hostname, /etc/resolv.conf, /run/secrets) and what its configuration
  mounts everywhere. They are watched, because what a step writes there would be lost.
"""

from __future__ import annotations

import inspect
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from assembler.engine import unmount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from assembler.engine.init_process import Mount
    from assembler.engine.running import Volume

Sight = tuple[object, ...]
"""What somebody saw of a mount: another one is a change."""

_KERNELS: Final = (b"/proc", b"/sys", b"/dev")

_LOOK: Final = """
for path; do
    ls -lanR "$path"
    [ -d "$path" ] || cat "$path"
    printf '\\0%s\\0' "$0"
done 2>/dev/null
"""


def look(points: Sequence[bytes], word: str) -> list[str]:
    """A command for the container. What it prints of each point, split at ``word`` in zeros, changes with the point."""
    return ["/bin/sh", "-c", _LOOK, word, *map(os.fsdecode, points)]


def look_from_here(pid: int, point: bytes, former: Sight | None = None) -> Sight:
    """What changes with what is mounted at ``point``, as root sees it without a process in the container.

    A step may have put links into the path, and they lead through this machine: only what is the same file or directory
    as ``former`` was is read.
    """
    try:
        opened = os.open(b"/proc/%d/root%b" % (pid, point), os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        status = os.fstat(opened)
        identity = status.st_dev, status.st_ino
        if former is not None and former[:1] != (identity,):
            return (identity,)
        content: object = None
        if stat.S_ISDIR(status.st_mode):
            content = tuple(_below(opened))
        elif stat.S_ISREG(status.st_mode):
            with open(f"/proc/self/fd/{opened}", "rb") as file:
                content = file.read()
        return identity, (status.st_mode, status.st_uid, status.st_gid), content
    finally:
        os.close(opened)


def _below(directory: int) -> Iterator[Sight]:
    """All names in it, and what tells of a change to them."""
    for folder, directories, files, opened in os.fwalk(".", dir_fd=directory):
        directories.sort()
        for name in sorted((*directories, *files)):
            try:
                seen = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:  # a process that the step left behind removed it just now
                continue
            yield folder, name, seen.st_mode, seen.st_uid, seen.st_gid, seen.st_size, seen.st_mtime_ns, seen.st_ino


def points_of(volumes: Iterable[Volume], table: Sequence[Mount]) -> frozenset[bytes]:
    """Where ``volumes`` really are: a declared path may lead through links."""
    names = {os.fsencode(volume.name) for volume in volumes if volume.name}
    declared = {os.fsencode(volume.path) for volume in volumes}
    return frozenset(
        mount.point for mount in table if mount.point in declared or not names.isdisjoint(mount.root.split(b"/"))
    )


def hiding(points: Collection[bytes], table: Sequence[Mount]) -> tuple[bytes, ...]:
    """Those of ``points`` that hide files of the container: not such as lie in another mount, in a scratch say."""
    others = {mount.point for mount in table if mount.point not in points} - {b"/"}
    return tuple(sorted(point for point in points if not any(_is_in(point, other) for other in others)))


def take_away(pid: int, points: Sequence[bytes], table: Sequence[Mount]) -> None:
    """Unmounts the volumes at ``points`` in the namespace of process ``pid``, as far as that can be done.

    What is mounted in a volume (scratch, a source) would go with it: then all of them stay.
    """
    others = [mount.point for mount in table if mount.point not in points]
    if os.geteuid() != 0 or any(_is_in(other, point) for other in others for point in points):
        return
    deepest_first = sorted(points, key=len, reverse=True)
    program = f"{inspect.getsource(unmount)}\nunmount({pid}, {deepest_first})"
    subprocess.run([sys.executable, "-I", "-c", program], stdin=subprocess.DEVNULL, capture_output=True, check=False)


def watched(table: Sequence[Mount], known: Collection[bytes]) -> Iterator[bytes]:
    """Mount points where something could be written and lost; ``known`` are those that are taken care of."""
    for mount in table:
        at_all = mount.point != b"/" and not mount.read_only
        if at_all and not any(_is_in(mount.point, above) for above in (*_KERNELS, *known)):
            yield mount.point


def _is_in(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")
