"""Paths in a recipe go through the container's own symbolic links, as they do in a shell there (issue 9, 13)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.changeset.capture import changeset, prove_layer
from assembler.changeset.overlay_tree import OverlayTree
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.symlinks import ResolvedGlob, resolved_globs
from assembler.changeset.tree import EmptyTree
from assembler.errors import ChangesetError
from tests.support.corpus import write
from tests.support.scene import Scene, layer_of, scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.changeset.tree import Tree

pytestmark = pytest.mark.root


def merged(root: Path) -> None:
    """A base as Debian 12's: /lib is a link to /usr/lib."""
    write(root / "usr/lib/a")
    (root / "lib").symlink_to("usr/lib")
    (root / "lib64").symlink_to("/usr/lib64")


def modules(root: Path) -> None:
    write(root / "lib/modules/6.1/net/e1000.ko")
    write(root / "usr/lib/firmware/f")
    write(root / "opt/f")


@pytest.fixture(scope="module")
def done() -> Iterator[Scene]:
    with scene(merged, container=modules) as done:
        yield done


def layer(done: Scene, onto: Tree | None, keep: tuple[str, ...] = (), prune: tuple[str, ...] = ()) -> list[str]:
    """The layer's paths; it is the same both ways, and proved. Links show their target, removals end with a minus."""
    rules = Rules.of_patterns(prune), Rules.of_patterns(keep)
    entries = changeset(done.overlay(), onto, Patterns(*rules)).changeset.entries
    made = layer_of(entries)
    prove_layer(io.BytesIO(made), done.overlay(), onto, Patterns(*rules))
    with done.exports(keep) as capture:
        assert layer_of(changeset(capture, onto, Patterns(*rules)).changeset.entries) == made
    return sorted(os.fsdecode(entry.path) + (f" -> {entry.node.target.decode()}" if entry.node and entry.node.target
                                             else "-" * (entry.node is None)) for entry in entries)


MODULE = ["usr/lib/modules", "usr/lib/modules/6.1", "usr/lib/modules/6.1/net", "usr/lib/modules/6.1/net/e1000.ko"]


def test_keep_goes_through_a_link_of_a_merged_usr(done: Scene) -> None:
    assert layer(done, None, ("/lib/modules/**",)) == MODULE


def test_a_link_that_keep_goes_through_comes_along_where_there_is_none(done: Scene) -> None:
    assert layer(done, EmptyTree(), ("/lib/modules/**",)) == ["lib -> usr/lib", "usr", "usr/lib", *MODULE]
    assert layer(done, EmptyTree(), ("/usr/lib/modules/**",)) == ["usr", "usr/lib", *MODULE]


@pytest.mark.parametrize("keep", ["/lib/modules/*/net/*.ko", "/l*/modules/**", "/lib/./modules//6.1", "/lib/modules/"])
def test_every_form_of_a_pattern_goes_through_links(done: Scene, keep: str) -> None:
    assert {"lib -> usr/lib", MODULE[3]} <= set(layer(done, EmptyTree(), (keep,)))
    assert "lib64 -> /usr/lib64" not in layer(done, EmptyTree(), (keep,)), "it leads to nothing that is kept"


def test_the_last_part_of_a_pattern_names_the_link_itself_unless_a_slash_follows(done: Scene) -> None:
    assert layer(done, EmptyTree(), ("/lib",)) == ["lib -> usr/lib"]
    assert layer(done, EmptyTree(), ("/lib/",)) == ["lib -> usr/lib", "usr", "usr/lib", "usr/lib/a", "usr/lib/firmware",
                                                    "usr/lib/firmware/f", *MODULE]


def test_prune_goes_through_links_and_leaves_the_links(done: Scene) -> None:
    assert layer(done, None, prune=("/lib/modules/**", "/opt")) == ["usr/lib/firmware", "usr/lib/firmware/f",
                                                                  "usr/lib/modules"]  # fmt: skip
    assert layer(done, None, keep=("/lib/**",), prune=("/lib/modules",)) == ["usr/lib/firmware", "usr/lib/firmware/f"]


