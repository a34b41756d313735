"""What an image shall be that stacks a container's files on another image, said without imgasm's help.

As DESIGN.md and image-spec layer.md have it: without ``keep`` what the steps changed, with it what ``keep`` names. A
path goes through those symlinks of the other image that lead to a directory of it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.rootfs import Fact, groups
from tests.support.scene import above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.patterns import Named
    from tests.support.rootfs import Facts


class Refusal(Exception):
    """No layer can do this, so there must be none."""


@dataclass(frozen=True)
class Expected:
    """``ours`` are the places that the container decides about."""

    facts: Facts
    ours: frozenset[bytes]


def changes(base: Facts, final: Facts, names: Facts) -> tuple[set[bytes], set[bytes]]:
    """What the steps changed, and what they removed: of a tree its root, and nothing of what a file took the place of.

    A file that got a further name is changed, for the two are one file then; one that lost a name is not. ``names`` has
    all of them, also those that no image gets.
    """
    was, now = _names(base), _names(names)
    changed = {path for path, fact in final.items()
               if path not in base or base[path].itself != fact.itself or not now[path] <= was[path]}
    removed = {path for path in base.keys() - final.keys()
               if all(directory in final and final[directory].is_directory for directory in above(path))}
    return changed, removed


def _names(facts: Facts) -> dict[bytes, frozenset[bytes]]:
    return {path: frozenset((path,)) for path in facts} | {path: group for group in groups(facts) for path in group}


@dataclass
class Stacking:
    """``final`` are the container's facts, ``other`` the other image's."""

    final: Facts
    other: Facts
    places: dict[bytes, bytes] = field(default_factory=dict)

    def expected(self, changed: Iterable[bytes], removed: Iterable[bytes]) -> Expected:
        wanted: dict[bytes, bytes] = {}
        for path in sorted(changed):
            place = self.place(path)
            if place not in wanted:
                wanted[place] = path
            elif not (self.final[path].is_directory and self.final[wanted[place]].is_directory):
                raise Refusal(f"two files for {place!r}")
        wanted.pop(b"", None)  # a link to the root was followed
        gone = (self.other.keys() & map(self.place, removed)) - wanted.keys()
        for place in wanted:
            if not gone.isdisjoint(above(place)):
                raise Refusal(f"{place!r} is in what was removed")
            files = (directory for directory in above(place) if directory in wanted)
            if any(not self.final[wanted[directory]].is_directory for directory in files):
                raise Refusal(f"{place!r} is in a file")
        return Expected(self._merged(wanted, gone), frozenset(wanted) | gone)

    def there_already(self, keep: Named, chosen: Callable[[bytes], bool]) -> set[bytes]:
        """The links that ``keep`` goes through, and that the other image has a way of its own for.

        A directory of its own is none: what is kept would not be found under the name that ``keep`` gave it.
        """
        found = set()
        for link in filter(chosen, keep.links & self.final.keys()):
            place, led = self.place(link), keep.lead(link)
            assert led is not None
            real = self.place(b"/".join(led[0]))
            try:
                leads = self._lead(place)
            except Refusal:
                continue  # in a circle, which is replaced
            if place in self.other and leads == real:
                found.add(link)
            elif place in self.other and self.other[place].is_directory:
                raise Refusal(f"{place!r} is a directory, and no link to {real!r}")
        return found

    def _merged(self, wanted: dict[bytes, bytes], gone: set[bytes]) -> Facts:
        facts = dict(self.other)
        for place in gone:
            _remove(facts, place)
        for place in sorted(wanted):
            for directory in above(place):
                if directory not in facts or not facts[directory].is_directory:
                    _remove(facts, directory)
                    facts[directory] = self._parent(directory)
            fact = self.final[wanted[place]]
            if not fact.is_directory or (place in facts and not facts[place].is_directory):
                _remove(facts, place)
            facts[place] = fact
        return facts

    def _parent(self, directory: bytes) -> Fact:
        """As the container has it, or as an engine makes one."""
        sources = [path for path, place in self.places.items() if place == directory]
        fact = self.final.get(min(sources, default=directory))
        return fact if fact is not None and fact.is_directory else _IMPLICIT

    def place(self, path: bytes) -> bytes:
        directory, _, name = path.rpartition(b"/")
        into = self._directory(directory)
        is_directory = path in self.final and self.final[path].is_directory
        return self._directory(path) if is_directory else _join(into, name)

    def _directory(self, path: bytes) -> bytes:
        if not path:
            return b""
        if path not in self.places:
            directory, _, name = path.rpartition(b"/")
            here = _join(self._directory(directory), name)
            led = self._lead(here)
            self.places[path] = here if led is None else led
        return self.places[path]

    def _lead(self, path: bytes) -> bytes | None:
        """Where ``path`` leads in the other image, as path_resolution(7) has it; it need not be there yet.

        None: there is something that is not a directory.
        """
        current, ahead, followed = b"", path.split(b"/")[::-1], 0
        while ahead:
            part = ahead.pop()
            if part == b"..":
                current = current.rpartition(b"/")[0]
            elif part not in (b"", b"."):
                here = _join(current, part)
                fact = self.other.get(here)
                if fact is None or fact.is_directory:
                    current = here
                elif fact.kind != stat.S_IFLNK:
                    return None
                else:
                    followed += 1
                    if followed > 40:
                        raise Refusal(f"{path!r} leads in a circle")
                    assert isinstance(fact.what, bytes)
                    ahead += fact.what.split(b"/")[::-1]
                    current = b"" if fact.what.startswith(b"/") else current
        return current


_IMPLICIT = Fact(stat.S_IFDIR, 0o755, (0, 0), None, (), 0, (0, 0))


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def _remove(facts: Facts, place: bytes) -> None:
    for path in [path for path in facts if path == place or path.startswith(place + b"/")]:
        del facts[path]
