"""Reads a recipe: TOML, variables, shape, rules, values; every problem of a stage is told at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from assembler.errors import Problem, RecipeError
from assembler.model.digest import Digest
from assembler.model.secrets import Secrets, mask_userinfo
from assembler.recipe import secrecy
from assembler.recipe.positions import Span
from assembler.recipe.problems import Problems, quoted
from assembler.recipe.recipe import STANDARD_INPUT, Document, Recipe, check, headers, resolve
from assembler.recipe.table import Given
from assembler.recipe.validate import validate
from assembler.recipe.variables import Variables, closest, expanded_size, substitute, undefined, unused
from assembler.recipe.variables import resolve as resolve_variables
from assembler.recipe.vars import check_words, declare

_NUMBER: Final = re.compile(r"[0-9]+")

_KEYS: Final = "`imgasm schema` prints every table and key that a recipe can have."
MOST_BYTES: Final = 1 << 20
_MOST_EXPANDED: Final = 16 << 20
_DEPTH: Final = 20
_CHAIN: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]{0,99}"|'[^'\n]{0,99}')[ \t]*\.[ \t]*){100}""")
"""A dotted key such as none has: tomllib takes a time for it that grows with the square of its length."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe comes from: a file, or STANDARD_INPUT, whose bytes ``content`` are. ``kind`` is what it should
    be, for people."""

    path: Path
    content: bytes | None = None
    kind: str = "recipe"

    @property
    def name(self) -> str:
        """For people."""
        return "standard input" if self.path == STANDARD_INPUT else str(self.path)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A TOML tree and the text that it was read from."""

    origin: Origin
    tree: dict[str, Any]
    text: str = ""


def load(
    origin: Origin,
    overrides: Mapping[str, str],
    *,
    presets: Collection[str],
    locked: Mapping[str, str] | None = None,
) -> Recipe:
    """The recipe in ``origin``.

    ``overrides`` are the values given for declared variables (``--set`` and its like), ``presets`` the names that
    [prune] may use, ``locked`` the lock file's sha256 for each source as the recipe writes it. Raises RecipeError.
    """
    return from_tree(read_toml(origin), overrides, presets=presets, locked=locked or {})


def from_tree(
    parsed: Parsed, overrides: Mapping[str, str], *, presets: Collection[str], locked: Mapping[str, str]
) -> Recipe:
    """The recipe that the TOML tree describes. Raises RecipeError."""
    path = parsed.origin.path
    problems = Problems(parsed.origin.name, parsed.tree, parsed.text, headers())
    replaced, variables, secrets = _replace_variables(parsed.tree, overrides, problems)
    document = validate(replaced, Document, problems, _KEYS)
    if document is None:
        problems.raise_if_any()
        raise AssertionError("a document that is not valid has problems")
    check(document, presets, problems)
    file = path.absolute()
    recipe = resolve(document, file, Given(file.parent, variables.values, secrets, locked), problems)
    problems.raise_if_any()
    recipe = replace(recipe, digest=Digest.of(parsed.text.encode()))
    return replace(recipe, file=path) if path == STANDARD_INPUT else recipe


def read_toml(origin: Origin) -> Parsed:
    """RecipeError for what can't be read, or is no TOML."""
    return _parsed(origin, _read(origin))


def _read(origin: Origin) -> str:
    try:
        content = origin.content
        if content is None:
            with origin.path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RecipeError(f"{origin.name} is not a {origin.kind}: it has more than {MOST_BYTES} bytes",
                              hint="Large files are for [[file]] and [[source]], which name them.")
        return content.decode()
    except OSError as error:
        raise RecipeError(f"the {origin.kind} {origin.name} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{origin.name} is not a {origin.kind}: byte {error.start} is not UTF-8, which TOML must be") from error


def _parsed(origin: Origin, text: str) -> Parsed:
    _refuse_depth(origin, _CHAIN.search(text) is not None)
    try:
        tree = tomllib.loads(text)
        _refuse_depth(origin, _is_deep(tree))
        return Parsed(origin, tree, text)
    except RecursionError:
        _refuse_depth(origin, True)
        raise
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"{origin.name} is not valid TOML",
            problems=[_syntax_error(origin, text.replace("\r\n", "\n"), str(error))],
            hint="Scripts read best between ''' and ''': nothing between them is special to TOML.",
        ) from error
    except ValueError as error:  # integers of thousands of digits
        raise RecipeError(f"{origin.name} is not a {origin.kind}: {error}") from error


def _refuse_depth(origin: Origin, is_deep: bool) -> None:
    if is_deep:
        raise RecipeError(f"{origin.name} is not a {origin.kind}: tables or lists are nested more than {_DEPTH} deep")


def _is_deep(tree: object) -> bool:
    level = [tree]
    for _ in range(_DEPTH):
        inner = [value.values() if isinstance(value, dict) else value for value in level
                 if isinstance(value, dict | list)]
        level = [value for values in inner for value in values]
    return any(isinstance(value, dict | list) for value in level)


def _syntax_error(origin: Origin, text: str, told: str) -> Problem:
    """tomllib ends its sentence with the place."""
    message, _, place = told.rpartition(" (at ")
    numbers = list(map(int, _NUMBER.findall(place)))
    lines = text.split("\n")
    line, column = numbers if len(numbers) == 2 else (len(lines), len(lines[-1]) + 1)
    start = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    line, column, quote, width = quoted(text, Span(start, start + 1))
    return Problem(f"{origin.name}:{line}:{column}", "", message, mask_userinfo(quote), column - 1, width)


def _replace_variables(
    tree: dict[str, Any], given: Mapping[str, str], problems: Problems
) -> tuple[dict[str, Any], Variables, Secrets]:
    table = tree.get("vars", {})
    rest = {key: value for key, value in tree.items() if key != "vars"}
    declared = declare(table, given, problems)
    problems.secrets = declared.secrets
    known = {**declared.texts, **dict.fromkeys(declared.secret, "")}
    mistyped = {closest(name, known) for name in undefined(known, rest)}
    for name in unused(known, rest):
        if name not in mistyped:
            problems.add(("vars", name), f"nothing in the recipe uses {{{{ {name} }}}}; remove it", of_key=True)
    variables = resolve_variables(declared.texts, problems, declared.secret)
    if (size := expanded_size(rest, variables.values)) > _MOST_EXPANDED:
        raise RecipeError(f"the recipe would have {size} characters with its variables in it; "
                          f"at most {_MOST_EXPANDED} are taken")
    check_words(table, variables.values, given, problems)
    secrecy.check_references(rest, variables.secret, problems)
    replaced = substitute(rest, variables, problems)
    secrecy.check_values(replaced, declared.secrets, problems)
    return {**replaced, "vars": table}, variables, declared.secrets
