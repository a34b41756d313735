"""The one container of a build, while it runs."""

from __future__ import annotations

import io
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from assembler.engine import init_process, mounted_over, step
from assembler.engine.client_process import ask, feed, reading
from assembler.engine.output_lines import Lines
from assembler.engine.running import AS_ROOT, READING
from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from assembler.engine.container import Bind, ContainerSpec
    from assembler.engine.overlay_directories import NotReadableInPlace, OverlayDirs
    from assembler.engine.running import Running, Volume

_WRITE: Final = 'umask 022; mkdir -p "${1%/*}/"; cat >"$1"; chmod "$2" "$1"; cd "${1%/*}/"; pwd -P'

_MAKE: Final = """
umask 022
command -v tar >/dev/null || { echo "the container has no tar, which a [[file]] of a directory needs" >&2; exit 1; }
while IFS= read -r directory; do
    [ -d "$directory" ] || { mkdir -p "$directory" && chown "$1" "$directory"; } || exit 1
done"""

_GIVE: Final = 'while IFS= read -r link; do chown -h "$1" "$link" || exit 1; done'


@dataclass(frozen=True, slots=True)
class Aside:
    """What lies in a container's own files, and is none of the recipe's: mount points of the image's VOLUMEs, and
    copied sources with their bytes. Paths in the rootfs."""

    volumes: tuple[bytes, ...] = ()
    copied: dict[bytes, int] = field(default_factory=dict)


