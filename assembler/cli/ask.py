"""Questions on the terminal."""

from __future__ import annotations

import sys

import typer

from assembler.errors import UsageError


def ask(what: str, *, hint: str, hidden: bool = False) -> str:
    """UsageError with ``hint`` where nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: there is no terminal to ask on", hint=hint)
    return str(typer.prompt(what, hide_input=hidden, err=True))
