"""recipes/hello.toml on two machines, as far apart as one machine can play them, gives one digest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image import verified_blobs
from assembler.layer.decompress import decompress
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.root]

ROOT = Path(__file__).parents[2]
FOREIGN = ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE", "IMGASM_ENGINE", "SOURCE_DATE_EPOCH", "LANG", "LC_ALL")


Member = tuple[Mapping[str, Any], Mapping[str, str], bytes]
"""The header as tarfile reads it, its PAX records, the content."""


START = 'hostname "$1"; umask "$2"; shift 2; exec taskset --cpu-list "$@"'
"""What makes the machine another one, in name spaces of its own."""

STRANGER = """
empty=$(mktemp -d); resolver=$(mktemp)
mount --bind "$empty" /etc/apt/trusted.gpg.d
{ cat /etc/resolv.conf; echo "# of $1"; } > "$resolver"
mount --bind "$resolver" "$(realpath /etc/resolv.conf)"
""" + START
"""Its apt trusts nobody, as on another distribution, and its names are resolved elsewhere."""


class Machine:
    """With a checkout, a home, a cache and a build of its own below ``root``, and a name that the kernel tells."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        shutil.copytree(ROOT / "recipes", root / "checkout" / "recipes")

    def build(
        self, *options: str, processors: str, umask: str, environment: Mapping[str, str], script: str = START
    ) -> None:
        imgasm = [sys.executable, "-m", "assembler", "build", "recipes/hello.toml", "--prove", *options]
        here = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        own = {"HOME": str(self.root), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["unshare", "--uts", "--mount", "sh", "-e", "-c", script, "sh", self.name, umask, processors, *imgasm],
            cwd=self.root / "checkout", env={**here, **own, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "making a bookworm base with mmdebstrap" in done.stderr

    @property
    def image(self) -> Path:
        return self.root / "checkout/build/hello"

    @property
    def base(self) -> Path:
        (layout,) = (path for path in (self.root / ".cache/imgasm/bases").iterdir() if path.is_dir())
        return layout

    def base_members(self) -> dict[str, Member]:
        """What is where in the base, so that a difference has a name."""
        blob = max((self.base / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        with blob.open("rb") as file, tarfile.open(fileobj=decompress(file), mode="r|") as tar:  # type: ignore[arg-type]
            return {member.name: (member.get_info(), member.pax_headers, content(tar, member)) for member in tar}


@contextmanager
def machines(directory: Path) -> Iterator[tuple[Machine, Machine]]:
    """One on a disk, one in memory: another file system, with another order of names in its directories."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        yield Machine("first", directory), Machine("second", Path(memory))


def contents(layout: Path) -> dict[str, bytes]:
    """All but the record, which says what each step cost, and the note of blobs that this machine has read before."""
    own = ("imgasm.json", verified_blobs.NAME)
    files = (path for path in layout.rglob("*") if path.is_file() and path.name not in own)
    return {str(path.relative_to(layout)): path.read_bytes() for path in files}


def test_two_machines_give_one_digest(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with machines(tmp_path) as (first, second):
        first.build("--engine", "docker", "--capture", "overlay", processors="0", umask="022", script=STRANGER,
                    environment={"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1", "TMPDIR": str(tmp_path)})
        time.sleep(1.1)
        with engines.podman(tmp_path_factory.mktemp("podman")):
            every = ",".join(map(str, sorted(os.sched_getaffinity(0))))
            second.build("--engine", "podman", "--capture", "export", processors=every, umask="077",
                         environment={"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "2"})

        ours, theirs = first.base_members(), second.base_members()
        assert [name for name in ours if ours[name] != theirs.get(name)] == []
        assert contents(first.base) == contents(second.base)
        assert contents(first.image) == contents(second.image)
        tagged = json.loads((first.image / "index.json").read_bytes())["manifests"]
        assert len({entry["digest"] for entry in tagged}) == 2
        nothing_says_when(ours)


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isfile() else None
    return file.read() if file else b""


def nothing_says_when(base: Mapping[str, Member]) -> None:
    """What would differ tomorrow, though it does not a minute later: times, and the day of an account's password."""
    assert {header["mtime"] for header, _, _ in base.values()} == {0}
    _, _, shadow = base["./etc/shadow"]
    assert {line.split(b":")[2] for line in shadow.splitlines()} == {b""}
