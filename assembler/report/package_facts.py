"""What a rootfs tells of the packages that are installed in it: versions, sources, licences (dpkg, apk)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from assembler.report.record_part import RecordPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from assembler.report.package_owners import PackageDatabase

_DPKG: Final = b"var/lib/dpkg/status"
_APK: Final = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_RELEASES: Final = (b"etc/os-release", b"usr/lib/os-release")
_FORMAT: Final = re.compile(rb"format:.*copyright-format/1", re.IGNORECASE)
_LICENCE: Final = re.compile(rb"^license:[ \t]*(\S[^\n]*)$", re.IGNORECASE | re.MULTILINE)
"""A paragraph's short name in Debian's copyright format (DEP-5)."""


class Package(RecordPart):
    """``distribution`` is os-release's ID and VERSION_ID. ``licence`` is as the package says it, in no common language;
    None where it says none that a program can read."""

    name: str
    manager: Literal["deb", "apk"]
    version: str
    architecture: str = ""
    source: str | None = None
    licence: str | None = None
    distribution: tuple[str, str] = ("", "")

    @property
    def purl(self) -> str:
        """github.com/package-url/purl-spec: what scanners look packages up by."""
        system, release = self.distribution
        qualifiers = {"arch": self.architecture, "distro": f"{system}-{release}" if system and release else system}
        asked = "&".join(f"{key}={quote(value, safe='')}" for key, value in qualifiers.items() if value)
        name, version = quote(self.name, safe="").lower(), quote(self.version, safe="")
        return f"pkg:{self.manager}/{system or 'unknown'}/{name}@{version}" + (f"?{asked}" if asked else "")


def packages_in(root: PackageDatabase, names: Collection[str]) -> list[Package]:
    """Of ``names`` those that a database below ``root`` knows, in their order there."""
    distribution = _distribution(root)
    return [one.model_copy(update={"distribution": distribution})
            for one in (*_of_dpkg(root, names), *_of_apk(root, names))]  # fmt: skip


def _distribution(root: PackageDatabase) -> tuple[str, str]:
    for path in _RELEASES:
        if data := root.read(path):
            pairs = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
            told = {key: value.strip("\"'") for key, _, value in pairs}
            return told.get("ID", ""), told.get("VERSION_ID", "")
    return "", ""


def _of_dpkg(root: PackageDatabase, names: Collection[str]) -> Iterator[Package]:
    """deb822(5), one paragraph for a package. Of several architectures the first is taken."""
    seen = set[str]()
    for paragraph in (root.read(_DPKG) or b"").decode("utf-8", "replace").split("\n\n"):
        told = dict(re.findall(r"^(Package|Version|Architecture|Source): (.*)$", paragraph, re.MULTILINE))
        name = told.get("Package", "")
        if name in names and name not in seen and "Version" in told:
            seen.add(name)
            yield Package(name=name, manager="deb", version=told["Version"], architecture=told.get("Architecture", ""),
                          source=told.get("Source"), licence=_copyright(root, name))  # fmt: skip


def _copyright(root: PackageDatabase, name: str) -> str | None:
    data = root.read(f"usr/share/doc/{name}/copyright".encode()) or b""
    if not _FORMAT.match(data):
        return None
    files = (paragraph for paragraph in re.split(rb"\n\s*\n", data) if paragraph.lower().startswith(b"files:"))
    found = (match[1].decode("utf-8", "replace").strip() for part in files if (match := _LICENCE.search(part)))
    return "; ".join(dict.fromkeys(found)) or None


def _of_apk(root: PackageDatabase, names: Collection[str]) -> Iterator[Package]:
    """``P:name``, ``V:version``, ``A:architecture``, ``o:origin``, ``L:licence``, one paragraph for a package."""
    for path in _APK:
        for paragraph in (root.read(path) or b"").decode("utf-8", "replace").split("\n\n"):
            told = dict(re.findall(r"^([PVAoL]):(.*)$", paragraph, re.MULTILINE))
            if told.get("P") in names and "V" in told:
                yield Package(name=told["P"], manager="apk", version=told["V"], architecture=told.get("A", ""),
                              source=told.get("o"), licence=told.get("L"))  # fmt: skip
