"""The cache of layouts: one makes, others wait; nothing that may be open is removed; what was killed leaves nothing."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.atomic_files import spool
from assembler.errors import FileError, ImageError
from assembler.image.image import Image
from assembler.image.layout import Layout
from assembler.image.layout_cache import LayoutCache
from assembler.locks import exclusive, work_directory
from assembler.model.digest import Digest
from assembler.progress import SilentProgress
from tests.image.imagemaking import add_image

if TYPE_CHECKING:
    from collections.abc import Callable


class Told(SilentProgress):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def cache(folder: Path) -> LayoutCache:
    return LayoutCache(folder / "bases", SilentProgress())


def maker(content: bytes, calls: list[bytes] | None = None) -> Callable[[Layout], Image]:
    def make(layout: Layout) -> Image:
        if calls is not None:
            calls.append(content)
        return add_image(layout, {"file": content})

    return make


def never(layout: Layout) -> Image:
    raise AssertionError("it is there already")


def whole(layout: Layout, image: Image) -> bool:
    return all(layout.has(descriptor) for descriptor, _ in image.layers)


def test_one_makes_and_the_others_wait_and_say_so(tmp_path: Path) -> None:
    calls: list[bytes] = []
    waiting, results = [Told() for _ in range(6)], []

    def make(layout: Layout) -> Image:
        while sum(bool(told.said) for told in waiting) < 5:  # until all the others wait
            time.sleep(0.01)
        return maker(b"one", calls)(layout)

    def build(told: Told) -> None:
        with LayoutCache(tmp_path, told) as shared:
            results.append(shared.get("key", "the base", make, refresh=False)[1].descriptor.digest)

    threads = [threading.Thread(target=build, args=(told,)) for told in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [b"one"] and len(results) == 6 and len(set(results)) == 1
    assert sorted(told.said for told in waiting)[1:] == [["another build is making the base; waiting for it"]] * 5


def test_a_base_that_is_open_stays_whole_when_another_build_makes_it_anew(tmp_path: Path) -> None:
    with cache(tmp_path) as first:
        layout, old = first.get("key", "the base", maker(b"old"), refresh=False)
        with cache(tmp_path) as second:
            _, new = second.get("key", "the base", maker(b"new"), refresh=True)
        assert new.descriptor.digest != old.descriptor.digest
        assert whole(layout, old) and whole(layout, new)
        assert first.get("key", "the base", never, refresh=False)[1].descriptor.digest == new.descriptor.digest
    assert whole(layout, new) and not whole(layout, old), "the last one that had it open removes what is not listed"


def test_builds_that_waited_for_a_refresh_take_what_it_made(tmp_path: Path) -> None:
    calls: list[bytes] = []
    with cache(tmp_path) as first:
        first.get("key", "the base", maker(b"old", calls), refresh=False)
    told, ready = Told(), threading.Event()

    def make(layout: Layout) -> Image:
        ready.set()
        while not told.said:
            time.sleep(0.01)
        return maker(b"new", calls)(layout)

    def refresh() -> None:
        with cache(tmp_path) as other:
            other.get("key", "the base", make, refresh=True)

    thread = threading.Thread(target=refresh)
    thread.start()
    assert ready.wait(60)
    with LayoutCache(tmp_path / "bases", told) as third:
        third.get("key", "the base", never, refresh=True)
    thread.join()
    assert calls == [b"old", b"new"]
    with cache(tmp_path) as fourth:  # nobody to wait for: it is made anew, although the bytes are the same
        fourth.get("key", "the base", maker(b"new", calls), refresh=True)
    assert calls == [b"old", b"new", b"new"]


def test_another_form_of_an_old_base_is_not_taken_for_one_of_the_new(tmp_path: Path) -> None:
    with cache(tmp_path) as first, cache(tmp_path) as second:
        layout, _ = first.get("key", "the base", maker(b"old"), refresh=False)
        form = first.also(layout, "localhost/base:gzip-old", "it", lambda: add_image(layout, {"gzip": b"old"}))
        assert first.also(layout, "localhost/base:gzip-old", "it", lambda: never(layout)) == form
        second.get("key", "the base", maker(b"new"), refresh=True)
        assert whole(layout, form)
        assert [entry.annotations["io.containerd.image.name"] for entry in layout.index()] == [
            "localhost/imgasm/base:made"
        ]


def test_a_base_that_was_not_finished_or_lost_a_blob_is_made_again(tmp_path: Path) -> None:
    def killed(layout: Layout) -> Image:
        add_image(layout, {"file": b"half"})
        raise KeyboardInterrupt

    with cache(tmp_path) as shared, pytest.raises(KeyboardInterrupt):
        shared.get("key", "the base", killed, refresh=False)
    with cache(tmp_path) as shared:
        layout, image = shared.get("key", "the base", maker(b"whole"), refresh=False)
        layout.path(image.layers[0][0].digest).unlink()
    with cache(tmp_path) as shared:
        layout, image = shared.get("key", "the base", maker(b"whole"), refresh=False)
        assert whole(layout, image)
    assert len(list(layout.blobs())) == 3, "a layer, a config, a manifest; nothing of the half one"


def test_a_cache_of_somebody_else_can_be_read(tmp_path: Path) -> None:
    with cache(tmp_path) as shared:
        _, image = shared.get("key", "the base", maker(b"one"), refresh=False)
    subprocess.run(["chmod", "-R", "a-w,a+rX", tmp_path / "bases"], check=True)
    code = """
