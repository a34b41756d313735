"""Globs over paths (:mod:`assembler.model.globs`), compiled once: what a recipe prunes, and what it keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from assembler.changeset.symlinks import ResolvedGlob, resolved_globs
from assembler.model.globs import is_wild, parts_of, translate
from assembler.model.node import Kind
from assembler.model.prune_presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.changeset.tree import Tree


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` as the recipe has it; ``preset`` names where it came from, if from a preset."""

    pattern: str
    preset: str | None = None


class Rules:
    """Many patterns as one expression, so that a path is looked at once however many rules there are.

    ``links`` are symbolic links that match for nothing but that a pattern goes through them (``led``).
    """

    def __init__(self, rules: Iterable[Rule], led: Sequence[Sequence[ResolvedGlob]] | None = None) -> None:
        self.rules = tuple(rules)
        self._ways = led if led is not None else [(ResolvedGlob(rule.pattern),) for rule in self.rules]
        groups = (b"(%s)" % b"|".join(map(_expression, each)) for each in self._ways)
        self._expression = re.compile(b"|".join(groups), re.DOTALL) if self.rules else None
        links = {link for each in self._ways for way in each for link in way.links}
        without_links = [[ResolvedGlob(way.pattern) for way in each] for each in self._ways]
        plain = Rules(self.rules, without_links) if links else self
        self.links = frozenset(link for link in links if plain.match(link) is None)

    @classmethod
    def of_patterns(cls, patterns: Sequence[str]) -> Rules:
        return cls(Rule(pattern) for pattern in patterns)

    @classmethod
    def of_prune(cls, presets: Sequence[str], patterns: Sequence[str]) -> Rules:
        """Presets first, in the recipe's order: the first rule that matches a path is the one that is told of."""
        named = [Rule(pattern, preset) for preset in presets for pattern in PRESETS[preset].globs]
        return cls([*named, *(Rule(pattern) for pattern in patterns)])

    def __bool__(self) -> bool:
        return bool(self.rules)

    def match(self, path: bytes) -> Rule | None:
        """The rule that speaks for ``path``, because it matches it or a directory above it."""
        if self._expression is None:
            return None
        found = self._expression.match(path)
        return self.rules[found.lastindex - 1] if found and found.lastindex else None

    def selected(self, tree: Tree) -> Iterator[bytes]:
        """Every path of ``tree`` that may match, each once: what lies below the patterns' directories, and links."""
        roots = _outermost(literal_head(way.pattern) for each in self._ways for way in each)
        for root in roots:
            yield from tree.walk(root)
        for link in sorted(self.links):
            if not any(_is_in(link, root) for root in roots):
                yield link

    def each(self) -> Iterator[tuple[Rule, Rules]]:
        """Every rule, and what it is alone: the first of several that match a path is the one that ``match`` tells."""
        for rule, its_ways in zip(self.rules, self._ways, strict=True):
            yield rule, Rules([rule], [its_ways])

    def first(self, tree: Tree) -> bytes | None:
        """Some path of ``tree`` that matches and that a layer can hold, if there is one."""
        matches = filter(self.match, self.selected(tree))
        return next((path for path in matches if (node := tree.node(path)) and node.kind is not Kind.SOCKET), None)

    def led(self, tree: Tree, *, keeps_links: bool = False) -> Rules:
        """The same rules, whose patterns go through the symbolic links of ``tree`` (``follow.ways``).

        With ``keeps_links`` they match these links as well, wherever one leads to something that they match.
        """
        return Rules(self.rules, [list(_led(rule, tree, keeps_links=keeps_links)) for rule in self.rules])


class Patterns(NamedTuple):
    """What never goes into an image, and what alone does; an empty ``keep`` is everything that changed."""

    prune: Rules = Rules(())
    keep: Rules = Rules(())

    def led(self, container: Tree) -> Patterns:
        """Through the container's symbolic links."""
        return Patterns(self.prune.led(container), self.keep.led(container, keeps_links=True))


def _led(rule: Rule, tree: Tree, *, keeps_links: bool) -> Iterator[ResolvedGlob]:
    for way in resolved_globs(rule.pattern, tree):
        without = ResolvedGlob(way.pattern)
        is_kept = keeps_links and way.links and Rules([rule], [[without]]).first(tree) is not None
        yield way if is_kept else without


def _expression(way: ResolvedGlob) -> bytes:
    links = b"|".join(re.escape(link) for link in way.links)
    return translate(way.pattern) + (rb"|(?:%s)\Z" % links if links else b"")


def _outermost(roots: Iterable[bytes]) -> list[bytes]:
    """The directories that lie in no other of them, so that nothing is walked twice."""
    chosen: list[bytes] = []
    for root in sorted(set(roots)):
        if not any(root == above or _is_in(root, above) for above in chosen):
            chosen.append(root)
    return chosen


def _is_in(path: bytes, directory: bytes) -> bool:
    return not directory or path.startswith(directory + b"/")


def literal_head(pattern: str) -> bytes:
    """The directory below which every match must lie, as far as the pattern names it."""
    head = []
    for part in parts_of(pattern)[:-1]:
        if is_wild(part):
            break
        head.append(part)
    return b"/".join(head)
