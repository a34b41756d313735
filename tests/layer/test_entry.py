from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.layer.entry import Entry, hidden_by

names = st.binary(min_size=1, max_size=5).filter(lambda name: b"/" not in name and not name.startswith(b".wh."))


@given(st.lists(names, max_size=3), names)
def test_the_whiteout_of_a_path_hides_that_path(above: list[bytes], name: bytes) -> None:
    directory = b"/".join(above)
    path = directory + b"/" + name if above else name
    assert hidden_by(Entry(path, None).tar_path) == (directory, name)
    assert hidden_by(path) is None


@pytest.mark.parametrize(("path", "hidden"), [
    (b".wh..wh..opq", (b"", None)),
    (b"a/b/.wh..wh..opq", (b"a/b", None)),
    (b"a/.wh..wh..opq2", (b"a", b".wh..opq2")),
    (b".wh.", (b"", b"")),
    (b".wh.a/b", None),
    (b"a.wh.b", None),
])  # fmt: skip
def test_of_an_opaque_one_all_names_and_of_other_paths_nothing(path: bytes, hidden: object) -> None:
    assert hidden_by(path) == hidden
