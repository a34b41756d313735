"""The reference has every command, option, key, preset, exit code and variable that there is, and no other."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from assembler import errors
from assembler.recipe.schema import schema
from tests.docs.pages import PAGES, ROOT, first_column, helped

SCHEMA = schema()


def _sections(page: str) -> dict[str, str]:
    _, *parts = re.split(r"^## ", PAGES[page], flags=re.M)
    return {title.strip("`"): text for title, _, text in (part.partition("\n") for part in parts)}


def test_every_command_and_option_is_there() -> None:
    sections = _sections("docs/reference/commands.md")
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", helped().partition("Commands:")[2], re.M)
    assert [f"imgasm {name}" for name in listed] == list(sections)
    for name in listed:
        written = {word for cell in first_column(sections[f"imgasm {name}"]) for word in cell.split(", ")}
        lines = re.findall(r"^  (-.*?)(?:  |$)", helped(name), re.M)
        options = {word for line in lines for word in re.findall(r"--[a-z][a-z-]*", line)}
        assert {word for word in written if word.startswith("--")} | {"--help"} == options, name


def test_every_key_of_a_recipe_is_there() -> None:
    tables = [SCHEMA, *SCHEMA["$defs"].values()]
    keys = Counter(key for table in tables for key in table.get("properties", {}))
    headers = {title.strip("[]") for title in _sections("docs/reference/recipe.md")}
    written = Counter(first_column(PAGES["docs/reference/recipe.md"]))
    assert written + Counter(headers & set(SCHEMA["properties"])) == keys


EXAMPLES = tomllib.loads((ROOT / "docs/reference/examples.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("table", EXAMPLES)
def test_every_example_is_what_its_key_takes(table: str) -> None:
    examples = EXAMPLES[table]
    properties = _table(table)["properties"]
    assert set(examples) <= set(properties)
    for key, value in examples.items():
        jsonschema.Draft202012Validator({**properties[key], "$defs": SCHEMA["$defs"]}).validate(value)


def _table(name: str) -> Any:
    """The schema of a table by the keys that lead to it."""
    whole = SCHEMA
    table: Any = whole
    for key in [] if name == "recipe" else name.split("."):
        table = whole["$defs"][re.findall(r"#/\$defs/(\w+)", json.dumps(table["properties"][key]))[0]]
    return table


def test_every_preset_is_there() -> None:
    presets = SCHEMA["$defs"]["PruneTable"]["properties"]["presets"]["items"]["anyOf"]
    assert re.findall(r"^\| `([a-z-]+)` ", PAGES["docs/reference/presets.md"], re.M) == [
        each["const"] for each in presets if "const" in each
    ]


def test_every_exit_code_is_there() -> None:
    codes = {each.exit_code for each in vars(errors).values() if isinstance(each, type)
             and issubclass(each, errors.ImgasmError)}  # fmt: skip
    column = " ".join(re.findall(r"^\| ([\d, ]+) \|", PAGES["docs/reference/exit-codes.md"], re.M))
    written = set(map(int, re.findall(r"\d+", column)))
    assert {code for code in written if 0 < code < 128} == codes
    told = helped().partition("Exit codes:")[2].partition(".")[0]
    assert set(map(int, re.findall(r"\b(\d+) [a-z]", told))) - {128} <= written


def test_every_environment_variable_is_there() -> None:
    written = {name for name in first_column(PAGES["docs/reference/environment.md"]) if name.isupper()}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "assembler").rglob("*.py")]
    asked = {name for tree in trees for name in _asked(tree) if name}
    assert len(asked) > 15
    assert asked <= written
    known = {node.value for tree in trees for node in ast.walk(tree)
             if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip
    others = {"CONTAINERS_CONF", "TMPDIR", "IMGASM_DOCKER_OPTIONS", "IMGASM_PODMAN_OPTIONS"}
    assert written - others <= known


def _asked(tree: ast.AST) -> Iterator[str]:
    """Names that are looked up in an environment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            keys = [key.value for key in node.keywords if key.arg == "envvar"]
            if re.search(r"environ(ment)?\.get$|^path$", function):
                keys += node.args[:1]
            elif function == "KnownEngine":
                keys += [name for part in node.args if isinstance(part, ast.Tuple) for name in part.elts]
            yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(("environ", "environment")):
            yield ast.literal_eval(node.slice) if isinstance(node.slice, ast.Constant) else ""


def test_the_man_pages_have_every_command_and_key_and_no_mistake() -> None:
    for name, section, page in (("imgasm", 1, "commands"), ("imgasm-recipe", 5, "recipe")):
        file = ROOT / "docs" / "man" / f"{name}.{section}"
        made = subprocess.run(["man", "--warnings=w", "-l", file], capture_output=True, text=True, check=True,
                              env={"PATH": "/usr/bin:/bin", "MANWIDTH": "120", "LC_ALL": "C.UTF-8"})
        assert made.stderr == ""
        words = set(re.sub(r".\x08", "", made.stdout).replace("‐", "-").replace(",", " ").split())
        for cell in first_column(PAGES[f"docs/reference/{page}.md"]):
            assert {word for word in cell.split(", ") if " " not in word and "=" not in word} <= words | {cell}
