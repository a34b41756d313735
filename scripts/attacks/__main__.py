"""What the README promises, measured: kills, full disks, crowds and broken lines."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attacks import crowd, disks, kills
from attacks.actions import ACTIONS


def main() -> None:
    wanted = _arguments()
    place = wanted.work / f"chaos-{os.getpid()}"
    place.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # registry and mounts go, and what was found is told
    tallies: dict[str, Any] = {}
    try:
        wanted.storm(place, wanted, tallies)
    except KeyboardInterrupt:
        print("interrupted; so far:", file=sys.stderr)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    rows = {name: asdict(tally) for name, tally in tallies.items()}
    if wanted.json:
        wanted.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(_table(rows))
    sys.exit(0 if all(tally.is_good for tally in tallies.values()) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=(__doc__ or "").partition("\n")[0])
    storms = parser.add_subparsers(required=True, metavar="kills|disks|crowd|pushes")
    for name, module in (("kills", kills), ("disks", disks), ("crowd", crowd)):
        storm = storms.add_parser(name, help=(module.__doc__ or "").partition("\n")[0])
        storm.add_argument("--count", type=int, default=module.COUNT, metavar="N", help="default: %(default)s")
        storm.add_argument("--seed", type=int, default=1, help="of all that is drawn; default: %(default)s")
        storm.add_argument("--work", type=Path, default=Path("/var/tmp/imgasm-bench"), help="default: %(default)s")
        storm.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
        storm.set_defaults(storm=module.storm)
        if name == "kills":
            storm.add_argument("action", nargs="*", choices=[*ACTIONS, []], help=", ".join(ACTIONS))
            storm.add_argument("--minutes", type=float, metavar="M", help="begin nothing new after so long")
    return parser.parse_args()


def _table(rows: dict[str, dict[str, Any]]) -> str:
    """Figures, with what must be none counted; below, each of those in words."""
    heads = list(next(iter(rows.values())))
    cells = [["", *heads], *([name, *(_cell(row[head]) for head in heads)] for name, row in rows.items())]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads) + 1)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
             for line in cells]  # fmt: skip
    lines.insert(1, "| " + " | ".join("-" * max(width, 3) for width in widths) + " |")
    words = [text for row in rows.values() for value in row.values() if isinstance(value, list) for text in value]
    return "\n".join([*lines, *words])


def _cell(value: object) -> str:
    return str(len(value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