import os, sys
from pathlib import Path
from tests.image.test_layout_cache import cache, never
os.setgid(65534); os.setuid(65534)
with cache(Path(sys.argv[1])) as shared:
    print(shared.get("key", "the base", never, refresh=False)[1].descriptor.digest)
"""
    for directory in (tmp_path, *tmp_path.parents):
        directory.chmod(directory.stat().st_mode | 0o55)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(image.descriptor.digest)


def changed(layout: Layout, image: Image, offset: int = 0) -> Path:
    """One byte of the base's layer, and the file as it was otherwise: its size, its times."""
    blob = layout.path(image.layers[0][0].digest)
    before = blob.stat()
    data = bytearray(blob.read_bytes())
    data[offset] ^= 1
    blob.write_bytes(data)
    os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
    return blob


def test_a_base_that_was_changed_in_the_cache_is_made_again(tmp_path: Path) -> None:
    calls: list[bytes] = []
    with cache(tmp_path) as shared:
        layout, image = shared.get("key", "the base", maker(b"one", calls), refresh=False)
        also = shared.also(layout, "localhost/base:gzip", "it", lambda: add_image(layout, {"as": b"gzip"}))
    changed(layout, image)
    changed(layout, also, offset=9)
    with cache(tmp_path) as shared:
        layout, image = shared.get("key", "the base", maker(b"one", calls), refresh=False)
        shared.also(layout, "localhost/base:gzip", "it", lambda: maker(b"gzip", calls)(layout))
        assert hashlib.sha256(layout.path(image.layers[0][0].digest).read_bytes()).hexdigest() in str(image.manifest)
    assert calls == [b"one", b"one", b"gzip"]


def test_what_did_not_change_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cache(tmp_path) as shared:
        shared.get("key", "the base", maker(b"one"), refresh=False)
    for _ in range(2):
        with cache(tmp_path) as shared:
            shared.get("key", "the base", never, refresh=False)
        monkeypatch.setattr(Digest, "of_file", None)


def test_many_who_hash_a_base_at_once(tmp_path: Path) -> None:
    """What one has not finished to write must not be taken for abandoned by another one (scripts/chaos crowd)."""
    code = """
import sys
from pathlib import Path
from tests.image.test_layout_cache import cache, never
sys.stdin.read()
for _ in range(40):
    (Path(sys.argv[1]) / "bases/key/verified").unlink(missing_ok=True)
    with cache(Path(sys.argv[1])) as shared:
        shared.get("key", "the base", never, refresh=False)
"""
    with cache(tmp_path) as shared:
        shared.get("key", "the base", maker(b"one"), refresh=False)
    builds = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE) for _ in range(4)]
    for build in builds:
        assert build.stdin is not None
        build.stdin.close()
    assert [build.wait() for build in builds] == [0] * 4


def test_an_output_shares_no_file_with_the_cache(tmp_path: Path) -> None:
    """chown -R of the output gave its new owner root's cache."""
    output = Layout.create(tmp_path / "output")
    with cache(tmp_path) as shared:
        layout, image = shared.get("key", "the base", maker(b"one"), refresh=False)
        output.adopt(layout, image.layers[0][0])
    assert output.path(image.layers[0][0].digest).stat().st_nlink == 1


