"""The command lines that start programs in namespaces of their own: util-linux's unshare(1), setpriv(1).

Root needs no user namespace. Another user is root in one, with the ids that /etc/subuid and /etc/subgid give.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ABOVE: Final = str(Path(__file__).parents[3])
"""Where this package is found."""

_PROGRAMS: Final = ("unshare", "setpriv")

_OF_A_CONTAINER: Final = ("--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")


def as_root() -> list[str]:
    """What runs a command as root of as many ids as this user has."""
    return [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--map-auto"]


def contained(*, own_network: bool) -> list[str]:
    """What runs a program as process 1 of new namespaces, which end with the thread that started it: first the user
    namespace, because entering that undoes what setpriv asks for (prctl(2), PR_SET_PDEATHSIG)."""
    network = ["--net"] if own_network else []
    return [*as_root(), "setpriv", "--pdeathsig", "KILL", "unshare", *_OF_A_CONTAINER, *network]


def program(name: str, *arguments: str) -> list[str]:
    """A module of this package that is run in another namespace, with no library but Python's own."""
    load = f"import sys; sys.path.append({_ABOVE!r}); from assembler.engine.host.{name} import main"
    return [sys.executable, "-I", "-S", "-c", f"{load}; main(*{arguments!r})"]


def check() -> None:
    """EngineError where this machine, or this user, can't make a container."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        raise EngineError(f"host: {missing[0]} is not installed", hint="apt-get install util-linux")
    if os.geteuid() != 0 and shutil.which("newuidmap") is None:
        raise EngineError("host: newuidmap is not installed, which an ordinary user needs",
                          hint="apt-get install uidmap, or run this as root.")
    _try([*contained(own_network=False), "true"])


def _try(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise EngineError("host: this user can make no namespaces here", hint=_hint(),
                          detail=done.stderr.decode(errors="replace").strip())


def _hint() -> str:
    if os.geteuid() == 0:
        return "Run this where root may mount: a container needs CAP_SYS_ADMIN, or a user namespace of its own."
    return ("Give this user ids of its own in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 "
            "--add-subgids 100000-165535 NAME), and allow user namespaces; or run this as root.")


def remove(directory: Path) -> None:
    """A directory in which other ids of this user have written, too."""
    if directory.exists():
        subprocess.run([*as_root(), "rm", "-rf", "--one-file-system", "--", directory], stdin=subprocess.DEVNULL,
                       capture_output=True, check=False)
