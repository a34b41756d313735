"""Prune presets: what package managers and compilers leave behind that no running program reads."""

from __future__ import annotations

from typing import Final

PRESETS: Final[dict[str, tuple[str, ...]]] = {
    "apt": (
        "/var/lib/apt/lists/**",
        "/var/cache/apt/**",
        "/var/lib/dpkg/*-old",
        "/var/cache/debconf/*-old",
        "/var/log/apt/**",
        "/var/log/dpkg.log",
        "/var/log/alternatives.log",
    ),
    "yum": ("/var/cache/yum/**", "/var/cache/dnf/**", "/var/log/yum.log", "/var/log/dnf*.log", "/var/lib/dnf/history*"),
    "apk": ("/var/cache/apk/**", "/etc/apk/cache/**"),
    "docs": ("/usr/share/doc/**", "/usr/share/man/**", "/usr/share/info/**", "/usr/share/gtk-doc/**",
             "/usr/share/lintian/**"),
    "locales": ("/usr/share/locale/**", "/usr/share/i18n/locales/**"),
    "python": ("**/__pycache__/**", "**/*.pyc", "/root/.cache/pip/**"),
    "logs": ("/var/log/**/*.log", "/var/log/*.gz", "/var/log/journal/**"),
    "caches": ("/root/.cache/**", "/home/*/.cache/**", "/var/cache/ldconfig/**", "/var/cache/fontconfig/**",
               "/var/cache/man/**"),
    "tmp": ("/tmp/**", "/var/tmp/**"),
    "kernel-sources": ("/usr/src/linux-*/**", "/lib/modules/*/build", "/usr/lib/modules/*/build",
                       "/lib/modules/*/source", "/usr/lib/modules/*/source"),
    "static-libs": ("/usr/lib/**/*.a", "/usr/local/lib/**/*.a"),
}  # fmt: skip
"""Globs by preset name. A preset removes what a container ADDED there; what the base has stays as the base has it."""
