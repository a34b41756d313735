"""Whatever stands in a recipe: it loads, or a RecipeError tells the table. Nothing else ever happens."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.errors import RecipeError
from assembler.recipe.lint import warnings
from assembler.recipe.load import Origin, Parsed, from_tree
from assembler.recipe.recipe import Recipe
from tests.recipe.test_load import FULL
from tests.recipe.writing import PRESETS

FOLDER = Path(__file__).parent
TREE = tomllib.loads(dedent(FULL).replace("files/b", "writing.py"))

TEXTS = st.one_of(st.text(), st.from_regex(r"[/{}a-z.*\\[:@-]*", fullmatch=True), st.just("{{ kernel }}"))
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(), st.booleans(), st.dates(), st.sampled_from(["scratch", "base", "/"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The location of every value in the tree."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in children for place in [(*at, key), *places(value, (*at, key))]]


def container_of(tree: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        tree = tree[key]
    return tree


def read(tree: dict[str, Any], folder: Path) -> Recipe | None:
    try:
        recipe = from_tree(Parsed(Origin(folder / "some.toml"), tree), {}, presets=PRESETS, locked={})
    except RecipeError as error:
        assert error.detail
        return None
    warnings(recipe)
    return recipe


def test_the_tree_is_right_to_begin_with() -> None:
    assert read(TREE, FOLDER)


@settings(max_examples=500)
@given(st.lists(st.tuples(st.sampled_from(places(TREE)), VALUES), min_size=1, max_size=3))
def test_any_value_anywhere(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    tree = copy.deepcopy(TREE)
    for place, value in sorted(changes, key=lambda change: len(change[0]), reverse=True):
        container_of(tree, place)[place[-1]] = value
    read(tree, FOLDER)


@settings(max_examples=200)
@given(st.sampled_from([place for place in places(TREE) if isinstance(place[-1], str)]), TEXTS, VALUES)
def test_any_key_anywhere(place: tuple[Any, ...], key: str, value: Any) -> None:
    tree = copy.deepcopy(TREE)
    container_of(tree, place)[key] = value
    read(tree, FOLDER)


@given(st.sampled_from(places(TREE)))
def test_anything_left_out(place: tuple[Any, ...]) -> None:
    tree = copy.deepcopy(TREE)
    del container_of(tree, place)[place[-1]]
    read(tree, FOLDER)


@given(VALUES.filter(lambda value: isinstance(value, dict)))
def test_any_tree(tree: dict[str, Any]) -> None:
    assert read(tree, FOLDER) is None
