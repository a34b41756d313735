"""One container's changes on the base of another image, which has links, files and directories of its own.

Each is a case in which a layer was once wrong, or differed by the way that the container was read in.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.changeset.capture import Capture, Result, changeset, of_exports, prove_layer
from assembler.changeset.overlay_tree import OverlayTree
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tree import EmptyTree
from assembler.errors import ChangesetError
from tests.support.corpus import write
from tests.support.making import changed
from tests.support.rootfs import look
from tests.support.scene import Scene, layer_of, scene

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

Change = Callable[[Path], object]


@contextmanager
def stacked(base: Change, container: Change, other: Change, keep: Sequence[str] = ()) -> Iterator[Stacked]:
    with scene(base, container=container) as done:
        onto = done.fresh("other")
        onto.chmod(0o755)
        other(onto)
        yield Stacked(done, onto, Rules.of_patterns(keep), keep)


class Stacked:
    def __init__(self, done: Scene, onto: Path, keep: Rules, patterns: Sequence[str]) -> None:
        self.done, self.onto, self.keep, self.patterns = done, onto, keep, patterns

    def tree(self) -> OverlayTree:
        return OverlayTree([os.fsencode(self.onto)])

    def of(self, capture: Capture) -> Result:
        return changeset(capture, self.tree(), Patterns(keep=self.keep))

    def paths(self) -> list[str]:
        """What is in the layer, which is the same both ways and proved; removals end with a minus."""
        found = self.of(self.done.overlay())
        layer = layer_of(found.changeset.entries)
        with self.done.exports(self.patterns or ["**"]) as capture:
            assert layer_of(self.of(capture).changeset.entries) == layer
        with self.done.fresh("layer").joinpath("tar").open("w+b") as file:
            file.write(layer)
            file.seek(0)
            prove_layer(file, self.done.overlay(), self.tree(), Patterns(keep=self.keep))
        return [os.fsdecode(entry.path) + "-" * (entry.node is None) for entry in found.changeset.entries]

    def refused(self) -> str:
        with pytest.raises(ChangesetError) as error:
            self.of(self.done.overlay())
        with self.done.exports(self.patterns or ["**"]) as capture, pytest.raises(ChangesetError) as other:
            self.of(capture)
        assert error.value.message == other.value.message
        assert error.value.hint
        return error.value.message


def base(root: Path) -> None:
    write(root / "etc/f", b"base")
    write(root / "srv/old")
    write(root / "var/run/a")


def test_what_the_steps_left_as_it_was_stays_as_the_other_image_has_it() -> None:
    def container(root: Path) -> None:
        (root / "etc/f").chmod(0o600)
        (root / "etc/f").chmod(0o644)
        os.utime(root / "srv/old", (5, 5))
        write(root / "etc/new")

    def other(root: Path) -> None:
        write(root / "etc/f", b"its own")
        (root / "etc").chmod(0o1770)

    with stacked(base, container, other) as found:
        assert found.paths() == ["etc", "etc/new"]
        assert (found.tree().node(b"etc") or pytest.fail()).mode == 0o1770


def test_a_link_to_a_file_is_replaced_and_the_file_stays() -> None:
    def other(root: Path) -> None:
        write(root / "etc/passwd")
        (root / "opt").mkdir()
        (root / "opt/cur").symlink_to("/etc/passwd")

    with stacked(base, lambda root: write(root / "opt/cur/f"), other) as found:
        assert found.paths() == ["opt/cur", "opt/cur/f"]


def test_a_link_to_the_root_is_followed_and_the_root_has_no_entry() -> None:
    def container(root: Path) -> None:
        write(root / "usr/bin/f")
        (root / "usr").chmod(0o700)

    def other(root: Path) -> None:
        (root / "bin").mkdir()
        (root / "usr").symlink_to(".")

    with stacked(base, container, other) as found:
        assert found.paths() == ["bin/f"]


@pytest.mark.parametrize("links", [
    {"x": "x"}, {"x": "x/../x"}, {"x": "y/y", "y": "x/x"}, {"x": "usr/x", "usr/x": "../x"},
])
def test_links_in_a_circle_are_an_error_and_no_endless_search(links: dict[str, str]) -> None:
    def other(root: Path) -> None:
        for name, target in links.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).symlink_to(target)

    with stacked(base, lambda root: write(root / "x/f"), other) as found:
        assert "form a circle" in found.refused()


def test_a_file_where_the_container_removed_a_directory_is_an_error() -> None:
    def container(root: Path) -> None:
        write(root / "opt/f")
        shutil.rmtree(root / "srv")

    def other(root: Path) -> None:
        write(root / "srv/opt/k")
        (root / "opt").symlink_to("srv/opt")

    with stacked(base, container, other) as found:
        assert found.refused() == (
            "/srv was removed in the container, but in the image below /opt lies in it, as /srv/opt"
        )


def test_a_dangling_link_into_what_is_a_link_in_the_container_is_an_error() -> None:
    def container(root: Path) -> None:
        write(root / "lib/f")
        (root / "data").symlink_to("lib")

    with stacked(base, container, lambda root: (root / "lib").symlink_to("data/lib")) as found:
        assert "/data was made a symbolic link in the container" in found.refused()


def test_a_removed_directory_that_is_a_link_in_the_other_image_takes_only_the_link() -> None:
    def other(root: Path) -> None:
        write(root / "run/a")
        (root / "var").mkdir()
        (root / "var/run").symlink_to("../run")

    with stacked(base, lambda root: shutil.rmtree(root / "var/run"), other) as found:
        assert found.paths() == ["var/run-"]


def test_a_socket_removes_nothing_from_another_image() -> None:
    def container(root: Path) -> None:
        (root / "run").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(root / "run/s"))
        write(root / "run/f")

    for keep in ((), ("/run/**",)):
        with stacked(base, container, lambda root: write(root / "run/s"), keep) as found:
            assert found.paths() == ["run/f"]
            told = found.of(found.done.overlay()).findings
            assert [(finding.path, finding.what.partition(",")[0]) for finding in told] == [(b"run/s", "a socket")]


def test_what_is_kept_is_added_and_nothing_is_removed() -> None:
    """A directory that became a file here may be one there; what the base had in it is no business of that image."""
    def container(root: Path) -> None:
        shutil.rmtree(root / "srv")
        write(root / "opt/f")

    with stacked(base, container, lambda root: write(root / "srv/old"), ("/srv/**", "/opt/**")) as found:
        assert found.paths() == ["opt", "opt/f"]


def test_attributes_of_moved_files_are_told() -> None:
    def container(root: Path) -> None:
        write(root / "lib/f")
        os.setxattr(root / "lib/f", "trusted.t", b"1")

    def other(root: Path) -> None:
        (root / "usr/lib").mkdir(parents=True)
        (root / "lib").symlink_to("usr/lib")

    with stacked(base, container, other) as found:
        assert found.paths() == ["usr/lib/f"]
        assert [finding.path for finding in found.of(found.done.overlay()).findings] == [b"lib/f"]


@pytest.mark.parametrize("was", ["link", "file"])
def test_a_directory_with_a_default_acl_in_anothers_place_stands_before_its_files(was: str) -> None:
    def below(root: Path) -> None:
        write(root / "other/keep")
        (root / "d").symlink_to("other") if was == "link" else write(root / "d")

    def container(root: Path) -> None:
        (root / "d").unlink()
        write(root / "d/x")
        acl = bytes.fromhex("02000000 01000700ffffffff 04000500ffffffff 20000500ffffffff")
        os.setxattr(root / "d", "system.posix_acl_default", acl)

    with changed(below, container=container) as made:
        names = list(made.members())
        assert names == ["d", "d/x"]
        assert look(made.done.lowers[0])[b"other/keep"]


@pytest.mark.parametrize("second", ["lacks it", "has another"])
def test_a_file_that_is_another_in_the_second_export_is_an_error(second: str) -> None:
    """The first goes by before anybody knows that the other image needs the file."""
    with (
        scene(base, container=lambda root: None) as done,
        scene(base if second == "lacks it" else lambda root: write(root / "etc/f", b"else"),
              container=lambda root: (root / "etc/f").unlink() if second == "lacks it" else None) as later,
        done.fresh("spool").joinpath("file").open("wb") as spool,
    ):  # fmt: skip
        exports = iter([done.final_export, later.final_export])

        @contextmanager
        def final() -> Iterator[io.BytesIO]:
            yield io.BytesIO(next(exports))

        @contextmanager
        def first() -> Iterator[io.BytesIO]:
            yield io.BytesIO(done.base_export)

        capture = of_exports(first, {b"": final}, (), spool, Rules(()))
        with pytest.raises(ChangesetError, match="/etc/f changed while its content was read"):
            changeset(capture, EmptyTree(), Patterns(keep=Rules.of_patterns(["/etc/**"])))