class Session:
    """Made by a runner of containers, and only valid within its context."""

    def __init__(self, container: Running, spec: ContainerSpec, warn: Callable[[str], object]) -> None:
        self.container = container
        self.info = container.info
        self.spec = spec
        self._warn = warn
        self.mount_table: list[init_process.Mount] = []
        """What the engine mounted in the container. What steps mount there is the container's own business."""
        self.volumes: tuple[bytes, ...] = ()
        """Where the image's VOLUMEs could not be taken away: paths in the rootfs, to which what is there belongs."""
        self.aside = Aside()
        self._seen: dict[bytes, mounted_over.Sight | None] = {}

    def prepare(self, unshared: Iterable[Bind], former: Aside | None = None) -> None:
        """Once, before anything else runs in the container. ``unshared``: what the engine could not mount.

        ``former`` is :attr:`aside` of the session that was in this container before.
        """
        self._check_programs()
        self.mount_table = self._read_mount_table()
        volumes = self.container.volumes()
        scratch, declared = self._split(volumes)
        self.aside = former or Aside(tuple(point.strip(b"/") for point in declared))
        if declared and self.pid is not None:
            mounted_over.take_away(self.pid, declared, self.mount_table)
            self.mount_table = self._read_mount_table()
            _, declared = self._split(volumes)
        self.volumes = tuple(point.strip(b"/") for point in declared)
        memory = (os.fsencode(self.spec.in_memory),) if self.spec.in_memory is not None else ()
        self._seen = dict.fromkeys(mounted_over.watched(self.mount_table, (*scratch, *declared, *memory)))
        self._seen = self._look()
        for bind in unshared:
            self._copy_in(bind)

    def _split(self, volumes: Sequence[Volume]) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
        """Where scratch is, and where volumes of the image hide files that are the container's own."""
        ours = {str(path) for path in (*self.spec.container.scratch, *self.spec.caches)}
        scratch = [volume for volume in volumes if volume.path in ours]
        points = mounted_over.points_of([volume for volume in volumes if volume not in scratch], self.mount_table)
        return mounted_over.points_of(scratch, self.mount_table), mounted_over.hiding(points, self.mount_table)

    @property
    def name(self) -> str:
        """The container's name, for people."""
        return self.container.name

    @property
    def pid(self) -> int | None:
        """Process 1 of the container as this machine numbers it; None if it runs elsewhere."""
        return self.container.pid

    def run(self, command: step.Command, on_output: Callable[[str], None] | None = None) -> None:
        """Runs ``command`` as a step, and gives each line of its output to ``on_output`` as it comes.

        A timeout kills all that runs in the container. Variables that the spec's secrets touch are in no process list.
        Raises :class:`StepFailed` with the last lines.
        """
        command, lines = command.hiding(self.spec.secrets), Lines(on_output)
        try:
            status = step.follow(self.container.exec(command.words, command.how), lines, command.timeout,
                                 step.assignments(command.hidden_env))
        except step.TimedOut:
            self._kill("KILL")
            raise step.timeout_failure(command, lines.tail) from None
        if status:
            raise step.failure(command, status, lines.tail, self._trouble(command, status))

    def write_file(self, path: PurePosixPath, stream: BinaryIO, mode: int, owner: str = "0:0") -> None:
        """A file of ``owner``'s (user:group, by number) with these permission bits; missing parents are made, root's
        and 0755. Links are followed."""
        what = f"could not write {path} in the container"
        self._write(path, stream, mode, what)
        if owner != "0:0":  # which takes setuid away
            script = 'chown "$2" "$1" && chmod "$3" "$1"'
            ask(self.container.exec(["/bin/sh", "-c", script, "sh", str(path), owner, f"{mode:o}"]), what)

    def write_folder(
        self, directories: Sequence[PurePosixPath], tar: BinaryIO, links: Sequence[PurePosixPath], owner: str
    ) -> None:
        """The ``directories`` as far as they are missing, ``owner``'s and 0755, and what ``tar`` has, whose paths begin
        at the root; among it the symbolic ``links``. It needs a program tar in the container."""
        what = f"could not write {directories[0]} in the container"
        self._for_each(directories, _MAKE, owner, what)
        feed(self.container.exec(["tar", "-x", "-p", "-m", "-f", "-", "-C", "/"], READING), tar, what)
        if links and owner != "0:0":  # busybox leaves them to root
            self._for_each(links, _GIVE, owner, what)

    def _for_each(self, paths: Sequence[PurePosixPath], script: str, owner: str, what: str) -> None:
        """``script`` reads a path a line."""
        names = io.BytesIO(b"".join(os.fsencode(path) + b"\n" for path in paths))
        feed(self.container.exec(["/bin/sh", "-c", script, "sh", owner], READING), names, what)

    def read_text(self, path: str) -> str:
        return ask(self.container.exec(["cat", path]), f"could not read {path} in the container")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing in the container runs inside this context, so that its files stay as they are.

        A container that can't go on afterwards is worth a warning: all is done, and it can be removed as it is.
        """
        frozen = self._freeze()
        try:
            yield
        finally:
            try:
                self._thaw(frozen=frozen)
            except EngineError as error:
                self._warn(error.message)

    def exports(self) -> dict[bytes, Callable[[], AbstractContextManager[BinaryIO]]]:
        """Tar streams that make up the rootfs, by the directory that each is of: first the whole, then the volumes."""
        volumes = {path: partial(self.container.export_directory, b"/" + path) for path in self.volumes}
        return {b"": self.container.export, **volumes}

    def changed_mounts(self) -> list[bytes]:
        """The engine's own mounts where something was written since the start: no part of the rootfs, it would be lost.

        Paths in the rootfs. Neither scratch, which is for that, nor :attr:`volumes`, which are read.
        """
        try:
            now = self._look()
        except EngineError as error:  # a step that removed the shell was the last one
            self._warn(f"{error.message}; what was written to {', '.join(map(os.fsdecode, self._seen))} is lost")
            return []
        return [point.strip(b"/") for point, seen in self._seen.items() if now[point] != seen]

    def overlay(self) -> OverlayDirs | NotReadableInPlace:
        """The directories that the rootfs consists of, or why they can't be read here."""
        return self.container.overlay()

    def mounts(self) -> tuple[bytes, ...]:
        """The paths in the rootfs that something is mounted over: proc, scratch, sources, etc/resolv.conf, ...

        With a slash at its end: a directory that was made to mount a volume there, whose files belong to the rootfs.
        """
        mounted = {mount.point.strip(b"/") for mount in self.mount_table}
        own = {path + b"/" for path in self.aside.volumes}
        return tuple(sorted(mounted.union(self.aside.copied, own).difference(self.volumes) - {b""}))

    @property
    def forgets_links(self) -> bool:
        """Does the rootfs lie on a file system that does not always know a file's other names (fuse-overlayfs)?"""
        root = next((mount for mount in reversed(self.mount_table) if mount.point == b"/"), None)
        return root is not None and root.kind.startswith("fuse")

    def scratch_directories(self, *, caches: bool = False) -> dict[str, Path]:
        """The scratch directories, or the ``caches``, as this machine sees them, by their path in the container.

        Without those that can't be read: the engine is on another machine, or another user's.
        """
        wanted = {str(path) for path in (self.spec.caches if caches else self.spec.container.scratch)}
        return {volume.path: volume.host for volume in self.container.volumes()
                if volume.path in wanted and volume.host is not None}

    def size_rw(self) -> int | None:
        """Bytes in the writable layer as the engine counts them: slow, but it works with remote engines.

        Sources that had to be copied in are not among them.
        """
        size = self.container.size_rw()
        return size - sum(self.aside.copied.values()) if size is not None else None

    def _copy_in(self, bind: Bind) -> None:
        """For an engine that can't see ``bind.host`` and so can't mount it: the same bytes at the same path.

        As what is mounted, it is not part of the container's files: not of :meth:`size_rw`, and among :meth:`mounts`.
        """
        what = f"could not copy {bind.host} to {bind.path} in the container"
        try:
            with bind.host.open("rb") as stream:
                directory = self._write(bind.path, stream, 0o444, what, new=True)
        except EngineError as error:
            hint = "This engine can mount no file of this machine's, so give the source a path that the base lacks."
            raise EngineError(error.message, hint=error.hint or hint, detail=error.detail) from error
        real = PurePosixPath(directory, bind.path.name)
        self.aside.copied[os.fsencode(real).strip(b"/")] = bind.host.stat().st_size

    def _write(self, path: PurePosixPath, stream: BinaryIO, mode: int, what: str, *, new: bool = False) -> str:
        """``new``: what is there already is not replaced but an error. Returns the real directory of ``path``."""
        shell = ["/bin/sh", "-Cec" if new else "-ec", _WRITE, "sh", str(path), f"{mode:o}"]
        return feed(self.container.exec(shell, READING), stream, what).rstrip("\n")

    def _check_programs(self) -> None:
        """EngineError where this machine has no emulator for an image of another platform: nothing runs then."""
        engine, image = self.info, self.spec.platform
        if image is None or engine.platform.runs(image):
            return
        try:
            ask(self.container.exec(["/bin/sh", "-c", ":"]), "its /bin/sh does not run")
        except EngineError as error:
            raise EngineError(
                f"the base is for {image}, and {engine.name} on {engine.platform} can't run its programs",
                hint="Install an emulator on the engine's machine (apt-get install qemu-user-static), or take a base "
                     f"for {engine.platform}.",
                detail=error.message,
            ) from error

    def _look(self) -> dict[bytes, mounted_over.Sight | None]:
        """From here where root can: an ``exec`` takes an engine 0.1 s, and this is asked after each step."""
        if not self._seen:
            return {}
        what = "could not look at what is mounted in the container"
        if self.pid is not None and os.geteuid() == 0:
            try:
                return {point: mounted_over.look_from_here(self.pid, point, seen) for point, seen in self._seen.items()}
            except OSError as error:
                raise EngineError(f"{what}: {error.strerror}") from error
        answer = ask(self.container.exec(mounted_over.look(tuple(self._seen), self.spec.build)), what)
        return dict(zip(self._seen, ((text,) for text in answer.split(f"\0{self.spec.build}\0")), strict=False))

    def _read_mount_table(self) -> list[init_process.Mount]:
        if self.pid is not None:
            return init_process.mounts_of(self.pid)
        what = "could not read the container's mounts"
        with reading(self.container.exec(["cat", "/proc/1/mountinfo"]), what) as stream:
            return init_process.read_mounts(stream.read())

    def _trouble(self, command: step.Command, status: int) -> str | None:
        """What the engine knows about the container that explains a failed step. EngineError where it no longer knows
        the container: then it was not a step's fault."""
        if status > 128:
            time.sleep(0.5)  # when the container ends, its steps are killed, and the engine learns of it a moment later
        try:
            return self.container.trouble()
        except EngineError as error:
            raise EngineError(
                f"the container or {self.info.name} itself went away during step {command.name!r}",
                hint=f"See what the log of {self.info.name} says, then build again; imgasm clean removes what stays.",
                detail=error.message,
            ) from error

    def _freeze(self) -> bool:
        """Not every engine can freeze (rootless podman on cgroups v1): then all processes are stopped one by one."""
        try:
            self.container.freeze()
        except EngineError:
            self._kill("STOP")
            return False
        return True

    def _thaw(self, *, frozen: bool) -> None:
        if frozen:
            self.container.thaw()
        else:
            self._kill("CONT")

    def _kill(self, signal: str) -> None:
        """A signal for every process in the container but the first and the shell that sends it (kill(2), pid -1)."""
        ask(self.container.exec(["/bin/sh", "-c", f"kill -{signal} -1"], AS_ROOT), f"could not send {signal}")
