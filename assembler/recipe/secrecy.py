"""Where secrets may stand in a recipe: only where imgasm can hand them on without showing or recording them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from assembler.model.secrets import Secrets, has_password
from assembler.recipe.positions import Location
from assembler.recipe.problems import Problems
from assembler.recipe.variables import references

_SHELL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FREE: Final = (("source", "url"), ("base", "bootstrap", "mirror"), ("container", "env"), ("step", "env"))
"""Keys under which a secret may stand, without the numbers of the tables."""
_IN_THE_IMAGE: Final = (("image",), ("file",))
_PLACES: Final = "a secret can stand in env of [container] and [[step]], url of [[source]], mirror of [base.bootstrap]"


def check_references(tree: Any, secret: Collection[str], problems: Problems) -> None:
    """Refuses references to the variables ``secret`` wherever they would be seen; ``tree`` still has the references."""
    for at, text in _strings(tree):
        for name in sorted(references(text).intersection(secret)):
            if not _stands_in(at, *_FREE):
                problems.add(at, f"{{{{ {name} }}}} is secret, and {_why_not(at, name)}")


def check_values(tree: Any, secrets: Secrets, problems: Problems) -> None:
    """Refuses what can't be hidden although it must be: ``tree`` has every reference replaced."""
    for at, text in _strings(tree):
        if _stands_in(at, ("container", "env"), ("step", "env")):
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
        return f"anyone who gets the image could read it here; {_PLACES}"
    return f"here it would be shown and recorded; {_PLACES}"


def _stands_in(at: Location, *places: tuple[str, ...]) -> bool:
    keys = tuple(key for key in at if isinstance(key, str))
    return any(keys[: len(place)] == place for place in places)


def _strings(tree: Any, at: Location = ()) -> Iterator[tuple[Location, str]]:
    if isinstance(tree, str):
        yield at, tree
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from _strings(child, (*at, key))
