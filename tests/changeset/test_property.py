"""DESIGN.md, "The guarantee", on random trees and random edits of a real overlay mount."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import subprocess
import tempfile
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assembler.changeset.capture import changeset, of_overlay
from assembler.changeset.overlay_tree import UnreadableOverlay
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tar_tree import TarTree
from assembler.changeset.tree import EmptyTree
from assembler.errors import ChangesetError
from assembler.layer.tar_header import END
from tests.support import applier
from tests.support.edits import ACL, PATHS, Edit, edits, perform, without_sockets
from tests.support.exports import as_docker_has_it
from tests.support.overlays import OPTIONS, overlay
from tests.support.patterns import Named
from tests.support.rootfs import Fact, Facts, groups
from tests.support.scene import STUBS, Goal, Scene, desired, facts, layer_of, members_of, scene, without_stubs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.changeset.capture import Capture, Result
    from assembler.changeset.entry_order import Entries
    from assembler.changeset.tree import Tree

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
    clamp: int | None = None
    mounts: tuple[bytes, ...] = ()

    def chosen(self, done: Scene) -> Callable[[bytes], bool]:
        """Tells whether the container decides about a path, not the base."""
        keep, prune = Named(self.keep, done.final), Named(self.prune, done.final)
        return cache(lambda path: not prune.wants(path)
                     and (not self.keep or keep.wants(path) or path in keep.links))  # fmt: skip

    def scene(self, options: str = OPTIONS) -> AbstractContextManager[Scene]:
        return scene(partial(perform, todo=self.below), partial(perform, todo=self.base),
                     container=partial(perform, todo=self.container), options=options)

    def mounted(self, done: Scene) -> tuple[bytes, ...]:
        """Something can be mounted only on what is there."""
        return tuple(path for path in self.mounts if path in done.final)

    def result(self, capture: Capture, onto: Tree | None = None) -> Result:
        prune, keep = Rules.of_patterns(self.prune), Rules.of_patterns(self.keep)
        return changeset(capture, onto, Patterns(prune, keep), clamp=self.clamp)

    def entries(self, capture: Capture, *, scratch: bool = False) -> Entries:
        return self.result(capture, EmptyTree() if scratch else None).changeset.entries

    def own(self, done: Scene) -> Facts:
        """What the container made, as a layer may tell of it: without engines' stubs, and no time after the clamp."""
        own = without_stubs(done.base, done.final, self.mounted(done), self.chosen(done))
        if self.clamp is None:
            return own
        return {path: replace(fact, mtime=min(fact.mtime, self.clamp)) for path, fact in own.items()}

    def goal(self, done: Scene, entries: Entries) -> Goal:
        written = frozenset(entry.path for entry in entries)
        chosen = self.chosen(done)
        return Goal(desired(done.base, self.own(done), chosen), done.base, chosen, written)


