"""The instructions of one stage, one after another, into the steps of a recipe and the config of its image."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Final

from assembler.dockerfile.clean_up import without_clean_up
from assembler.dockerfile.copies import add_copy, is_everywhere
from assembler.dockerfile.instructions import Instruction
from assembler.dockerfile.run_mounts import add_mounts
from assembler.dockerfile.scope import Here
from assembler.dockerfile.words import KERNEL, asks_kernel, json_list, literal, pairs, words

PLATFORM: Final = {"TARGETARCH": "amd64", "TARGETOS": "linux", "TARGETPLATFORM": "linux/amd64", "TARGETVARIANT": "",
                   "BUILDARCH": "amd64", "BUILDOS": "linux", "BUILDPLATFORM": "linux/amd64"}  # fmt: skip
"""What BuildKit sets by itself."""

_PROXIES: Final = re.compile(r"(?:HTTPS?|FTP|NO|ALL)_PROXY", re.I)


def translate(here: Here) -> None:
    """One instruction. Nothing that it says is lost without a remark."""
    instruction = here.instruction
    if asks_kernel(instruction.value) or any(asks_kernel(heredoc.text) for heredoc in instruction.heredocs):
        here.changed(f"uname -r told the kernel of the machine that builds; the variable {KERNEL} says which is meant")
    handle = _HANDLERS.get(instruction.keyword)
    if handle is None:
        here.todo(f"{instruction.keyword} is no instruction that imgasm knows")
    else:
        handle(here)


def _from(here: Here) -> None:
    """Of the stage before, the image's config and the environment stay, and no ARG does."""
    here.scope.args.clear()
    here.scope.has_cmd = False
    if here.flag("--platform"):
        here.changed(f"--platform={here.flag('--platform')}: imgasm build --platform says it, for builds without steps")


def _arg(here: Here) -> None:
    for name, value in declared(here.instruction).items():
        if _PROXIES.fullmatch(name):
            continue
        if name not in here.draft.vars or value is not None:
            here.draft.vars[name] = here.expanded(value) if value is not None else PLATFORM.get(name, "")
        if value is None and not here.draft.vars[name] and name not in PLATFORM:
            here.todo(f"ARG {name} has no default: --set {name}=...")
        if name in PLATFORM:
            here.changed(f"{name} is {here.draft.vars[name]!r} until --set {name}=... says something else")
        here.scope.args[name] = f"{{{{ {name} }}}}"


def declared(instruction: Instruction) -> dict[str, str | None]:
    """What an ARG declares; None where it gives no default."""
    found = (word.partition("=") for word in words(instruction.value))
    return {name: value if equals else None for name, equals, value in found}


def _env(here: Here) -> None:
    found = {name: here.expanded(value) for name, value in pairs(here.instruction.value).items()}
    here.scope.env |= found
    here.scope.config.setdefault("env", {}).update(found)


def _run(here: Here) -> None:
    arguments = json_list(here.instruction.value)
    script = None if arguments is not None else _script(here)
    if script == "":
        return  # nothing but clean-up
    run: str | list[str] = [literal(word) for word in arguments] if arguments is not None else script or ""
    step = here.draft.add_step(
        _title(run), run, env=dict(here.scope.environment), user=here.scope.user,
        workdir="" if here.scope.workdir == PurePosixPath("/") else str(here.scope.workdir),
    )  # fmt: skip
    if isinstance(run, str) and list(here.scope.shell) != here.draft.container["shell"]:
        step["run"] = [*here.scope.shell, run]
    add_mounts(step, here)


def _script(here: Here) -> str:
    """As it is written, without the clean-up at its end."""
    if here.instruction.heredocs:
        return _heredoc_script(here)
    script, gone = without_clean_up("\n".join(here.instruction.lines))
    for preset, command in gone.items():
        here.draft.presets.append(preset)
        here.changed(f"`{command}` went: the prune preset {preset} removes that, and more of the kind")
    return _without_flags(literal(script))


def _without_flags(script: str) -> str:
    while flag := re.match(r"\s*--[a-z]+(?:=\S+)?\s*(?:\\\n\s*)?", script):
        script = script[flag.end():]
    return script


def _heredoc_script(here: Here) -> str:
    """``RUN <<EOF`` alone is a script; ``RUN cat <<EOF >file`` is the shell's own business, heredoc and all."""
    [first, *others] = here.instruction.heredocs
    alone = re.fullmatch(r"<<-?[\"']?\w+[\"']?", here.instruction.value)
    if alone and not others:
        return literal(first.text)
    bodies = "".join(f"{heredoc.text}{heredoc.name}\n" for heredoc in here.instruction.heredocs)
    return literal(f"{here.instruction.value}\n{bodies}")


