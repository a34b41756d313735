"""What a JSON Schema says of a value, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_WORDS: Final = {"boolean": "true or false", "integer": "integer", "number": "number", "string": "string",
                 "null": "none", "object": "table"}  # fmt: skip
_VARIABLE: Final = {"pattern": "\\{\\{", "type": "string"}
"""What lets a ``{{ variable }}`` pass in an enumeration's place; that holds for every string."""


def kind(schema: Mapping[str, Any]) -> str:
    """``a list of strings``, ``string or table``; tables are named by their class."""
    return " or ".join(dict.fromkeys(_kinds(schema)))


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        consts = [choice["const"] for choice in choices if "const" in choice]
        if consts:
            yield _one_of(consts)
        for choice in choices:
            if choice != _VARIABLE and "const" not in choice:
                yield from _kinds(choice)
    elif "enum" in schema:
        yield _one_of(schema["enum"])
    elif "const" in schema:
        yield literal(schema["const"])
    elif schema.get("type") == "array":
        yield _list(schema)
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield f"table of {_plural(kind(schema['additionalProperties']))}"
    else:
        yield _WORDS.get(schema.get("type", ""), "any value")


def _list(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        return f"list of {', '.join(map(kind, schema['prefixItems']))}"
    return f"list of {_plural(kind(schema.get('items', {})))}"


def _plural(words: str) -> str:
    return f"{words}s" if words in _WORDS.values() and words != "true or false" else words


def _one_of(values: list[Any]) -> str:
    return ", ".join(map(literal, values))


def literal(value: Any) -> str:
    """As TOML and JSON write it."""
    return json.dumps(value, ensure_ascii=False)
