"""What a directory tree holds, and what changed in it since the last look.

A container's writable layer is looked at after every step, so a look must be cheap: 25,000 entries in well under
50 ms. The cost is one ``stat`` for each entry, whatever asks for it (measured on two cores, 25,012 entries in 1,896
directories, warm): ``os.scandir`` and ``lstat`` 90 ms, ``find -printf`` parsed in Python 78 ms, a C program's bare
loop 48 ms, two ``find`` side by side 33 ms. So GNU find is asked one question, "which of these directories hold an
inode that changed since?", and only those directories are listed in Python. Directories whose own mtime did not change
can't be skipped: ``strip`` and ``>>`` write into a file without touching its directory. Without GNU find every
directory is listed.
"""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_ARGUMENTS = 512 * 1024
"""Bytes of directory names for one find: a quarter of the 2 MB that Linux allows by default."""

_FEW: Final = 1000
"""Entries that Python looks at before a find has started, 3 ms."""

BASE: Final = -1
"""Stands for a step: the file is the base's, and no layer holds it."""


_FORMATS: Final = {b"f": stat.S_IFREG, b"d": stat.S_IFDIR, b"l": stat.S_IFLNK, b"p": stat.S_IFIFO,
                   b"s": stat.S_IFSOCK, b"c": stat.S_IFCHR, b"b": stat.S_IFBLK}  # fmt: skip


class Seen(NamedTuple):
    """One name as it was at the last look. ``step`` is the step that gave it the content it has, or :data:`BASE`."""

    format: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    step: int | None

    @property
    def is_directory(self) -> bool:
        return self.format == stat.S_IFDIR

    @property
    def content(self) -> int:
        """The bytes that a layer would store for it: whiteouts (0:0 devices), links and directories have no content."""
        return self.size if self.format == stat.S_IFREG else 0

    def is_same_as(self, other: Seen) -> bool:
        return self[:5] == other[:5]

    def holds_content_of(self, other: Seen) -> bool:
        """No write between the two, as far as metadata tells: chmod and chown change only the ctime."""
        return self[:4] == other[:4]


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """What a step did to the tree, in bytes of regular files; hard links count once.

    ``added`` is new or was stored again (a changed mode or owner stores a file again too), ``removed`` is what that
    replaced or what is gone: bytes before + added - removed = bytes after. ``discarded`` splits the lost contents of
    earlier steps by the step that had written them; a file that was renamed, or whose mode changed, is not lost.
    """

    added: int = 0
    removed: int = 0
    discarded: dict[int | None, int] = field(default_factory=dict)


