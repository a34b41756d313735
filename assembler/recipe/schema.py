"""The recipe's JSON Schema, for editors and for ``imgasm schema``."""

from __future__ import annotations

import json
from typing import Any

from assembler.recipe.recipe import Document


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12. A string that holds a ``{{ variable }}`` passes where an enumeration would refuse it."""
    document = Document.model_json_schema(by_alias=True)
    for table in (document, *document["$defs"].values()):
        _tidy(table)
    document["title"] = "imgasm recipe"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(table: dict[str, Any]) -> None:
    """TOML has no null, and titles that repeat a key's name help nobody."""
    table.pop("title", None)
    for key, value in table.get("properties", {}).items():
        value.pop("title", None)
        if value.get("default", ...) is None:
            del value["default"]
        choices = [choice for choice in value.get("anyOf", []) if choice != {"type": "null"}]
        if len(choices) == 1:
            del value["anyOf"]
            table["properties"][key] = {**choices[0], **value}
        elif choices:
            value["anyOf"] = choices
