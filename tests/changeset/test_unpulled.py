"""What is asked of a base that nobody has read."""

from __future__ import annotations

import pytest

from assembler.changeset.unpulled_tree import LINKS, UnpulledTree
from assembler.model.node import Kind, Node

LINK = Node(Kind.SYMLINK, 0o777, target=b"usr/lib")


def test_only_what_may_be_a_link_is_looked_for_and_only_once() -> None:
    asked: list[bytes] = []

    def look(path: bytes) -> Node | None:
        asked.append(path)
        return LINK if path == b"lib" else None

    tree = UnpulledTree(look)
    for _ in range(2):
        assert tree.node(b"lib") == LINK
        assert tree.node(b"sbin") is None
        assert tree.node(b"opt") is None and tree.node(b"usr/lib") is None
    assert asked == [b"lib", b"sbin"]
    assert {b"bin", b"lib", b"lib64", b"sbin", b"var/run"} <= LINKS


def test_it_is_not_taken_for_an_empty_tree() -> None:
    tree = UnpulledTree(lambda path: None)
    assert list(tree.names(b"")) and not list(tree.names(b"etc"))
    assert tree.node(b"") == Node(Kind.DIRECTORY, 0o755)
    assert tree.peers(b"etc") == frozenset() and tree.content(b"etc") is None
    with pytest.raises(KeyError):
        tree.digest(b"etc")
