"""The command line. Commands are thin: they gather what a use case needs, run it, and print what it returns.

What only one command needs is imported by that command when it runs: ``imgasm --help`` and a press of Tab wait for
nothing else.
"""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from assembler.cli import (
    cache_commands,
    fleet_commands,
    image_commands,
    import_commands,
    kept_commands,
    login_commands,
    matrix_command,
    rebuild_commands,
    recipe_commands,
    sbom_commands,
    signals,
    signing_commands,
    size_commands,
)
from assembler.cli.error_handling import guarded
from assembler.cli.output import emit
from assembler.version import __version__

_HELP = """
Assemble container images without Dockerfiles: all steps in one container, one minimal layer.

    imgasm plan RECIPE          show what a build would do

    imgasm build RECIPE         run the steps, write the image

    imgasm resume               continue where the last build failed

    imgasm size-report          show where the last build's bytes went

    imgasm push                 push its images

Exit codes: 0 done, 1 a bug in imgasm, 2 usage, 3 recipe, 4 source, 5 engine, 6 a step failed, 7 changeset, 8 image,
9 registry, 10 budget exceeded, 11 a file or standard output can't be read or written, 12 a kernel refuses modules,
13 builds of a matrix failed, 130 interrupted, 143 terminated (128 and the signal's number).
"""

app = typer.Typer(
    help=_HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
recipe_commands.register(app)
import_commands.register(app)
kept_commands.register(app)
rebuild_commands.register(app)
cache_commands.register(app)
size_commands.register(app)
sbom_commands.register(app)
image_commands.register(app)
fleet_commands.register(app)
signing_commands.register(app)
matrix_command.register(app)
login_commands.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from assembler.commands.compressor_versions import LIBRARIES
        from assembler.layer.many_files import in_c

        libraries = ", ".join(f"{name} {version}" for name, version in LIBRARIES.items())
        way = "C" if in_c is not None else "Python: with a C compiler at its installation, imgasm would be faster"
        emit(f"imgasm {__version__}\n{libraries}\nsmall files by {way}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True,
                     help="Print the versions of imgasm and of what compresses its layers, and which of two ways "
                          "small files take."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """For console scripts that were installed before ``assembler.__main__`` was their entry point."""

    def run() -> None:
        signals.tidy_up_first()
        app(standalone_mode=False)

    guarded(run)
