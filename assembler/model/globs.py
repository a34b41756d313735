"""Globs over paths in a rootfs: what recipes prune, keep and limit.

``*`` and ``?`` stay within a name, ``**`` goes over any number of directories, ``[a-z]`` is a set. A pattern that
matches a directory speaks for all below it.
"""

from __future__ import annotations

import glob
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


_WILDCARDS: Final = frozenset(b"*?[")


def matching(pattern: str) -> Callable[[str], object]:
    """The function that says whether ``pattern`` matches a path, which is text with a leading slash."""
    expression = re.compile(translate(pattern), re.DOTALL)
    return lambda path: expression.match(path[1:].encode())


def translate(pattern: str) -> bytes:
    """A regular expression that matches the paths that ``pattern`` names, and all below them."""
    parts = parts_of(pattern)
    if not parts:
        return b""  # the root, and so everything
    expression = b""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == b"**":
            # At the end: everything below, but not the directory itself. Elsewhere: any number of directories, or none.
            expression += b".+" if last else b"(?:[^/]+/)*"
        else:
            expression += component(part) + (b"" if last else b"/")
    return expression + rb"(?=/|\Z)"


def parts_of(pattern: str) -> list[bytes]:
    """The names and wildcards between the slashes."""
    return [part for part in pattern.encode("utf-8", "surrogateescape").split(b"/") if part not in (b"", b".")]


def is_wild(part: bytes) -> bool:
    """Whether ``part`` can match another name than its own."""
    return not _WILDCARDS.isdisjoint(part)


def escaped(path: bytes) -> bytes:
    """The pattern that matches ``path`` and nothing else."""
    return glob.escape(path)


def component(part: bytes) -> bytes:
    """A regular expression for one name."""
    expression, index = b"", 0
    while index < len(part):
        char = part[index : index + 1]
        index += 1
        if char == b"*":
            expression += b"[^/]*"
        elif char == b"?":
            expression += b"[^/]"
        elif char == b"[" and (end := part.find(b"]", index + 1)) > 0:
            body = re.sub(rb"[\\\[&~|]", rb"\\\g<0>", part[index:end])  # these mean something in sets of re
            expression += b"[" + (b"^" + body[1:] if body[:1] == b"!" else body) + b"]"
            index = end + 1
        else:
            expression += re.escape(char)
    return expression
