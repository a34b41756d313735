"""os/architecture[/variant] in Go's names (image-spec image-index.md, "platform")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MACHINES: Final = {
    "x86_64": ("amd64", ""), "aarch64": ("arm64", ""), "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"),
    "i686": ("386", ""), "ppc64le": ("ppc64le", ""), "s390x": ("s390x", ""), "riscv64": ("riscv64", ""),
}

_DEBIAN: Final = {
    "i386": ("386", ""), "armel": ("arm", "v5"), "armhf": ("arm", "v7"), "ppc64el": ("ppc64le", ""),
    "mipsel": ("mipsle", ""), "mips64el": ("mips64le", ""),
}
"""Debian's names (``dpkg --print-architecture``) where Go has others."""

_NEWEST_FIRST: Final = {
    "arm": ("v8", "v7", "v6", "v5"),
    "arm64": ("v9", "v8"),
    "amd64": ("v4", "v3", "v2", "v1"),
}
"""A machine of one variant runs the programs of all that follow."""

_USUAL: Final = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
"""The variant of a machine that names none (containerd's platforms.Normalize)."""


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

    @classmethod
    def of_debian(cls, architecture: str) -> Platform:
        """``architecture`` as dpkg has it; names that are also Go's, and unknown ones, are passed on as they are."""
        found, variant = _DEBIAN.get(architecture, (architecture, ""))
        return cls("linux", found, variant)

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Platform:
        """An image config's, as it says it (image-spec config.md)."""
        return cls(*(str(config.get(key) or "") for key in ("os", "architecture", "variant")))

    @property
    def debian(self) -> str:
        """dpkg's name."""
        plain = self.normal()
        known = {go: name for name, go in _DEBIAN.items()} | {("arm", "v6"): "armel", ("arm", "v8"): "armhf"}
        return known.get((plain.architecture, plain.variant), plain.architecture)

    def runs(self, other: Platform) -> bool:
        """Whether a machine of this platform runs programs for ``other``; one that names no variant needs none."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        known = _NEWEST_FIRST.get(self.architecture, ())
        mine = self.variant or _USUAL.get(self.architecture, "")
        if mine in known and other.variant in known:
            return known.index(mine) <= known.index(other.variant)
        return other.variant in ("", mine)

    def normal(self) -> Platform:
        """One name for one platform, as containerd has it: arm is v7 unless told, and arm64 goes without its v8."""
        usual = {("arm", ""): "v7", ("arm64", "v8"): "", ("amd64", "v1"): ""}
        return replace(self, variant=usual.get((self.architecture, self.variant), self.variant))

    def to_json(self) -> dict[str, Any]:
        fields = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        return {key: value for key, value in fields.items() if value}

    @property
    def slug(self) -> str:
        """For file names."""
        return str(self).replace("/", "-")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
