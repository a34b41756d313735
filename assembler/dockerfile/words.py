"""The words behind a Dockerfile's keyword: lists in JSON, quoted words, and what variables stand for."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import Final

_VARIABLE: Final = re.compile(r"\\\$|\$\{(\w+)(?:(:?[-+?])([^}]*))?\}|\$(\w+)")
_KERNEL: Final = re.compile(r"\$\(\s*uname\s+-r\s*\)|`\s*uname\s+-r\s*`")
_UNAME: Final = re.compile(r"\buname\s+-r\b")
KERNEL: Final = "kernel"
"""The variable of a recipe that stands for the release of the hosts' kernel."""


def json_list(value: str) -> list[str] | None:
    """The exec form, ``["a", "b"]``; None for anything else."""
    try:
        found = json.loads(value) if value.startswith("[") else None
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else None


def words(value: str) -> list[str]:
    """Words with their quotes taken away; as they are where quotes don't match."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def pairs(value: str) -> dict[str, str]:
    """``A=1 B="2 3"``, or the old form ``A 1 2``, which has one name."""
    if "=" not in value.split(None, 1)[0]:
        name, _, rest = value.partition(" ")
        return {name: rest.strip()}
    found = (word.partition("=") for word in words(value))
    return {name: text for name, _, text in found}


def literal(text: str) -> str:
    """``text`` for a recipe, where two braces begin a variable; ``uname -r`` becomes one."""
    alone = _KERNEL.sub(f"{{{{ {KERNEL} }}}}", text.replace("{{", r"\{{"))
    return _UNAME.sub(f"echo {{{{ {KERNEL} }}}}", alone)


def asks_kernel(text: str) -> bool:
    return _UNAME.search(text) is not None


def expanded(text: str, known: Callable[[str, bool], str | None]) -> str:
    """``literal(text)`` with Docker's variables replaced by what ``known`` has for them, or by nothing.

    ``known`` also gets whether nothing else stands for a variable without a value.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[4]
        if name is None:
            return "$"
        operator, word = match[2] or "", match[3] or ""
        found = known(name, not operator)
        if operator.endswith("-"):
            return found or word
        if operator.endswith("+"):
            return word if found else ""
        return found or ""

    return _VARIABLE.sub(value, literal(text))
