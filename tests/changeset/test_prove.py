"""imgasm's own proof of a layer: it takes what is right, and finds whatever was done to a right layer."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from assembler.changeset.capture import changeset, prove_layer
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tree import EmptyTree
from assembler.errors import ChangesetError
from assembler.layer.entry import Entry
from assembler.layer.tar_header import END, header
from assembler.model.node import Content, Kind, Node
from tests.changeset.test_property import Case, cases, examples, past
from tests.support.edits import Edit, perform
from tests.support.scene import layer_of, scene

if TYPE_CHECKING:
    from assembler.changeset.capture import Capture
    from assembler.changeset.tree import Tree
    from assembler.model.node import Xattrs

pytestmark = pytest.mark.root

CAPABLE = bytes.fromhex("0100000200040000000000000000000000000000")
BASE = [
    Edit("write", b"old/deep/file", b"old\n"), Edit("write", b"etc/kept", b"kept\n"), Edit("write", b"etc/one", b"1"),
    Edit("link", b"etc/two", other=b"etc/one"), Edit("write", b"etc/changed", b"old\n"), Edit("mkdir", b"tmp"),
    Edit("chmod", b"tmp", 0o1777), Edit("write", b"etc/gone", b"x"),
]  # fmt: skip
CONTAINER = [
    Edit("remove", b"old"), Edit("remove", b"etc/gone"), Edit("write", b"etc/changed", b"new\n"),
    Edit("write", b"tmp/new", b"tmp\n"), Edit("link", b"tmp/link", other=b"tmp/new"), Edit("append", b"etc/two", b"2"),
    Edit("write", b"opt/app", b"app\n"), Edit("touch", b"etc/kept", 0),
]  # fmt: skip


@dataclass(frozen=True)
class Right:
    """A right layer's entries, and the capture they are of."""

    capture: Capture
    entries: list[Entry]

    def prove(self, entries: list[Entry], **options: int) -> None:
        for codec in ("none", "zstd"):
            layer = layer_of(entries, codec=codec)
            prove_layer(io.BytesIO(layer), self.capture, None, Patterns(), **options)

    def changed(self, path: bytes, change: Callable[[Entry], Entry]) -> list[Entry]:
        assert path in {entry.path for entry in self.entries}
        return [change(entry) if entry.path == path else entry for entry in self.entries]

    def without(self, path: bytes) -> list[Entry]:
        return [entry for entry in self.entries if entry.path != path]


@pytest.fixture(scope="module")
def right() -> Iterator[Right]:
    with scene(lambda at: perform(at, BASE), container=lambda at: perform(at, CONTAINER)) as done:
        capture = done.overlay()
        yield Right(capture, list(changeset(capture, None, Patterns()).changeset.entries))


def test_a_right_layer_is_proved(right: Right) -> None:
    assert {entry.path for entry in right.entries} == {
        b"old", b"etc/gone", b"etc/changed", b"tmp", b"tmp/new", b"tmp/link", b"etc/two", b"opt", b"opt/app",
    }  # fmt: skip
    right.prove(right.entries)


def found(right: Right, entries: list[Entry]) -> dict[str, str]:
    """What the proof says of each path."""
    with pytest.raises(ChangesetError, match="bug in imgasm") as caught:
        right.prove(entries)
    assert "report" in (caught.value.hint or "")
    return dict(line.split(": ", 1) for line in (caught.value.detail or "").splitlines())


@pytest.mark.parametrize("path", [b"etc/changed", b"tmp/new", b"etc/two", b"opt", b"opt/app", b"tmp"])
def test_an_entry_that_was_left_out_is_found(right: Right, path: bytes) -> None:
    assert "/" + path.decode() in found(right, right.without(path))


@pytest.mark.parametrize("path", [b"etc/changed", b"etc/gone", b"opt/app"])
def test_what_the_capture_overlooked_is_found(right: Right, path: bytes) -> None:
    """The layer's maker and the proof are both not told of it; only the two trees can tell."""
    blind = replace(right.capture, candidates={found: node for found, node in right.capture.candidates.items()
                                               if found != path})  # fmt: skip
    assert found(Right(blind, right.entries), right.without(path)).keys() == {"/" + path.decode()}


@pytest.mark.parametrize("end", [b"", END[:512], END + bytes(9216)])
def test_an_end_of_another_length_is_found(right: Right, end: bytes) -> None:
    layer = layer_of(right.entries)[: -len(END)] + end
    with pytest.raises(ChangesetError) as caught:
        prove_layer(io.BytesIO(layer), right.capture, None, Patterns())
    assert "two blocks of zeros" in (caught.value.detail or caught.value.message)


def test_a_missing_whiteout_is_found(right: Right) -> None:
    assert found(right, right.without(b"etc/gone")) == {"/etc/gone": "it is removed in the container, and stays"}


@pytest.mark.parametrize("path", [b"etc/kept", b"etc/never", b"old/deep"])
def test_a_superfluous_whiteout_is_found(right: Right, path: bytes) -> None:
    assert "the layer removes it" in found(right, [*right.entries, Entry(path, None)])["/" + path.decode()]


def test_a_superfluous_entry_is_found(right: Right) -> None:
    """One that the image should not have, one that is the same below, and one for the root."""
    node = Node(Kind.REGULAR, 0o644)
    assert found(right, [*right.entries, Entry(b"etc/more", node)]).keys() == {"/etc/more"}
    kept = right.capture.final.node(b"etc/kept")
    assert found(right, [*right.entries, Entry(b"etc/kept", kept, content=right.capture.final.content(b"etc/kept"))])[
        "/etc/kept"] == "the layer has an entry for it, and it is below already"
    assert found(right, [*right.entries, Entry(b"", Node(Kind.DIRECTORY, 0o755))]).keys() == {"/"}
    assert found(right, [*right.entries, Entry(b"etc", right.capture.base.node(b"etc"))]).keys() == {"/etc"}
    assert "twice" in found(right, [*right.entries, *right.without(b"")[:1]])["/" + os.fsdecode(right.entries[0].path)]