@pytest.mark.root
@pytest.mark.parametrize("path", ["bases/key", "bases/key/blobs/sha256", "bases/key/index.json"])
@pytest.mark.parametrize("way", ["owner", "everybody", "group"])
def test_a_cache_that_others_can_change_is_refused(tmp_path: Path, path: str, way: str) -> None:
    with cache(tmp_path) as shared:
        shared.get("key", "the base", maker(b"one"), refresh=False)
    place = tmp_path / path
    if way == "owner":
        os.chown(place, 1000, 0)
    elif way == "everybody":
        place.chmod(0o777)
    else:
        os.chown(place, 0, 100)
        place.chmod(0o775)
    with cache(tmp_path) as shared, pytest.raises(FileError, match="can be changed by") as refused:
        shared.get("key", "the base", never, refresh=False)
    assert str(place) in refused.value.message and "IMGASM_CACHE" in (refused.value.hint or "")


def test_a_group_that_is_its_owners_alone_is_nobody_else(tmp_path: Path) -> None:
    with cache(tmp_path) as shared:
        shared.get("key", "the base", maker(b"one"), refresh=False)
    subprocess.run(["chmod", "-R", "g+w", tmp_path / "bases"], check=True)  # root:root, as umask 002 would make it
    with cache(tmp_path) as shared:
        shared.get("key", "the base", never, refresh=False)


HOLDER = """
import sys, time
from pathlib import Path
from assembler.atomic_files import spool
from assembler.locks import work_directory
folder = Path(sys.argv[1])
with work_directory(folder) as work, spool(folder) as file:
    (work.path / "large").write_bytes(bytes(1000))
    print(work.path.name, file.name.name if isinstance(file.name, Path) else file.name.rpartition("/")[2], flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    Layout.create(tmp_path)
    holders = [subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
               for _ in range(2)]  # fmt: skip
    names = [holder.stdout.readline().split() for holder in holders if holder.stdout]
    killed, alive = holders
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with work_directory(tmp_path) as work, spool(tmp_path) as file:
        Layout.create(tmp_path)
        assert work.path.is_dir() and Path(file.name).is_file()
        assert [(tmp_path / name).exists() for name in names[0]] == [False, False]
        assert [(tmp_path / name).exists() for name in names[1]] == [True, True]
    alive.kill()
    alive.communicate()


def test_a_child_that_lives_on_keeps_the_directory_that_it_works_in(tmp_path: Path) -> None:
    with work_directory(tmp_path) as work:
        child = subprocess.Popen(["sleep", "600"], pass_fds=(work.lock,))
        orphaned = tmp_path / "work-orphaned"
        orphaned.mkdir()
        os.link(work.path / ".owned", orphaned / ".owned")  # the same open file, as after a kill -9 of its parent
    with work_directory(tmp_path):
        assert orphaned.exists()
    child.kill()
    child.wait()
    with work_directory(tmp_path):
        assert not orphaned.exists()


def test_nothing_is_removed_where_something_is_mounted(tmp_path: Path) -> None:
    """The chroots of former versions, with the host's /sys in them."""
    left = tmp_path / "work-left over"
    (left / "mnt").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", left / "mnt"], check=True)
    (left / "mnt/file").touch()
    with work_directory(tmp_path):
        assert (left / "mnt/file").exists()
    subprocess.run(["umount", left / "mnt"], check=True)
    with work_directory(tmp_path):
        assert not left.exists()


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system that can be had here refuses flock(2)."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(FileError, match="can't be locked: No locks available") as refused:
        cache(tmp_path).get("key", "the base", never, refresh=False)
    assert "IMGASM_CACHE" in (refused.value.hint or "")
    with pytest.raises(FileError, match="No locks available"), exclusive(tmp_path / "lock"):
        pass


def test_many_make_one_layout_at_once(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from assembler.image.layout import Layout\n" \
           "sys.stdin.read(); Layout.create(Path(sys.argv[1]))"
    makers = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "out"], stdin=subprocess.PIPE)
              for _ in range(4)]  # fmt: skip
    for each in makers:
        assert each.stdin is not None
        each.stdin.close()
    assert [each.wait() for each in makers] == [0] * 4
    assert Layout.open(tmp_path / "out").index() == ()


@pytest.mark.parametrize("left", [".incoming-abc", "oci-layout"])
def test_a_layout_whose_making_was_interrupted_is_taken_up(tmp_path: Path, left: str) -> None:
    Layout.create(tmp_path / "whole")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / left).write_bytes((tmp_path / "whole/oci-layout").read_bytes())
    assert Layout.create(tmp_path / "half").index() == ()
    assert not (tmp_path / "half/.incoming-abc").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(ImageError, match="a directory with other files in it"):
        Layout.create(tmp_path / "other")
