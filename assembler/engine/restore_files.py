"""Files on their way into a running container, and out of and into its scratch volumes, by this machine's own tar.

What is written through ``/proc/PID/root`` goes through the container's own mounts: its overlay copies up and marks what
is gone, whichever storage it has. GNU tar keeps links, owners, attributes and devices, and a directory's time.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.engine.client_process import feed, reading
from assembler.engine.stay_inside import Inside, staying_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.layer.read_tar import Readable

_ATTRIBUTES: Final = ("--xattrs", "--xattrs-include=*", "--numeric-owner")
_WHOLE_SECONDS: Final = "--pax-option=delete=atime,delete=ctime,delete=mtime"
"""As in layers: what is older than something else in a container still is in the other."""


def write_changes(pid: int, removed: Iterable[bytes], tar: Readable, times: Mapping[bytes, int]) -> None:
    """Removes the paths ``removed``, then writes what is in ``tar``, and sets the mtimes ``times`` (seconds), all of it
    in the container whose process 1 is ``pid``.

    Nothing else may run there. EngineError where it can't be done, or would be done outside of the container.
    """
    root = os.fsencode(f"/proc/{pid}/root")
    before = Inside(root)
    for path in removed:
        before.refuse_detour(path)
        _remove(os.path.join(root, path))
    unpack(tar, os.fsdecode(root))
    after = Inside(root)
    for path in sorted(times, key=len, reverse=True):  # a directory comes after what is in it
        after.refuse_detour(path)
        os.utime(os.path.join(root, path), (times[path], times[path]), follow_symlinks=False)


def pack(directory: Path) -> AbstractContextManager[BinaryIO]:
    """A tar of all that is in ``directory``."""
    command = ["tar", "--create", "--format=posix", _WHOLE_SECONDS, *_ATTRIBUTES, "--directory",
               str(directory), "."]  # fmt: skip
    return reading(command, f"could not read {directory}")


def unpack(tar: Readable, directory: Path | str) -> None:
    """EngineError for a tar that leads out of ``directory``."""
    command = ["tar", "--extract", "--file=-", "--preserve-permissions", "--same-owner", *_ATTRIBUTES,
               "--directory", str(directory)]  # fmt: skip
    inside = staying_inside(tar, os.fsencode(directory))
    feed(command, inside, f"could not write the files of a checkpoint to {directory}")


def _remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
