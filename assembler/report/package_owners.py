"""Which package owns a path, as the package database in a tree tells (dpkg, apk)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_DPKG: Final = b"var/lib/dpkg/info"
_APK: Final = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_MERGED: Final = (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32")


class PackageDatabase(Protocol):
    """A rootfs, as far as a package database needs it. Paths are bytes without a leading slash."""

    def names(self, path: bytes, /) -> Iterable[bytes]:
        """Base names in the directory ``path``; nothing when it is none."""

    def read(self, path: bytes, /) -> bytes | None:
        """A file's bytes; None where they were not kept."""

    def target(self, path: bytes, /) -> bytes | None:
        """Where a symbolic link points; None when ``path`` is none."""


class PackageOwners:
    """Package names by path. What several packages list, as all of them do /usr, is said to be the last one's."""

    def __init__(self, owned: Iterable[tuple[bytes, str]], aliases: Mapping[bytes, bytes] | None = None) -> None:
        """``owned`` are paths without a leading slash and who brought each; ``aliases`` are top directories
        that are links to another place: dpkg still writes ``lib/x`` where the file is ``usr/lib/x``."""
        self._aliases = dict(aliases or {})
        self._owners = {self._real(path): package for path, package in owned}

    def __len__(self) -> int:
        return len(self._owners)

    def of(self, path: bytes) -> str | None:
        return self._owners.get(path)

    def _real(self, path: bytes) -> bytes:
        top, slash, rest = path.partition(b"/")
        return self._aliases.get(top, top) + slash + rest


def owners_in(root: PackageDatabase) -> PackageOwners | None:
    """Reads the databases below ``root``; an empty answer where there is none, None where it can't be read."""
    lists = sorted(name for name in root.names(_DPKG) if name.endswith(b".list"))
    databases = [_DPKG + b"/" + name for name in lists]
    databases += [path for path in _APK if path.rpartition(b"/")[2] in root.names(path.rpartition(b"/")[0])]
    owned: list[tuple[bytes, str]] = []
    for path in databases:
        data = root.read(path)
        if data is None:
            return None
        owned += _dpkg(path, data) if path.startswith(_DPKG) else _apk(data)
    return PackageOwners(owned, _aliases(root))


def _aliases(root: PackageDatabase) -> dict[bytes, bytes]:
    """The merged /usr: top directories that are links into it."""
    links = ((top, root.target(top)) for top in _MERGED)
    return {top: target.lstrip(b"/") for top, target in links if target is not None}


def _dpkg(path: bytes, data: bytes) -> Iterator[tuple[bytes, str]]:
    """``<package>[:architecture].list`` holds one path a line (dpkg-query(1), "--listfiles")."""
    package = path.rpartition(b"/")[2].removesuffix(b".list").partition(b":")[0].decode("utf-8", "replace")
    for line in data.splitlines():
        if line.startswith(b"/") and line != b"/.":
            yield line[1:], package


def _apk(data: bytes) -> Iterator[tuple[bytes, str]]:
    """Records of ``P:package``, ``F:directory`` and ``R:file`` lines (apk's installed database)."""
    package, directory = "", b""
    for line in data.splitlines():
        field, _, value = line.partition(b":")
        if field == b"P":
            package = value.decode("utf-8", "replace")
        elif field == b"F":
            directory = value
        elif field == b"R":
            yield (directory + b"/" + value if directory else value), package