def _title(run: str | list[str]) -> str:
    """The first words of a step, for reports."""
    text = " ".join(run) if isinstance(run, list) else run
    plain = re.sub(r"^(set -\S+( pipefail)?\s*(&&|;|\n)\s*)+", "", " ".join(text.replace("\\\n", " ").split()))
    return re.sub(r"[{}]", "", " ".join(plain.split()[:4]))[:40].strip(" &;|\\\"'") or "run"


def _workdir(here: Here) -> None:
    path = here.scope.path(here.expanded(here.instruction.value))
    here.scope.workdir = path
    here.scope.config["workdir"] = str(path)
    if not is_everywhere(path):
        here.draft.add_step(f"directory {path}", f"mkdir -p {path}")
        here.draft.made.append(str(path))


def _user(here: Here) -> None:
    here.scope.user = here.expanded(here.instruction.value)
    here.scope.config["user"] = here.scope.user


def _shell(here: Here) -> None:
    shell = json_list(here.instruction.value) or []
    here.scope.shell = tuple(map(literal, shell))
    here.scope.config["shell"] = list(here.scope.shell)
    if not any(isinstance(step["run"], str) and not step["name"].startswith("directory ") for step in here.draft.steps):
        here.draft.container["shell"] = list(here.scope.shell)


def _program(key: str) -> Callable[[Here], None]:
    def handle(here: Here) -> None:
        exec_form = json_list(here.instruction.value)
        here.scope.config[key] = (
            [literal(word) for word in exec_form] if exec_form is not None
            else [*here.scope.shell, literal(here.instruction.value)]
        )  # fmt: skip
        if key == "cmd":
            here.scope.has_cmd = True
        elif not here.scope.has_cmd:  # a former stage's was meant for another program
            here.scope.config.pop("cmd", None)

    return handle


def _label(here: Here) -> None:
    found = {name: here.expanded(value) for name, value in pairs(here.instruction.value).items()}
    here.scope.config.setdefault("labels", {}).update(found)


def _expose(here: Here) -> None:
    ports = [here.expanded(word).removesuffix("/tcp") for word in here.instruction.value.split()]
    here.scope.config["ports"] = [*here.scope.config.get("ports", []), *ports]


def _volume(here: Here) -> None:
    paths = json_list(here.instruction.value) or here.instruction.value.split()
    here.scope.config["volumes"] = [*here.scope.config.get("volumes", []), *map(here.expanded, paths)]
    here.changed("what later steps write below a VOLUME is in the image; Docker's classic builder drops it")


def _stop_signal(here: Here) -> None:
    here.scope.config["stop_signal"] = here.expanded(here.instruction.value)


def _healthcheck(here: Here) -> None:
    if here.instruction.value.upper() == "NONE":
        here.scope.config["healthcheck"] = "none"
        return
    command = re.sub(r"^CMD\s+", "", here.instruction.value, flags=re.I)
    check: dict[str, Any] = {"test": json_list(command) or literal(command)}
    for flag in here.instruction.flags:
        name, _, value = flag.removeprefix("--").partition("=")
        check[name.replace("-", "_")] = int(value) if name == "retries" else value
    here.scope.config["healthcheck"] = check


def _on_build(here: Here) -> None:
    flags = [*here.instruction.flags, here.instruction.value]
    here.scope.config["onbuild"] = [*here.scope.config.get("onbuild", []), literal(" ".join(flags))]


def _maintainer(here: Here) -> None:
    here.scope.config.setdefault("labels", {})["maintainer"] = literal(here.instruction.value)
    here.changed("MAINTAINER becomes the label maintainer")


_HANDLERS: Final[dict[str, Callable[[Here], None]]] = {
    "ADD": add_copy, "ARG": _arg, "CMD": _program("cmd"), "COPY": add_copy, "ENTRYPOINT": _program("entrypoint"),
    "ENV": _env, "EXPOSE": _expose, "FROM": _from, "HEALTHCHECK": _healthcheck, "LABEL": _label,
    "MAINTAINER": _maintainer, "ONBUILD": _on_build, "RUN": _run, "SHELL": _shell, "STOPSIGNAL": _stop_signal,
    "USER": _user, "VOLUME": _volume, "WORKDIR": _workdir,
}  # fmt: skip
