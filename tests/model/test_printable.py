from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assembler.model.printable import printable


@given(st.text(), st.sampled_from((None, "?", " ")))
def test_nothing_is_left_that_a_terminal_obeys(text: str, instead: str | None) -> None:
    assert printable(text, instead=instead).isprintable()
    assert printable(text, keep="\n", instead=instead).replace("\n", "").isprintable()


def test_letters_beside_what_is_escaped_stay_as_they_are() -> None:
    assert printable("Übung\x1b[31m\n") == r"Übung\x1b[31m\n"
    assert printable("a\udcff") == r"a\udcff"
    assert printable("a\tb\nc", keep="\n", instead="?") == "a?b\nc"
