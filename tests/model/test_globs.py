"""What sets in brackets mean, whatever is in them: Python's own expressions give several characters a meaning."""

from __future__ import annotations

import re

import pytest

from assembler.model.globs import translate


@pytest.mark.parametrize(("glob", "matched", "other"), [
    ("/a[[]", b"a[", b"ab"), ("/a[a-c]", b"ab", b"ad"), ("/a[!a-c]", b"ad", b"ab"), ("/a[\\x]", b"a\\", b"ay"),
    ("/a[&&~~||]", b"a&", b"ab"), ("/a[]]", b"a]", b"ab"), ("/a[", b"a[", b"ab"),
])  # fmt: skip
def test_a_set_is_its_characters(glob: str, matched: bytes, other: bytes) -> None:
    expression = re.compile(translate(glob))
    assert expression.match(matched) and not expression.match(other)
