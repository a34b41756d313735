"""[vars]: the texts that the recipe gives its variables, and the values that come from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from assembler.model.secrets import HIDDEN, SHORTEST, Secrets
from assembler.recipe.problems import Problems
from assembler.recipe.table import Table
from assembler.recipe.values import fail
from assembler.recipe.variables import suggestion


class VariableTable(Table):
    """A variable as a table. A secret one has no value in the recipe: it is given when the recipe is used."""

    value: str | None = Field(default=None, description="What the variable stands for; the same as a string alone.")
    secret: bool = Field(
        default=False, description="Its value comes from --set-env, --set-file or --set, and is never shown, stored or "
        "recorded.")

    words: list[str] | None = Field(
        default=None, description="What the value may consist of: some of these words, in this order. A word that is "
        "none of them is told before anything runs.")

    @model_validator(mode="after")
    def _one_origin(self) -> VariableTable:
        if self.secret == (self.value is not None):
            fail("needs either a value or secret = true: a secret's value is never in the recipe")
        if self.secret and self.words is not None:
            fail("has words, which would be shown of a secret")
        return self


def value_alone(value: Any) -> Any:
    if not isinstance(value, str | dict):
        fail(f"expected a string, or {{ secret = true }} for a value given with the command, not {value}")
    return {"value": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Declared:
    """``texts`` may refer to other variables, ``secret`` has the values of the secret ones, final as they are."""

    texts: Mapping[str, str]
    secret: Mapping[str, str]

    @property
    def secrets(self) -> Secrets:
        return Secrets(frozenset(self.secret.values()) - {HIDDEN})


def declare(table: Any, given: Mapping[str, str], problems: Problems) -> Declared:
    """The variables of the table [vars], whose shape is checked elsewhere, with the values that are ``given``."""
    table = table if isinstance(table, dict) else {}
    plain = {name: kind.get("value") if isinstance(kind, dict) else kind for name, kind in table.items()}
    texts = {name: text for name, text in plain.items() if isinstance(text, str)}
    secret = [name for name, kind in table.items() if isinstance(kind, dict) and kind.get("secret") is True]
    for name in given.keys() - table.keys():
        problems.add(("--set", name), f"[vars] declares no variable of that name{suggestion(name, table)}")
    return Declared(
        {name: given.get(name, text) for name, text in texts.items()},
        {name: _secret(name, given, problems) for name in secret},
    )


def _secret(name: str, given: Mapping[str, str], problems: Problems) -> str:
    value = given.get(name)
    if value is None:
        problems.add(("vars", name), f"is secret, so its value must be given: --set-env {name}=VARIABLE takes an "
                     f"environment variable's, --set-file {name}=FILE a file's")  # fmt: skip
    elif len(value) < SHORTEST:
        problems.add(("--set", name), f"a secret has at least {SHORTEST} characters: a shorter one can't be hidden")
    elif "\0" in value:
        problems.add(("--set", name), "holds a NUL character, which no URL or environment variable can have")
    else:
        return value
    return HIDDEN


def check_words(table: Any, values: Mapping[str, str], given: Mapping[str, str], problems: Problems) -> None:
    """Values that may consist of nothing but certain words, in a certain order: modules before they are compiled."""
    for name, kind in table.items() if isinstance(table, dict) else ():
        words = kind.get("words") if isinstance(kind, dict) else None
        if not isinstance(words, list) or name not in values:
            continue
        at = ("--set", name) if name in given else ("vars", name)
        value = values[name].split()
        for word in dict.fromkeys(word for word in value if word not in words):
            problems.add(at, f'"{word}" is not one of the words that it may have{suggestion(word, words)}', part=word)
        ordered = sorted((word for word in value if word in words), key=words.index)
        if ordered != [word for word in value if word in words]:
            problems.add(at, f"the words must stand in this order: {' '.join(ordered)}")
