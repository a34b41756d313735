"""A kernel's headers as witnesses: Module.symvers, .config and the release, as kbuild leaves them for others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from assembler.kernel.kernel import Kernel, known, machine_of
from assembler.kernel.symbols import Listed, read_symvers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from assembler.kernel.file_tree import FileTree

SYMVERS: Final = b"Module.symvers"
_CONFIGS: Final = (b".config", b"include/config/auto.conf")
_RELEASES: Final = (b"include/generated/utsrelease.h", b"include/config/kernel.release")
_DEBIAN: Final = b".kernelvariables"
_PARENTS: Final = (b"usr/src", b"usr/src/kernels")
_RELEASE_DIRECTORIES: Final = (b"lib/modules", b"usr/lib/modules")
_OPTION: Final = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE)


def find_headers(tree: FileTree, also: Iterable[bytes] = ()) -> list[bytes]:
    """The directories of ``tree`` that are a kernel's headers, links resolved: itself, below /usr/src, where
    /lib/modules/RELEASE/build leads, or one of ``also``."""
    return [place for place in _places(tree, also) if _release(tree, place)]


def _places(tree: FileTree, also: Iterable[bytes]) -> list[bytes]:
    places = [b"", *also, *(b"%s/%s" % (parent, name) for parent in _PARENTS for name in tree.names(parent))]
    places += [b"%s/%s/build" % (parent, name) for parent in _RELEASE_DIRECTORIES for name in tree.names(parent)]
    return [place for place in dict.fromkeys(tree.resolve(place) for place in places) if place is not None]


def evidence_files(tree: FileTree, also: Iterable[bytes] = ()) -> list[bytes]:
    """The files that :func:`find_headers` and :func:`read_headers` would read, whether they are there or not."""
    names = (SYMVERS, _DEBIAN, *_CONFIGS, *_RELEASES)
    return [b"%s/%s" % (place, name) for place in _places(tree, also) for name in names]


def read_headers(tree: FileTree, at: bytes, name: str) -> Kernel:
    """What the headers in the directory ``at`` tell. ``name`` is what people call them."""
    config = next((text for file in _CONFIGS if (text := tree.text(b"%s/%s" % (at, file)))), None)
    options = None if config is None else read_config(config)
    symvers = tree.text(b"%s/%s" % (at, SYMVERS))
    release = _release(tree, at)
    is_debian = "DEBIAN_KERNEL" in (tree.text(b"%s/%s" % (at, _DEBIAN)) or "")
    return known(
        name,
        f"headers {name}",
        release=release,
        config=options,
        vermagic=None if options is None else make_vermagic(release, options),
        symbols=None if symvers is None else Listed(dict(read_symvers(symvers)), is_complete=True),
        machine=None if options is None else machine_of(options),
        compiler=None if options is None else options.get("CC_VERSION_TEXT"),
        is_strict=True if is_debian else None,
    )


def read_config(text: str) -> dict[str, str]:
    """The options of a .config that are set, without CONFIG_."""
    return {name: value.strip('"') for name, value in _OPTION.findall(text)}


def make_vermagic(release: str, config: Mapping[str, str]) -> str | None:
    """What a kernel of this configuration wants modules to say (include/linux/vermagic.h, asm/vermagic.h).

    None where it hangs on more than the configuration.
    """
    arch = _arch_words(config)
    if arch is None or any(config.get(name) == "y" for name in _SHUFFLED):
        return None
    return " ".join((release, *_common_words(config), *arch))


_SHUFFLED: Final = ("RANDSTRUCT", "RANDSTRUCT_FULL", "RANDSTRUCT_PERFORMANCE", "GCC_PLUGIN_RANDSTRUCT")
"""With these a hash stands at the end."""


def _common_words(config: Mapping[str, str]) -> Iterator[str]:
    if config.get("SMP") == "y":
        yield "SMP"
    if config.get("PREEMPT_BUILD") == "y" or (config.get("PREEMPT") == "y" and config.get("PREEMPT_RT") != "y"):
        yield "preempt"
    elif config.get("PREEMPT_RT") == "y":
        yield "preempt_rt"
    if config.get("MODULE_UNLOAD") == "y":
        yield "mod_unload"
    if config.get("MODVERSIONS") == "y":
        yield "modversions"


def _arch_words(config: Mapping[str, str]) -> tuple[str, ...] | None:
    for option, words in (("X86_64", ()), ("S390", ()), ("ARM64", ("aarch64",)), ("RISCV", ("riscv",))):
        if config.get(option) == "y":
            return words
    return None


def _release(tree: FileTree, at: bytes) -> str:
    for file in _RELEASES:
        text = tree.text(b"%s/%s" % (at, file))
        if text:
            quoted = re.search(r'UTS_RELEASE\s+"([^"]+)"', text)
            return quoted[1] if quoted else text.strip().partition("\n")[0]
    return ""
