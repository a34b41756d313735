"""A recipe after reading: every variable replaced, every default filled in, every value checked.

These are the values the rest of imgasm works with; how TOML becomes them is ``recipe.load``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from assembler.layer.codecs import DEFAULT
from assembler.model.budget import Budget
from assembler.model.run_config import RunConfig
from assembler.model.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A Debian-like base made by mmdebstrap: no image registry needed."""

    suite: str
    packages: tuple[str, ...] = ()
    components: tuple[str, ...] = ("main",)
    variant: str = "minbase"
    architecture: str | None = None
    mirror: str | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """Where the build environment comes from: exactly one of the four is set. Paths are absolute.

    ``layout`` is a path, or a text that names one image in it: ``oci:/DIR:NAME``.
    """

    image: str | None = None
    bootstrap: Bootstrap | None = None
    rootfs: Path | None = None
    layout: str | Path | None = None


@dataclass(frozen=True, slots=True)
class Container:
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    network: str | None = None
    scratch: tuple[PurePosixPath, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("/bin/sh", "-e", "-c")


@dataclass(frozen=True, slots=True)
class Source:
    """An input that is fetched once, checked, and mounted read-only at ``path``. ``sha256`` is 64 hex digits.

    ``declared`` is the URL or relative path as the recipe has it, variables replaced and secrets hidden: what the lock
    file calls it on every machine. ``url`` is always absolute, and may hold secrets.
    """

    name: str
    declared: str
    url: str = field(repr=False)
    path: PurePosixPath
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file that is in the container before the first step; ``mode`` holds permission bits.

    ``content`` is what is in it, or the file on this machine that has it. ``owner`` is ``user[:group]``, None root.
    """

    path: PurePosixPath
    content: bytes | Path
    mode: int = 0o644
    owner: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link at ``path`` in the container."""

    path: PurePosixPath
    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory that is copied with all that is in it; all paths are the container's, and absolute.

    ``directories`` begin with ``path`` itself, and come before what is in them.
    """

    path: PurePosixPath
    directories: tuple[PurePosixPath, ...]
    files: tuple[File, ...]
    links: tuple[Link, ...]
    owner: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Step:
    """``argv`` is what is executed: a script is already wrapped in the container's shell."""

    name: str
    argv: tuple[str, ...]
    script: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    workdir: PurePosixPath | None = None
    user: str | None = None
    timeout: float | None = None
    """Seconds; None means as long as it takes."""


@dataclass(frozen=True, slots=True)
class Prune:
    presets: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()




@dataclass(frozen=True, slots=True)
class Compression:
    codec: str = DEFAULT
    level: int | None = None
    """None means the codec's own default."""


@dataclass(frozen=True, slots=True)
class Image:
    """What comes out: exactly one new layer on ``onto``.

    ``onto`` is ``"base"``, ``"scratch"``, an image reference, the absolute path of an OCI layout, or another place as
    ``imgasm copy`` takes it, with an absolute path: ``oci:/DIR:NAME``.
    ``keep`` is empty or the globs of what may leave the container; each must match something there, but for those that
    are ``optional`` as well.
    """

    name: str
    reference: str | None = None
    onto: str | Path = "base"
    keep: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    config: RunConfig = field(default_factory=RunConfig)
    compression: Compression = field(default_factory=Compression)
    budget: Budget = field(default_factory=Budget)
    annotations: dict[str, str] = field(default_factory=dict)


STANDARD_INPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Recipe:
    """``file`` is absolute, or STANDARD_INPUT, which no lock file stands beside."""

    name: str
    file: Path
    base: Base
    vars: dict[str, str] = field(default_factory=dict)
    """For people and reports: secrets are hidden."""
    secrets: Secrets = field(default_factory=Secrets)
    container: Container = field(default_factory=Container)
    sources: tuple[Source, ...] = ()
    files: tuple[File | Folder, ...] = ()
    steps: tuple[Step, ...] = ()
    prune: Prune = field(default_factory=Prune)
    images: tuple[Image, ...] = ()
    source_date_epoch: int | None = None
    """Seconds; None keeps every file's own time."""
    created: str | None = None
    """RFC 3339, or one of ``model.moment``'s words; None makes images without dates."""
