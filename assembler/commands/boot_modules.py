"""``imgasm verify --boot``: an image's modules are inserted into a kernel that runs in QEMU, and the kernel judges."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.atomic_files import spool
from assembler.commands.kernel_verdicts import images_of, modules_below
from assembler.errors import EngineError, ModulesRefused
from assembler.kernel.bootable_kernels import open_bootable
from assembler.kernel.file_tree import Directory
from assembler.kernel.guest import FOLDER, init_script, read_answers
from assembler.kernel.guest_setup import ByInsmod, ByLoader, GuestSetup, find_loader
from assembler.kernel.image_files import ImageFiles
from assembler.kernel.image_modules import modules_of
from assembler.layer.decompress import decompress
from assembler.locks import work_directory
from assembler.measure.initramfs import Initramfs
from assembler.measure.qemu import Qemu, static_busybox
from assembler.model.node import shown
from assembler.model.printable import printable
from assembler.report.kernel_boots import ImageBoots, KernelBoot, ModuleBoot, boot_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.image.image import Image
    from assembler.image.layout import Layout
    from assembler.kernel.bootable_kernels import BootableKernel
    from assembler.kernel.file_tree import FileTree
    from assembler.places.world import World

_SECONDS: Final = 240.0
"""For one boot; what takes two seconds takes a hundred times as long without KVM on a machine that is busy."""
_LARGEST: Final = 1 << 30
"""Bytes of an image's files that a machine has memory for, so that the image's loader can run among them."""

_SHOWN: Final = 15
"""Last lines of a console in an error."""
_EXECUTABLE: Final = 0o755

Inserter = ByInsmod | ByLoader


@dataclass(frozen=True, slots=True)
class Boots:
    """The kernels that are booted, with ``arguments`` on their command lines."""

    kernels: Sequence[BootableKernel]
    arguments: str
    qemu: Qemu
    busybox: Path


@contextmanager
def open_boots(whats: Sequence[str], arguments: str | None, directory: Path) -> Iterator[Boots | None]:
    """The kernels that ``whats`` name, as long as the context lives; packages take room in ``directory`` meanwhile.

    None where none is named. EngineError where a program that boots them is not installed.
    """
    if not whats:
        yield None
        return
    qemu, busybox = Qemu(), static_busybox()
    with ExitStack() as stack:
        kernels = [kernel for what in whats for kernel in stack.enter_context(open_bootable(what, directory))]
        yield Boots(kernels, arguments or "", qemu, busybox)


def boot_layout(layout: Layout, name: str | None, boots: Boots, world: World) -> list[ImageBoots]:
    """All images of the layout, or what it calls ``name``, with the modules' own loader where they have one."""
    return [_boot_image(label, image, layout, boots, world) for label, image in images_of(layout, name)]


def _boot_image(label: str, image: Image, layout: Layout, boots: Boots, world: World) -> ImageBoots:
    world.cache.mkdir(parents=True, exist_ok=True)
    with spool(world.cache) as sink:
        files = ImageFiles(sink, keeps_all=True)
        for blob, _ in image.layers:
            if not layout.has(blob):
                world.progress.warn(f"{label}: the layer {blob.digest} is not here: what is in it is missing")
                continue
            with layout.open_blob(blob.digest) as packed:
                files.lay(decompress(packed))
        paths = files.modules()
        loader = find_loader(files, paths, image.config.get("config") or {})
        if loader is not None and sink.tell() > _LARGEST:
            world.progress.warn(f"{label} is too large to be brought into a machine: its loader is not tried")
            loader = None

        def inserter(kernel: BootableKernel) -> Inserter:
            if loader is None:
                return _by_insmod(files, paths, kernel)
            modules = modules_of(files, paths).meant_for(kernel.release)
            return ByLoader(loader, files, [one for one in modules if one.name in loader.modules], kernel)

        return ImageBoots(image=label, kernels=tuple(_boot(inserter(one), one, boots, world) for one in boots.kernels))


def boot_files(what: str, boots: Boots, world: World) -> ImageBoots:
    """The modules in the directory ``what``, or that one file."""
    path = Path(what)
    tree = Directory(path.parent if path.is_file() else path)
    paths = [path.name.encode()] if path.is_file() else list(modules_below(path))
    done = (_boot(_by_insmod(tree, paths, kernel), kernel, boots, world) for kernel in boots.kernels)
    return ImageBoots(image=what, kernels=tuple(done))


def _by_insmod(tree: FileTree, paths: Sequence[bytes], kernel: BootableKernel) -> ByInsmod:
    named = {shown(path): path for path in paths}
    modules = modules_of(tree, paths).meant_for(kernel.release)
    return ByInsmod([(module, tree.read(named[module.path]) or memoryview(b"")) for module in modules], kernel)


def _boot(inserter: Inserter, kernel: BootableKernel, boots: Boots, world: World) -> KernelBoot:
    with work_directory(world.cache / "boots") as work, world.progress.task(f"booting {printable(kernel.release)}"):
        image, initramfs = work.path / "vmlinuz", work.path / "initramfs"
        image.write_bytes(kernel.image)
        with initramfs.open("wb") as sink:
            _write(inserter.setup, boots.busybox, Initramfs(sink))
        done = boots.qemu.boot(image, initramfs, boots.arguments, _SECONDS)
    answers = read_answers(done.answers)
    if answers is None:
        raise EngineError(f"{printable(kernel.release)} did not come to the end of its modules",
                          detail="\n".join(done.console.splitlines()[-_SHOWN:]) or None,
                          hint="These are its last lines: a module may have crashed it.")  # fmt: skip
    loader = inserter.loader
    return KernelBoot(
        kernel=printable(kernel.name),
        release=printable(kernel.release),
        arguments=boots.arguments,
        accelerator=done.accelerator,
        loader=printable(loader.script) if loader is not None else None,
        said=answers.given["loader"].said if loader is not None else (),
        modules=tuple(
            ModuleBoot(module=printable(one.module.name), path=one.module.path, outcome=one.outcome.value,
                       what=one.what, log=one.log)
            for one in inserter.read(answers)
        ),
    )  # fmt: skip


def _write(setup: GuestSetup, busybox: Path, initramfs: Initramfs) -> None:
    for path in setup.directories:
        initramfs.directory(path)
    for path, target in setup.links.items():
        initramfs.symlink(path, target)
    for path, data in setup.files.items():
        initramfs.file(path, data, _EXECUTABLE)
    initramfs.file(f"{FOLDER}/busybox".encode(), busybox.read_bytes(), _EXECUTABLE)
    initramfs.file(b"init", init_script(setup.prepare, setup.questions), _EXECUTABLE)
    initramfs.end()


def refuse_boots(images: Sequence[ImageBoots]) -> None:
    """ModulesRefused that lists what the kernels said, where one refused a module."""
    wrong = [image for image in images if image.is_refused]
    if wrong:
        raise ModulesRefused(
            f"{', '.join(image.image for image in wrong)}: a kernel that was booted refused modules",
            detail="\n".join(line for image in wrong for line in boot_lines(image)),
            hint="docs/kernels.md says what each reason means. Compile the modules against this kernel's headers.",
        )
