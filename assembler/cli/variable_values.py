"""Values for a recipe's variables: ``--set``, ``--set-env`` and ``--set-file``."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.cli import environment
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def given_values(
    pairs: Iterable[str] | None, variables: Iterable[str] | None, files: Iterable[str] | None
) -> dict[str, str]:
    """What the three options give by name; of one option the last wins."""
    plain = dict(_pair("--set", "VALUE", pair) for pair in pairs or ())
    named = [text.partition("=") for text in variables or ()]
    set_env = {name: environment.variable(variable or name) for name, _, variable in named}
    contents = {name: _content(name, path) for name, path in (_pair("--set-file", "FILE", one) for one in files or ())}
    for name, times in Counter(chain(plain, set_env, contents)).items():
        if times > 1:
            raise UsageError(f"{name} is given in two ways", hint="Use one of --set, --set-env and --set-file for it.")
    return {**plain, **set_env, **contents}


def _pair(option: str, what: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:  # the text is not repeated: it may be a secret
        raise UsageError(f"{option} needs a name and a value", hint=f"Write it as {option} NAME={what}.")
    return name, value


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"--set-file {name}: {path} can't be read: {reason}") from error
