"""Reads a recipe: TOML, variables, shape, rules, values; every problem of a stage is told at once."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from assembler.errors import RecipeError
from assembler.model.secrets import Secrets
from assembler.recipe import rules, secrecy
from assembler.recipe.model import Recipe
from assembler.recipe.problems import Problems
from assembler.recipe.resolve import Given, resolve
from assembler.recipe.validate import validate
from assembler.recipe.variables import Variables, substitute, unused
from assembler.recipe.variables import resolve as resolve_variables
from assembler.recipe.vars import declare


def load(
    path: Path,
    overrides: Mapping[str, str],
    *,
    presets: Collection[str],
    locked: Mapping[str, str] | None = None,
) -> Recipe:
    """The recipe in the file ``path``.

    ``overrides`` are the values given for declared variables (``--set`` and its like), ``presets`` the names that
    [prune] may use, ``locked`` the lock file's sha256 for each source as the recipe writes it. Raises RecipeError.
    """
    return from_tree(_read(path), path, overrides, presets=presets, locked=locked or {})


def from_tree(
    tree: dict[str, Any],
    path: Path,
    overrides: Mapping[str, str],
    *,
    presets: Collection[str],
    locked: Mapping[str, str],
) -> Recipe:
    """The recipe that the TOML ``tree`` of the file ``path`` describes. Raises RecipeError."""
    problems = Problems(path, tree)
    replaced, variables, secrets = _replace_variables(tree, overrides, problems)
    document = validate(replaced, problems)
    if document is None:
        problems.raise_if_any()
        raise AssertionError("a document that is not valid has problems")
    rules.check(document, presets, problems)
    recipe = resolve(document, path.absolute(), Given(variables.values, secrets, locked), problems)
    problems.raise_if_any()
    return recipe


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"the recipe {path} can not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not a recipe: byte {error.start} is not UTF-8, which TOML must be") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"{path} is not valid TOML: {error}",
            hint="Scripts read best between ''' and ''': nothing between them is special to TOML.",
        ) from error


def _replace_variables(
    tree: dict[str, Any], given: Mapping[str, str], problems: Problems
) -> tuple[dict[str, Any], Variables, Secrets]:
    table = tree.get("vars", {})
    rest = {key: value for key, value in tree.items() if key != "vars"}
    declared = declare(table, given, problems)
    problems.secrets = declared.secrets
    for name in unused({**declared.texts, **dict.fromkeys(declared.secret, "")}, rest):
        problems.add(("vars", name), f"nothing in the recipe uses {{{{ {name} }}}}; remove it")
    variables = resolve_variables(declared.texts, problems, declared.secret)
    secrecy.check_references(rest, variables.secret, problems)
    replaced = substitute(rest, variables, problems)
    secrecy.check_values(replaced, declared.secrets, problems)
    return {**replaced, "vars": table}, variables, declared.secrets
