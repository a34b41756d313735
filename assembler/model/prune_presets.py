"""Prune presets: what package managers and compilers leave behind that no running program reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Preset:
    """``purpose`` is the sentence that its users choose it by. It removes what a container ADDED at ``globs``; what the
    base has there stays as the base has it."""

    purpose: str
    globs: tuple[str, ...]


PRESETS: Final[dict[str, Preset]] = {
    "apt": Preset(
        "Package lists, archives, logs and backups of apt and dpkg.",
        ("/var/lib/apt/lists/**", "/var/cache/apt/**", "/var/lib/dpkg/*-old", "/var/cache/debconf/*-old",
         "/var/log/apt/**", "/var/log/dpkg.log", "/var/log/alternatives.log")),
    "yum": Preset(
        "Caches, logs and history of yum and dnf.",
        ("/var/cache/yum/**", "/var/cache/dnf/**", "/var/log/yum.log", "/var/log/dnf*.log", "/var/lib/dnf/history*")),
    "apk": Preset("Caches of apk.", ("/var/cache/apk/**", "/etc/apk/cache/**")),
    "docs": Preset(
        "Documentation, manual pages and info files.",
        ("/usr/share/doc/**", "/usr/share/man/**", "/usr/share/info/**", "/usr/share/gtk-doc/**",
         "/usr/share/lintian/**")),
    "locales": Preset(
        "Translations and the sources of locales; programs speak English.",
        ("/usr/share/locale/**", "/usr/share/i18n/locales/**")),
    "python": Preset(
        "Python's compiled files and pip's cache; Python compiles again when it starts.",
        ("**/__pycache__/**", "**/*.pyc", "/root/.cache/pip/**")),
    "logs": Preset(
        "Log files, rotated logs and the journal.",
        ("/var/log/**/*.log", "/var/log/*.gz", "/var/log/journal/**")),
    "caches": Preset(
        "Caches of users, fontconfig, man and the linker; the linker's makes programs start faster.",
        ("/root/.cache/**", "/home/*/.cache/**", "/var/cache/ldconfig/**", "/var/cache/fontconfig/**",
         "/var/cache/man/**")),
    "tmp": Preset("Everything in /tmp and /var/tmp.", ("/tmp/**", "/var/tmp/**")),
    "kernel-sources": Preset(
        "Kernel sources and headers, and the links to them in /lib/modules.",
        ("/usr/src/linux-*/**", "/lib/modules/*/build", "/usr/lib/modules/*/build", "/lib/modules/*/source",
         "/usr/lib/modules/*/source")),
    "static-libs": Preset(
        "Static libraries, which only linking needs.", ("/usr/lib/**/*.a", "/usr/local/lib/**/*.a")),
}  # fmt: skip
