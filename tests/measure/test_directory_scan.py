"""A scan against real directories, real deletes and rewrites, and du's own count."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from assembler.measure import directory_scan
from assembler.measure.directory_scan import DirectoryChange, DirectoryScan
from tests.support.deep import deep_tree


@pytest.fixture(params=["with find", "without find"])
def scan(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryScan:
    """On a tree of two files; once as on a machine whose find is not GNU's, once as of a tree where it is asked."""
    if request.param == "without find":
        monkeypatch.setattr(directory_scan, "_find_is_gnu", lambda: False)
    else:
        monkeypatch.setattr(directory_scan, "_FEW", 0)
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/a").write_bytes(b"a" * 1000)
    (root / "b").write_bytes(b"b" * 10)
    return DirectoryScan(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def du(root: Path) -> int:
    """Apparent bytes of all regular files, hard links once."""
    files = subprocess.run(["find", root, "-type", "f", "-print0"], stdout=subprocess.PIPE, check=True).stdout
    if not files:
        return 0
    command = ["du", "--apparent-size", "--block-size=1", "--total", "--files0-from=-"]
    total = subprocess.run(command, input=files, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1]
    return int(total.split()[0])


def paths(scan: DirectoryScan) -> set[bytes]:
    return {path for path, _ in scan}


def test_what_was_there_before_belongs_to_no_step(scan: DirectoryScan) -> None:
    assert scan.size == 1010
    assert paths(scan) == {b"etc", b"etc/a", b"b"}
    assert scan.step_of(b"etc/a") is None
    assert scan.commit(0) == DirectoryChange()


def test_a_new_file_is_added(scan: DirectoryScan, root: Path) -> None:
    (root / "etc/new").write_bytes(b"n" * 7)
    assert scan.commit(0) == DirectoryChange(added=7)
    assert scan.step_of(b"etc/new") == 0
    assert scan.size == 1017


def test_writing_into_a_file_that_its_directory_does_not_notice(scan: DirectoryScan, root: Path) -> None:
    before = (root / "etc").stat().st_mtime_ns
    with (root / "etc/a").open("ab") as file:
        file.write(b"more")
    assert (root / "etc").stat().st_mtime_ns == before
    assert scan.commit(3) == DirectoryChange(added=1004, removed=1000, discarded={None: 1000})
    assert scan.step_of(b"etc/a") == 3


def test_same_size_and_mtime_put_back_is_still_stored_again(scan: DirectoryScan, root: Path) -> None:
    status = (root / "etc/a").stat()
    (root / "etc/a").write_bytes(b"A" * 1000)
    os.utime(root / "etc/a", ns=(status.st_atime_ns, status.st_mtime_ns))
    change = scan.commit(0)
    assert (change.added, change.removed) == (1000, 1000)


def test_a_file_that_was_written_again_with_its_size_has_a_new_writer(scan: DirectoryScan, root: Path) -> None:
    """``sed -i`` of a version, ``strip`` of a stripped file: the inode and the size are what they were."""
    (root / "etc/new").write_bytes(b"version 1")
    scan.commit(0)
    os.utime(root / "etc/new", (5, 5))
    with (root / "etc/new").open("r+b") as file:
        file.write(b"version 2")
    assert scan.commit(1) == DirectoryChange(added=9, removed=9, discarded={0: 9})
    assert scan.step_of(b"etc/new") == 1


def test_a_changed_mode_is_stored_again_but_the_writer_stays(scan: DirectoryScan, root: Path) -> None:
    (root / "etc/a").chmod(0o600)
    assert scan.commit(5) == DirectoryChange(added=1000, removed=1000)
    assert scan.step_of(b"etc/a") is None


def test_deleting_tells_whose_bytes_were_lost(scan: DirectoryScan, root: Path) -> None:
    (root / "etc/new").write_bytes(b"n" * 70)
    scan.commit(0)
    (root / "etc/new").unlink()
    (root / "b").unlink()
    assert scan.commit(1) == DirectoryChange(removed=80, discarded={0: 70, None: 10})
    assert scan.size == 1000
    assert scan.step_of(b"b") is None


def test_a_directory_that_was_removed_and_made_again(scan: DirectoryScan, root: Path) -> None:
    (root / "etc/a").unlink()
    (root / "etc").rmdir()
    (root / "etc").mkdir()
    (root / "etc/c").write_bytes(b"c" * 5)
    assert scan.commit(0) == DirectoryChange(added=5, removed=1000, discarded={None: 1000})
    assert paths(scan) == {b"etc", b"etc/c", b"b"}


def test_directories_that_changed_places(scan: DirectoryScan, root: Path) -> None:
    (root / "x/deep").mkdir(parents=True)
    (root / "x/deep/f").write_bytes(b"1")
    (root / "y/deep").mkdir(parents=True)
    (root / "y/deep/f").write_bytes(b"22")
    scan.commit(0)
    (root / "x").rename(root / "t")
    (root / "y").rename(root / "x")
    (root / "t").rename(root / "y")
    scan.commit(1)
    assert {path: seen.size for path, seen in scan if path.endswith(b"/f")} == {b"x/deep/f": 2, b"y/deep/f": 1}
    assert scan.size == du(root)


def test_a_renamed_file_is_stored_again_but_not_lost(scan: DirectoryScan, root: Path) -> None:
    (root / "etc/a").rename(root / "etc/z")
    assert scan.commit(0) == DirectoryChange(added=1000, removed=1000)
    assert scan.step_of(b"etc/z") == 0


def test_a_tree_may_be_deeper_than_pythons_recursion(scan: DirectoryScan, root: Path) -> None:
    with deep_tree(root / "etc", 1500) as deep:
        (root / "etc" / os.fsdecode(deep) / "f").write_bytes(b"deep")
        assert scan.commit(0) == DirectoryChange(added=4)
        assert scan.step_of(b"etc/" + deep + b"/f") == 0
    assert scan.commit(1) == DirectoryChange(removed=4, discarded={0: 4})


def test_hard_links_count_once(scan: DirectoryScan, root: Path) -> None:
    os.link(root / "b", root / "etc/b2")
    (root / "etc/b2").write_bytes(b"b" * 30)
    os.link(root / "b", root / "b3")
    assert scan.commit(0).added == 30
    assert scan.size == 1030 == du(root)
    (root / "b").unlink()
    (root / "b3").unlink()
    scan.commit(1)
    assert scan.size == 1030 == du(root)


def test_a_file_that_became_a_directory_and_back(scan: DirectoryScan, root: Path) -> None:
    (root / "b").unlink()
    (root / "b").mkdir()
    (root / "b/inside").write_bytes(b"i" * 3)
    assert scan.commit(0) == DirectoryChange(added=3, removed=10, discarded={None: 10})
    (root / "b/inside").unlink()
    (root / "b").rmdir()
    (root / "b").symlink_to("nowhere")
    assert scan.commit(1) == DirectoryChange(removed=3, discarded={0: 3})
    assert paths(scan) == {b"etc", b"etc/a", b"b"}


def test_names_with_newlines_dashes_and_bytes_that_are_no_text(scan: DirectoryScan, root: Path) -> None:
    odd = os.path.join(os.fsencode(root), b"-name\n\xff")
    os.mkdir(odd)
    scan.commit(0)
    with open(os.path.join(odd, b"\xfe"), "wb") as file:
        file.write(b"odd")
    assert scan.commit(1) == DirectoryChange(added=3)
    assert scan.step_of(b"-name\n\xff/\xfe") == 1


def test_any_sequence_of_changes_agrees_with_a_fresh_look_and_du(scan: DirectoryScan, root: Path) -> None:
    chance = random.Random(7)
    for step in range(25):
        before = scan.size
        for _ in range(chance.randint(0, 12)):
            shuffle_something(root, chance)
        change = scan.commit(step)
        assert scan.size == before + change.added - change.removed == du(root)
        fresh = DirectoryScan(root)
        assert {path: seen[:5] for path, seen in scan} == {path: seen[:5] for path, seen in fresh}


def shuffle_something(root: Path, chance: random.Random) -> None:
    directories = [root, *(path for path in root.rglob("*") if path.is_dir())]
    files = [path for path in root.rglob("*") if path.is_file()]
    place = chance.choice(directories) / f"n{chance.randint(0, 30)}"
    match chance.randint(0, 5):
        case 0 if not place.exists():
            place.mkdir()
        case 1 if not place.is_dir():
            place.write_bytes(b"x" * chance.randint(0, 5000))
        case 2 if files:
            chance.choice(files).unlink()
        case 3 if files:
            with chance.choice(files).open("ab") as file:
                file.write(b"more")
        case 4 if files and not place.exists():
            os.link(chance.choice(files), place)
        case 5 if len(directories) > 1 and not place.exists():
            moved = chance.choice(directories[1:])
            if not place.is_relative_to(moved):
                moved.rename(place)


def test_a_root_that_vanished_is_empty(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/f").write_bytes(b"123")
    scan = DirectoryScan(tmp_path / "v")
    (tmp_path / "v").rename(tmp_path / "w")
    assert scan.commit(0) == DirectoryChange(removed=3, discarded={None: 3})


def test_a_find_that_is_missing_is_not_gnus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    directory_scan._find_is_gnu.cache_clear()
    assert not directory_scan._find_is_gnu()
    directory_scan._find_is_gnu.cache_clear()
