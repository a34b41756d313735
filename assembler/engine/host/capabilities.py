"""What root may do in a container (capabilities(7)): the same as in Docker's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.errors import EngineError

if TYPE_CHECKING:
    from assembler.model.container import Container

_NAMES: Final = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""By their numbers (<linux/capability.h>)."""

_USUAL: Final = frozenset({
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE", "NET_RAW",
    "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
})  # fmt: skip


def capabilities_of(container: Container) -> tuple[int, ...]:
    """The numbers of those that ``container`` has. EngineError for a name that is none's."""
    wanted = {name.upper().removeprefix("CAP_") for name in container.cap_add}
    if container.privileged or "ALL" in wanted:
        return tuple(range(len(_NAMES)))
    if unknown := sorted(wanted.difference(_NAMES)):
        raise EngineError(f"there is no capability {unknown[0]}", hint="Check cap_add in [container]: capabilities(7).")
    return tuple(number for number, name in enumerate(_NAMES) if name in wanted | _USUAL)
