from __future__ import annotations

import tomllib
from pathlib import Path
from textwrap import dedent

import jsonschema
import pytest

from assembler.model.prune_presets import PRESETS
from assembler.recipe.schema import schema, schema_text
from tests.recipe.test_load import FULL
from tests.recipe.test_problems import WRONG
from tests.recipe.writing import SMALL

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_checked_in_schema_is_the_current_one() -> None:
    assert (RECIPES / "recipe.schema.json").read_text() == schema_text()


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [SMALL, FULL])
def test_right_recipes_pass(text: str) -> None:
    jsonschema.validate(tomllib.loads(dedent(text)), schema())


def test_wrong_recipes_do_not() -> None:
    found = jsonschema.Draft202012Validator(schema()).iter_errors(tomllib.loads(dedent(WRONG)))

    assert {".".join(map(str, error.absolute_path)) for error in found} == {
        "", "base", "container", "container.env.A", "step.0", "step.1.run", "image.0.max_size", "image.1",
        "image.1.compression",
    }  # fmt: skip


def test_a_variable_may_stand_for_a_codec() -> None:
    text = SMALL + '    compression = { codec = "{{ codec }}" }\n    [vars]\n    codec = "gzip"\n'

    jsonschema.validate(tomllib.loads(dedent(text)), schema())


@pytest.mark.parametrize(("healthcheck", "right"), [
    ('"none"', True), ('"{{ check }}"', True), ('{ test = "true" }', True), ('"nothing"', False), ("{}", False),
])  # fmt: skip
def test_a_healthcheck_is_a_table_or_none(healthcheck: str, right: bool) -> None:
    recipe = tomllib.loads(dedent(f"{SMALL}    healthcheck = {healthcheck}\n"))

    assert jsonschema.Draft202012Validator(schema()).is_valid(recipe) == right


def test_presets_are_an_enumeration_with_a_sentence_each() -> None:
    items = schema()["$defs"]["PruneTable"]["properties"]["presets"]["items"]["anyOf"]
    assert {item["const"]: item["description"] for item in items[:-1]} == {
        name: preset.purpose for name, preset in PRESETS.items()
    }
    wrong = tomllib.loads(dedent(SMALL) + '[prune]\npresets = ["atp", "apt", "{{ v }}"]')
    (error,) = jsonschema.Draft202012Validator(schema()).iter_errors(wrong)
    assert list(error.absolute_path) == ["prune", "presets", 0]
