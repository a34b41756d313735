"""Dockerfiles are read as BuildKit's grammar has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.dockerfile.instructions import Heredoc, parse
from assembler.errors import UsageError


def test_lines_are_continued_past_comments_and_empty_lines() -> None:
    [first, second] = parse("from base\nRUN one && \\\n  # a comment\n\n    two \\\n    three\n")
    assert (first.keyword, first.value, first.line) == ("FROM", "base", 1)
    assert second.value.split() == ["one", "&&", "two", "three"]
    assert second.lines == ("one && \\", "    two \\", "    three")
    assert second.line == 2


def test_another_escape_is_taken_from_the_directive() -> None:
    [_, run] = parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM base\nRUN dir C:\\ `\n  /b\n")
    assert run.value.split() == ["dir", "C:\\", "/b"]


def test_flags_stand_before_the_value() -> None:
    [_, run] = parse("FROM a\nRUN --mount=type=cache,target=/c --network=none \\\n  make --all\n")
    assert run.flags == ("--mount=type=cache,target=/c", "--network=none")
    assert run.value.strip() == "make --all"
    assert run.flag("--network") == "none" and run.flag("--all") is None


def test_heredocs_are_read_to_their_ends() -> None:
    text = "FROM a\nRUN <<EOF\necho \\\n# no comment\nEOF\nCOPY <<-'A' <<B /x/\n\tone\n\tA\ntwo $V\nB\nCMD ls\n"
    [_, run, copy, cmd] = parse(text)
    assert run.heredocs == (Heredoc("EOF", "echo \\\n# no comment\n", True),)
    assert copy.heredocs == (Heredoc("A", "one\n", False), Heredoc("B", "two $V\n", True))
    assert (cmd.keyword, cmd.line) == ("CMD", 11)


@pytest.mark.parametrize("text", ["", "# nothing\n", "FROM a\nRUN <<EOF\necho\n"])
def test_what_is_no_dockerfile_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@given(st.text(alphabet="ab \\\n\t#<E'\"$-=", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        instructions = parse(f"FROM x\n{text}")
    except UsageError:
        return
    assert [each.line for each in instructions] == sorted({each.line for each in instructions})
