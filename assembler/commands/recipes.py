"""``imgasm recipes`` and ``imgasm init``: the recipes that come with imgasm, with all the files that they name.

In a wheel they lie in the package; in a checkout they are its ``recipes/``.
"""

from __future__ import annotations

import filecmp
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assembler.errors import UsageError

_PACKAGE: Final = Path(__file__).parents[1]
_FIRST: Final = Path(__file__).parent / "first_recipes"
"""What one begins with: a recipe for each kind of job."""

_SCHEMA: Final = "recipe.schema.json"
_LOADER: Final = "modules"
"""The folder of what goes into images of kernel modules: their loader, and what installs it."""


@dataclass(frozen=True, slots=True)
class Example:
    """``title`` is the first sentence of the recipe's own introduction; ``files`` are relative to its folder, the first
    is what the example is about."""

    name: str
    title: str
    files: tuple[Path, ...]


def examples() -> list[Example]:
    """All recipes that come with imgasm, by name."""
    return [_example(path) for path in sorted(_folder().glob("*.toml"))]


def copy_examples(names: Iterable[str], to: Path) -> list[Path]:
    """Copies recipes and what they name into the directory ``to``, and returns the recipes' new paths.

    Besides recipes, ``modules`` is known: the loader of kernel modules, for recipes of one's own. Raises UsageError for
    an unknown name, and when a file would replace another one with other contents.
    """
    known = {example.name: example for example in (*examples(), _loader())}
    chosen = []
    for name in names:
        if name.removesuffix(".toml") not in known:
            raise UsageError(f"There is no recipe {name}", hint=f"There are: {', '.join(known)}.")
        chosen.append(known[name.removesuffix(".toml")])
    return _copy(chosen, to)


def copy_first(kind: str, to: Path) -> Path:
    """Copies the recipe to begin with for a ``kind`` of job into the directory ``to``, with what it names.

    Raises UsageError when a file would replace another one with other contents.
    """
    return _copy([_example(_FIRST / f"{kind}.toml")], to)[0]


def _copy(chosen: Iterable[Example], to: Path) -> list[Path]:
    files = sorted({file for example in chosen for file in example.files})
    for file in files:
        if (to / file).exists() and not filecmp.cmp(_origin(file), to / file, shallow=False):
            raise UsageError(f"{to / file} exists, with other contents", hint="Name another directory with --to.")
    for file in files:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_origin(file), to / file)
    return [to / example.files[0] for example in chosen]


def _origin(file: Path) -> Path:
    return next(folder / file for folder in (_folder(), _FIRST) if (folder / file).exists())


def _folder() -> Path:
    packed = _PACKAGE / "recipes"
    return packed if packed.is_dir() else _PACKAGE.parent / "recipes"


def _example(path: Path) -> Example:
    text = path.read_text(encoding="utf-8")
    strings = set(_strings(tomllib.loads(text)))
    beside = (file.relative_to(_folder()) for file in sorted(_folder().rglob("*")) if file.is_file())
    named = [file for file in beside if str(file) in strings]
    return Example(path.stem, _title(text), (Path(path.name), Path(_SCHEMA), *named))


def _loader() -> Example:
    files = sorted(file.relative_to(_folder()) for file in (_folder() / _LOADER).iterdir())
    return Example(_LOADER, "The loader of kernel modules", (Path(_LOADER, "load"), *files))


def _title(text: str) -> str:
    """The first sentence of the comment on top, behind the line that names the schema."""
    lines: list[str] = []
    for line in text.splitlines()[1:]:
        words = line.removeprefix("#").strip()
        if not line.startswith("#") or (lines and not words):
            break
        lines += [words] if words else []
    return " ".join(lines).partition(". ")[0].rstrip(".:")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
