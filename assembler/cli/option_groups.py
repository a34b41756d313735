"""Options that belong together: declared once, as a dataclass, and handed to a command as one argument.

A group is a frozen dataclass whose fields are annotated as Typer's parameters are; its ``__post_init__`` says which of
them contradict each other::

    @dataclass(frozen=True)
    class Loudness:
        quiet: Annotated[bool, typer.Option("--quiet")] = False

    @takes_groups
    def clean(engine: EngineOption = None, loudness: Loudness = Loudness()) -> None: ...

To Typer, ``clean`` then has the options ``--engine`` and ``--quiet``.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with a signature that spells out its groups' fields in the place of each group."""
    declared = get_type_hints(command, include_extras=True)
    parameters = [
        spelled
        for parameter in signature(command).parameters.values()
        for spelled in _spell_out(parameter, declared[parameter.name])
    ]

    @wraps(command)
    def gathered(**given: Any) -> None:
        command(**{name: _gather(kind, name, given) for name, kind in declared.items() if name != "return"})

    del gathered.__wrapped__  # Typer would follow it to the groups
    gathered.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # refuses two options of one name
    gathered.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return gathered


def _spell_out(parameter: Parameter, kind: Any) -> Iterator[Parameter]:
    if not is_dataclass(kind):
        yield Parameter(parameter.name, Parameter.KEYWORD_ONLY, default=parameter.default, annotation=kind)
        return
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name])


def _default(field: Field[Any]) -> Any:
    return Parameter.empty if field.default is MISSING else field.default


def _gather(kind: Any, name: str, given: dict[str, Any]) -> Any:
    if not is_dataclass(kind):
        return given[name]
    assert isinstance(kind, type)
    return kind(**{field.name: given[field.name] for field in fields(kind)})
