"""Readers that share no code with imgasm unpack each trap's layers, by hand and by imgasm, to the container's tree.

What a reader can't do for any layer is asserted, so that a newer one that can is noticed.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from assembler.changeset.capture import changeset
from assembler.changeset.path_rules import Patterns
from assembler.layer.entry import Entry
from assembler.layer.tar_header import header
from assembler.model.node import Kind, Node
from tests.referees import engines
from tests.referees.engines import Refused, Unpack, run
from tests.referees.handmade import END, Member, tar
from tests.referees.image import TrapImage, build
from tests.referees.traps import ENGINES, RIGHT, WRONG, Trap, Wrong
from tests.support.engines import podman_release
from tests.support.rootfs import Fact, Facts
from tests.support.scene import Goal, desired, layer_of, members_of, scene, without_stubs

pytestmark = pytest.mark.root

REFEREES: dict[str, Callable[[Path], AbstractContextManager[Unpack]]] = {
    "umoci": engines.umoci,
    "podman overlay": partial(engines.podman, driver="overlay"),
    "podman vfs": partial(engines.podman, driver="vfs"),
    "docker overlay2": engines.docker,
    "docker vfs": partial(engines.docker, driver="vfs"),
    "containerd": engines.containerd,
    "gnu tar": engines.gnu_tar,
}


def version(*argv: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)\.?(\d*)", run(*argv))
    assert found
    return tuple(int(number or 0) for number in found.groups())


@dataclass(frozen=True)
class Judged:
    """One trap: the base's tar, both layers, and the tree that each must make of the base."""

    name: str
    base: bytes
    by_hand: bytes
    by_imgasm: bytes
    goal: Goal


def judge(trap: Trap) -> Judged:
    with scene(trap.base, container=trap.container) as done:
        entries = changeset(done.overlay(trap.mounts), None, Patterns()).changeset.entries
        own = without_stubs(done.base, done.final, trap.mounts, lambda path: True)
        goal = Goal(desired(done.base, own, lambda path: True), done.base, lambda path: True,
                    frozenset(entry.path for entry in entries))
        return Judged(trap.name, done.base_export, trap.layer(own), layer_of(entries), goal)


@pytest.fixture(scope="module")
def right() -> dict[str, Judged]:
    return {trap.name: judge(trap) for trap in RIGHT}


@pytest.fixture(scope="module")
def images(right: dict[str, Judged], tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrapImage]:
    """Each trap has a directory of its own, so one image holds them all: a layer for each, or for all ("flat")."""

    def joined(tars: Iterable[bytes]) -> bytes:
        return b"".join(piece for tar in tars for piece in members_of(tar)) + END

    def image(name: str, layers: list[bytes], codec: str = "gzip") -> TrapImage:
        return build(tmp_path_factory.mktemp(name), [joined(each.base for each in right.values()), *layers], codec)

    by_hand, by_imgasm = [each.by_hand for each in right.values()], [each.by_imgasm for each in right.values()]
    return {
        "hand": image("hand", by_hand), "imgasm": image("imgasm", by_imgasm),
        "zstd": image("zstd", [joined(reversed(by_imgasm))], "zstd"),  # Docker reads no layer that it knows already
        "flat hand": image("flathand", [joined(by_hand)]), "flat imgasm": image("flatimgasm", [joined(by_imgasm)]),
    }  # fmt: skip


@dataclass
class Referee:
    """``unpack`` of one engine, each image once."""

    name: str
    unpack: Unpack
    seen: dict[str, Facts]

    def facts(self, image: TrapImage) -> Facts:
        if image.name not in self.seen:
            self.seen[image.name] = self.unpack(image)
        return self.seen[image.name]


@pytest.fixture(scope="module", params=REFEREES)
def referee(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Referee]:
    """In a short directory, because the daemons' sockets are in it."""
    with REFEREES[request.param](tmp_path_factory.mktemp("r")) as unpack:
        yield Referee(request.param, unpack, {})


def missed(each: Judged, made: Facts) -> list[object]:
    return sorted(each.goal.missed({path: fact for path, fact in made.items() if is_of(path, each)}), key=repr)


def is_of(path: bytes, each: Judged) -> bool:
    return path.split(b"/")[0] == each.name.encode()


BEFORE_1970 = [(b"21_times/before", "mtime", -5, 0), (b"21_times/before_fraction", "mtime", -6, 0)]
"""Docker, containerd and containers-storage set times before 1970 to 1970."""


