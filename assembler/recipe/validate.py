"""From a TOML tree to the document that it should be, with pydantic's findings in words that help."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from assembler.recipe.positions import Location
from assembler.recipe.problems import Problems
from assembler.recipe.table import Table, table_in
from assembler.recipe.variables import closest, suggestion

T = TypeVar("T", bound=Table)

_UNKNOWN: Final = "extra_forbidden"
_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def validate(tree: dict[str, Any], document: type[T], problems: Problems, keys: str) -> T | None:
    """None if there are problems, all of which were added. ``keys`` is the hint that says where all keys are listed."""
    try:
        return document.model_validate(tree)
    except ValidationError as error:
        findings = error.errors(include_url=False)
    meant = {(*_location(finding)[:-1], _meant(finding, document)) for finding in findings
             if finding["type"] == _UNKNOWN}  # fmt: skip
    for finding in findings:
        at, kind = _location(finding), finding["type"]
        if (kind == "missing" and at in meant) or (kind != _UNKNOWN and problems.is_silent(at)):
            continue  # the mistyped key is told, and what was meant by it
        about_keys = kind in (_UNKNOWN, "missing")
        problems.add(at, _message(finding, at, document), of_key=kind == _UNKNOWN, hint=keys if about_keys else None)
    return None


def _location(finding: ErrorDetails) -> Location:
    return tuple(part for part in finding["loc"] if part != "[key]")


def _meant(finding: ErrorDetails, document: type[Table]) -> str:
    at = _location(finding)
    return closest(str(at[-1]), _keys_at(at[:-1], document)) or ""


def _message(finding: ErrorDetails, at: Location, document: type[Table]) -> str:
    kind = finding["type"]
    if kind == _UNKNOWN:
        return f"there is no such key{suggestion(str(at[-1]), _keys_at(at[:-1], document))}"
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return "at least one is needed"
    if kind == "literal_error":
        return f"expected {finding['ctx']['expected']}, not {finding['input']!r}"
    if kind == "list_type" and isinstance(finding["input"], dict) and len(at) == 1:
        return f"there may be several, so each one begins with [[{at[0]}]], in double brackets"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {_as_toml(finding['input'])}"
    return finding["msg"]


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _keys_at(location: Location, document: type[Table]) -> list[str]:
    """The keys that the table at ``location`` may have."""
    table = document
    for key in location:
        if isinstance(key, str):
            table = table_in(_fields(table).get(key)) or table  # or a name that the recipe chose, as in [vars]
    return list(_fields(table))


def _fields(table: type[Table]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in table.model_fields.items()}
