"""Folders whose content is believed from one run to the next: nobody else may be able to change it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from assembler.errors import FileError

MODE: Final = 0o755
"""What such folders are made with: a umask of 000, or of 002 in a group of many, would make them everybody's."""


def refuse_foreign(folder: Path, *below: str) -> None:
    """FileError where somebody else can write in ``folder``, or in what is ``below`` it.

    What is not there is passed over. Root can change everything anyway, so what is root's is as good as one's own.
    """
    for path in (folder, *(folder / name for name in below)):
        try:
            who = _others(path.stat())
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            return  # whoever makes the folder tells that better
        if who is not None:
            raise FileError(f"{path} can be changed by {who}, so nothing that is kept there can be believed",
                            hint=f"Take that right away (chown, chmod -R go-w {folder}), or choose another cache "
                                 "with IMGASM_CACHE.")


def _others(status: os.stat_result) -> str | None:
    """Who else can change it."""
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    if status.st_uid not in (0, os.geteuid()):
        return f"the user {_name(status.st_uid)}"
    return "its group" if status.st_mode & stat.S_IWGRP and not _is_private(status) else None


def _is_private(status: os.stat_result) -> bool:
    """Whether it is only its group's that is its owner's alone, as distributions make one for each user."""
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    is_own = (group.gr_gid, group.gr_name) == (owner.pw_gid, owner.pw_name)
    return is_own and set(group.gr_mem) <= {owner.pw_name}


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
