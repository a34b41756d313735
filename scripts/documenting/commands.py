"""Every command with every option, as Typer knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from typer.main import get_command

from assembler.cli.app import app
from documenting.outline import Entry, Page, Section

_INTRODUCTION: Final = (
    "`imgasm --help` and `imgasm COMMAND --help` show the same. `--json` prints a result for programs on standard "
    "output; what is said about the progress goes to standard error. `imgasm --install-completion` adds completion to "
    "the shell.",
)


def commands() -> Page:
    root: Any = get_command(app)
    return Page("Commands", _INTRODUCTION, tuple(_section(name, command) for name, command in root.commands.items()))


def _section(name: str, command: Any) -> Section:
    context = command.make_context(f"imgasm {name}", [], resilient_parsing=True)
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    usage = " ".join([f"imgasm {name}", "[OPTION...]", *map(_argument, arguments)])
    return Section(f"imgasm {name}", tuple(_paragraphs(command.help)), usage,
                   tuple(_entry(parameter, context) for parameter in shown), "option")  # fmt: skip


def _argument(argument: Any) -> str:
    word: str = argument.metavar or argument.name.upper()
    many = "..." if argument.nargs == -1 and not word.endswith("...") else ""
    return word + many if argument.required or word.startswith("[") else f"[{word}{many}]"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield " ".join(paragraph.split())


def _entry(parameter: Any, context: Any) -> Entry:
    if parameter.param_type_name == "argument":
        return Entry(_argument(parameter), parameter.help or "")
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    times = " May be given several times." if parameter.multiple else ""
    variable = f" The variable `{parameter.envvar}` has the same meaning." if parameter.envvar else ""
    return Entry(names, f"{parameter.help}{times}{variable}", _takes(parameter, context), _default(parameter))


def _takes(option: Any, context: Any) -> str:
    """What stands behind the option: a word for a value, or the values that there are."""
    if option.is_flag:
        return ""
    return str(option.metavar or option.get_help_record(context)[0].rpartition(" ")[2].strip("<>[]"))


def _default(option: Any) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    value = getattr(option.default, "value", option.default)
    return "" if value is None or isinstance(value, bool) or callable(value) else str(value)
