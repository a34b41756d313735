"""The kernel that runs on this machine as a witness: what it says in /proc and /sys, and its files."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from assembler.kernel.compression import Unpackable, unpack
from assembler.kernel.kernel import Host, Kernel, known, machine_of
from assembler.kernel.kernel_headers import make_vermagic, read_config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.kernel.file_tree import FileTree

NAME: Final = "running"


def running_release() -> str:
    return os.uname().release


def read_running(tree: FileTree, release: str) -> Kernel:
    """What the kernel says; ``tree`` is this machine's root."""
    config = _config(tree, release)
    options = None if config is None else read_config(config)
    return known(
        NAME,
        "the running kernel",
        release=release,
        config=options,
        vermagic=None if options is None else make_vermagic(release, options),
        machine=None if options is None else machine_of(options),
        compiler=None if options is None else options.get("CC_VERSION_TEXT"),
        host=read_host(tree),
    )


def with_available(kernel: Kernel) -> Kernel:
    """It has what is in it, and what lies in /lib/modules."""
    loaded = kernel.host.loaded or {}
    available = frozenset(loaded) | (kernel.in_tree or frozenset())
    return replace(kernel, host=replace(kernel.host, available=available))


def read_host(tree: FileTree) -> Host:
    lockdown = re.search(r"\[(\w+)\]", tree.text(b"sys/kernel/security/lockdown") or "")
    enforce = (tree.text(b"sys/module/module/parameters/sig_enforce") or "").strip()
    modules = tree.text(b"proc/modules")
    return Host(
        sig_enforce=enforce == "Y" if enforce else None,
        lockdown=lockdown[1] if lockdown else None,
        loaded=None if modules is None else dict(_loaded(tree, modules.splitlines())),
        firmware_path=(tree.text(b"sys/module/firmware_class/parameters/path") or "").strip() or None,
    )


def _loaded(tree: FileTree, lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name = line.partition(" ")[0]
        yield name, (tree.text(b"sys/module/%s/version" % name.encode()) or "").strip()


def _config(tree: FileTree, release: str) -> str | None:
    packed = tree.read(b"proc/config.gz")
    if packed:
        try:
            return unpack(packed, "gzip").decode("utf-8", "replace")
        except Unpackable:
            pass
    places = (f"boot/config-{release}", f"lib/modules/{release}/config", f"usr/lib/modules/{release}/config")
    return next((text for place in places if (text := tree.text(place.encode()))), None)
