"""DESIGN.md, "The guarantee", on random trees and random edits of a real overlay mount."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assembler.changeset.capture import changeset, of_overlay
from assembler.changeset.rules import Rules
from assembler.changeset.tarball import TarTree
from assembler.changeset.tree import EmptyTree
from assembler.layer.header import END
from tests.support import applier
from tests.support.edits import ACL, PATHS, Edit, edits, perform
from tests.support.rootfs import Fact, Facts, groups
from tests.support.scene import Goal, Scene, layer_of, scene, wished

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.changeset.capture import Capture
    from assembler.changeset.order import Entries

pytestmark = pytest.mark.root

KINDS = {
    stat.S_IFREG: "regular file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device", stat.S_IFBLK: "block device",
}  # fmt: skip
_GLOBS = [*("/" + os.fsdecode(path) for path in PATHS[:32]), "/a/**", "/b/**", "**/c", "/*/a", "/a/*"]


@dataclass(frozen=True)
class Case:
    """``below`` and ``base`` make two lower directories, ``container`` the writable one."""

    below: list[Edit] = field(default_factory=list)
    base: list[Edit] = field(default_factory=list)
    container: list[Edit] = field(default_factory=list)
    prune: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def chosen(self, path: bytes) -> bool:
        """Whether the container decides about ``path``, not the base."""
        keep, prune = Rules.of_patterns(self.keep), Rules.of_patterns(self.prune)
        return not prune.match(path) and (not keep or keep.match(path) is not None)

    def scene(self) -> AbstractContextManager[Scene]:
        return scene(partial(perform, todo=self.below), partial(perform, todo=self.base),
                     container=partial(perform, todo=self.container))

    def entries(self, capture: Capture, *, scratch: bool = False) -> Entries:
        prune, keep = Rules.of_patterns(self.prune), Rules.of_patterns(self.keep)
        return changeset(capture, EmptyTree() if scratch else None, prune, keep).changeset.entries


globs = st.lists(st.sampled_from(_GLOBS), max_size=2).map(tuple)
without_sockets = edits.filter(lambda edit: edit.how != "socket")  # no image has one: tar can't hold it
cases = st.builds(
    Case,
    below=st.lists(without_sockets, max_size=8),
    base=st.lists(without_sockets, max_size=4),
    container=st.lists(edits, min_size=1, max_size=8),
    prune=st.one_of(st.just(()), globs),
    keep=st.one_of(st.just(()), st.just(()), globs),
)

# What was wrong once, as hypothesis shrunk it, and what few random examples come upon.
PAST = {
    "the root of an export has no entry, and must get none": Case(container=[Edit("write", b"a", b"")]),
    "a new link to a base's file: its content went by under the other name": Case(
        base=[Edit("write", b"b", b"x")], container=[Edit("link", b"a/a", other=b"b")]
    ),
    "a parent that is left out inherits its directory's new ACL": Case(
        base=[Edit("write", b"a/a/a", b"")],
        container=[Edit("write", b"a/a/a", b"x"), Edit("setxattr", b"a", ("system.posix_acl_default", ACL))],
    ),
    "nothing but the content differs": Case(
        base=[Edit("write", b"a", b"x"), Edit("touch", b"a", 0)],
        container=[Edit("write", b"a", b"y"), Edit("touch", b"a", 0)],
    ),
    "an inode falls apart, and the larger part stays": Case(
        base=[Edit("write", b"a", b"x"), Edit("link", b"b", other=b"a"), Edit("link", b"c", other=b"a")],
        container=[Edit("rewrite", b"a")],
    ),
    "what keep names is gone with a directory that it does not name": Case(
        base=[Edit("write", b"a/b", b"x"), Edit("write", b"a/c", b"x")],
        container=[Edit("write", b"a", b"y")], keep=("/a/b",),
    ),
}


def past(test: Callable[..., None]) -> Callable[..., None]:
    for name, case in PAST.items():
        test = example(case).via(name)(test)
    return test


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def is_needed(make: Callable[[bytes], Facts], without: bytes, goal: Goal) -> bool:
    """Whether a layer that lacks one entry is refused, or misses the goal."""
    try:
        return bool(goal.missed(make(without)))
    except (applier.Refused, OSError, KeyError):
        return True


@past
@examples(1500)
@given(cases)
def test_a_layer_is_sound_irredundant_and_the_same_however_it_was_captured(case: Case) -> None:
    with case.scene() as done:
        entries = case.entries(done.overlay())
        layer = layer_of(entries)
        written = frozenset(entry.path for entry in entries)
        goal = Goal(wished(done.base, done.final, case.chosen), done.base, case.chosen, written)
        assert goal.missed(done.made_in_place(layer)) == []
        assert goal.missed(done.made_isolated(layer)) == []
        pieces = [layer_of([entry])[: -len(END)] for entry in entries]
        assert b"".join(pieces) + END == layer
        for left_out, entry in enumerate(entries):
            without = b"".join(pieces[:left_out] + pieces[left_out + 1 :]) + END
            needed = is_needed(done.made_in_place, without, goal) or is_needed(done.made_isolated, without, goal)
            assert needed, f"{entry} is superfluous"
        with done.exports(case.keep) as capture:
            assert layer_of(case.entries(capture)) == layer
        assert read_back(done.base_export, layer) == seen(done.made_in_place(layer))


def read_back(*layers: bytes) -> dict[bytes, object]:
    """What imgasm itself takes an image of these layers for, when another one is stacked on it."""
    tree = TarTree()
    for layer in layers:
        tree.apply_layer(io.BytesIO(layer))
    return {
        path: (node.kind.value, node.mode, node.uid, node.gid, node.target, tree.content_digest(path), tree.peers(path))
        for path in tree.paths() if (node := tree.node(path)) is not None
    }  # fmt: skip


def digest(fact: Fact) -> bytes | None:
    return hashlib.sha256(fact.what).digest() if isinstance(fact.what, bytes) and fact.kind == stat.S_IFREG else None


def seen(facts: Facts) -> dict[bytes, object]:
    peers = {path: group for group in groups(facts) for path in group}
    return {
        path: (KINDS[fact.kind], fact.mode, *fact.owner, fact.what if fact.kind == stat.S_IFLNK else b"", digest(fact),
               peers.get(path, frozenset((path,))))
        for path, fact in facts.items()
    }  # fmt: skip


@past
@examples(400)
@given(cases)
def test_a_layer_for_scratch_holds_all_that_is_kept(case: Case) -> None:
    with case.scene() as done:
        layer = layer_of(case.entries(done.overlay(), scratch=True))
        goal = Goal(wished({}, done.final, case.chosen), {}, case.chosen, frozenset(done.final))
        assert goal.missed(done.made_from_nothing(layer)) == []
        with done.exports(case.keep) as capture:
            assert layer_of(case.entries(capture, scratch=True)) == layer


@past
@examples(100)
@given(cases)
def test_a_layer_is_the_same_on_another_file_system_in_another_order_by_more_threads(case: Case) -> None:
    with case.scene() as done, tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
        subprocess.run(["cp", "--archive", done.upper, elsewhere], check=True)
        copied = of_overlay(os.fsencode(elsewhere) + b"/upper", [os.fsencode(lower) for lower in done.lowers], ())
        for codec in ("zstd", "gzip"):
            here = layer_of(case.entries(done.overlay()), 1, codec)
            assert layer_of(case.entries(copied), 3, codec) == here
