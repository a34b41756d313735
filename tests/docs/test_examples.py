"""What the pages show can be typed: commands and options that there are, tables that a recipe can have."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import jsonschema
import pytest

from assembler.recipe.schema import schema
from tests.docs.pages import PAGES, ROOT, WRITTEN_BY_HAND, blocks, helped

CODE = re.compile(r"^```(?:sh|console|yaml)\n(.*?)^```$|^ {4}(?=imgasm )(.*?)$|`(imgasm [^`]*)`", re.M | re.S)
LINE = re.compile(r"(?:^ *|[$:|] |- |/)imgasm ([a-z][a-z-]*)\b(.*)", re.M)


def commands(page: str) -> list[tuple[str, str]]:
    """Every ``imgasm COMMAND`` in the code on a page, with the rest of its line."""
    return [found for groups in CODE.findall(PAGES[page]) for found in LINE.findall("".join(groups))]


def test_commands_are_found() -> None:
    assert sum(len(commands(page)) for page in WRITTEN_BY_HAND) > 80


@pytest.mark.parametrize("page", WRITTEN_BY_HAND)
def test_every_command_and_option_exists(page: str) -> None:
    for command, rest in commands(page):
        known = helped(command)
        assert known.startswith("Usage:"), f"there is no imgasm {command}"
        for option in re.findall(r"(?<= )--[a-z][a-z-]*", rest.split("#")[0].split(" | ")[0]):
            assert re.search(rf"{option}\b", known), f"imgasm {command} has no option {option}"


TABLES = [(page, text) for page in WRITTEN_BY_HAND for text in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "text"), TABLES, ids=lambda value: value if value.endswith(".md") else "")
def test_every_table_is_one_of_a_recipe(page: str, text: str) -> None:
    jsonschema.validate(tomllib.loads(text), _partial(schema()))


def _partial(part: Any) -> Any:
    """The schema of a recipe of which only some tables are shown."""
    if isinstance(part, dict):
        return {key: _partial(value) for key, value in part.items() if key not in ("required", "minItems")}
    return [_partial(each) for each in part] if isinstance(part, list) else part


def test_every_recipe_that_is_named_comes_with_imgasm() -> None:
    there = {path.stem for path in (ROOT / "recipes").glob("*.toml")} | {"modules"}
    named = {name for page in WRITTEN_BY_HAND for command, rest in commands(page) if command == "recipes"
             for name in rest.split("#")[0].split() if name.islower()}  # fmt: skip
    assert {"hello", "dkms", "kmm"} <= named <= there


def test_scripts_that_are_named_exist() -> None:
    named = {name for page in WRITTEN_BY_HAND for name in re.findall(r"scripts/([a-z-]+)", PAGES[page])}
    there = subprocess.run(["git", "ls-files", "scripts"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert named <= {line.split("/")[1] for line in there.splitlines()}
