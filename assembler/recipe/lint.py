"""What a recipe may have, but is most likely a mistake."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from assembler.layer.codecs import CODECS
from assembler.model.secrets import has_password
from assembler.recipe.files import File, Folder
from assembler.recipe.images import Image
from assembler.recipe.recipe import Recipe
from assembler.recipe.steps import Step

_COMMAND: Final = r"(?:^|[;&|(`]|\b(?:then|do|else|exec|sudo|if|while|!)\s)\s*(?:/\S*/)?"
_ONLY_TELLS: Final = r"[^\n;&|]*\s(?:-[nDcR]|--dry-run|--show(?:-depends|config)?|--resolve-alias)\b"
_INSERTS_MODULE: Final = re.compile(_COMMAND + rf"(insmod|modprobe)\b(?!{_ONLY_TELLS})", re.MULTILINE)
_HOST_KERNEL: Final = re.compile(r"\buname\s+(?:-\w*[ra]\w*|--kernel-release|--all)|/proc/(?:config\.gz|version)\b")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*", re.MULTILINE)
_STAND_IN: Final = b"imgasm: this is NOT"
_LINE: Final = 1000
_MODULE_CAPABILITIES: Final = {"SYS_MODULE", "ALL"}


def warnings(recipe: Recipe) -> list[str]:
    return [
        *(warning for step in recipe.steps for warning in _step(step, _may_insert_modules(recipe))),
        *(warning for image in recipe.images for warning in _image(image)),
        *(f"{name} is a stand-in: a build ends here until the real one is in its place" for name in stand_ins(recipe)),
        *_unknown_kernels(recipe),
    ]


def stand_ins(recipe: Recipe) -> list[str]:
    """Files of the recipe whose first line says that they are only there so that the recipe can be read."""
    found = []
    for file in recipe.files:
        for one in file.files if isinstance(file, Folder) else (file,):
            if _STAND_IN in _first_line(one):
                found.append(str(one.content) if isinstance(one.content, Path) else f"the content of {one.path}")
    return found


def _first_line(file: File) -> bytes:
    if isinstance(file.content, bytes):
        return file.content.partition(b"\n")[0]
    try:
        with file.content.open("rb") as stream:
            return stream.readline(_LINE)
    except OSError:
        return b""  # what can't be read is told where it is needed


def _unknown_kernels(recipe: Recipe) -> Iterator[str]:
    """A release of which nothing in the recipe can bring the headers."""
    bootstrap = recipe.base.bootstrap
    texts = [step.script or shlex.join(step.argv) for step in recipe.steps]
    texts += [*(source.url for source in recipe.sources), *(bootstrap.packages if bootstrap else ())]
    for image in recipe.images:
        for kernel in image.kernels or ():
            if isinstance(kernel, str) and not kernel.startswith("/") and not any(kernel in text for text in texts):
                yield (f'image "{image.name}" is for the kernel {kernel}, which no step, source or package of the '
                       "recipe names: its headers must come with the base")


def _may_insert_modules(recipe: Recipe) -> bool:
    return recipe.container.privileged or not _MODULE_CAPABILITIES.isdisjoint(recipe.container.cap_add)


def _step(step: Step, may_insert_modules: bool) -> Iterator[str]:
    text = _COMMENT.sub("", step.script) if step.script is not None else shlex.join(step.argv)
    inserts = _INSERTS_MODULE.search(text)
    if inserts and not may_insert_modules:
        yield (f'step "{step.name}" calls {inserts[1]}, which needs cap_add = ["SYS_MODULE"] or privileged = true in '
               "[container]; an image can insert its modules when it starts, and a build seldom has to")
    host = _HOST_KERNEL.search(text)
    if host:
        yield (f'step "{step.name}" asks for {host[0]}: that is the kernel of the machine that builds, not of the '
               "machines that will use the image; use a variable in [vars]")


def _image(image: Image) -> Iterator[str]:
    config = image.config
    for key, texts in (("env", config.env), ("labels", config.labels), ("annotations", image.annotations)):
        for name in (name for name, text in texts.items() if has_password(text)):
            yield f'image "{image.name}", {key}.{name}: anyone who gets the image can read the password in this URL'
    level, codec = image.compression.level, CODECS[image.compression.codec]
    if level is not None and codec.heavy_level is not None and level >= codec.heavy_level:
        yield (f'image "{image.name}" asks for {codec.name} level {level}: from level {codec.heavy_level} on '
               f"{codec.name} needs much more memory, for one percent at best")
