"""DESIGN.md, "The guarantee", for a layer that is stacked on another image than the container started from."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assembler.changeset.capture import prove_layer
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tar_tree import TarTree
from assembler.errors import ChangesetError
from tests.changeset.test_property import Case, check, examples, full_cases
from tests.support.edits import PATHS, Edit, perform, without_sockets
from tests.support.exports import export
from tests.support.onto import Refusal, Stacking, changes
from tests.support.patterns import Named
from tests.support.scene import Goal, Scene, facts, layer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.changeset.capture import Capture
    from tests.support.rootfs import Facts

pytestmark = pytest.mark.root

LEADING = (b"a", b"b", b"c", b"../a", b"../b", b"/b", b"/a/b", b"/", b"..", b".", b"b/c", b"/nowhere/at/all", b"a/../c")
"""Of links in the other image: to directories, to files, to nothing, to the root, and back to themselves."""
links = st.builds(Edit, st.just("symlink"), st.sampled_from(PATHS[:21]), st.sampled_from(LEADING))
any_images = st.lists(st.one_of(links, without_sockets), min_size=1, max_size=8)
top_links = st.builds(Edit, st.just("symlink"), st.sampled_from((b"a", b"b", b"c")), st.sampled_from((b"d/e", b"/d")))
other_images = st.one_of(any_images, st.builds(lambda image, link: [*image, link], any_images, top_links))
"""In half of them a link stands last where containers write most, and leads to a place of its own."""


def goal_onto(case: Case, done: Scene, other: Facts, written: frozenset[bytes] = frozenset()) -> Goal:
    own = case.own(done)
    changed, removed = (own.keys(), set[bytes]()) if case.keep else changes(done.base, own, done.final)
    chosen, stacking = case.chosen(done), Stacking(own, other)
    mine = set(filter(chosen, changed)) - stacking.there_already(Named(case.keep, done.final), chosen)
    found = stacking.expected(mine, filter(chosen, removed))
    return Goal(found.facts, other, found.ours.__contains__, written)


# What was wrong once, as hypothesis shrunk it.
PAST = {
    "a file that only lost a name was written by one way of reading, and not by the other": (
        Case([Edit("write", b"a/b", b"x"), Edit("link", b"b/a", other=b"a/b")], container=[Edit("remove", b"a")]),
        [Edit("mkdir", b"a")],
    ),
    "a link to nothing leads to what the container removed, and its directory's mode was lost": (
        Case([Edit("mkdir", b"b"), Edit("chmod", b"b", 0o1777), Edit("mkdir", b"c")],
             container=[Edit("mkdir", b"b/a"), Edit("remove", b"c")]),
        [Edit("symlink", b"b", b"c")],
    ),
    "a file that was there already went with the directory that the container removed": (
        Case([Edit("write", b"a/b", b"x"), Edit("mkdir", b"b")],
             container=[Edit("remove", b"a"), Edit("write", b"b/b", b"x")]),
        [Edit("write", b"a/b", b"x"), Edit("symlink", b"b", b"a")],
    ),
    "names of a kept file that keep does not name lie in a circle of the other image": (
        Case([Edit("write", b"a/b", b"x"), Edit("link", b"b/a", other=b"a/b"), Edit("symlink", b"b/b", b"a"),
              Edit("write", b"b/c", b"x")], container=[Edit("write", b"c", b"x")], keep=("/b",)),
        [Edit("symlink", b"a", b"a")],
    ),
    "a name that keep does not name has the place of another kept file": (
        Case([Edit("write", b"a/b", b"x"), Edit("link", b"c", other=b"a/b"), Edit("write", b"b/b", b"y")],
             container=[Edit("mkdir", b"d")], keep=("/b/b", "/c")),
        [Edit("write", b"b/b", b"y"), Edit("symlink", b"a", b"b")],
    ),
}


def past(test: Callable[..., None]) -> Callable[..., None]:
    for name, (case, image) in PAST.items():
        test = example(case, image).via(name)(test)
    return test


def test_onto_another_image_a_layer_is_sound_irredundant_and_the_same_or_there_is_none() -> None:
    outcomes: Counter[str] = Counter()

    @past
    @examples(600)
    @given(full_cases, other_images)
    def each(case: Case, image: list[Edit]) -> None:
        with case.scene() as done:
            root = done.fresh("other")
            root.chmod(0o755)
            perform(root, image)
            outcomes[judge(case, done, root)] += 1

    each()
    assert outcomes["made"] > 10 * outcomes["refused"] > 10 < outcomes["moved"]


def judge(case: Case, done: Scene, root: Path) -> str:
    """What became of it, if that is as it must be."""
    onto, other, mounts = TarTree(), facts(root), case.mounted(done)
    onto.apply_layer(io.BytesIO(export(root)))
    if not other:
        return "empty"
    with done.exports(case.keep or ("**",), mounts) as exported:
        try:
            changes = case.result(done.overlay(mounts), onto).changeset
        except ChangesetError:
            with pytest.raises(Refusal):
                goal_onto(case, done, other)
            with pytest.raises(ChangesetError):
                case.result(exported, onto)
            return "refused"
        layer = layer_of(changes.entries)
        patterns = Patterns(Rules.of_patterns(case.prune), Rules.of_patterns(case.keep))
        prove_layer(io.BytesIO(layer), exported, onto, patterns, clamp=case.clamp)
        goal = goal_onto(case, done, other, frozenset(entry.path for entry in changes.entries))
        check(done.onto(root), layer, changes.entries, goal)
        assert layer_of(case.result(exported, onto).changeset.entries) == layer
        return "moved" if changes.moved else "made"


@examples(100)
@given(full_cases, st.lists(other_images, min_size=2, max_size=3))
def test_one_changeset_goes_onto_several_images(case: Case, images: list[list[Edit]]) -> None:
    """One capture serves them all: what was made of it before changes nothing."""
    with case.scene() as done, done.exports(case.keep or ("**",), case.mounted(done)) as exported:
        roots = [done.fresh("other") for _ in images]
        for root, image in zip(roots, images, strict=True):
            perform(root, image)
        shared = [done.overlay(case.mounted(done)), exported]
        for root in (*roots, *roots[::-1]):
            onto = TarTree()
            onto.apply_layer(io.BytesIO(export(root)))
            fresh = layer_or_none(case, done.overlay(case.mounted(done)), onto)
            assert [layer_or_none(case, capture, onto) for capture in shared] == [fresh, fresh]


def layer_or_none(case: Case, capture: Capture, onto: TarTree) -> bytes | None:
    try:
        return layer_of(case.result(capture, onto).changeset.entries)
    except ChangesetError:
        return None
