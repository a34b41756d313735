"""The command line. Commands are thin: they gather what a use case needs, run it, and print what it returns."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from assembler import __version__
from assembler.cli import building, copying, images, registries, reports
from assembler.cli.terminal import Terminal
from assembler.commands.libraries import LIBRARIES
from assembler.errors import INTERRUPTED, ImgasmError

if TYPE_CHECKING:
    from types import FrameType

_HELP = """
Assemble container images without Dockerfiles: all steps in one container, one minimal layer.

    imgasm plan RECIPE          what would happen, without an engine

    imgasm build RECIPE         run the steps, write the image

    imgasm size-report          where every byte of the last build went

    imgasm push                 put the last build into its registry

Exit codes: 0 done, 2 usage, 3 recipe, 4 source, 5 engine, 6 a step failed, 7 changeset, 8 image, 9 registry,
10 budget exceeded, 130 interrupted, 143 terminated.
"""

app = typer.Typer(
    help=_HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
building.register(app)
reports.register(app)
images.register(app)
copying.register(app)
registries.register(app)


class Signalled(BaseException):
    """Ctrl-C or SIGTERM, as an exception that nobody catches, so that the container goes away on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _version(wanted: bool) -> None:
    if wanted:
        libraries = ", ".join(f"{name} {version}" for name, version in LIBRARIES.items())
        print(f"imgasm {__version__}\n{libraries}")  # noqa: T201
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True,
                     help="Print the versions of imgasm and of what compresses its layers."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Runs the command line and ends the process: the only place that decides about exit codes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # whoever started us may want it ignored
            signal.signal(number, _raise)
    status = 0
    try:
        status = app(standalone_mode=False) or 0
    except ImgasmError as error:
        Terminal().fail(error)
        sys.exit(error.exit_code)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except Signalled as stop:
        what = "interrupted" if stop.number == signal.SIGINT else "terminated"
        Terminal().say("; ".join([what, *getattr(stop, "__notes__", ())]))
        sys.exit(128 + stop.number)
    except Exception as error:
        if _is_usage(error):
            error.show()  # type: ignore[attr-defined]
            sys.exit(2)
        raise
    sys.exit(status if isinstance(status, int) else 0)


def _is_usage(error: Exception) -> bool:
    """Click's own errors (Typer may carry its own copy of Click): they know how to show themselves."""
    return hasattr(error, "show") and hasattr(error, "format_message")


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # once is enough: the way out, which is bounded, must not be cut short
    raise Signalled(number)