globs = st.lists(st.sampled_from(_GLOBS), max_size=2).map(tuple)
FULL = [
    Edit("write", b"a/a/a", b"old\n"), Edit("write", b"a/b", b"x"), Edit("link", b"b/a", other=b"a/b"),
    Edit("symlink", b"b/b", b"a"), Edit("write", b"b/c", b"y"), Edit("mkdir", b"c"), Edit("chmod", b"c", 0o1777),
    Edit("device", b"c/a", (stat.S_IFCHR, (1, 3))), Edit("setxattr", b"a/a/a", ("user.a", b"1")),
]  # fmt: skip
"""A base for edits to meet something in."""
cases = st.builds(
    Case,
    below=st.builds(list.__add__, st.sampled_from(([], FULL)), st.lists(without_sockets, max_size=8)),
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
    "what keep names is gone with a directory that became a link to nothing": Case(
        base=[Edit("write", b"a/b", b"x"), Edit("write", b"a/c", b"x")],
        container=[Edit("symlink", b"a", b"a")], keep=("/a/b",),
    ),
    "a directory that became a socket stays for what keep names in it": Case(
        base=[Edit("write", b"c/a", b"x"), Edit("write", b"c/b", b"x"), Edit("chmod", b"c", 0o1777)],
        container=[Edit("socket", b"c")], keep=("/c/a",),
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


def check(done: Scene, layer: bytes, entries: Entries, goal: Goal) -> None:
    """Sound and irredundant, in both ways of applying."""
    assert goal.missed(done.made_in_place(layer)) == []
    assert goal.missed(done.made_isolated(layer)) == []
    pieces = members_of(layer)
    for left_out, entry in zip(range(len(pieces)), entries, strict=True):
        without = b"".join(pieces[:left_out] + pieces[left_out + 1 :]) + END
        needed = is_needed(done.made_in_place, without, goal) or is_needed(done.made_isolated, without, goal)
        assert needed, f"{entry} is superfluous"


full_cases = st.builds(
    replace,
    cases,
    clamp=st.sampled_from((None, None, 0, 1_500_000_000)),
    mounts=st.one_of(st.just(()), st.lists(st.sampled_from(PATHS), max_size=2).map(tuple)),
)


@past
@examples(2200)
@given(full_cases)
def test_a_layer_is_sound_irredundant_and_the_same_however_it_was_captured(case: Case) -> None:
    with case.scene() as done:
        result = case.result(done.overlay(case.mounted(done)))
        entries = result.changeset.entries
        layer = layer_of(entries)
        check(done, layer, entries, case.goal(done, entries))
        assert_told(case, done, result)
        with done.exports(case.keep, case.mounted(done)) as capture:
            assert layer_of(case.entries(capture)) == layer
        assert read_back(done.base_export, layer) == seen(done.made_in_place(layer))


_DROPPED = re.compile(r"the attribute (.*?) is not in the layer", re.DOTALL)


def assert_told(case: Case, done: Scene, result: Result) -> None:
    """Whatever of the layer's files no tar can hold is told by name, and nothing else is."""
    told = {(finding.path, label(finding.what)) for finding in result.findings}
    due, may = set(), set()
    chosen = case.chosen(done)
    for path, reasons in done.lost.items():
        if chosen(path) and is_own(path, case, done):
            may |= {(path, reason) for reason in reasons}
            due |= {(path, "socket")} & may
    for entry in result.changeset.entries:
        if entry.node is None:
            continue
        lost = {(entry.path, reason) for reason in done.lost.get(entry.path, ())}
        was, now = done.base.get(entry.path), done.final.get(entry.path)
        is_new = now is not None and (was is None or was.itself != now.itself)
        # What is repeated just as the base has it, or is another name for what was told of, may be told of or not.
        due |= lost if is_new and entry.link is None else set()
        may |= lost
    assert due <= told <= may


def is_own(path: bytes, case: Case, done: Scene) -> bool:
    mounts = (*case.mounted(done), *STUBS)
    return path in done.base or not any(path == stub or path.startswith(stub + b"/") for stub in mounts)


def label(what: str) -> str:
    found = _DROPPED.match(what)
    return found[1] if found else "socket" if "socket" in what else "sparse" if "sparse" in what else what


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
        chosen = case.chosen(done)
        own = without_stubs(done.base, done.final, (), chosen)
        goal = Goal(desired({}, own, chosen), {}, chosen, frozenset(done.final))
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


OTHER_MOUNTS = {
    "metacopy=on,index=off": True,  # which turns redirect_dir on
    "metacopy=off,redirect_dir=on,index=off": True, "metacopy=off,redirect_dir=off,index=on": True,
    "userxattr": False,
}  # fmt: skip
"""Whether such a mount may make of a container what only a mount can read."""
HIDDEN = Case(below=FULL, container=[Edit("rename", b"a", other=b"d"), Edit("append", b"b/a", b"x")])
UNTOLD = Case(below=FULL, container=[Edit("append", b"a/b", b"x"), Edit("write", b"a", b"x")])
"""The name that was changed is gone, and the other one shows the change."""


def test_with_any_mount_options_the_directories_tell_the_whole_tree_or_are_refused() -> None:
    """What can't be read is read from two exports, which know no options."""
    outcomes: Counter[tuple[str, bool]] = Counter()

    @example(HIDDEN, "metacopy=on,index=off")
    @example(HIDDEN, "metacopy=off,redirect_dir=on,index=off")
    @example(HIDDEN, "metacopy=off,redirect_dir=off,index=on")
    @example(UNTOLD, "metacopy=off,redirect_dir=off,index=on")
    @examples(400)
    @given(cases, st.sampled_from(list(OTHER_MOUNTS)))
    def each(case: Case, options: str) -> None:
        with case.scene(options) as done:
            with done.exports(case.keep) as capture:
                entries = case.entries(capture)
                layer = layer_of(entries)
            goal = case.goal(done, entries)
            assert goal.missed(done.made_in_place(layer)) == []
            try:
                read = layer_of(case.entries(done.overlay()))
            except UnreadableOverlay:
                outcomes[options, False] += 1
            else:
                outcomes[options, True] += 1
                assert read == layer

    each()
    assert {options for options, is_read in outcomes if is_read} == OTHER_MOUNTS.keys()
    assert {options for options, is_read in outcomes if not is_read} == {
        options for options, may_hide in OTHER_MOUNTS.items() if may_hide}


@past
@examples(150)
@given(cases)
def test_whiteouts_in_the_form_of_attributes_are_whiteouts(case: Case) -> None:
    """Linux 6.7 and later; what its mount shows is asked of the kernel."""
    with case.scene() as done:
        layer = layer_of(case.entries(done.overlay()))
        for directory in (done.upper, *done.lowers):
            mark_whiteouts(directory)
        with overlay(done.fresh("at"), [done.upper, *done.lowers]) as shown:
            assert facts(shown).keys() == done.final.keys()
        assert layer_of(case.entries(done.overlay())) == layer


def mark_whiteouts(root: Path) -> None:
    """Makes whiteouts marked empty files, where the kernel looks for these: not in an opaque directory."""
    for directory, _, names in os.walk(os.fsencode(root)):
        files = [os.path.join(directory, name) for name in names]
        whiteouts = [file for file in files if is_whiteout(os.lstat(file))]
        if whiteouts and "trusted.overlay.opaque" not in os.listxattr(directory):
            for file in whiteouts:
                os.unlink(file)
                open(file, "xb").close()
                os.setxattr(file, "trusted.overlay.whiteout", b"y")
            os.setxattr(directory, "trusted.overlay.opaque", b"x")
            os.setxattr(root, "trusted.overlay.opaque", b"x")


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


MEANT_AS_REMOVALS = (b".wh.a", b"a/.wh.", b"b/.wh..wh..opq", b".wh.d/x")
PRUNED = ((), ("/.wh.a", "/a/**"), ("**/.wh.*",))


def test_a_name_that_would_mean_a_removal_is_an_error_unless_it_is_pruned() -> None:
    outcomes: Counter[bool] = Counter()

    @examples(150)
    @given(cases, st.sampled_from(MEANT_AS_REMOVALS), st.integers(0, 8), st.sampled_from(PRUNED))
    def each(case: Case, path: bytes, at: int, prune: tuple[str, ...]) -> None:
        todo = [*case.container[:at], Edit("write", path, b"x"), *case.container[at:]]
        changed = replace(case, container=todo, prune=prune)
        with changed.scene() as done:
            named = [path for path in changed.own(done) if b"/.wh." in b"/" + path and changed.chosen(done)(path)]
            outcomes[bool(named)] += 1
            with done.exports(case.keep) as exported:
                for capture in (done.overlay(), exported):
                    if named:
                        with pytest.raises(ChangesetError, match="can't be stored in a layer"):
                            changed.entries(capture)
                    else:
                        entries = changed.entries(capture)
                        assert changed.goal(done, entries).missed(done.made_in_place(layer_of(entries))) == []

    each()
    assert outcomes[True] > 20 < outcomes[False]


def plain(facts: Facts) -> Facts:
    """Without the attributes that Docker's export lacks."""
    return {path: replace(fact, xattrs=tuple(pair for pair in fact.xattrs if pair[0] == "security.capability"))
            for path, fact in facts.items()}


@past
@examples(300)
@given(cases)
def test_dockers_exports_make_the_same_layer_but_for_attributes_that_they_lack(case: Case) -> None:
    with case.scene() as done:
        docker = replace(done, base_export=as_docker_has_it(done.base_export),
                         final_export=as_docker_has_it(done.final_export))
        with docker.exports(case.keep) as capture:
            entries = case.entries(capture)
            layer = layer_of(entries)
        assert set(re.findall(rb"SCHILY\.xattr\.([a-z.]*)=", layer)) <= {b"security.capability"}
        if plain(done.base) == done.base and plain(done.final) == done.final:
            assert layer == layer_of(case.entries(done.overlay()))
        seen_by_docker = replace(done, base=plain(done.base), final=plain(done.final))
        goal = case.goal(seen_by_docker, entries)
        assert goal.missed(plain(done.made_in_place(layer))) == []
