"""Globs over paths (:mod:`assembler.model.globs`), compiled once: what a recipe prunes, and what it keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.changeset.presets import PRESETS
from assembler.model.globs import translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` as the recipe has it; ``preset`` names where it came from, if from a preset."""

    pattern: str
    preset: str | None = None


class Rules:
    """Many patterns as one expression, so that a path is looked at once however many rules there are."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        alternatives = (b"(%s)" % translate(rule.pattern) for rule in self.rules)
        self._expression = re.compile(b"|".join(alternatives), re.DOTALL) if self.rules else None

    @classmethod
    def of_patterns(cls, patterns: Sequence[str]) -> Rules:
        return cls(Rule(pattern) for pattern in patterns)

    @classmethod
    def of_prune(cls, presets: Sequence[str], patterns: Sequence[str]) -> Rules:
        """Presets first, in the recipe's order: the first rule that matches a path is the one that is told of."""
        named = [Rule(pattern, preset) for preset in presets for pattern in PRESETS[preset]]
        return cls([*named, *(Rule(pattern) for pattern in patterns)])

    def __bool__(self) -> bool:
        return bool(self.rules)

    def match(self, path: bytes) -> Rule | None:
        """The rule that speaks for ``path``, because it matches it or a directory above it."""
        if self._expression is None:
            return None
        found = self._expression.match(path)
        return self.rules[found.lastindex - 1] if found and found.lastindex else None

    def roots(self) -> frozenset[bytes]:
        """Directories (as literal as the patterns are) below which every match must lie."""
        return frozenset(literal_head(rule.pattern) for rule in self.rules)


def literal_head(pattern: str) -> bytes:
    """The directory below which every match must lie, as far as the pattern names it."""
    head = []
    for part in pattern.strip("/").split("/")[:-1]:
        if any(char in part for char in "*?["):
            break
        head.append(part)
    return "/".join(head).encode("utf-8", "surrogateescape")
