from __future__ import annotations

import datetime
import json
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.recipe.positions import Location, positions
from tests.recipe.test_load import FULL
from tests.recipe.test_problems import WRONG

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))

ODD = r"""
# a comment = "with a string"
"quoted key".'it "s' = 1  # odd
a.b.c = [1, [2, "]"], { x = 1, "y z".w = '}' }]   # comment, with ] and }
a.b.d = @@@
three
"quotes" \@@@ and \\@@@
e = @@@a@@@"" # two quotes belong to it
f = ''''''
g = [
    "one", # [
    "two",
    # three
]
dates = [1979-05-27T07:32:00Z, 1979-05-27 07:32:00, 07:32:00]
[ t . "u" ]
[[ list ]]
x = +1e3
[[list.sub]]
[[list.sub]]
y = true
[list.sub.deep]
z = {}
[[list]]
[[list.sub]]
y = []
""".replace("@", '"')


def leaves(tree: Any, at: Location = ()) -> dict[Location, Any]:
    """Every value in ``tree``, tables and lists too."""
    found = {at: tree} if at else {}
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        found |= leaves(child, (*at, key))
    return found


def check(text: str) -> None:
    """Every value has a spot, and the text there, read alone, is that value."""
    values, spots = leaves(tomllib.loads(text)), positions(text)
    assert spots.keys() == values.keys()
    for at, value in values.items():
        raw = text[spots[at].value.start : spots[at].value.end]
        if not isinstance(value, dict | list):
            assert tomllib.loads(f"v = {raw}")["v"] == value
        key = text[spots[at].key.start : spots[at].key.end]
        assert isinstance(at[-1], int) or key.startswith("[") or tomllib.loads(f"{key} = 0") == {at[-1]: 0}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_value_of_a_recipe_is_found(path: Path) -> None:
    check(path.read_text())


@pytest.mark.parametrize("text", [FULL, WRONG, ODD, "", "a = 1", ODD.replace("\n", "\r\n")])
def test_every_value_of_an_odd_text_is_found(text: str) -> None:
    check(dedent(text))


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
KEYS = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True), TEXT)
VALUES = st.recursive(
    st.one_of(TEXT, st.integers(-(2**60), 2**60), st.booleans(), st.dates(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
)


TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


@given(TABLES, st.lists(TABLES, max_size=3), st.data())
def test_every_value_of_any_document_is_found(
    top: dict[str, Any], tables: list[dict[str, Any]], data: st.DataObject
) -> None:
    top = {key: value for key, value in top.items() if key != "table"}
    text = "".join(f"{_key(key)} = {_toml(value, data)}{data.draw(_END)}" for key, value in top.items())
    for table in tables:
        pairs = "".join(f"  {_key(key)}= {_toml(value, data)}{data.draw(_END)}" for key, value in table.items())
        text += f"[[ table ]]{data.draw(_END)}{pairs}"
    check(text)


_END = st.sampled_from(["\n", " # a ] } ' \" comment\n", "\r\n", "\n\n\t# [x]\n"])
_BETWEEN = st.sampled_from(["", " ", "\n", " # , ]\n\t"])


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("-", "a").replace("_", "a").isalnum() else _basic(key)


def _basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any, data: st.DataObject) -> str:
    """The value in one of the forms that TOML has for it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        forms = [_basic(value), f'""{_basic(value)}""']
        if all(char.isprintable() and char != "'" for char in value):
            forms += [f"'{value}'", f"'''{value}'''"]
        return data.draw(st.sampled_from(forms))
    if isinstance(value, list):
        gap = data.draw(_BETWEEN)
        return f"[{gap}{f',{gap}'.join(_toml(item, data) + data.draw(_BETWEEN) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(item, data)}" for key, item in value.items()) + "}"
    return value.isoformat() if isinstance(value, datetime.date) else repr(value)