METADATA: list[tuple[str, dict[str, object]]] = [
    ("the mode", {"mode": 0o600}), ("the owner", {"gid": 7}), ("the time", {"mtime": 5}),
    ("the attributes", {"xattrs": ((b"user.a", b"1"),)}), ("the kind", {"kind": Kind.FIFO}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fields"), METADATA)
def test_wrong_metadata_are_found(right: Right, what: str, fields: dict[str, object]) -> None:
    def spoil(entry: Entry) -> Entry:
        assert entry.node is not None
        is_file = "kind" not in fields
        node = entry.node._replace(**({} if is_file else {"size": 0}) | fields)  # type: ignore[arg-type]
        return Entry(entry.path, node, content=entry.content if is_file else None)

    said = found(right, right.changed(b"etc/changed", spoil))
    assert said.keys() == {"/etc/changed"} and what in said["/etc/changed"]


def test_an_exposed_parent_that_is_not_as_below_is_found(right: Right) -> None:
    entries = right.changed(b"tmp", lambda entry: Entry(entry.path, Node(Kind.DIRECTORY, 0o755)))
    assert "the mode" in found(right, entries)["/tmp"]


def test_a_wrong_byte_of_content_is_found(right: Right, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"neW\n")
    wrong = Content(os.fsencode(tmp_path / "wrong"))
    said = found(right, right.changed(b"etc/changed", lambda entry: entry._replace(content=wrong)))
    assert said == {"/etc/changed": "its content in the layer is not the container's"}


def test_a_hard_link_that_became_a_file_of_its_own_is_found(right: Right) -> None:
    def split(entry: Entry) -> Entry:
        return entry._replace(link=None, content=right.capture.final.content(entry.path))

    assert found(right, right.changed(b"tmp/new", split)).keys() == {"/tmp/link", "/tmp/new"}


@pytest.mark.parametrize("said", [(), ((b"security.capability", b"other"),), ((b"security.capability", CAPABLE),
                                                                             (b"user.a", b"1"))])
def test_a_link_that_does_not_repeat_just_its_files_capabilities_is_found(said: Xattrs) -> None:
    """See trap 15: Docker and containerd clear them, and take what the link's header says."""
    def container(at: Path) -> None:
        perform(at, [Edit("write", b"a", b"x"), Edit("link", b"b", other=b"a")])
        os.setxattr(at / "b", "security.capability", CAPABLE)
        os.setxattr(at / "b", "user.a", b"1")

    with scene(lambda at: None, container=container) as done:
        capture = done.overlay()
        entries = list(changeset(capture, None, Patterns()).changeset.entries)
        right = Right(capture, entries)
        right.prove(entries)

        layer = io.BytesIO(b"".join(_spoiled(entry, said) for entry in entries) + END)
        with pytest.raises(ChangesetError) as caught:
            prove_layer(layer, capture, None, Patterns())
        assert caught.value.detail == "/b: its link in the layer does not repeat just the file's capabilities"


def _spoiled(entry: Entry, said: Xattrs) -> bytes:
    if entry.link is None:
        return layer_of([entry])[: -len(END)]
    node = entry.node
    assert node is not None
    # As a file without content, of which every attribute is written, made a link by its type and the file's name.
    written = header(Entry(entry.path, node._replace(size=0, xattrs=said)))
    block = bytearray(written[-512:])
    block[148:158] = b" " * 8 + b"1" + b"a"
    block[148:155] = b"%06o\0" % sum(block)
    return written[:-512] + bytes(block)


def test_every_path_is_told_the_first_twenty_in_detail(right: Right) -> None:
    node = Node(Kind.REGULAR, 0o644)
    with pytest.raises(ChangesetError, match="25 paths disagree") as caught:
        right.prove([*right.entries, *(Entry(b"etc/more%02d" % number, node) for number in range(25))])
    lines = (caught.value.detail or "").splitlines()
    assert [":" in line for line in lines] == [True] * 20 + [False] * 5


def test_a_time_after_the_clamp_is_found(right: Right) -> None:
    with pytest.raises(ChangesetError) as caught:
        right.prove(right.entries, clamp=1000)
    assert "/opt/app: the time" in (caught.value.detail or "")
    right.prove(list(changeset(right.capture, None, Patterns(), clamp=1000).changeset.entries), clamp=1000)


@past
@examples(200)
@given(cases)
def test_random_layers_are_proved_and_miss_every_entry(case: Case) -> None:
    def proves(capture: Capture, layer: bytes, onto: Tree | None = None) -> None:
        prune, keep = Rules.of_patterns(case.prune), Rules.of_patterns(case.keep)
        prove_layer(io.BytesIO(layer), capture, onto, Patterns(prune, keep))

    with case.scene() as done, done.exports(case.keep) as exported:
        for capture in (done.overlay(), exported):
            proves(capture, layer_of(case.entries(capture)))
            proves(capture, layer_of(case.entries(capture, scratch=True)), EmptyTree())
        pieces = [layer_of([entry])[: -len(END)] for entry in case.entries(done.overlay())]
        for left_out in range(len(pieces)):
            with pytest.raises(ChangesetError):
                proves(done.overlay(), b"".join(pieces[:left_out] + pieces[left_out + 1 :]) + END)
