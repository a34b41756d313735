"""What every table of a recipe has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from assembler.model.secrets import Secrets

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

MAY_BE_SECRET: Final = object()
"""Of a key, in ``Annotated``: a secret variable may stand in its value, which imgasm neither shows nor records."""

STRING: Final[JsonSchemaValue] = {"type": "string"}


class Table(BaseModel):
    """As TOML has it, each key with its type. Descriptions are the recipe's reference: the JSON Schema shows them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def into(self, value: type[T], **others: object) -> T:
        """The ``value`` whose fields are this table's keys, with tuples for lists; ``others`` are the fields
        that the table does not have, or has in another form."""
        same = {field.name: _fixed(getattr(self, field.name)) for field in fields(value) if field.name not in others}
        return value(**same, **others)


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def table_in(annotation: Any) -> type[Table] | None:
    """The table class inside ``list[T]``, ``T | None`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next(filter(None, map(table_in, getattr(annotation, "__args__", ()))), None)


@dataclass(frozen=True, slots=True, eq=False)  # typing wants a hash, which schemas have not
class Shorthand:
    """Of a table in ``Annotated``: what may stand in its place, and how ``expand`` makes a table of it.

    ``schemas`` are what an editor lets pass beside the table.
    """

    expand: Callable[[Any], Any]
    schemas: tuple[JsonSchemaValue, ...] = (STRING,)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [*self.schemas, handler(schema)]}


@dataclass(frozen=True, slots=True)
class Given:
    """What the recipe's own text does not have: its ``folder``, absolute, final variables, which of their values are
    secret, and the lock file's sha256 for each source."""

    folder: Path
    variables: Mapping[str, str]
    secrets: Secrets
    locked: Mapping[str, str]
