"""What a recipe's patterns name in a tree, said without imgasm's help: glob(7) with links followed, and ``**`` beside.

What they name has no link on its way; ``links`` are those that a pattern goes through to something, and does not name.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.rootfs import Facts


class Named:
    """What ``patterns`` name where ``final`` is the tree; paths that only another tree has are asked for as well."""

    def __init__(self, patterns: Sequence[str], final: Facts) -> None:
        self._final = final
        names = [os.fsencode(pattern).strip(b"/").split(b"/") for pattern in patterns]
        self._ways = [way for parts in names for way in self._follow([], parts, frozenset())]
        self.links = frozenset(link for parts, links in self._ways if links and any(_matches(parts, at) for at in final)
                               for link in links if not self.wants(link))

    def wants(self, path: bytes) -> bool:
        return any(_matches(parts, path) for parts, _ in self._ways)

    def _follow(
        self, here: list[bytes], ahead: list[bytes], links: frozenset[bytes]
    ) -> Iterator[tuple[list[bytes], frozenset[bytes]]]:
        """Every way to write the pattern ``here/ahead`` so that it goes through no link; ``here`` is a real path."""
        yield [*map(_literal, here), *ahead], links
        if len(ahead) < 2 or ahead[0] == b"**":
            return
        depth = len(here)
        for path in [path for path in self._final if path.count(b"/") == depth]:
            parts = path.split(b"/")
            fact = self._final[path]
            if parts[:-1] != here or not _is_like(ahead[0], parts[-1]):
                continue
            if fact.is_directory:
                yield from self._follow(parts, ahead[1:], links)
            elif fact.kind == stat.S_IFLNK and (led := self.lead(path)) is not None:
                yield from self._follow(led[0], ahead[1:], links | led[1])

    def lead(self, path: bytes) -> tuple[list[bytes], frozenset[bytes]] | None:
        """The directory that the link leads to, and the links on the way."""
        here: list[bytes] = []
        ahead, links = path.split(b"/"), set[bytes]()
        for _ in range(1000):
            if not ahead:
                return here, frozenset(links)
            part, *ahead = ahead
            if part == b"..":
                here = here[:-1]
            elif part not in (b"", b"."):
                fact = self._final.get(b"/".join([*here, part]))
                if fact is None or fact.is_directory:
                    here = [*here, part]
                elif fact.kind != stat.S_IFLNK:
                    return None
                else:
                    links.add(b"/".join([*here, part]))
                    assert isinstance(fact.what, bytes)
                    here = [] if fact.what.startswith(b"/") else here
                    ahead = [*fact.what.split(b"/"), *ahead]
        return None


def _literal(part: bytes) -> bytes:
    return b"".join(b"[%c]" % char if char in b"*?[" else b"%c" % char for char in part)


def _is_like(part: bytes, name: bytes) -> bool:
    return fnmatch.fnmatchcase(name.decode("latin-1"), part.decode("latin-1"))


def _matches(parts: Sequence[bytes], path: bytes) -> bool:
    """Whether the pattern names ``path``, or a directory above it."""
    names = path.split(b"/")
    return any(_is_whole(parts, names[:count]) for count in range(1, len(names) + 1))


def _is_whole(parts: Sequence[bytes], names: Sequence[bytes]) -> bool:
    if not parts:
        return not names
    if parts[0] == b"**":
        least = 1 if len(parts) == 1 else 0
        return any(_is_whole(parts[1:], names[count:]) for count in range(least, len(names) + 1))
    return bool(names) and _is_like(parts[0], names[0]) and _is_whole(parts[1:], names[1:])


