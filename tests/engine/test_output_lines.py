from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assembler.engine.output_lines import Lines


def split(*chunks: bytes, keep: int = 200) -> tuple[list[str], list[str]]:
    """All lines that were handed on, and the ones that were kept."""
    handed: list[str] = []
    lines = Lines(handed.append, keep=keep)
    for chunk in chunks:
        lines.feed(chunk)
    lines.close()
    return handed, list(lines.tail)


def test_lines() -> None:
    assert split(b"one\ntwo\r\nthree") == (["one", "two", "three"], ["one", "two", "three"])


def test_a_newline_may_come_later_than_its_carriage_return() -> None:
    assert split(b"one\r", b"\ntwo\n") == (["one", "two"], ["one", "two"])


def test_progress_replaces_itself() -> None:
    assert split(b"begin\n10%\r50%\r", b"99%\rdone\nend\n") == \
        (["begin", "10%", "50%", "99%", "done", "end"], ["begin", "done", "end"])


def test_only_the_last_lines_are_kept() -> None:
    assert split(b"".join(b"%d\n" % number for number in range(1000)), keep=3)[1] == ["997", "998", "999"]


def test_an_endless_line_comes_in_pieces() -> None:
    handed, _ = split(*[b"x" * 1000] * 100, b"\n")
    assert "".join(handed) == "x" * 100_000
    assert max(map(len, handed)) == 8192


def test_what_is_not_utf8_shows_as_replacement() -> None:
    assert split(b"\xff\xfe\n")[0] == ["\ufffd\ufffd"]


@given(st.lists(st.binary(max_size=20).map(lambda data: data.translate(bytes(b"\r\nab"[n % 4] for n in range(256))))))
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    assert split(*chunks) == split(b"".join(chunks))
