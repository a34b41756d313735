"""What a build is for, and what must not be mixed: files of one platform in an image that says another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ChangesetError, ImageError
from assembler.layer.rootfs_platform import FIRMWARE, HEAD, elf_machine
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.layer.entry import Entry
    from assembler.model.platform import Platform


@dataclass(frozen=True, slots=True)
class TargetPlatform:
    """``here`` is this machine's platform, ``runs`` that of what runs the steps, ``asked`` what ``--platform`` says."""

    here: Platform
    runs: Platform
    asked: Platform | None = None

    @property
    def wanted(self) -> Platform:
        """What is chosen from an index, and what files are for that say nothing themselves."""
        return self.asked or self.runs

    @property
    def foreign_architecture(self) -> str | None:
        """What mmdebstrap has to be told (dpkg's name); None where it is this machine's own."""
        return self.wanted.debian if self.wanted.normal() != self.here.normal() else None

    def check(self, found: Platform, what: str) -> Platform:
        """``found``, which is what ``what`` is for; ImageError where ``--platform`` asks for another."""
        if self.asked is not None and found.architecture and not self.asked.runs(found):
            raise ImageError(
                f"{what} is for {found}, and --platform asks for {self.asked}",
                hint=f"Leave --platform out, or name a base for {self.asked}.",
            )
        return found


def refuse_foreign_programs(
    image: str, entries: Iterable[Entry], environment: Platform, onto: Platform, name: str
) -> None:
    """ChangesetError where a program made in the ``environment`` can't run in an image stacked on ``name``.

    Data may go anywhere, and a cross compiler makes programs for ``onto``: each file's own header decides.
    """
    if onto.runs(environment) or not onto.architecture:
        return
    fitting = onto.architecture if environment.architecture != onto.architecture else None
    for entry in entries:
        machine = _machine(entry)
        if machine is not None and machine != fitting:
            made_for = environment if machine == environment.architecture else machine
            raise ChangesetError(
                f"image {image!r}: {shown(entry.path)} is for {made_for}, and {name} is for {onto}",
                hint=f"Stack it on an image for {environment}, which is what the base is for, or leave it out of keep.",
            )


def _machine(entry: Entry) -> str | None:
    if entry.content is None or entry.path.startswith(FIRMWARE):
        return None
    with open(entry.content.file, "rb") as file:
        file.seek(entry.content.offset)
        return elf_machine(file.read(HEAD))
