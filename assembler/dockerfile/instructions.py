"""A Dockerfile as a list of instructions: BuildKit's grammar, with continued lines, comments, flags and heredocs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from assembler.errors import UsageError

_DIRECTIVE: Final = re.compile(r"#\s*([a-z]+)\s*=\s*(.+?)\s*$", re.I)
_FLAG: Final = re.compile(r"(--[a-z][a-z-]*(?:=(?:\"[^\"]*\"|\S)*)?)(?:\s+|$)")
_HEREDOC: Final = re.compile(r"(?<![<\w])<<(-?)([\"']?)([A-Za-z_][\w.-]*)\2")
_WITH_HEREDOCS: Final = ("ADD", "COPY", "RUN")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """``name`` ends it. ``expands``: variables in ``text`` are replaced, because the name was not quoted."""

    name: str
    text: str
    expands: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """``value`` is what stands behind keyword and flags: one line, as Docker joins it. ``lines`` are the same as they
    are written, without comments. ``line`` is the number of the first, from 1."""

    keyword: str
    flags: tuple[str, ...]
    value: str
    lines: tuple[str, ...]
    line: int
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str) -> str | None:
        """What ``--name=`` says, the last time."""
        return next((flag.partition("=")[2] for flag in reversed(self.flags) if flag.partition("=")[0] == name), None)


def parse(text: str) -> list[Instruction]:
    """Raises UsageError for what is no Dockerfile."""
    lines, escape = text.splitlines(), _escape(text)
    found, number = [], 0
    while number < len(lines):
        if not lines[number].strip() or lines[number].lstrip().startswith("#"):
            number += 1
            continue
        instruction, number = _instruction(lines, number, escape)
        found.append(instruction)
    if not found:
        raise UsageError("the Dockerfile has no instruction", hint="Name a Dockerfile with at least a FROM.")
    return found


def _escape(text: str) -> str:
    """What continues a line: a parser directive on top can say so."""
    for line in text.splitlines():
        directive = _DIRECTIVE.match(line)
        if directive is None:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"


def _instruction(lines: list[str], number: int, escape: str) -> tuple[Instruction, int]:
    """The instruction that begins at ``lines[number]``, and the number of the line behind it."""
    continued, first = re.compile(re.escape(escape) + r"[ \t]*$"), number
    written: list[str] = []
    while number < len(lines):
        line, number = lines[number], number + 1
        if written and (not line.strip() or line.lstrip().startswith("#")):
            continue
        written.append(continued.sub("\\\\" if escape == "\\" else "", line))
        if not continued.search(line):
            break
    joined = "".join(continued.sub("", line) for line in written).strip()
    keyword, _, value = joined.partition(" ") if " " in joined else joined.partition("\t")
    flags, value = _flags(value.strip())
    heredocs, number = _heredocs(keyword.upper(), value, lines, number)
    head = re.compile(rf"\s*{re.escape(keyword)}\s+")
    shown = [head.sub("", written[0], count=1), *written[1:]]
    return Instruction(keyword.upper(), flags, value, tuple(shown), first + 1, heredocs), number


def _flags(value: str) -> tuple[tuple[str, ...], str]:
    flags = []
    while flag := _FLAG.match(value):
        flags.append(flag[1])
        value = value[flag.end():]
    return tuple(flags), value


def _heredocs(keyword: str, value: str, lines: list[str], number: int) -> tuple[tuple[Heredoc, ...], int]:
    found = []
    for tabs, quote, name in _HEREDOC.findall(value) if keyword in _WITH_HEREDOCS else ():
        body = []
        for line in _until(name, lines[number:], bool(tabs)):
            body.append(line)
        number += len(body) + 1
        if number > len(lines):
            raise UsageError(f"the Dockerfile's heredoc {name} does not end", hint=f"A line must hold {name} alone.")
        found.append(Heredoc(name, "".join(f"{line}\n" for line in body), not quote))
    return tuple(found), number


def _until(name: str, lines: list[str], strips_tabs: bool) -> Iterator[str]:
    for line in lines:
        text = line.lstrip("\t") if strips_tabs else line
        if text == name:
            return
        yield text
