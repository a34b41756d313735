"""What C does for many files is what Python does: the same bytes, the same errors, and nothing that is undefined."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.changeset.entry_order import likeness
from assembler.errors import ChangesetError
from assembler.layer import many_files
from assembler.layer.compress import compressor
from assembler.layer.entry import Entry
from assembler.layer.write_layer import CHUNK, write_layer
from assembler.model.node import Content, Kind, Node
from tests.support.both_ways import only_python

ROOT = Path(__file__).parents[2]


def test_where_a_compiler_and_pythons_headers_are_the_c_is_there() -> None:
    can_compile = shutil.which("cc") is not None and Path(sysconfig.get_path("include"), "Python.h").exists()
    assert can_compile == (many_files.in_c is not None), "scripts/install --test builds it"


FILES = {b"gone": None, b"link": None, b"a": b"a", b"block": b"b" * 512, b"some": b"some\n" * 200,
         b"chunk": b"c" * (CHUNK - 512), b"large": b"l" * (CHUNK + 1)}  # fmt: skip
PATHS = st.one_of(
    st.binary(min_size=1, max_size=20).filter(lambda path: b"\0" not in path),
    st.builds(lambda head, tail: b"h" * head + b"/" + b"\xfft" * tail, st.integers(1, 260), st.integers(1, 130)),
    st.integers(1, 12).map(lambda count: b"/".join([b"part" * 7] * count)),
)
NUMBERS = st.sampled_from((0, 1, 1000, 0o7777777, 0o7777777 + 1, 2**31, 2**32 - 1))
TIMES = st.one_of(NUMBERS, st.sampled_from((-1, -(2**31), 0o77777777777, 0o77777777777 + 1)))
NODES = st.tuples(st.sampled_from((0o644, 0o7777, 0)), NUMBERS, NUMBERS, TIMES).map(lambda of: Node(Kind.REGULAR, *of))


@st.composite
def entries(draw: Any) -> Entry:
    """Of plain files, mostly as they are: a few are shorter than their node says, gone, or links."""
    path, node, file = draw(PATHS), draw(NODES), draw(st.sampled_from([*FILES, b"a", b"block", b"some", b"some"]))
    if draw(st.integers(0, 9)) == 0:
        return Entry(path, draw(st.sampled_from((None, node, node._replace(xattrs=((b"user.a", b"1"),))))))
    size = len(FILES[file] or b"?") - (offset := draw(st.sampled_from((0, 0, 0, 1))))
    size += draw(st.sampled_from((0,) * 30 + (1,)))
    return Entry(path, node._replace(size=size), None, Content(file, offset) if size else None)


def outcome(some: list[Entry]) -> tuple[bytes, str, list[int]]:
    sink = io.BytesIO()
    try:
        layer = write_layer(some, sink, compressor("none"))
    except ChangesetError as error:
        return b"", str(error), []
    return sink.getvalue(), str(layer.diff_id), list(layer.ends)


def test_the_layer_is_the_same_whatever_the_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        if content is not None:
            Path(os.fsdecode(name)).write_bytes(content)
    Path("link").symlink_to("a")
    whole = []

    @settings(max_examples=100, database=None)
    @given(st.lists(entries(), max_size=12))
    def each(some: list[Entry]) -> None:
        with only_python():
            expected = outcome(some)
        assert outcome(some) == expected
        whole.append(bool(expected[0]))

    each()
    assert whole.count(True) > 20 < whole.count(False)


@pytest.mark.usefixtures("each_way")
def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    entry = Entry(b"opt/f", Node(Kind.REGULAR, 0o644, size=6), content=Content(os.fsencode(tmp_path / "f")))
    with pytest.raises(ChangesetError, match="opt/f can't be read any more: No such file"):
        write_layer([entry], io.BytesIO(), compressor("none"))


@given(st.lists(st.sampled_from(list(b"abf09.g/\xff\0")), max_size=30).map(bytes))
def test_likeness_is_the_same(path: bytes) -> None:
    assert many_files.likeness_of(likeness)(path) == likeness(path)


def test_the_fuzzer_finds_nothing_undefined_in_c(tmp_path: Path) -> None:
    """A few seconds of ``scripts/fuzz c``."""
    done = subprocess.run([ROOT / "scripts/fuzz", "c", "--seconds", "3"], cwd=tmp_path, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 50, "rounds"


def test_the_fuzzer_would_find_it(tmp_path: Path) -> None:
    source = (ROOT / "assembler/layer/_many_files.c").read_text()
    broken = source.replace("malloc(extension + 1 + (size_t)(end - name))", "malloc(extension + (size_t)(end - name))")
    assert broken != source
    (tmp_path / "broken.c").write_text(broken)
    done = subprocess.run([ROOT / "scripts/fuzz", "c", "--seconds", "3", "--source", tmp_path / "broken.c"],
                          cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
