"""What a reader types, and what the page says that comes out: replayed, and compared but for what every run changes."""

from __future__ import annotations

import difflib
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.pages import blocks

_CHANGING: Final = (
    (r"[0-9a-f]{12,}", "HEX"),
    (r"\d+ seconds?|a second", "N seconds"),
    (r"\b(\d+m )?\d+(\.\d+)? ?s\b", "N s"),
    (r"127\.0\.0\.1:\d+", "REGISTRY"),
    (r"\b\d+(\.\d+)? [kMG]?B\b", "SIZE"),
)
_LEFT_OUT: Final = "[...]"
_SLOW: Final = re.compile(r"\[\d+/\d+\] .*: N s, SIZE on disk|checkpoint after step |[a-z ]+: N s, ")
"""Lines that a page need not have: only a slow or busy machine prints them."""


@dataclass(frozen=True, slots=True)
class Typed:
    """``told`` are the lines that the page has below ``command``; ``[...]`` stands for any."""

    command: str
    told: tuple[str, ...]


def typed(page: str) -> Iterator[Typed]:
    """All sessions of a page, in its order."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *told = part.splitlines()
            yield Typed(command, tuple(told))


def replay(each: Typed, directory: Path, environment: Mapping[str, str]) -> None:
    """Fails where the command prints what the page does not say."""
    done = subprocess.run(["sh", "-c", each.command], cwd=directory, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    lines = [_same(line) for line in done.stdout.replace(f"{directory}/", "").splitlines()]
    expected = [line if line == _LEFT_OUT else _same(line) for line in each.told]
    lines = [line for line in lines if line in expected or not _SLOW.match(line)]
    pattern = "".join(r"(.*\n)*?" if line == _LEFT_OUT else re.escape(line) + r"\n" for line in expected)
    difference = "\n".join(difflib.unified_diff(expected, lines, "the page", "the command", lineterm=""))
    assert re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)), f"{each.command}\n{difference}"


def _same(line: str) -> str:
    for changing, word in _CHANGING:
        line = re.sub(changing, word, line)
    return line.rstrip()