def test_a_link_that_a_step_made_is_gone_through_and_kept() -> None:
    def container(root: Path) -> None:
        write(root / "srv/app-2/bin/run")
        (root / "opt").mkdir()
        (root / "opt/app").symlink_to("../srv/current")
        (root / "srv/current").symlink_to("/srv/app-2")

    with scene(lambda root: write(root / "opt/app/old"), container=lambda root: None) as plain:
        assert layer(plain, EmptyTree(), ("/opt/app/**",)) == ["opt", "opt/app", "opt/app/old"]
    with scene(lambda root: write(root / "etc/f"), container=container) as done:
        kept = ["opt", "opt/app -> ../srv/current", "srv", "srv/app-2", "srv/app-2/bin", "srv/app-2/bin/run",
                "srv/current -> /srv/app-2"]
        assert layer(done, EmptyTree(), ("/opt/app/bin/**",)) == kept
        assert layer(done, None, ("/opt/app/bin/**",)) == kept


def other(done: Scene, change: object) -> OverlayTree:
    root = done.fresh("other")
    root.chmod(0o755)
    change(root)  # type: ignore[operator]
    return OverlayTree([os.fsencode(root)])


def test_an_image_with_a_way_of_its_own_gets_no_link(done: Scene) -> None:
    """Its link may be written in another way, or lead somewhere else altogether."""
    def absolute(root: Path) -> None:
        write(root / "usr/lib/b")
        (root / "lib").symlink_to("/usr/lib")

    def swapped(root: Path) -> None:
        write(root / "lib/b")
        (root / "usr").mkdir()
        (root / "usr/lib").symlink_to("../lib")

    def elsewhere(root: Path) -> None:
        write(root / "usr/lib/b")
        (root / "lib").symlink_to("usr/lib64")

    assert layer(done, other(done, absolute), ("/lib/modules/**",)) == MODULE
    assert layer(done, other(done, swapped), ("/lib/modules/**",)) == [path.removeprefix("usr/") for path in MODULE]
    assert layer(done, other(done, elsewhere), ("/lib/modules/**",)) == ["lib -> usr/lib", *MODULE]


def test_a_directory_of_the_image_below_in_a_links_place_is_an_error(done: Scene) -> None:
    unmerged = other(done, lambda root: (write(root / "lib/b"), write(root / "usr/lib/c")))
    with pytest.raises(ChangesetError, match="keep goes through /lib, which is a link to /usr/lib in the container, but"
                                             " a directory in the image below") as caught:
        layer(done, unmerged, ("/lib/modules/**",))
    assert "name /usr/lib in keep" in (caught.value.hint or "")
    assert layer(done, unmerged, ("/usr/lib/modules/**",)) == MODULE


def test_links_in_a_circle_lead_a_pattern_nowhere() -> None:
    def container(root: Path) -> None:
        (root / "a").symlink_to("b")
        (root / "b").symlink_to("a")
        write(root / "f")

    with scene(lambda root: write(root / "etc/f"), container=container) as done:
        assert layer(done, EmptyTree(), ("/a/x", "/f")) == ["f"]
        assert layer(done, None, prune=("/a/**", "/*/x")) == ["a -> b", "b -> a", "f"]


def test_a_pattern_has_one_way_more_for_each_link_that_its_wildcards_match() -> None:
    def base(root: Path) -> None:
        for name in ("one", "two"):
            write(root / "data" / name / "bin/run")
        (root / "opt").mkdir()
        for number in range(40):
            (root / f"opt/app{number}/bin").mkdir(parents=True)
        (root / "opt/one").symlink_to("/data/one")
        (root / "opt/odd[*]").symlink_to("/data/two")

    with scene(base, container=lambda root: None) as done:
        assert resolved_globs("/opt/*/bin/run", done.overlay().final) == [
            ResolvedGlob("/opt/*/bin/run"), ResolvedGlob("/data/two/bin/run", (b"opt/odd[*]",)),
            ResolvedGlob("/data/one/bin/run", (b"opt/one",)),
        ]  # fmt: skip
        assert resolved_globs("/opt/**/run", done.overlay().final) == [ResolvedGlob("/opt/**/run")]
        assert resolved_globs("/", done.overlay().final) == [ResolvedGlob("/")]
