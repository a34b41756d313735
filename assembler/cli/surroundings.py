"""What the process finds around it: environment variables, folders, clocks. Only the command line asks for these."""

from __future__ import annotations

import os
import random
import secrets
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.errors import UsageError
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from assembler.registry.retry import Clock


def cache_folder() -> Path:
    """Fetched sources and bases: ``$IMGASM_CACHE``, else the user's cache (XDG base directories)."""
    chosen = os.environ.get("IMGASM_CACHE")
    if chosen:
        return Path(chosen)
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(folder) if os.path.isabs(folder) else Path.home() / ".cache") / "imgasm"


def variable(name: str) -> str:
    """What the environment variable ``name`` holds. UsageError where there is none."""
    value = os.environ.get(name)
    if value is None:
        raise UsageError(f"the environment has no variable {name}", hint=f"Set it, as in: export {name}=...")
    return value


def source_date_epoch() -> int | None:
    """Seconds (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="It must be a number of seconds since 1970.")
    return int(text)


def engine_options(engine: str) -> list[str]:
    """Options for the engine's own client, before its command: ``IMGASM_PODMAN_OPTIONS="--runtime runc"``."""
    return shlex.split(os.environ.get(f"IMGASM_{engine.upper()}_OPTIONS", ""))


def platform() -> Platform:
    """What this machine runs."""
    return Platform.of_machine(os.uname().machine)


def build_id() -> str:
    """Tells this build's container from all others."""
    return secrets.token_hex(6)


def clock() -> Clock:
    from assembler.registry.retry import Clock

    return Clock(time.monotonic, time.time, time.sleep, random.random)
