"""Every key of a recipe with its type, default and an example: the JSON Schema, in the order of a recipe."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from assembler.recipe.recipe import headers
from assembler.recipe.schema import schema
from documenting.outline import Entry, Page, Section
from documenting.schema_types import kind, literal

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "reference" / "examples.toml"
"""One value for each key, which a test holds against the schema."""

_INTRODUCTION: Final = (
    "A recipe is a TOML file. `imgasm schema` prints its JSON Schema, which editors complete and check with; "
    "`imgasm plan RECIPE` shows what a recipe says, with every variable replaced and every default filled in. A key "
    "that is not here is an error.",
    "Sizes are bytes or words such as `\"60MB\"` and `\"1.5GiB\"`; durations are `\"90s\"`, `\"30m\"`, `\"12h\"`. "
    "Paths of the recipe's own files are relative to the recipe.",
)


def tables() -> dict[str, dict[str, Any]]:
    """The schema of each table by how a recipe writes its header, ``""`` for the top; in the order of a recipe.

    A table without a header of its own, inside another one, has the key that it stands at: ``image.compression``.
    """
    whole = schema()
    found = {"": whole}
    for key, value in whole["properties"].items():
        for name in _named(value):
            _add(found, headers()[key], whole["$defs"][name], whole)
    return found


def _add(found: dict[str, dict[str, Any]], header: str, table: dict[str, Any], whole: Mapping[str, Any]) -> None:
    found[header] = table
    for key, value in table["properties"].items():
        for name in _named(value):
            _add(found, f"{header.strip('[]')}.{key}", whole["$defs"][name], whole)


def _named(value: Any) -> Iterator[str]:
    """The classes of the tables that a key's value can be."""
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list):
        for each in value:
            yield from _named(each)


def example(header: str, key: str) -> Any:
    """The value that docs/reference/examples.toml has for a table's key. Ends the program where it has none."""
    table = header.strip("[]") or "recipe"
    try:
        return tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))[table][key]
    except KeyError:
        sys.exit(f"docs/reference/examples.toml has no example of the key {key} in the table {table}: write one there")


def toml(value: Any) -> str:
    """A value on one line, as a recipe would write it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(text: str) -> str:
    return text if text.replace("-", "").replace("_", "").isalnum() else json.dumps(text, ensure_ascii=False)


def recipe_keys() -> Page:
    return Page("Recipe", _INTRODUCTION, tuple(_section(header, table) for header, table in tables().items()))


def _section(header: str, table: Mapping[str, Any]) -> Section:
    text = () if not header else tuple(filter(None, [table.get("description", "")]))
    own = [key for key in table["properties"] if header or key not in headers()]
    entries = [_entry(header, key, table) for key in own]
    return Section(f"`{header}`" if header else "At the top", text, entries=tuple(entries), column="key")


def _entry(header: str, key: str, table: Mapping[str, Any]) -> Entry:
    value = table["properties"][key]
    required = key in table.get("required", ())
    given = value.get("default")
    default = "required" if required else "" if given is None or isinstance(given, Mapping) else literal(given)
    return Entry(key, value.get("description", ""), _kind(value, header, key), default,
                 f"{key} = {toml(example(header, key))}")  # fmt: skip


def _kind(value: Mapping[str, Any], header: str, key: str) -> str:
    words = kind(value)
    for name in _named(value):
        words = words.replace(name, f"table {header.strip('[]')}.{key}")
    return words
