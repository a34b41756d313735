"""Bases that are made here, by mmdebstrap or of a tarball: layouts in the cache, so the next build has them at once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from assembler.engine.bootstrap import make_rootfs
from assembler.image.assemble import assemble
from assembler.image.config import ImageSettings, NewLayer
from assembler.image.pack_layer import pack
from assembler.image.rootfs_tarball import refuse_doubles
from assembler.layer.compress import compressor
from assembler.layer.decompress import decompress
from assembler.layer.rootfs_platform import platform_of_rootfs
from assembler.locks import work_directory
from assembler.model.digest import Digest
from assembler.model.platform import Platform
from assembler.model.run_config import RunConfig
from assembler.model.secrets import without_userinfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.commands.target_platform import TargetPlatform
    from assembler.image.image import Image
    from assembler.image.layout import Layout
    from assembler.image.layout_cache import LayoutCache
    from assembler.layer.read_tar import Readable
    from assembler.model.bootstrap import Bootstrap
    from assembler.progress import Progress

_PATH: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_FAST: Final = "zstd"
_MADE: Final = 2
"""Part of the keys of what is made here. Another number when something else is made of the same words: what the former
way left in a cache, perhaps broken, is not found again. 2: every path stands once."""


@dataclass(frozen=True, slots=True)
class BaseMaker:
    """``refresh`` makes them again although the cache has them."""

    cache: LayoutCache
    target: TargetPlatform
    progress: Progress
    refresh: bool

    def bootstrapped(self, wanted: Bootstrap) -> tuple[Layout, Image]:
        architecture = wanted.architecture or self.target.foreign_architecture
        wanted = replace(wanted, architecture=architecture)
        platform = Platform.of_debian(architecture.partition(",")[0]) if architecture else self.target.wanted
        self.target.check(platform, f"[base.bootstrap] architecture {architecture!r}")
        public = {**asdict(wanted), "mirror": wanted.mirror and without_userinfo(wanted.mirror)}
        key = hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()

        def make(layout: Layout) -> Image:
            self.progress.say(f"making a {wanted.suite} base with mmdebstrap")
            with work_directory(self.cache.folder) as work:
                tar = work.path / "rootfs.tar"
                make_rootfs(wanted, tar, self.progress, inherit=(work.lock,))
                with tar.open("rb") as stream:
                    return self._packed(stream, layout, f"mmdebstrap {wanted.suite}", platform)

        return self._cached(f"bootstrap-{_MADE}-{key[:32]}-{platform.slug}", f"the {wanted.suite} base", make)

    def of_tarball(self, path: Path) -> tuple[Layout, Image]:
        with path.open("rb") as file:
            digest = Digest.of_file(file)

        def make(layout: Layout) -> Image:
            with path.open("rb") as file:
                return self._packed(decompress(file), layout, f"rootfs {path.name}", self.target.wanted)

        return self._cached(f"rootfs-{_MADE}-{digest.short}-{self.target.wanted.slug}", f"the base {path}", make)

    def _packed(self, tar: Readable, layout: Layout, story: str, usual: Platform) -> Image:
        """``usual`` is what it is for where nothing in it says."""
        with self.progress.task("compressing the base") as task:
            descriptor, diff_id = pack(tar, layout, compressor(_FAST), advance=task.advance)
        with layout.open_blob(descriptor.digest) as blob:
            refuse_doubles(decompress(blob), story)
            blob.seek(0)
            platform = platform_of_rootfs(decompress(blob)) or usual
        settings = ImageSettings(RunConfig(env=_PATH), platform)
        return assemble(layout, None, NewLayer(descriptor, diff_id, story), settings)

    def _cached(self, key: str, what: str, make: Callable[[Layout], Image]) -> tuple[Layout, Image]:
        return self.cache.get(key, what, make, refresh=self.refresh)
