"""What a guest is given to insert modules with, and what it is asked: by insmod, or by the image's own loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from assembler.kernel.boot_outcomes import Insertion, of_insmod, of_loader
from assembler.kernel.compression import Unpackable, packing_of, unpack
from assembler.kernel.guest import FOLDER, Question
from assembler.kernel.loader_config import find_loaders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.kernel.bootable_kernels import BootableKernel
    from assembler.kernel.file_tree import FileTree
    from assembler.kernel.guest import Answers
    from assembler.kernel.image_files import ImageFiles
    from assembler.kernel.module import Module

_ROOT: Final = b"image"
"""Where the image's files are in the guest."""
_OWN: Final = f"/{FOLDER}/own"
"""Where the kernel's own modules are, of which only those are brought that somebody needs."""
_LOADER: Final = "load"
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class GuestSetup:
    """``files`` and ``links`` are by path, ``prepare`` what is run before the ``questions`` are asked."""

    files: dict[bytes, bytes | memoryview] = field(default_factory=dict)
    links: dict[bytes, bytes] = field(default_factory=dict)
    directories: list[bytes] = field(default_factory=list)
    prepare: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImageLoader:
    """The image's own: what starts it, and the modules that it is told to insert, in order."""

    script: str
    command: tuple[str, ...]
    environment: tuple[str, ...]
    modules: tuple[str, ...]


def find_loader(tree: FileTree, paths: Sequence[bytes], run: Mapping[str, Any]) -> ImageLoader | None:
    """The script ``load`` beside a ``modules.conf``, started as the image's config section ``run`` has it, or by its
    shell."""
    for loader in find_loaders(tree, paths):
        directory = loader.path.rpartition(b"/")[0]
        path = directory + b"/" + _LOADER.encode()
        if not tree.has_file(path):
            continue
        script = "/" + path.decode("utf-8", "surrogateescape")
        entrypoint = [str(word) for word in run.get("Entrypoint") or ()]
        command = entrypoint[: entrypoint.index(script) + 1] if script in entrypoint else ["/bin/sh", script]
        environment = [str(each) for each in run.get("Env") or ()]
        return ImageLoader(script, tuple(command), (_PATH, *environment), loader.modules)
    return None


class ByInsmod:
    """busybox' insmod inserts ``modules`` one after another, those of the kernel's own before that they need."""

    loader = None

    def __init__(self, modules: Sequence[tuple[Module, memoryview]], kernel: BootableKernel) -> None:
        self._modules = [module for module, _ in modules]
        self.setup = GuestSetup()
        for name, path in _own(self._modules, kernel, self.setup).items():
            self.setup.prepare.append(f"[ -d /sys/module/{name} ] || insmod {path}")
        for number, (_, data) in enumerate(modules):
            file = f"{FOLDER}/modules/{number}.ko"
            self.setup.files[file.encode()] = _plain(data)
            self.setup.questions.append(Question(str(number), ("insmod", f"/{file}")))

    def read(self, answers: Answers) -> list[Insertion]:
        return of_insmod(self._modules, [answers.given[question.name] for question in self.setup.questions])


class ByLoader:
    """The image's own ``loader`` inserts ``modules``, in the image's root, with /lib/modules of the host mounted."""

    def __init__(
        self, loader: ImageLoader, files: ImageFiles, modules: Sequence[Module], kernel: BootableKernel
    ) -> None:
        self.loader = loader
        self._modules = modules
        self.setup = setup = GuestSetup()
        for path, target in files.all():
            if target is not None:
                setup.links[_ROOT + b"/" + path] = target
            elif (data := files.data(path)) is not None:
                setup.files[_ROOT + b"/" + path] = data
        own = _own(modules, kernel, setup)
        lists = {path: [own[need] for need in _needs(name, kernel) if need in own] for name, path in own.items()}
        told = [f"{_below(path)}: {' '.join(map(_below, needs))}\n" for path, needs in lists.items()]
        setup.files[f"{FOLDER}/own/modules.dep".encode()] = "".join(told).encode()
        folder = (files.resolve(b"lib/modules") or b"lib/modules") + b"/" + kernel.release.encode()
        setup.directories += [_ROOT + b"/" + each for each in (b"proc", b"sys", b"dev", b"tmp")]
        root = _ROOT.decode()
        setup.prepare += [f"mount --bind /{each} /{root}/{each}" for each in ("proc", "sys", "dev")]
        if files.resolve(folder) is None or not files.names(folder):
            setup.directories.append(_ROOT + b"/" + folder)
            setup.prepare.append(f"mount --bind {_OWN} /{root}/{folder.decode('utf-8', 'surrogateescape')}")
        enter = ("env", "-i", *loader.environment, f"/{FOLDER}/bin/chroot", f"/{root}", *loader.command)
        setup.questions.append(Question("loader", enter))

    def read(self, answers: Answers) -> list[Insertion]:
        return of_loader(self._modules, answers, answers.given["loader"])


def _own(modules: Sequence[Module], kernel: BootableKernel, setup: GuestSetup) -> dict[str, str]:
    """The kernel's own modules that ``modules`` need, in order: their names and where the guest has them."""
    names = {module.name for module in modules}
    needed = [need for module in modules for need in module.depends if need not in names]
    own = {}
    for module, data in kernel.own_modules(needed):
        own[module.name] = f"{_OWN}/{module.name}.ko"
        setup.files[own[module.name].lstrip("/").encode()] = _plain(data)
    return own


def _needs(name: str, kernel: BootableKernel) -> list[str]:
    """All that the kernel's own module ``name`` needs, the last first, as modules.dep has it."""
    return [module.name for module, _ in kernel.own_modules([name])][-2::-1]


def _below(path: str) -> str:
    return path.removeprefix(_OWN + "/")


def _plain(data: memoryview) -> bytes | memoryview:
    """A module's bytes as the kernel takes them; one that is damaged stays as it is, for the kernel to say so."""
    packing = packing_of(data)
    try:
        return unpack(data, packing) if packing else data
    except Unpackable:
        return data
