"""Traps 1 to 13, one test each by number and name: what becomes of paths. The referees read the same corpus.

14 to 28 are in test_traps_of_files.py.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from assembler.changeset.capture import changeset, of_overlay
from assembler.changeset.overlay_tree import UnreadableOverlay
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tar_tree import TarTree
from assembler.changeset.tree import EmptyTree
from assembler.errors import ChangesetError
from tests.support import corpus
from tests.support.corpus import OLD, link, write
from tests.support.making import Made, changed, make, prove
from tests.support.overlays import overlay
from tests.support.scene import Scene, scene

pytestmark = pytest.mark.root


def test_trap_01_a_replaced_path_has_no_whiteout(traps: Made) -> None:
    found = traps.below("01_replaced")
    assert sorted(found) == ["d", "f", "s", "s/inside", "x"]
    assert found["d"].isreg() and found["s"].isdir() and found["f"].issym()


def test_trap_02_a_directory_made_again_has_a_whiteout_for_each_vanished_child(traps: Made) -> None:
    assert sorted(traps.below("02_remade")) == ["d/.wh.a", "d/.wh.sub", "d/changes", "d/new"]


def test_trap_03_an_opaque_directory_may_have_had_nothing_below() -> None:
    def base(root: Path) -> None:
        write(root / "d/a", OLD)

    def without(root: Path) -> None:
        shutil.rmtree(root / "d")

    def again(root: Path) -> None:
        write(root / "d/b")
        write(root / "new/c")

    with scene(base, without, container=again, options="metacopy=on,index=off") as done:
        assert {os.getxattr(done.upper / name, "trusted.overlay.opaque") for name in ("d", "new")} == {b"y"}
        made = prove(make(done))
        assert sorted(made.members()) == ["d", "d/b", "new", "new/c"]


def test_trap_04_no_whiteout_for_what_the_base_lacks(traps: Made) -> None:
    assert traps.below("04_never_was") == {}


def test_trap_04_a_stray_whiteout_of_the_overlay_is_none_of_the_layer() -> None:
    with scene(lambda root: write(root / "d/a"), container=lambda root: write(root / "d/b")) as done:
        os.mknod(done.upper / "d/ghost", 0o20000, 0)
        os.mknod(done.upper / "ghost", 0o20000, 0)
        assert sorted(prove(make(done)).members()) == ["d/b"]


def test_trap_05_whiteouts_stand_beside_what_they_remove_and_say_nothing_else(traps: Made) -> None:
    found = traps.below("05_names")
    assert set(found) == {".wh..w", ".wh." + corpus.LONG, ".wh.a.wh.b", "c.wh.d", "wh.f"}
    whiteout = found[".wh.a.wh.b"]
    assert (whiteout.mtime, whiteout.mode, whiteout.uid, whiteout.size, whiteout.isreg()) == (0, 0, 0, 0, True)


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh.x", ".wh..wh..opq"])
def test_trap_05_names_that_mean_removals_are_an_error(name: str) -> None:
    with (
        scene(lambda root: None, container=lambda root: write(root / "d" / name)) as done,
        pytest.raises(ChangesetError, match="can't be stored in a layer"),
    ):
        make(done)


def test_trap_05_so_are_directories_of_such_names_of_which_only_the_files_are_kept() -> None:
    with (
        scene(lambda root: None, container=lambda root: write(root / "d/.wh.x/lib.so")) as done,
        pytest.raises(ChangesetError, match=r"/d/\.wh\.x/lib\.so can't be stored"),
    ):
        changeset(done.overlay(), EmptyTree(), Patterns(keep=Rules.of_patterns(["/d/*/*"])))


def test_trap_06_a_removed_tree_is_one_whiteout(traps: Made) -> None:
    assert sorted(traps.below("06_removed")) == [".wh.d", ".wh.f", "e/.wh.a"]


def test_trap_06_whiteouts_in_the_form_of_attributes() -> None:
    def base(root: Path) -> None:
        for name in ("d/a", "d/b", "e"):
            write(root / name, OLD)

    with scene(base, container=lambda root: (root / "d/b").unlink()) as done:
        (done.upper / "d/b").unlink()
        os.setxattr(write(done.upper / "d/b", b""), "trusted.overlay.whiteout", b"y")
        os.setxattr(done.upper / "d", "trusted.overlay.opaque", b"x")
        os.setxattr(done.upper, "trusted.overlay.opaque", b"x")
        with overlay(done.fresh("at"), [done.upper, *done.lowers]) as shown:
            assert sorted(path.name for path in (shown / "d").iterdir()) == ["a"]
        assert sorted(prove(make(done)).members()) == ["d/.wh.b"]


@pytest.mark.parametrize("marked", [(), ("",)])
def test_trap_06_the_attribute_means_nothing_where_its_directory_is_not_marked(marked: tuple[str, ...]) -> None:
    with scene(lambda root: write(root / "d/a", OLD), container=lambda root: write(root / "d/b")) as done:
        os.setxattr(write(done.upper / "d/a", b""), "trusted.overlay.whiteout", b"y")
        for directory in marked:
            os.setxattr(done.upper / directory, "trusted.overlay.opaque", b"x")
        with overlay(done.fresh("at"), [done.upper, *done.lowers]) as shown:
            assert sorted(path.name for path in (shown / "d").iterdir()) == ["a", "b"]
        entries = changeset(done.overlay(), None, Patterns()).changeset.entries
        assert sorted((entry.path, entry.node is None) for entry in entries) == [(b"d/a", False), (b"d/b", False)]


def test_trap_06_a_device_0_0_in_an_export_is_told_and_no_entry() -> None:
    def node(name: str) -> bytes:
        member = tarfile.TarInfo(name)
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 0, 0
        return member.tobuf()

    with scene(lambda root: None, container=lambda root: write(root / "n/f")) as done:
        exported = replace(done, final_export=node("n/dev0") + done.final_export)
        with exported.exports() as capture:
            found = changeset(capture, None, Patterns())
        assert [entry.path for entry in found.changeset.entries] == [b"n", b"n/f"]
        assert [finding.path for finding in found.findings] == [b"n/dev0"]


def test_trap_06_a_mount_for_users_keeps_its_marks_under_user() -> None:
    def base(root: Path) -> None:
        for name in ("d/a", "d/b", "e/c"):
            write(root / name, OLD)

    def container(root: Path) -> None:
        shutil.rmtree(root / "d")
        write(root / "d/new")
        (root / "e").chmod(0o700)

    with scene(base, container=container, options="userxattr") as done:
        assert os.getxattr(done.upper / "d", "user.overlay.opaque") == b"y"
        made = prove(make(done))
        assert sorted(made.members()) == ["d/.wh.a", "d/.wh.b", "d/new", "e"]
        assert made.told() == {}


def test_trap_07_the_overlays_own_attributes_stay_behind(traps: Made) -> None:
    assert os.listxattr(traps.done.upper / "07_copied_up/d") != []
    found = traps.below("07_copied_up")
    assert {name: member.pax_headers for name, member in found.items()} == {"d": {}}
    assert traps.result.changeset.touched == {b"07_copied_up/touched": len(OLD)}


def test_trap_07_a_files_own_overlay_attributes_are_dropped_and_told() -> None:
    def container(root: Path) -> None:
        write(root / "f")
        os.setxattr(root / "f", "trusted.overlay.mine", b"1")
        os.setxattr(root / "f", "user.overlay.mine", b"1")

    with changed(lambda root: None, container=container) as made:
        assert "trusted.overlay.overlay.mine" in os.listxattr(made.done.upper / "f")
        assert made.members()["f"].pax_headers == {}
        assert sorted(finding.what for finding in made.result.findings) == [
            "the attribute trusted.overlay.mine is not in the layer",
            "the attribute user.overlay.mine is not in the layer",
        ]


def test_trap_08_files_without_data_are_read_through_the_layers_below() -> None:
    def base(root: Path) -> None:
        write(root / "d/f", OLD * 1000)

    with scene(base, container=lambda root: (root / "d/f").chmod(0o600), options="metacopy=on,index=off") as done:
        assert "trusted.overlay.metacopy" in os.listxattr(done.upper / "d/f")
        made = prove(make(done))
        assert made.content("d/f") == OLD * 1000


def test_trap_08_a_file_whose_data_lie_below_is_not_sparse() -> None:
    def container(root: Path) -> None:
        (root / "f").chmod(0o600)

    with scene(lambda root: write(root / "f", os.urandom(3 << 20)), container=container,
               options="metacopy=on,index=off") as done:  # fmt: skip
        assert (done.upper / "f").stat().st_blocks == 0
        assert changeset(done.overlay(), None, Patterns()).findings == ()


def test_trap_08_renamed_directories_are_refused() -> None:
    with (
        scene(lambda root: write(root / "a/f"), container=lambda root: (root / "a").rename(root / "b"),
              options="redirect_dir=on,index=off,metacopy=off") as done,
        pytest.raises(UnreadableOverlay, match="redirect_dir"),
    ):
        done.overlay()


def test_trap_08_hard_links_that_only_an_index_knows_are_refused() -> None:
    def base(root: Path) -> None:
        write(root / "a", OLD)
        (root / "b").hardlink_to(root / "a")

    with (
        scene(base, container=lambda root: write(root / "a"), options="index=on,redirect_dir=off,metacopy=off") as done,
        pytest.raises(UnreadableOverlay, match="index=on"),
    ):
        # Without the look into the index that comes before it (engine.overlay.locate).
        of_overlay(os.fsencode(done.upper), [*map(os.fsencode, done.lowers)], (), xattr_prefix=done.xattr_prefix)


def test_trap_09_paths_go_through_the_bases_symlinks(traps: Made) -> None:
    found = traps.below("09_usr_merge")
    assert sorted(found) == ["usr/lib/.wh.a", "usr/lib/modules", "usr/lib/modules/x"]


def merged_base() -> TarTree:
    """Another image, with a merged /usr."""
    tree = TarTree()
    with scene(lambda root: (write(root / "usr/lib/a", OLD), link(root / "lib", "usr/lib")),
               container=lambda root: None) as done:  # fmt: skip
        tree.read_export(io.BytesIO(done.base_export))
    return tree


def test_trap_09_a_layer_for_a_base_with_a_merged_usr_leaves_its_symlink() -> None:
    with scene(lambda root: write(root / "lib/a", OLD), container=lambda root: write(root / "lib/modules/x")) as done:
        made = make(done, onto=merged_base())
    assert sorted(made.members()) == ["usr/lib/modules", "usr/lib/modules/x"]
    assert made.result.changeset.moved == {b"lib": b"usr/lib"}


def test_trap_09_two_files_for_one_place_are_an_error() -> None:
    def container(root: Path) -> None:
        write(root / "lib/x")
        write(root / "usr/lib/x", OLD)

    with scene(lambda root: None, container=container) as done, pytest.raises(ChangesetError, match="only one place"):
        make(done, onto=merged_base())


def test_trap_10_parents_stay_as_the_base_has_them(traps: Made) -> None:
    found = traps.below("10_parents")
    modes = {name: (member.mode, member.uid) for name, member in found.items() if member.isdir()}
    assert modes == {
        "tmp": (0o1777, 0), "own": (0o755, 1000), "private": (0o700, 0), "attribute": (0o755, 0), "removed": (0o711, 0),
    }
    assert "plain/x" in found and "10_parents" not in traps.members()


def test_trap_11_a_link_to_a_file_of_the_base_is_a_file_and_a_link(traps: Made) -> None:
    found = traps.below("11_link_to_the_base")
    assert found["new"].isreg() and found["old"].islnk() and found["old"].linkname == "11_link_to_the_base/new"
    assert traps.content("11_link_to_the_base/new") == OLD


def test_trap_12_groups_of_links(traps: Made) -> None:
    found = traps.below("12_groups")
    assert {name: member.linkname for name, member in found.items() if member.islnk()} == {
        "z/first": "12_groups/y", "s2": "12_groups/s1",
    }
    assert sorted(found) == [".wh.part1", "b", "broken", "s1", "s2", "y", "z", "z/first"]
    assert all(member.size == 0 for member in found.values() if member.islnk())
    order = list(found)
    assert order.index("y") < order.index("z/first")


def test_trap_12_the_same_inode_number_on_another_file_system_is_no_link(tmp_path: Path) -> None:
    """Two lower directories on two file systems: inode numbers repeat there."""
    with scene(lambda root: write(root / "a"), container=lambda root: write(root / "b")) as done:
        assert os.stat(tmp_path).st_dev != os.stat(done.upper).st_dev
        shutil.copytree(done.lowers[0], tmp_path / "lower")
        moved = Scene(done.root, [tmp_path / "lower"], done.upper, done.base, done.final, done.base_export,
                      done.final_export)
        assert sorted(make(moved).members()) == ["b"]


def test_trap_13_no_path_is_there_twice(traps: Made) -> None:
    with tarfile.open(fileobj=io.BytesIO(traps.layer), errors="surrogateescape") as tar:
        names = [os.path.normpath(member.name) for member in tar]
    assert len(names) == len(set(names)) > 100
    assert sorted(traps.below("13_twice")) == ["x"]
