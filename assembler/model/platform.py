"""os/architecture[/variant] in Go's names (image-spec image-index.md, "platform")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from assembler.errors import UsageError

_MACHINES: Final = {
    "x86_64": ("amd64", ""), "aarch64": ("arm64", ""), "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"),
    "i686": ("386", ""), "ppc64le": ("ppc64le", ""), "s390x": ("s390x", ""), "riscv64": ("riscv64", ""),
}


@dataclass(frozen=True, slots=True)
class Platform:
    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise UsageError(f"{text!r} is not a platform", hint="Write it as linux/amd64 or linux/arm/v7.")
        return cls(*parts)

    @classmethod
    def of_machine(cls, machine: str) -> Platform:
        """``machine`` as ``uname -m`` prints it; unknown names are passed on as they are."""
        architecture, variant = _MACHINES.get(machine, (machine, ""))
        return cls("linux", architecture, variant)

    def normal(self) -> Platform:
        """One name for one platform, as containerd has it: arm is v7 unless told, and arm64 goes without its v8."""
        usual = {("arm", ""): "v7", ("arm64", "v8"): ""}
        return replace(self, variant=usual.get((self.architecture, self.variant), self.variant))

    def to_json(self) -> dict[str, Any]:
        fields = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        return {key: value for key, value in fields.items() if value}

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
