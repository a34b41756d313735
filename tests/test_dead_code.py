"""Nothing in assembler/ is there for tests alone: what is tested must be what is used.

A client for sources was, while the command line built another one without redirects and with five seconds of patience.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("assembler/**/*.py"))}
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

FOR_OTHERS: Final = {
    "SilentProgress": "programs that build with imgasm as a library and show nothing",
    "main": "console scripts that were installed before assembler.__main__ was their entry point",
}
"""Names that nothing in assembler/ uses, and whom they are for."""


def test_every_name_that_is_defined_is_used() -> None:
    attributes, words = _used_anywhere()
    imported = set(_imported())
    unused = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in SOURCES.items()
        for name, node in _defined(tree)
        if name not in FOR_OTHERS
        and not name.startswith("__")  # Python's, and packagers'
        and name not in attributes | words
        and (_module(path), name) not in imported
        and name not in _loaded(tree, node)
    ]
    assert not unused


def test_every_method_that_is_defined_is_called() -> None:
    attributes, words = _used_anywhere()
    unused = [
        f"{path.relative_to(ROOT)}: {owner.name}.{method.name}"
        for path, tree in SOURCES.items()
        for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef)
        for method in owner.body if isinstance(method, ast.FunctionDef)
        if not method.name.startswith("__")
        and method.name not in attributes | words
        and not any("validator" in ast.unparse(decorator) for decorator in method.decorator_list)  # pydantic calls it
    ]  # fmt: skip
    assert not unused


def _used_anywhere() -> tuple[set[str], set[str]]:
    """Every attribute's name, and every word in a text that is no docstring (a program's source, a callback's name)."""
    attributes, words = set(), set()
    for tree in SOURCES.values():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                attributes.add(node.attr)
            elif isinstance(node, ast.JoinedStr):
                words |= {word for part in node.values if isinstance(part, ast.Constant) and id(node) not in docstrings
                          for word in _WORD.findall(str(part.value))}  # fmt: skip
    return attributes, words


def _imported() -> Iterator[tuple[str, str]]:
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield from ((node.module, alias.name) for alias in node.names)


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """What a module has at its top: functions, classes, constants."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))


def _loaded(tree: ast.Module, definition: ast.stmt) -> set[str]:
    """The names that the module reads outside of ``definition``."""
    nodes = (node for top in tree.body if top is not definition for node in ast.walk(top))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
