"""What a booted kernel runs to insert modules, and how its answers read."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDER: Final = ".imgasm"
"""Where the guest's own files are; all else in its root is the image's."""

_INIT: Final = f"""#!/{FOLDER}/busybox sh
/{FOLDER}/busybox mkdir -p /{FOLDER}/bin /proc /sys /dev
/{FOLDER}/busybox --install -s /{FOLDER}/bin
export PATH=/{FOLDER}/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec >/dev/ttyS1 2>&1
echo up
ask() {{
    dmesg -c >/dev/null
    echo "@imgasm $1"
    shift
    "$@" </dev/null
    echo "@imgasm status $?"
    dmesg
}}
"""
_END: Final = "\n".join((
    "echo '@imgasm loaded'", "cut -d' ' -f1 /proc/modules", "echo '@imgasm end'", "poweroff -f", "",
))  # fmt: skip
_TIME: Final = re.compile(r"^\[ *\d+\.\d+\] ?")


@dataclass(frozen=True, slots=True)
class Question:
    """A command for the guest to run, under a ``name`` without blanks."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """``said`` are the command's own lines, ``log`` the kernel's meanwhile, each once and without their times."""

    status: int
    said: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """``loaded`` are the modules that are in the kernel at the end."""

    given: dict[str, Answer]
    loaded: frozenset[str]


def init_script(prepare: Iterable[str], questions: Iterable[Question]) -> bytes:
    """The guest's first program: it runs the lines ``prepare``, asks, and switches the machine off."""
    asked = [f"ask {question.name} {shlex.join(question.command)}" for question in questions]
    return "\n".join((_INIT, *prepare, *asked, _END)).encode()


def read_answers(text: str) -> Answers | None:
    """None where the guest did not come to its end."""
    *parts, end = text.split("@imgasm loaded\n")
    if not parts or "@imgasm end" not in end:
        return None
    given = dict(map(_answer, parts[0].split("@imgasm ")[1:][::2], parts[0].split("@imgasm ")[2:][::2]))
    return Answers(given, frozenset(end.partition("@imgasm end")[0].split()))


def _answer(asked: str, ended: str) -> tuple[str, Answer]:
    name, _, said = asked.partition("\n")
    status, _, log = ended.removeprefix("status ").partition("\n")
    lines = (_TIME.sub("", line) for line in log.splitlines())
    return name, Answer(int(status), _once(said.splitlines()), _once(lines))


def _once(lines: Iterable[str]) -> tuple[str, ...]:
    """busybox tries twice to insert a module, and the kernel says the same again."""
    return tuple(dict.fromkeys(printable(line) for line in lines if line))