class DirectoryScan:
    """The tree below ``root``. Paths are bytes, relative to it. A file that can't be read now counts as not there.

    Changes are recognised by ctime, which no program can set; a machine whose clock is set back during a build
    hides what is written until the clock has caught up.

    ``with_base`` says that what is there at first are the base's files: they count only when they change, as an
    overlay would copy them up. ``size`` is what the layer holds, ``base`` what the base's files held at first.
    ``enter`` is the beginning of a command line that runs ``find`` where directories can be read which this user may
    not read (a rootless container's user namespace). What can't be read so, either, is in ``unseen``.
    ``writers`` are the steps that wrote what is there, as :attr:`writers` told it.
    """

    def __init__(
        self, root: Path, *, with_base: bool = False, enter: Sequence[str] = (),
        writers: Mapping[str, int | None] | None = None,
    ) -> None:
        self._root = os.fsencode(root)
        self._enter = [os.fsencode(part) for part in enter]
        self.unseen: set[bytes] = set()
        self._directories: dict[bytes, dict[bytes, Seen]] = {}
        self._touched: dict[bytes, Seen | None] = {}
        self._newest = 1
        self._step: int | None = BASE if with_base else None
        self._can_ask = _find_is_gnu()
        self.size = 0
        self._relist(b"")
        self._adopt(writers or {})
        self.base = _content({seen.inode: seen for _, seen in self if seen.step == BASE})
        self._settle()

    def _adopt(self, writers: Mapping[str, int | None]) -> None:
        for directory, names in self._directories.items() if writers else ():
            for name, seen in names.items():
                path = os.path.join(directory, name).decode("latin-1")
                if path in writers:
                    names[name] = seen._replace(step=writers[path])

    @property
    def writers(self) -> dict[str, int | None]:
        """The step of everything that is no file of the base's, by its path as Latin-1 reads its bytes."""
        return {path.decode("latin-1"): seen.step for path, seen in self if seen.step != BASE}

    def commit(self, step: int | None) -> DirectoryChange:
        """Looks at the tree and returns what changed since the last commit, all of it done by ``step``."""
        self._step = step
        for directory in self._changed_directories():
            if directory in self._directories:
                self._relist(directory)
        return self._settle()

    @property
    def entries(self) -> int:
        """How many names there are."""
        return sum(map(len, self._directories.values()))

    def __iter__(self) -> Iterator[tuple[bytes, Seen]]:
        for directory, names in self._directories.items():
            prefix = directory + b"/" if directory else b""
            for name, seen in names.items():
                yield prefix + name, seen

    def step_of(self, path: bytes) -> int | None:
        """The step that wrote ``path`` last; None for what was there before the first, or isn't there."""
        seen = self._get(path)
        return seen.step if seen and seen.step != BASE else None

    def _get(self, path: bytes) -> Seen | None:
        directory, _, name = path.rpartition(b"/")
        return self._directories.get(directory, {}).get(name)

    def _relist(self, directory: bytes) -> None:
        """Looks into a directory, and into all new ones in it: one after the other, because they may be as deep as they
        like."""
        pending = [directory]
        while pending:
            pending += self._look_into(pending.pop())

    def _look_into(self, directory: bytes) -> list[bytes]:
        """The directories in it that nobody looked into yet."""
        before, after = self._directories.get(directory, {}), self._list(directory)
        self._directories[directory] = after
        prefix = directory + b"/" if directory else b""
        new = []
        for name, now in after.items():
            then = before.pop(name, None)
            if then is not None and now.is_same_as(then):
                after[name] = then
                continue
            is_same_directory = then is not None and _same_directory(then, now)
            if then is not None and (is_same_directory or now.holds_content_of(then)):
                after[name] = now._replace(step=None if then.step == BASE else then.step)
            self._touched.setdefault(prefix + name, then)
            if not is_same_directory:
                self._forget(prefix + name)
                new += [prefix + name] if now.is_directory else []
        for name, then in before.items():
            self._touched.setdefault(prefix + name, then)
            self._forget(prefix + name)
        return new

    def _forget(self, directory: bytes) -> None:
        """What was in it is gone, if it was a directory."""
        pending = [directory]
        while pending:
            at = pending.pop()
            for name, then in self._directories.pop(at, {}).items():
                self._touched.setdefault(at + b"/" + name, then)
                pending += [at + b"/" + name] if then.is_directory else []

    def _list(self, directory: bytes) -> dict[bytes, Seen]:
        names: dict[bytes, Seen] = {}
        step = self._step
        newest = self._newest
        try:
            with os.scandir(os.path.join(self._root, directory)) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:  # a process that the step left behind removed it just now
                        continue
                    ctime = status.st_ctime_ns
                    newest = max(newest, ctime)
                    names[entry.name] = Seen(
                        stat.S_IFMT(status.st_mode), status.st_ino, status.st_size, status.st_mtime_ns, ctime, step
                    )
        except PermissionError:
            names = self._list_inside(directory)
            newest = max([newest, *(seen.ctime_ns for seen in names.values())])
        except OSError:
            pass
        self._newest = newest
        return names

    def _list_inside(self, directory: bytes) -> dict[bytes, Seen]:
        question = [b"find", os.path.join(self._root, directory), b"-mindepth", b"1", b"-maxdepth", b"1",
                    b"-printf", b"%y %i %s %T@ %C@ %f\\0"]  # fmt: skip
        done = subprocess.run([*self._enter, *question], capture_output=True, check=False) if self._enter else None
        if done is None or done.returncode:
            self.unseen.add(directory)
            return {}
        self.unseen.discard(directory)
        lines = (line.split(b" ", 5) for line in done.stdout.split(b"\0")[:-1])
        return {line[5]: _seen_by_find(line, self._step) for line in lines}

    def _settle(self) -> DirectoryChange:
        change = self._change()
        self._touched.clear()
        self.size += change.added - change.removed
        return change

    def _change(self) -> DirectoryChange:
        """By inode, not by path: so a file with two names counts once, and one that was only renamed is not lost."""
        gone = {then.inode: then for then in self._touched.values() if then and then.step != BASE}
        came = {now.inode: now for now in map(self._get, self._touched) if now and now.step != BASE}
        discarded: dict[int | None, int] = {}
        for inode, then in gone.items():
            now = came.get(inode)
            if then.content and not (now and now.holds_content_of(then)):
                discarded[then.step] = discarded.get(then.step, 0) + then.content
        return DirectoryChange(_content(came), _content(gone), discarded)

    def _changed_directories(self) -> list[bytes]:
        """Parents first. Without GNU find, and where it would take longer to start: all of them."""
        known = sorted(self._directories)
        if not (self._can_ask and self.entries > _FEW and os.path.isdir(self._root)):
            return known
        asked = [_ask(self._enter, self._root, part, self._newest) for part in _parts(known)]
        answers = b"".join(process.communicate()[0] for process in asked)
        return sorted({answer[2:] for answer in answers.split(b"\0")[:-1]})


