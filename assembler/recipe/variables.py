r"""``{{ name }}`` and ``{{ name | filter }}`` in the recipe's strings.

Every string value may hold references, those of [vars] too. ``\{{`` stands for two literal braces: anything else that
begins with two braces is a reference, so that a typing error can never pass for text.

The value of a secret variable is never in the recipe, and is taken as it is: braces in it are no references.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from assembler.recipe.positions import Location
from assembler.recipe.problems import Problems

_MOST: Final = 1 << 20
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_TOKEN: Final = re.compile(rf"\\\{{\{{|\{{\{{\s*({_NAME})\s*(?:\|\s*({_NAME})\s*)?\}}\}}|\{{\{{")


def tag(text: str) -> str:
    """``text`` as a reference's tag (distribution-spec, "Pulling manifests"); Helm writes versions with + this way."""
    legal = re.sub(r"[^A-Za-z0-9_.-]", "_", text)
    return "_" + legal[1:] if legal[:1] in (".", "-") else legal


_DECLARE: Final = "Variables are declared in [vars]; --set name=value gives them other values."

FILTERS: Final[Mapping[str, Callable[[str], str]]] = {"tag": tag}


@dataclass(frozen=True, slots=True)
class Variables:
    """``values`` have every reference replaced; the fault of each name in ``broken`` has been told already.

    ``secret`` are the names whose values hold a secret, be it through another variable.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()

    @property
    def declared(self) -> set[str]:
        return {*self.values, *self.broken}


def references(text: str) -> set[str]:
    """The names that ``text`` refers to."""
    return {match[1] for match in _TOKEN.finditer(text) if match[1]}


def expand(text: str, values: Mapping[str, str]) -> str:
    """``text`` with every reference replaced; names that ``values`` lacks stay as they are."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0].removeprefix("\\")
        found = values.get(match[1])
        return match[0] if found is None else FILTERS.get(match[2] or "", str)(found)

    return _TOKEN.sub(value, text)


@dataclass(frozen=True, slots=True)
class Fault:
    """``part`` is the piece of the text that is wrong."""

    message: str
    part: str
    hint: str | None = None


def faults(text: str, declared: Collection[str]) -> Iterator[Fault]:
    """What is wrong with ``text``, whatever it is for; the same once."""
    told = set()
    for match in _TOKEN.finditer(text):
        fault = _fault(match, declared)
        if fault is not None and fault.message not in told:
            told.add(fault.message)
            yield fault
    if "\0" in text:
        yield Fault("holds a NUL character, which no path, argument or script can have", "")


def _fault(match: re.Match[str], declared: Collection[str]) -> Fault | None:
    name, wanted = match[1], match[2]
    if match[0] == "{{":
        return Fault(r"{{ must be followed by a variable's name and }}; write \{{ for two literal braces", match[0])
    if name is not None and name not in declared:
        return Fault(f"{{{{ {name} }}}} is not defined{suggestion(name, declared)}", match[0], _DECLARE)
    if wanted is not None and wanted not in FILTERS:
        return Fault(f'there is no filter "{wanted}"{suggestion(wanted, FILTERS)}', match[0])
    return None


def suggestion(name: str, among: Collection[str]) -> str:
    """The end of a sentence about an unknown name: what was meant, or what there is."""
    close = closest(name, among)
    if close is not None:
        return f'; did you mean "{close}"?'
    return f" (there are: {', '.join(sorted(among))})" if among else ""


def closest(name: str, among: Collection[str]) -> str | None:
    """What was most likely meant by ``name``."""
    return next(iter(get_close_matches(name, among, n=1)), None)


def resolve(declared: Mapping[str, str], problems: Problems, secrets: Mapping[str, str] | None = None) -> Variables:
    """Replaces the references between variables. A variable that can have no value is told once, where it stands.

    ``secrets`` has the values of those of ``declared`` that are secret; what stands for them there is not looked at.
    """
    secrets = secrets or {}
    declared = {**declared, **dict.fromkeys(secrets, "")}
    broken = set()
    for name, text in declared.items():
        for fault in faults(text, declared):
            problems.add(("vars", name), fault.message, part=fault.part, hint=fault.hint)
            broken.add(name)
    graph = {name: references(text) & declared.keys() for name, text in declared.items()}
    for cycle in _cycles(graph):
        problems.add(("vars", cycle[0]), f"refers to itself: {' -> '.join(cycle)}")
        broken.update(cycle)
    values: dict[str, str] = {}
    secret = set(secrets)
    for name in TopologicalSorter({name: graph[name] - broken for name in graph.keys() - broken}).static_order():
        if graph[name] <= values.keys():
            if _size(declared[name], values) > _MOST:
                problems.add(("vars", name), f"becomes longer than {_MOST} characters with the variables in it")
                continue
            values[name] = secrets.get(name, expand(declared[name], values))
            secret |= {name} if graph[name] & secret else set()
    in_order = {name: values[name] for name in declared if name in values}
    return Variables(in_order, frozenset(declared.keys() - values.keys()), frozenset(secret))


def _size(text: str, values: Mapping[str, str]) -> int:
    """At least what ``text`` has when its references are replaced."""
    return len(text) + sum(len(values.get(match[1] or "", "")) for match in _TOKEN.finditer(text))


def expanded_size(tree: Any, values: Mapping[str, str]) -> int:
    """The same for all texts of a TOML tree."""
    if isinstance(tree, str):
        return _size(tree, values)
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return sum(expanded_size(child, values) for child in children)


def _cycles(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    rest = dict(graph)
    while True:
        try:
            TopologicalSorter(rest).prepare()
            return
        except CycleError as error:
            cycle = error.args[1]
        yield cycle[::-1]
        rest = {name: needs - set(cycle) for name, needs in rest.items() if name not in cycle}


def substitute(tree: Any, variables: Variables, problems: Problems, at: Location = ()) -> Any:
    """A copy of a TOML tree with the references in all its values (not its keys) replaced."""
    if isinstance(tree, dict):
        return {key: substitute(value, variables, problems, (*at, key)) for key, value in tree.items()}
    if isinstance(tree, list):
        return [substitute(value, variables, problems, (*at, number)) for number, value in enumerate(tree)]
    if not isinstance(tree, str):
        return tree
    for fault in faults(tree, variables.declared):
        problems.add(at, fault.message, part=fault.part, hint=fault.hint)
    if references(tree) & variables.broken:
        problems.silence(at)
    return expand(tree, variables.values)


def undefined(declared: Collection[str], tree: Any) -> set[str]:
    """Names that values of ``tree`` refer to, and that nothing declares."""
    return _all_references(tree) - set(declared)


def unused(declared: Mapping[str, str], tree: Any) -> list[str]:
    """Variables that no value of ``tree`` needs, not even through another variable."""
    reached: set[str] = set()
    waiting = _all_references(tree)
    while waiting:
        name = waiting.pop()
        if name not in reached and name in declared:
            reached.add(name)
            waiting |= references(declared[name])
    return [name for name in declared if name not in reached]


def _all_references(tree: Any) -> set[str]:
    if isinstance(tree, str):
        return references(tree)
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return set().union(*map(_all_references, children))
