"""The JSON that reports are: every object with its fields, out of the report's schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from assembler.report.schema import schema
from documenting.outline import Entry, Page, Section
from documenting.schema_types import kind, literal

_INTRODUCTION: Final = (
    "`imgasm build`, `size-report`, `compare` and `verify --kernel` print this with `--json`, and `imgasm.json` in a "
    "build's directory is a `BuildRecord`. The key `kind` tells which it is: {kinds}. `format` changes when a reader "
    "of the former one would be wrong.",
    "`imgasm schema --report` prints the JSON Schema, which is also in the repository: docs/size-report.schema.json.",
)


def report_fields() -> Page:
    whole = schema()
    objects = {name: each for name, each in whole["$defs"].items() if "properties" in each}
    kinds = ", ".join(
        f'`"{each["properties"]["kind"]["const"]}"` is a `{name}`'
        for name, each in objects.items() if "const" in each["properties"].get("kind", {}) and _is_report(name, whole)
    )  # fmt: skip
    introduction = tuple(text.format(kinds=kinds) for text in _INTRODUCTION)
    return Page("JSON of reports", introduction, tuple(_section(name, each) for name, each in objects.items()))


def _is_report(name: str, whole: Mapping[str, Any]) -> bool:
    return {"$ref": f"#/$defs/{name}"} in whole["anyOf"]


def _section(name: str, table: Mapping[str, Any]) -> Section:
    text = " ".join(table.get("description", "").replace("``", "`").split())
    entries = (
        Entry(key, value.get("description", ""), kind(value),
              literal(value["default"]) if "default" in value else "")
        for key, value in table["properties"].items()
    )  # fmt: skip
    return Section(name, (text,) if text else (), entries=tuple(entries), column="field")
