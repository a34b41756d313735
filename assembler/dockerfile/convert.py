"""A Dockerfile as recipes: one for each stage that something runs in, in the order in which they are built.

A stage that copies from others stands on what they have made: each of these makes an image of the copied files, onto
the image of the FROM, and the next one onto that. A last stage without RUN needs no recipe of its own then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from assembler.dockerfile.copies import Copied, copied, is_everywhere
from assembler.dockerfile.draft import Draft
from assembler.dockerfile.instructions import Instruction, parse
from assembler.dockerfile.scope import USUAL_PATH, Here, Scope
from assembler.dockerfile.stages import Stage, stage_named, stages
from assembler.dockerfile.translate import declared, translate
from assembler.dockerfile.verdict import Verdict
from assembler.dockerfile.words import KERNEL, expanded


@dataclass(frozen=True, slots=True)
class Request:
    """``kernel`` is what `uname -r` would have said; ``target`` the last stage that counts, None: the last one."""

    name: str
    text: str
    context: Path
    kernel: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """``drafts`` in the order in which they are built; the last one makes the image."""

    drafts: tuple[Draft, ...]
    verdict: Verdict


def convert(request: Request) -> Converted:
    """Raises UsageError for what is no Dockerfile."""
    instructions = parse(request.text)
    before, known = stages(instructions)
    last = (stage_named(request.target, known) if request.target else None) or known[-1]
    verdict = Verdict(len(instructions), len(known))
    conversion = _Conversion(request, verdict, known)
    for argument in before:
        for name, value in declared(argument).items():
            conversion.globals[name] = expanded(value or "", conversion.globals_known)
    conversion.last(last)
    every = {name: text for draft in conversion.drafts for name, text in draft.vars.items()}
    for draft in conversion.drafts:
        draft.vars = every | draft.vars  # what one stage declares, another one's COPY --from may name
    return Converted(tuple(conversion.drafts), verdict)


@dataclass(slots=True)
class _Conversion:
    request: Request
    verdict: Verdict
    known: Sequence[Stage]
    globals: dict[str, str] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)

    def globals_known(self, name: str, _needed: bool = True) -> str | None:
        return f"{{{{ {name} }}}}" if name in self.globals else None

    def last(self, stage: Stage) -> None:
        """The recipe that makes the image, and those that it needs before it."""
        runs = any(instruction.keyword == "RUN" for instruction in stage.chain())
        image: dict[str, Any] = {"name": self.request.name}
        if runs or not self._origins(stage):
            image.update(self._made(stage, self.request.name)[1].config)
            self.drafts[-1].images.append(image)
            self.verdict.advice = "All changes are in the layer. Name in keep what the image needs, and it shrinks."
        else:
            self._thin(stage, image)

    def _thin(self, stage: Stage, image: dict[str, Any]) -> None:
        """The stage only copies: its image is the one of the files that it copied last."""
        self._stack(stage)
        draft = self.drafts[-1]
        own = draft.images[-1]
        placed, made = len(draft.files), len(draft.made)
        scope = self._translate(stage, draft)
        for path in [*(file["path"] for file in draft.files[placed:]), *draft.made[made:]]:
            own["keep"] += _whole(path)
        if self._image(stage) == "scratch":
            scope.config["env"] = {"PATH": USUAL_PATH} | scope.config.get("env", {})  # as Docker does it
        own.update(image | scope.config)
        if not any(f"build/{draft.name}:" in repr((other.base, other.images)) for other in self.drafts):
            draft.name = self.request.name

    def _made(self, stage: Stage, name: str) -> tuple[Draft, Scope]:
        """The recipe in whose container ``stage`` is at its end."""
        table, before = self._base_table(stage), ""
        if self._origins(stage):
            stack, whole = self._stack(stage), f"oci:build/{name}-base:for-{stage.name}"
            table, before = {"layout": whole}, f"imgasm copy --copy-base-layers {stack} {whole}"
        draft = Draft(name, f"Imported from a Dockerfile: the stage {stage.name}.", table, self._vars(), before=before)
        scope = self._translate(stage, draft)
        self.drafts.append(draft)
        return draft, scope

    def _base_table(self, stage: Stage) -> dict[str, Any]:
        image = self._image(stage)
        if image != "scratch":
            return {"image": image}
        self.verdict.changed(stage.root.opening.line, "steps need something to run in: a small Debian, and of that the "
                             "image must keep nothing")  # fmt: skip
        return {"bootstrap": {"suite": "bookworm"}}

    def _image(self, stage: Stage) -> str:
        return expanded(stage.root.image, self.globals_known)

    def _vars(self) -> dict[str, str]:
        return {**self.globals, KERNEL: self.request.kernel}

    def _origins(self, stage: Stage) -> dict[str, list[Instruction]]:
        """Its COPY --from, by what they copy from."""
        found: dict[str, list[Instruction]] = {}
        for instruction in stage.chain():
            name = instruction.flag("--from")
            if instruction.keyword == "COPY" and name:
                origin = stage_named(name, self.known)
                found.setdefault(origin.name if origin else name, []).append(instruction)
        return found

    def _stack(self, stage: Stage) -> str:
        """What ``stage`` copies, image by image onto the image that it begins with; the place of the uppermost.

        A recipe can stand on those that are built before it alone, so the images are in that order.
        """
        origins = self._origins(stage)
        drafts = {name: self._origin(name) for name in origins}
        place = self._image(stage)
        for name in sorted(origins, key=lambda name: self.drafts.index(drafts[name])):
            draft = drafts[name]
            image = {"name": f"for-{stage.name}", "onto": place, "keep": []}
            for instruction in origins[name]:
                self._copy(instruction, draft, image, stage)
            draft.images.append(image)
            place = f"oci:build/{draft.name}:{image['name']}"
        return place

    def _origin(self, name: str) -> Draft:
        """The recipe of a stage that others copy from, or of an image that is copied from."""
        stage = stage_named(name, self.known)
        if stage is None:
            label = re.sub(r"\W+", "-", name).strip("-")
            stage = Stage(label, name, None, Instruction("FROM", (), name, (name,), 0))
        full = f"{self.request.name}-{stage.name}"
        known = next((draft for draft in self.drafts if draft.name == full), None)
        return known or self._made(stage, full)[0]

    def _copy(self, instruction: Instruction, draft: Draft, image: dict[str, Any], stage: Stage) -> None:
        """A step that puts files where ``stage`` wants them, and what its ``image`` keeps of them."""
        here = Here(instruction, self._scope_at(instruction, stage), draft, self.verdict, self.request.context)
        what = copied(here)
        for source in what.sources:
            target = what.target / PurePosixPath(source).name if _goes_into(source, what) else what.target
            script = _script(f"/{source.strip('/')}", target, here)
            if script:
                draft.add_step(f"copy {target}", script)
            image["keep"] += _whole(str(target))
            if is_everywhere(target):
                here.todo(f"keep has all of {target}: name in its place what {source} holds")

    def _scope_at(self, instruction: Instruction, stage: Stage) -> Scope:
        """What holds in ``stage`` where ``instruction`` stands."""
        scope, aside = Scope(), Draft("", "", {}, self._vars())
        for each in stage.chain():
            if each is instruction:
                break
            if each.keyword in ("FROM", "ARG", "ENV", "WORKDIR"):
                translate(Here(each, scope, aside, Verdict(), self.request.context))
        return scope

    def _translate(self, stage: Stage, draft: Draft) -> Scope:
        scope, ran = Scope(), False
        for instruction in stage.chain():
            ran = ran or instruction.keyword == "RUN"
            if instruction.keyword != "COPY" or not instruction.flag("--from"):
                translate(Here(instruction, scope, draft, self.verdict, self.request.context))
            elif ran:
                self.verdict.changed(instruction.line, "what is copied is there before the first step")
        return scope


def _goes_into(source: str, what: Copied) -> bool:
    """Whether the target is the directory of what is copied, and not its new name."""
    return what.into and not source.endswith(("/", "/.")) and PurePosixPath(source).name != ""


def _script(source: str, target: PurePosixPath, here: Here) -> str:
    """Copies as COPY does, of a directory what is in it; nothing where the file is there already."""
    source, lines = source.removesuffix("/."), []
    if re.search(r"[*?\[]", source):
        lines = [f"mkdir -p {target.parent}", f"cp -a {source} {target.parent}/"]
    elif source != str(target):
        lines = [f"if [ -d {source} ]; then mkdir -p {target}; cp -a {source}/. {target}/",
                 f"else mkdir -p {target.parent}; cp -a {source} {target}; fi"]  # fmt: skip
    if lines or here.flag("--chown"):
        lines.append(f"chown -R {here.owner or '0:0'} {target}")
    if here.flag("--chmod"):
        lines.append(f"chmod -R {here.flag('--chmod')} {target}")
    return "".join(f"{line}\n" for line in lines)


def _whole(path: str) -> list[Any]:
    """The globs of a file, or of a directory with all that is in it."""
    return [path, {"path": f"{path.rstrip('/')}/**", "optional": True}]
