"""``imgasm import``: recipes out of a Dockerfile, and what they do not do as it did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from assembler.atomic_files import replace_file
from assembler.dockerfile.convert import Request, convert
from assembler.dockerfile.verdict import Verdict
from assembler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Imported:
    """``recipes`` in the order in which they are built: the last one makes the image. ``commands`` build them, in the
    context's directory."""

    recipes: tuple[Path, ...]
    commands: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Origin:
    """``context`` is what COPY reads, and where recipes are written; ``kernel`` what `uname -r` says here.

    None: the context is the Dockerfile's directory, the name the context's, the stage the last one.
    """

    dockerfile: Path
    kernel: str
    context: Path | None = None
    name: str | None = None
    stage: str | None = None


def import_dockerfile(origin: Origin) -> Imported:
    """Writes one recipe for each stage that something runs in. A file that is there already is never replaced.

    Raises UsageError for what is no Dockerfile, and when a recipe exists.
    """
    context = (origin.context or origin.dockerfile.parent).resolve()
    name = origin.name or re.sub(r"[^A-Za-z0-9._-]+", "-", context.name).strip("-._") or "imported"
    text = origin.dockerfile.read_text(encoding="utf-8")
    converted = convert(Request(name, text, context, origin.kernel, origin.stage))
    recipes = {(origin.context or origin.dockerfile.parent) / f"{draft.name}.toml": draft.text()
               for draft in converted.drafts}  # fmt: skip
    for path, recipe in recipes.items():
        if path.exists() and path.read_text(encoding="utf-8") != recipe:
            raise UsageError(f"{path} exists, with other contents", hint="Give the recipes another name with --name.")
    for path, recipe in recipes.items():
        replace_file(path, recipe.encode())
    commands = (command for draft in converted.drafts for command in (draft.before, f"imgasm build {draft.name}.toml"))
    return Imported(tuple(recipes), tuple(filter(None, commands)), converted.verdict)
