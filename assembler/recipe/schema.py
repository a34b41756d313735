"""The recipe's JSON Schema, for editors and for ``imgasm schema``."""

from __future__ import annotations

import json
from typing import Any

from assembler.layer.codecs import CODECS, DEFAULT
from assembler.model.prune_presets import PRESETS
from assembler.recipe.document import Document

_CODEC = {"type": "string", "enum": list(CODECS)}
_VARIABLE = {"type": "string", "pattern": r"\{\{"}


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12. A string that holds a ``{{ variable }}`` passes where an enumeration would refuse it."""
    document = Document.model_json_schema(by_alias=True)
    tables = document["$defs"]
    for table in (document, *tables.values()):
        _tidy(table)
    tables["CompressionTable"]["properties"]["codec"] = {"anyOf": [_CODEC, _VARIABLE], "default": DEFAULT}
    image = tables["ImageTable"]["properties"]
    image["compression"] = {
        "anyOf": [_CODEC, _VARIABLE, {"$ref": "#/$defs/CompressionTable"}],
        "description": image["compression"]["description"],
    }
    image["keep"]["items"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/KeepTable"}]}
    document["properties"]["vars"]["additionalProperties"] = {
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/VariableTable"}]
    }
    tables["PruneTable"]["properties"]["presets"]["items"] = {
        "anyOf": [*({"const": name, "description": preset.purpose} for name, preset in PRESETS.items()), _VARIABLE]
    }
    budget = tables["BudgetTable"]["properties"]
    budget["growth"] = {
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/GrowthTable"}],
        "description": budget["growth"]["description"],
    }
    document["title"] = "imgasm recipe"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def presets_text() -> str:
    """Each preset with its purpose, and the globs that it stands for."""
    width = max(map(len, PRESETS))
    lines = []
    for name, preset in PRESETS.items():
        lines += [f"{name:{width}}  {preset.purpose}", *(f"{'':{width}}    {glob}" for glob in preset.globs)]
    return "\n".join(lines)


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
