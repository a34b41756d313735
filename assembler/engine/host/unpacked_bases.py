"""Bases whose layers are unpacked, for all builds of a user.

    KEY/files   the rootfs; it is whole as soon as it is there
    KEY/env     the environment that the image gives to what runs in it, as JSON
    KEY/making  locked by the build that unpacks it
    KEY/using   locked by every build that runs steps on it, together
    KEY/unused  what was files, while it is removed
    work-*/     what is being unpacked; see :func:`assembler.locks.work_directory`
"""

from __future__ import annotations

import json
import os
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.atomic_files import put_tree_in_place
from assembler.engine.client_process import feed
from assembler.engine.host import namespaces
from assembler.errors import EngineError
from assembler.layer.decompress import decompress
from assembler.locks import attempt, exclusive, lock, shared, work_directory
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest
from assembler.private_folder import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from assembler.image.image import Image
    from assembler.layer.read_tar import Readable
    from assembler.progress import Progress

_FILES: Final = "files"
_ENV: Final = "env"
_MAKING: Final = "making"
_USING: Final = "using"
_UNUSED: Final = "unused"


class UnpackedBases:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(
        self, image: Image, layers: Sequence[Callable[[], AbstractContextManager[Readable]]], what: str,
        progress: Progress,
    ) -> str:  # fmt: skip
        """The id of ``image``'s files, which are unpacked if nobody has done so. ``layers`` open its blobs, the lowest
        first; ``what`` is what messages call it."""
        env = (image.config.get("config") or {}).get("Env") or []
        key = Digest.of(canonical_json({"layers": [str(diff_id) for _, diff_id in image.layers], "env": env})).hex[:32]
        home = self.folder / key
        refuse_foreign(home)
        home.mkdir(parents=True, exist_ok=True)
        self._hold(home / _USING)
        if not (home / _FILES).is_dir():
            with exclusive(home / _MAKING, lambda: progress.say(f"another build is unpacking {what}; waiting for it")):
                if not (home / _FILES).is_dir():
                    progress.say(f"unpacking {what}")
                    self._unpack(layers, home, env)
        return key

    def _hold(self, path: Path) -> None:
        """As long as this object is there nobody removes the base."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, descriptor)
        lock(descriptor, path, shared=True)

    def _unpack(
        self, layers: Sequence[Callable[[], AbstractContextManager[Readable]]], home: Path, env: Sequence[str]
    ) -> None:
        with work_directory(self.folder) as work:
            files = work.path / _FILES
            files.mkdir(mode=0o755)
            try:
                for open_layer in layers:
                    with open_layer() as blob:
                        command = [*namespaces.as_root(), *namespaces.program("apply_layer", str(files))]
                        feed(command, decompress(blob), "could not unpack the base")
                (home / _ENV).write_text(json.dumps(env), encoding="utf-8")
                put_tree_in_place(files, home / _FILES)
            finally:
                namespaces.remove(files)

    @contextmanager
    def using(self, key: str) -> Iterator[tuple[Path, dict[str, str]]]:
        """The files, and the environment; they stay as long as the context lives."""
        home = self.folder / key
        with shared(home / _USING):
            if not (home / _FILES).is_dir():
                raise EngineError("the unpacked base was removed meanwhile", hint="Build again.")
            pairs = json.loads((home / _ENV).read_text(encoding="utf-8"))
            yield home / _FILES, dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def unused(self, wanted: frozenset[Path]) -> Iterator[Path]:
        """The files of bases that no build uses, but for those that are ``wanted``: under another name, so that nobody
        takes them for a base."""
        for home in sorted({using.parent for using in self.folder.glob(f"*/{_USING}")} - wanted):
            with attempt(home / _MAKING) as alone, attempt(home / _USING) as free:
                if alone and free and (home / _FILES).exists() and not (home / _UNUSED).exists():
                    (home / _FILES).rename(home / _UNUSED)
                if alone and (home / _UNUSED).exists():
                    yield home / _UNUSED
