"""Where secrets may stand in a recipe: only where imgasm can hand them on without showing or recording them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from assembler.model.secrets import Secrets, has_password
from assembler.recipe.positions import Location
from assembler.recipe.problems import Problems
from assembler.recipe.recipe import Document, headers
from assembler.recipe.table import MAY_BE_SECRET, Table, table_in
from assembler.recipe.variables import references

_SHELL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IN_THE_IMAGE: Final = (("image",), ("file",))

Keys = tuple[str, ...]
"""Where a value stands, without the numbers of the tables."""


def _marked(table: type[Table], at: Keys = ()) -> Iterator[Keys]:
    """The keys in ``table`` that are marked as MAY_BE_SECRET."""
    for key, field in table.model_fields.items():
        if MAY_BE_SECRET in field.metadata:
            yield (*at, key)
        elif (inner := table_in(field.annotation)) is not None:
            yield from _marked(inner, (*at, key))


_FREE: Final = tuple(_marked(Document))
_ENVIRONMENTS: Final = tuple(keys for keys in _FREE if keys[-1] == "env")


def check_references(tree: Any, secret: Collection[str], problems: Problems) -> None:
    """Refuses references to the variables ``secret`` wherever they would be seen; ``tree`` still has the references."""
    for at, text in _strings(tree):
        for name in sorted(references(text).intersection(secret)):
            if not _stands_in(at, *_FREE):
                problems.add(at, f"{{{{ {name} }}}} is secret, and {_why_not(at, name)}")


def check_values(tree: Any, secrets: Secrets, problems: Problems) -> None:
    """Refuses what can't be hidden although it must be: ``tree`` has every reference replaced."""
    for at, text in _strings(tree):
        if _stands_in(at, *_ENVIRONMENTS):
            if secrets.touches(text) and not _SHELL_NAME.fullmatch(str(at[-1])):
                problems.add(at, "a variable of this name can't hold a secret, because no shell can set it; "
                             "use letters, digits and _")  # fmt: skip
        elif has_password(text) and not _stands_in(at, *_FREE, *_IN_THE_IMAGE) and not problems.is_silent(at):
            problems.add(at, "a URL has a password in it, which would be shown and recorded; "
                         'put the URL into env, as env = { URL = "..." }, and write "$URL"')  # fmt: skip


def _why_not(at: Location, name: str) -> str:
    if _stands_in(at, ("step", "run")):
        variable = name.upper()
        return ("every process list would show it here; put it into env, as "
                f'env = {{ {variable} = "{{{{ {name} }}}}" }}, and write "${variable}"')  # fmt: skip
    if _stands_in(at, *_IN_THE_IMAGE):
        return f"anyone who gets the image could read it here; {_places()}"
    return f"here it would be shown and recorded; {_places()}"


def _places() -> str:
    """Keys of several tables first, then those of the upmost tables."""
    tables: dict[str, list[str]] = {}
    for *table, key in sorted(_FREE, key=len):
        header = headers()[table[0]] if len(table) == 1 else f"[{'.'.join(table)}]"
        tables.setdefault(key, []).append(header)
    of_each = (f"{key} of {' and '.join(found)}" for key, found in sorted(tables.items(), key=lambda one: -len(one[1])))
    return f"a secret can stand in {', '.join(of_each)}"


def _stands_in(at: Location, *places: Keys) -> bool:
    keys = tuple(key for key in at if isinstance(key, str))
    return any(keys[: len(place)] == place for place in places)


def _strings(tree: Any, at: Location = ()) -> Iterator[tuple[Location, str]]:
    if isinstance(tree, str):
        yield at, tree
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from _strings(child, (*at, key))