@pytest.mark.parametrize("by", ["hand", "imgasm"])
@pytest.mark.parametrize("trap", RIGHT, ids=lambda trap: trap.name)
def test_trap(
    right: dict[str, Judged], images: dict[str, TrapImage], referee: Referee, trap: Trap, by: str
) -> None:
    """A vfs store copies the tree below each layer and loses attributes by that, so there one layer holds all traps."""
    each = right[trap.name]
    made = referee.facts(images[f"flat {by}" if referee.name.endswith("vfs") else by])
    found = missed(each, made)
    if trap.name == "21_times" and referee.name not in ("umoci", "gnu tar"):
        assert found == BEFORE_1970
    elif trap.name == "14_attributes" and referee.name == "podman vfs":
        removed = each.goal.desired[b"14_attributes/less"].itself  # from a directory: it stays
        assert found == [(b"14_attributes/less", removed, (*removed[:-1], (("user.a", b"1"),)))]
    else:
        assert found == []
    assert any(is_of(path, each) for path in made)
    assert all(any(is_of(path, some) for some in right.values()) for path in made)


def test_zstd_is_read_by_all_but_old_engines(
    right: dict[str, Judged], images: dict[str, TrapImage], referee: Referee
) -> None:
    if referee.name == "umoci" and version("umoci", "--version") < (0, 5, 0):
        with pytest.raises(Refused, match=r"not correct mediatype.*tar\+zstd"):
            referee.facts(images["zstd"])
    elif referee.name.startswith("docker") and version("dockerd", "--version") < (23, 0, 0):
        with pytest.raises(Refused, match="invalid tar header"):
            referee.facts(images["zstd"])
    else:
        name = "flat imgasm" if referee.name.endswith("vfs") else "imgasm"
        made, gzip = referee.facts(images["zstd"]), referee.facts(images[name])
        assert [missed(each, made) for each in right.values()] == [missed(each, gzip) for each in right.values()]


@pytest.mark.parametrize("referee", ENGINES, indirect=True)
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_a_layer_in_the_trap(referee: Referee, wrong: Wrong, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Why imgasm writes no such layer: hardly two engines agree about it, or they agree about something else."""
    with scene(wrong.base, container=wrong.container) as done:
        image = build(tmp_path_factory.mktemp("wrong"), [done.base_export, tar(wrong.layer(done.final))])
        goal = Goal(done.final, done.base, lambda path: True, frozenset(done.final))
        assert outcome(referee, image, goal) == wrong.does[referee.name]


def outcome(referee: Referee, image: TrapImage, goal: Goal) -> str:
    try:
        made = referee.unpack(image)
    except Refused:
        return "refused"
    except FileNotFoundError:
        return "ghost"
    paths = (what[0] if isinstance(what, tuple) else what for what in goal.missed(made))
    return " ".join(sorted({path.decode() for path in paths if isinstance(path, bytes)})) or "right"


@pytest.mark.parametrize("referee", ENGINES, indirect=True)
def test_trap_26_a_layer_whose_bytes_are_not_its_diff_ids_is_refused(
    referee: Referee, right: dict[str, Judged], tmp_path_factory: pytest.TempPathFactory
) -> None:
    each = right["26_trailing_zeros"]
    image = build(tmp_path_factory.mktemp("wrong"), [each.base, each.by_hand + bytes(512)], claimed=each.by_imgasm)
    if referee.name.startswith("podman") and podman_release() < 5:
        assert missed(each, referee.unpack(image)) == []  # which checks the blob's digest alone
    else:
        mismatch = r"(?i)(diffid mismatch|invalid diffid|wrong diff id|does not match config's diffid)"
        with pytest.raises(Refused, match=mismatch):
            referee.unpack(image)


def test_trap_23_gnu_tar_reads_a_size_over_8_gib(tmp_path: Path) -> None:
    """Only the header: to apply it would fill 8 GiB of each store."""
    fact = Fact(stat.S_IFREG, 0o644, (0, 0), b"", (), 5, (0, 0))
    by_hand = tar([Member(b"big", fact, pax={b"size": b"%d" % (8 << 30)})])[: -len(END)]
    for head in (by_hand, header(Entry(b"big", Node(Kind.REGULAR, 0o644, mtime=5, size=8 << 30)))):
        (tmp_path / "big.tar").write_bytes(head)
        done = subprocess.run(["tar", "--list", "--verbose", "--file", tmp_path / "big.tar"], capture_output=True,
                              text=True, check=False)
        assert " 8589934592 " in done.stdout and done.stdout.endswith(" big\n")


def test_trap_27_an_images_documents_count_the_same_layers(images: dict[str, TrapImage]) -> None:
    """What the referees believe in, read without imgasm."""
    for name, image in images.items():
        blobs = image.layout / "blobs/sha256"
        index = json.loads((image.layout / "index.json").read_bytes())
        manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_bytes())
        config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_bytes())
        history = [line for line in config["history"] if not line.get("empty_layer")]
        assert len(image.layers) == len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == len(history)
        assert config["rootfs"]["diff_ids"] == ["sha256:" + sha256(layer).hexdigest() for layer in image.layers]
        kinds = {layer["mediaType"] for layer in manifest["layers"]}
        assert kinds == {"application/vnd.oci.image.layer.v1.tar+" + ("zstd" if name == "zstd" else "gzip")}
