"""Lines of a RUN that only keep its layer small. In one container nothing but the end counts: [prune] says it."""

from __future__ import annotations

import re
from typing import Final

_CLEAN_UPS: Final = {
    "apt": r"(?:apt|apt-get)\s+(?:-\S+\s+)*(?:clean|autoclean)"
           r"|rm\s+-\S+\s+(?:/var/(?:lib/apt/lists|cache/apt(?:/archives)?)(?:/\*{0,2})?\s*)+",
    "yum": r"(?:yum|dnf|microdnf)\s+(?:-\S+\s+)*clean\s+all|rm\s+-\S+\s+(?:/var/cache/(?:yum|dnf)(?:/\*)?\s*)+",
    "apk": r"rm\s+-\S+\s+/var/cache/apk(?:/\*)?",
    "tmp": r"rm\s+-\S+\s+(?:/(?:var/)?tmp/\*\s*)+",
    "python": r"pip3?\s+cache\s+purge|rm\s+-\S+\s+(?:/root|~)/\.cache(?:/pip)?",
}  # fmt: skip
"""For each prune preset, the commands that it replaces."""

_LAST: Final = re.compile(
    r"(?:^|(?P<joint>&&|;|\n))(?:\s|\\\n)*(?P<command>" + "|".join(f"(?:{one})" for one in _CLEAN_UPS.values())
    + r")(?:\s|\\\n|;)*$")  # fmt: skip


def without_clean_up(script: str) -> tuple[str, dict[str, str]]:
    """``script`` without the clean-up at its end, and what went, by the preset that does it instead."""
    gone: dict[str, str] = {}
    while last := _LAST.search(script):
        command = " ".join(last["command"].split())
        preset = next(name for name, pattern in _CLEAN_UPS.items() if re.fullmatch(pattern, command))
        gone[preset] = f"{command}; {gone[preset]}" if preset in gone else command
        script = script[: last.start()].rstrip().removesuffix("\\").rstrip()
    return script, gone
