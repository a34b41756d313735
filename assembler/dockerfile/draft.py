"""A recipe while it is made out of a Dockerfile, and its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tomlkit
from tomlkit.items import Table

Json = dict[str, Any]


@dataclass(slots=True)
class Draft:
    """Tables as the recipe has them. Of ``steps`` each has its whole environment: what all have in common is the
    container's in the text."""

    name: str
    comment: str
    base: Json
    vars: dict[str, str]
    container: Json = field(default_factory=lambda: {"network": "host", "shell": ["/bin/sh", "-c"]})
    sources: list[Json] = field(default_factory=list)
    secrets: list[Json] = field(default_factory=list)
    caches: list[Json] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)
    steps: list[Json] = field(default_factory=list)
    presets: list[str] = field(default_factory=list)
    images: list[Json] = field(default_factory=list)
    before: str = ""
    """The command that must run before it is built."""
    made: list[str] = field(default_factory=list)
    """What steps of imgasm's own have put into the container, which an image with ``keep`` must name."""

    @property
    def runs(self) -> list[Json]:
        """The steps that a RUN has become."""
        return [step for step in self.steps if "env" in step]

    def add_step(self, name: str, run: str | list[str], **more: object) -> Json:
        """``name`` is made unique. Keys without a value are left out."""
        taken = {step["name"] for step in self.steps}
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name} {number}"
        self.steps.append({"name": unique, "run": run}
                          | {key: value for key, value in more.items() if value or key == "env"})  # fmt: skip
        return self.steps[-1]

    def text(self) -> str:
        document = tomlkit.document()
        document.add(tomlkit.comment(self.comment))
        document.add(tomlkit.nl())
        document.add("name", tomlkit.item(self.name))
        shared = _shared([step["env"] for step in self.steps if "env" in step])
        container = self.container | ({"env": shared} if shared else {})
        used = self._used()
        for key, table in (("vars", {name: text for name, text in self.vars.items() if name in used}),
                           ("base", self.base), ("container", container if self.steps else {})):  # fmt: skip
            if table:
                document.add(key, _table(table))
        for key, tables in (("source", self.sources), ("secret", self.secrets), ("cache", self.caches),
                            ("file", self.files), ("step", [_own(step, shared) for step in self.steps])):  # fmt: skip
            _add_all(document, key, tables)
        if self.presets:
            document.add("prune", _table({"presets": sorted(set(self.presets))}))
        _add_all(document, "image", self.images)
        return tomlkit.dumps(document)

    def _used(self) -> set[str]:
        """The variables that something in the recipe, or another variable, refers to."""
        text = repr((self.base, self.container, self.sources, self.secrets, self.caches, self.files, self.steps,
                     self.images, list(self.vars.values())))  # fmt: skip
        return {name for name in self.vars if f"{{{{ {name} }}}}" in text}


def _add_all(document: tomlkit.TOMLDocument, key: str, tables: list[Json]) -> None:
    if tables:
        array = tomlkit.aot()
        for table in tables:
            array.append(_table(table))
        document.add(key, array)


def _table(values: Json) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, _value(value))
    return table


def _value(value: object) -> Any:
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    if isinstance(value, str) and "\n" in value:
        return tomlkit.string(value, literal="'''" not in value and _plain(value), multiline=True)
    return tomlkit.item(value)


def _plain(text: str) -> bool:
    """Whether TOML has it without an escape."""
    return all(char in "\n\t" or (char >= " " and char != "\x7f") for char in text)


def _shared(environments: list[dict[str, str]]) -> dict[str, str]:
    if not environments:
        return {}
    first, *others = environments
    return {name: text for name, text in first.items() if all(each.get(name) == text for each in others)}


def _own(step: Json, shared: dict[str, str]) -> Json:
    own = {name: text for name, text in step.get("env", {}).items() if name not in shared}
    return {key: value for key, value in step.items() if key != "env"} | ({"env": own} if own else {})
