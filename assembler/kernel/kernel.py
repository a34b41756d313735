"""What is known of a kernel, and where each fact came from. What nobody told is None, and is never guessed."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.kernel.module_signature import Key
    from assembler.kernel.symbols import Symbols


class Machine(NamedTuple):
    """``number`` is ELF's e_machine, ``end`` the byte order as struct has it."""

    number: int
    bits: int
    end: str = "<"


_MACHINES: Final = (
    ("X86_64", Machine(62, 64)), ("X86_32", Machine(3, 32)), ("ARM64", Machine(183, 64)), ("ARM", Machine(40, 32)),
    ("S390", Machine(22, 64, ">")), ("LOONGARCH", Machine(258, 64)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """What only a machine that runs the kernel can tell.

    ``sig_enforce``   was it started with module.sig_enforce=1
    ``lockdown``      ``none``, ``integrity`` or ``confidentiality``
    ``loaded``        the modules that are in the kernel, with their versions
    ``available``     which of the kernel's own modules it has, in the kernel or as files; None: as many as it ships
    ``firmware_path`` where it looks for firmware first
    """

    sig_enforce: bool | None = None
    lockdown: str | None = None
    loaded: Mapping[str, str] | None = None
    available: frozenset[str] | None = None
    firmware_path: str | None = None

    @classmethod
    def of_command_line(cls, text: str) -> Host:
        """What the kernel's command line ``text`` says (Documentation/admin-guide/kernel-parameters.txt).

        It is all of it: what it does not mention is as the kernel's configuration has it.
        """
        words = {word.partition("=")[0].replace("-", "_"): word.partition("=")[2] for word in text.split()}
        enforce = "module.sig_enforce" in words and words["module.sig_enforce"] in ("", "1", "y", "Y")
        return cls(enforce, words.get("lockdown"), firmware_path=words.get("firmware_class.path"))


@dataclass(frozen=True, slots=True)
class Kernel:
    """``name`` is what people called it, ``origins`` say of each other field what told it.

    ``config``       the options that are set, without CONFIG_, with their values; None: nobody showed its .config
    ``struct_size``  of its struct module, in bytes
    ``keys``         those that it trusts from its build on
    ``in_tree``      the names of the modules that were shipped with it, ``built_in`` of what is no module in it
    ``unread``       which witness could not be read, and why
    ``is_strict``    does it refuse a symbol for which a module has no CRC: Debian's does, others warn
    """

    name: str
    release: str = ""
    vermagic: str | None = None
    config: Mapping[str, str] | None = None
    symbols: Symbols | None = None
    struct_size: int | None = None
    keys: tuple[Key, ...] | None = None
    in_tree: frozenset[str] | None = None
    built_in: frozenset[str] | None = None
    machine: Machine | None = None
    compiler: str | None = None
    is_strict: bool | None = None
    unread: str | None = None
    host: Host = Host()
    origins: Mapping[str, str] = field(default_factory=dict)

    def started_with(self, host: Host) -> Kernel:
        """The same, as its command line has it; what the machine itself told is believed rather."""
        if "host" in self.origins:
            return self
        return replace(self, host=host, origins={**self.origins, "host": "the command line"})

    def has(self, option: str) -> bool | None:
        """Whether CONFIG_``option`` is y or m; None where nobody knows."""
        return None if self.config is None else self.config.get(option) in ("y", "m")

    def origin(self, *names: str) -> tuple[str, ...]:
        """What told these facts, each once."""
        return tuple(dict.fromkeys(self.origins[name] for name in names if name in self.origins))


def known(name: str, origin: str, **facts: object) -> Kernel:
    """A kernel of which one witness told ``facts``."""
    told = {key: value for key, value in facts.items() if value is not None}
    return replace(Kernel(name), origins=dict.fromkeys(told, origin), **told)  # type: ignore[arg-type]


def combined(witnesses: Sequence[Kernel]) -> Kernel:
    """One kernel that several told of. The first that knows a fact is believed."""
    first, *others = witnesses
    origins = dict(first.origins)
    facts: dict[str, object] = {}
    for other in others:
        for name, origin in other.origins.items():
            if name not in origins:
                origins[name], facts[name] = origin, getattr(other, name)
    assert facts.keys() <= {one.name for one in fields(Kernel)}
    return replace(first, origins=origins, **facts)  # type: ignore[arg-type]


def machine_of(config: Mapping[str, str]) -> Machine | None:
    if config.get("RISCV") == "y":
        return Machine(243, 64 if config.get("64BIT") == "y" else 32)
    if config.get("PPC64") == "y":
        return Machine(21, 64, "<" if config.get("CPU_LITTLE_ENDIAN") == "y" else ">")
    return next((machine for option, machine in _MACHINES if config.get(option) == "y"), None)
