"""The C part under AddressSanitizer and UndefinedBehaviorSanitizer: scripts/fuzz c [--seconds 10] [--source FILE]

Whatever it is called with, it does nothing undefined, and gives what Python gives where Python has an answer.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assembler.changeset.entry_order import likeness
from assembler.layer import many_files
from assembler.layer.entry import Entry
from assembler.layer.tar_header import header, padding
from assembler.model.node import Content, Kind, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOURCE: Final = Path(many_files.__file__).with_name("_many_files.c")
_SANITIZERS: Final = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_ODD: Final[tuple[Any, ...]] = (None, (), b"", b"\0", b"a\0b", b"/", 0, -1, 1 << 40, 1 << 70, 0.5, "text", b"n" * 5000)
_LARGE: Final = 4096
_BUFFER: Final = 64 << 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fuzz c", description="Fuzzes the C part, with sanitizers.")
    parser.add_argument("--seconds", type=float, default=10, help="default: %(default)s")
    parser.add_argument("--source", type=Path, default=_SOURCE, help="another source (default: imgasm's)")
    parser.add_argument("--library", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.library:
        print(f"{_rounds(_loaded(wanted.library), wanted.seconds)} rounds")
        return
    with tempfile.TemporaryDirectory() as place:
        library = str(Path(place, "_many_files.so"))
        flags = ["-fPIC", "-shared", "-pthread", f"-I{sysconfig.get_path('include')}"]
        subprocess.run(["gcc", *_SANITIZERS, *flags, str(wanted.source), "-o", library], check=True)
        runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        # Python's own allocator would give the C memory that the sanitizer does not watch, and Python leaks at its end.
        variables = {"LD_PRELOAD": runtime.stdout.strip(), "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"}
        again = [sys.executable, "-m", "fuzzing.many_files", "--seconds", str(wanted.seconds), "--library", library]
        sys.exit(subprocess.run(again, env={**os.environ, **variables}, cwd=place, check=False).returncode)


def _loaded(library: str) -> Any:
    spec = importlib.util.spec_from_file_location("_many_files", library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _rounds(in_c: Any, seconds: float) -> int:
    chance, until, count = random.Random(), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as place:
            files = _tree(Path(place), chance)
            _check_scan(in_c, os.fsencode(place), chance)
            _check_pack(in_c, files, chance)
        _check_likeness(in_c, chance)
        count += 1
    return count


def _tree(place: Path, chance: random.Random) -> list[Path]:
    files: list[Path] = []
    for number in range(chance.randrange(30)):
        name = bytes(chance.choice(b"ab.\xff\n0 ") for _ in range(chance.randrange(1, 60))) + b"%d" % number
        file = place / os.fsdecode(name)
        kind = chance.randrange(8)
        if kind == 0:
            file.mkdir()
        elif kind == 1:
            file.symlink_to("somewhere")
        elif kind == 2 and files:
            file.hardlink_to(chance.choice(files))
        else:
            file.write_bytes(chance.randbytes(chance.choice((0, 1, 511, 512, 513, 4000))))
            if kind == 3:
                os.truncate(file, 1 << 20)
            files.append(file)
    return files


def _check_scan(in_c: Any, place: bytes, chance: random.Random) -> None:
    odd = [(chance.choice(_ODD), chance.choice(_ODD)) for _ in range(chance.randrange(3))]
    sound = [(b"p/", place), (b"", place + b"/none"), (b"", place + b"/" + b"d" * 4096)]
    for directories in (sound, [(b"", place), *odd]):
        model = chance.choice((Node(Kind.REGULAR, 0), Node(Kind.REGULAR, 0), (), Entry(b"", None)))
        try:
            listings = in_c.scan(tuple(directories), model, _LARGE, chance.randrange(-1, 20))
        except (TypeError, OverflowError):
            continue
        nodes, names = listings[0]
        prefix = directories[0][0]
        found = [*nodes, *(prefix + name for name in names)]
        assert sorted(found) == sorted(prefix + name for name in os.listdir(place))
        for path, node in nodes.items():
            assert node == Node.from_stat(os.lstat(place + b"/" + path.removeprefix(prefix)))


def _check_pack(in_c: Any, files: Sequence[Path], chance: random.Random) -> None:
    entries = tuple(_entry(chance.choice(files), chance) for _ in range(chance.randrange(40))) if files else ()
    buffer = bytearray(chance.choice((0, 1, 512, 5000, _BUFFER)))
    first = chance.randrange(-1, 50)
    try:
        ends = in_c.pack(entries, first, Kind.REGULAR, buffer, chance.randrange(-1, 20))
    except (TypeError, OverflowError):
        return
    expected = b""
    for entry, end in zip(entries[max(0, first) :], ends, strict=False):
        path, node, _, content = entry
        expected += header(Entry(path, Node(*node), None, content)) + _bytes(content, node[5]) + bytes(padding(node[5]))
        assert end == len(expected)
    assert bytes(buffer[: len(expected)]) == expected


def _bytes(content: tuple[bytes, int] | None, size: int) -> bytes:
    if content is None:
        return b""
    with open(content[0], "rb") as file:
        file.seek(content[1])
        return file.read(size)


def _entry(file: Path, chance: random.Random) -> Any:
    path = b"/".join([b"p" * chance.randrange(1, 160)] * chance.randrange(1, 4))
    ids = chance.choice((0, 1000, 1 << 21, 1 << 32))
    size = max(0, file.stat().st_size + chance.choice((0,) * 20 + (-1, 1, 1 << 40)))
    entry = Entry(path, Node(Kind.REGULAR, 0o644, ids, ids, chance.choice((0, -1, 1 << 34)), size), None,
                  Content(os.fsencode(file), chance.choice((0,) * 20 + (1, -1))))
    if chance.randrange(20) == 0:
        return Entry(path, Node(Kind.REGULAR, 0o600, ids, ids))
    if chance.randrange(20):
        return entry
    spoilt: list[Any] = list(entry)
    spoilt[chance.randrange(4)] = chance.choice(_ODD)
    if chance.randrange(2) and isinstance(spoilt[1], Node):
        node: list[Any] = list(spoilt[1])
        node[chance.randrange(10)] = chance.choice(_ODD)
        spoilt[1] = tuple(node)
    return tuple(spoilt[: chance.choice((4, 4, 3, 0))])


def _check_likeness(in_c: Any, chance: random.Random) -> None:
    for _ in range(50):
        path = bytes(chance.choice(b"af09.g/\xff\0") for _ in range(chance.randrange(40)))
        assert in_c.likeness(path) == likeness(path)


if __name__ == "__main__":
    main()
