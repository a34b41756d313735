"""What nobody should have to remember: the direction of imports, types, style, the size of a room."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Container, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "assembler").rglob("*.py"))


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_imports_point_one_way() -> None:
    run(tool("lint-imports"))


def test_types() -> None:
    run(tool("mypy"))


def test_style() -> None:
    run(tool("ruff"), "check", ".")


def test_shell_scripts() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    files = [ROOT / name.decode() for name in tracked if name and (ROOT / name.decode()).is_file()]
    scripts = [str(path) for path in files if path.read_bytes().startswith((b"#!/bin/sh", b"#!/bin/bash"))]
    assert len(scripts) > 5
    run("shellcheck", *scripts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_room(path: Path) -> None:
    """At most 350 lines, and no function of more than 60: what is longer has a second subject in it."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"


def test_no_circle_of_files() -> None:
    """Files that import each other are one room with walls in it. An import for the types alone counts as well:
    whoever reads the one file has to read the other."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
               for path in SOURCES}  # fmt: skip
    graph = {name: set(_imported(path, modules)) - {name} for name, path in modules.items()}
    assert len(graph) > 200 < sum(map(len, graph.values()))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def _imported(path: Path, modules: Container[str]) -> Iterator[str]:
    """What is imported anywhere in the file, functions included; names of a package's own are not told apart."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level and node.module, f"{path}: write imports in full"
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in modules else node.module for name in whole)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


ONE_ROOM = {
    "how a file gets its name at once, and for good": (r"os\.(replace|rename|fsync)\(", "atomic_files.py"),
    "where a blob lies": (r"blobs/\{\w+\.algorithm", "image/blob_writer.py"),
    "what a descriptor of bytes says": (r"Descriptor\([^()]*Digest\.of\(", None),
    "what is printed of foreign text": (r"\bchar\.isprintable\(\)", "model/printable.py"),
    "how a whiteout is named": (r'b"\.wh|\.opq"', "layer/entry.py"),
}


@pytest.mark.parametrize("what", ONE_ROOM)
def test_a_rule_stands_in_one_room(what: str) -> None:
    pattern, home = ONE_ROOM[what]
    rooms = {str(path.relative_to(ROOT / "assembler")) for path in SOURCES
             if re.search(pattern, path.read_text(encoding="utf-8"))}  # fmt: skip
    assert rooms == ({home} if home is not None else set())


def test_only_the_command_line_reads_environment_and_clock() -> None:
    """Below cli, time and environment arrive as arguments (DESIGN: "How data flows")."""
    forbidden = re.compile(r"os\.environ|os\.getenv|time\.time\(|datetime\.now|sys\.argv|sys\.exit|(?<!\.)\bprint\(")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in SOURCES
        if "cli" not in path.parts and path.name != "__main__.py"
        for match in forbidden.finditer(_code(path))
    ]
    assert not found


def _code(path: Path) -> str:
    """Without comments and docstrings, which may show what callers do."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return ast.unparse(tree)


def test_the_reference_is_what_the_code_says() -> None:
    run("scripts/docs", "--stale")


def test_what_is_impossible_is_spelled_in_one_way() -> None:
    """As Docker spells it, where an engine's message is recognized by it, is not ours."""
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").glob("*.toml"), *SOURCES]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\bcan ?not\b", line, re.IGNORECASE) and "cannot connect to the docker daemon" not in line
    ]
    assert not found, "write can't"


def test_the_changelog_knows_this_version() -> None:
    from assembler import __version__

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog
