"""What killed builds left of their containers and bases, and bases that nobody needs now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.engine.container import KEPT
from assembler.engine.host import namespaces
from assembler.engine.host.plan import PLAN, Plan
from assembler.engine.host.unpacked_bases import UnpackedBases
from assembler.locks import abandoned, work_directories

if TYPE_CHECKING:
    from collections.abc import Iterator

BASES: Final = "bases"
CONTAINERS: Final = "containers"


def abandoned_work(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each directory with the reason why it may go; it is removed when the next one is asked for.

    What ran or was mounted in a container ended with its build, so only files are left.
    """
    for part in (BASES, CONTAINERS):
        for path in work_directories(folder / part):
            with abandoned(path) as is_abandoned:
                if is_abandoned:
                    yield path, "its build is gone"
                    namespaces.remove(path)


def unused_bases(folder: Path) -> Iterator[tuple[Path, str]]:
    """The same of bases that no build and no kept container uses."""
    kept = (Plan.from_json(path.read_text(encoding="utf-8")) for path in (folder / CONTAINERS).glob(f"{KEPT}*/{PLAN}"))
    for path in UnpackedBases(folder / BASES).unused(frozenset(Path(plan.lower).parent for plan in kept)):
        yield path, "no build uses it now; the next one unpacks it again"
        namespaces.remove(path)
