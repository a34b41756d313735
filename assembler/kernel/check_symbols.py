"""Whether a module's symbols can be resolved: simplify_symbols() and resolve_symbol() in kernel/module/main.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from assembler.kernel.check_format import has_versions
from assembler.kernel.symbols import VMLINUX
from assembler.kernel.verdict import Reason, Weight, few

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.kernel.kernel import Kernel
    from assembler.kernel.module import Module
    from assembler.kernel.symbols import Export

LAYOUT: Final = "module_layout"
"""The symbol whose CRC stands for struct module and the others that a module has in common with the kernel."""
_IGNORED: Final = frozenset({"_GLOBAL_OFFSET_TABLE_", ".TOC."})
_MODULES_ONLY: Final = "module:"
REFUSED, UNKNOWN, WARNING = Weight.REFUSED, Weight.UNKNOWN, Weight.WARNING


@dataclass(slots=True)
class Inserted:
    """The modules of ours that are in the kernel by now, and what has become of the others.

    ``later`` says of symbols which module of ours will have them, ``refused`` which had them and was not taken.
    """

    later: dict[str, str]
    exports: dict[str, Export] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    proprietary: set[str] = field(default_factory=set)

    def insert(self, module: Module, *, is_proprietary: bool) -> None:
        self.exports.update(module.exports)
        self.names.add(module.name)
        if is_proprietary:
            self.proprietary.add(module.name)

    def refuse(self, module: Module) -> None:
        self.refused.update(dict.fromkeys(module.exports, module.name))


@dataclass(slots=True)
class Links:
    """Where one module's imports lead. ``needs``: by one of the kernel's own modules, the symbols that it has.

    ``is_final``: nobody else can have what is ``missing``.
    """

    is_final: bool

    found: dict[str, Export] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    needs: dict[str, list[str]] = field(default_factory=dict)


def resolve(module: Module, kernel: Kernel, inserted: Inserted, *, everywhere: bool) -> Links | None:
    """None where nobody knows what the kernel exports. Without ``everywhere`` not all of its modules may be read."""
    if kernel.symbols is None:
        return None
    links = Links(everywhere or kernel.symbols.has_looked_everywhere())
    for name, is_weak in module.imports.items():
        if name in _IGNORED:
            continue
        export = inserted.exports.get(name) or kernel.symbols.find(
            name, module.depends, everywhere=everywhere
        )
        if export is None:
            if not is_weak:
                links.missing.append(name)
            continue
        links.found[name] = export
        if export.owner != VMLINUX and export.owner not in inserted.names:
            links.needs.setdefault(export.owner, []).append(name)
    return links


def is_proprietary(module: Module, links: Links | None, inserted: Inserted) -> bool:
    """By its licence, or because it uses what a proprietary one exports (inherit_taint())."""
    owners = {export.owner for export in links.found.values()} if links is not None else set()
    return not module.is_gpl or bool(owners & inserted.proprietary)


def of_symbols(module: Module, kernel: Kernel, links: Links | None, inserted: Inserted) -> Iterator[Reason]:
    if links is None:
        why = f" ({kernel.unread})" if kernel.unread else ""
        what = f"{len(module.imports)} symbols: nobody says which ones the kernel exports{why}"
        yield Reason(UNKNOWN, "symbols", what)
        return
    yield from _of_versions(module, kernel, links)
    yield from _of_missing(kernel, links, inserted)
    yield from _of_licence(module, kernel, links, inserted)
    yield from _of_namespaces(module, kernel, links)
    yield from _of_doubles(module, kernel)


def has_right_layout(module: Module, kernel: Kernel) -> bool:
    """Whether the CRC of module_layout is known on both sides, and the same."""
    export = kernel.symbols.built_in(LAYOUT) if kernel.symbols is not None else None
    crc = (module.versions or {}).get(LAYOUT)
    return export is not None and export.crc is not None and crc == export.crc


def _of_versions(module: Module, kernel: Kernel, links: Links) -> Iterator[Reason]:
    if not has_versions(kernel) or kernel.symbols is None:
        return
    origins = kernel.origin("symbols")
    layout = kernel.symbols.built_in(LAYOUT)
    compared = {**({LAYOUT: layout} if layout else {}), **links.found}
    crcs = {name: export.crc for name, export in compared.items() if export.crc is not None}
    if module.versions is None:
        can_force = kernel.has("MODULE_FORCE_LOAD")
        weight = WARNING if can_force else REFUSED if can_force is False else UNKNOWN
        yield Reason(weight, "symbol-version", f"no symbol version for {LAYOUT}: the module has none at all", origins)
        return
    wrong = [name for name, crc in crcs.items() if module.versions.get(name, crc) != crc]
    if wrong:
        many = f" ({len(wrong)} of {len(module.versions)})" if len(wrong) > 1 else ""
        what = f"disagrees about version of symbol {few(wrong)}{many}"
        yield Reason(REFUSED, "symbol-version", what, origins)
    if unsaid := [name for name in crcs if name not in module.versions]:
        weight = REFUSED if kernel.is_strict else UNKNOWN
        what = f"no symbol version for {few(unsaid)}"
        if not kernel.is_strict:
            what += " in the module: Debian's kernels refuse that, others warn"
        yield Reason(weight, "symbol-version", what, kernel.origin("symbols", "is_strict"))


def _of_missing(kernel: Kernel, links: Links, inserted: Inserted) -> Iterator[Reason]:
    origins = kernel.origin("symbols")
    late = {name: inserted.later[name] for name in links.missing if name in inserted.later}
    gone = {name: inserted.refused[name] for name in links.missing if name in inserted.refused}
    for rule, found, why in (("order", late, "is inserted after it"), ("needs-refused", gone, "is refused")):
        for owner in dict.fromkeys(found.values()):
            symbols = few([name for name, other in found.items() if other == owner])
            yield Reason(REFUSED, rule, f"Unknown symbol {symbols}: {owner}, which has it, {why}", ("the image",))
    nowhere = [name for name in links.missing if name not in late and name not in gone]
    if nowhere:
        is_sure = links.is_final and kernel.symbols is not None and kernel.symbols.is_complete
        unless = "" if is_sure else ", unless a module of the kernel's has it that was not looked into"
        weight = REFUSED if is_sure else UNKNOWN
        yield Reason(weight, "unknown-symbol", f"Unknown symbol {few(nowhere)}{unless}", origins)
    available = kernel.host.available
    for owner, names in links.needs.items():
        if available is not None and owner not in available:
            what = f"Unknown symbol {few(names)}: {owner}, which has it, is not there"
            yield Reason(REFUSED, "needs-missing", what, kernel.origin("host", "in_tree"))
        elif kernel.in_tree is not None and owner not in kernel.in_tree and not _is_built_in(owner, kernel):
            what = f"Unknown symbol {few(names)}: {owner}, which has it, was not shipped with the kernel"
            yield Reason(REFUSED, "needs-missing", what, kernel.origin("in_tree"))


def _is_built_in(owner: str, kernel: Kernel) -> bool:
    return owner in (kernel.built_in or ())


def _of_licence(module: Module, kernel: Kernel, links: Links, inserted: Inserted) -> Iterator[Reason]:
    origins = kernel.origin("symbols")
    gpl_only = [name for name, export in links.found.items() if export.is_gpl]
    if gpl_only and not module.is_gpl:
        what = f"Unknown symbol {few(gpl_only)}: GPL-only, and the module's licence is {module.license!r}"
        yield Reason(REFUSED, "gpl-only", what, origins)
        return
    foreign = {export.owner: name for name, export in links.found.items() if export.owner in inserted.proprietary}
    for owner, name in foreign.items():
        if gpl_only:
            what = (f"module using GPL-only symbols uses symbols {name} from proprietary module {owner}"
                    f" (GPL-only: {few(gpl_only)})")  # fmt: skip
            yield Reason(REFUSED, "inherited-taint", what, origins)


def _of_namespaces(module: Module, kernel: Kernel, links: Links) -> Iterator[Reason]:
    imported = module.info.get("import_ns", ())
    lenient = kernel.has("MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS")
    for name, export in links.found.items():
        namespace = export.namespace
        if not namespace or namespace in imported or _is_for(namespace, module.name):
            continue
        weight = WARNING if lenient else UNKNOWN if lenient is None else REFUSED
        what = f"module uses symbol ({name}) from namespace {namespace}, but does not import it."
        yield Reason(weight, "namespace", what, kernel.origin("symbols", "config"))


def _is_for(namespace: str, name: str) -> bool:
    """EXPORT_SYMBOL_FOR_MODULES (6.16): the namespace lists the modules that may use it."""
    patterns = namespace.removeprefix(_MODULES_ONLY).split(",") if namespace.startswith(_MODULES_ONLY) else []
    return any(fnmatchcase(name, pattern.replace("-", "_")) for pattern in patterns)


def _of_doubles(module: Module, kernel: Kernel) -> Iterator[Reason]:
    if kernel.symbols is None:
        return
    if doubles := [name for name in module.exports if kernel.symbols.built_in(name)]:
        what = f"exports duplicate symbol {few(doubles)} (owned by kernel)"
        yield Reason(REFUSED, "duplicate-symbol", what, kernel.origin("symbols"))