def _content(inodes: dict[int, Seen]) -> int:
    return sum(seen.content for seen in inodes.values())


def _same_directory(then: Seen, now: Seen) -> bool:
    """A directory's mtime and size change with every name in it: only another inode makes it another directory."""
    return then.is_directory and now.is_directory and then.inode == now.inode


@cache
def _find_is_gnu() -> bool:
    try:
        question = ["find", "/dev/null", "-newerct", "@0", "-printf", "%H\\0"]
        return subprocess.run(question, capture_output=True, check=False).stdout == b"/dev/null\0"
    except OSError:
        return False


def _parts(directories: list[bytes]) -> Iterator[list[bytes]]:
    """Dealt out like cards, one hand for each processor, so that a crowded corner of the tree is shared by all."""
    length = sum(map(len, directories)) + 16 * len(directories)
    hands = min(len(directories), max(os.cpu_count() or 1, length // _ARGUMENTS + 1))
    return (directories[first::hands] for first in range(hands))


def _seen_by_find(line: list[bytes], step: int | None) -> Seen:
    """``line``: type, inode, size, mtime and ctime as find has them."""
    inode, size = int(line[1]), int(line[2])
    return Seen(_FORMATS.get(line[0], 0), inode, size, _nanoseconds(line[3]), _nanoseconds(line[4]), step)


def _nanoseconds(text: bytes) -> int:
    """``1700000000.1234567890``: find writes a digit more than there are."""
    seconds, _, rest = text.partition(b".")
    return int(seconds) * 1_000_000_000 + int(rest[:9].ljust(9, b"0"))


def _ask(enter: list[bytes], root: bytes, directories: list[bytes], newest: int) -> subprocess.Popen[bytes]:
    """A find that prints each of ``directories`` in which something's ctime is ``newest`` (ns) or later.

    The moment of the last look counts as later: the clock of ctimes stands still for some milliseconds at a time.
    Directories that are gone make it complain; their parents have changed, so nothing is missed.
    """
    seconds, rest = divmod(newest - 1, 1_000_000_000)
    since = b"@%d.%09d" % (seconds, rest)
    starts = [b"./" + directory for directory in directories]
    question = [*enter, b"find", *starts, b"-maxdepth", b"1", b"-newerct", since, b"-printf", b"%H\\0"]
    return subprocess.Popen(question, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
