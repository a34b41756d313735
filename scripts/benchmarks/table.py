"""The figures for people: aligned for a terminal, or as Markdown for the README."""

from __future__ import annotations

from typing import Any

_Row = tuple[str, ...]


def text(report: dict[str, Any]) -> str:
    return "\n\n".join([_machine(report), *(_tree_text(tree) for tree in report["trees"])])


def markdown(report: dict[str, Any]) -> str:
    return "\n\n".join([_machine(report), *(_tree_markdown(tree) for tree in report["trees"])])


def _machine(report: dict[str, Any]) -> str:
    machine = report["machine"]
    versions = "; ".join(report["versions"].values())
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB; {versions}."


def _title(tree: dict[str, Any]) -> str:
    return f"{tree['tree']}: {tree['entries']:,} entries, {_megabytes(tree['bytes'])} of files"


_FIGURES: _Row = ("", "seconds (min, median, max)", "layer", "memory", "temporary disk")
_RATIOS: _Row = ("imgasm", "peer", "time (min, median, max)", "layer")


def _figures(tree: dict[str, Any]) -> list[_Row]:
    return [
        (name, _spread(found["seconds"], 1), _megabytes(found["blob"]), _megabytes(found["memory"]),
         _megabytes(found["temporary"]))
        for name, found in tree["contenders"].items()
    ]


def _ratios(tree: dict[str, Any]) -> list[_Row]:
    return [
        (found["ours"], found["peer"], _spread(found["seconds"], 2), f"{found['blob']:.3f}") for found in tree["ratios"]
    ]


def _tree_text(tree: dict[str, Any]) -> str:
    return "\n".join([
        _title(tree), *aligned([_FIGURES, *_figures(tree)]), "", "imgasm's figure by the peer's",
        *aligned([_RATIOS, *_ratios(tree)]),
    ])


def _tree_markdown(tree: dict[str, Any]) -> str:
    return "\n".join([
        f"**{_title(tree)}**", "", *_piped([_FIGURES, *_figures(tree)]), "", "imgasm's figure by the peer's:", "",
        *_piped([_RATIOS, *_ratios(tree)]),
    ])


def aligned(rows: list[_Row]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _piped(rows: list[_Row]) -> list[str]:
    rule = tuple("---" for _ in rows[0])
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (rows[0], rule, *rows[1:])]


def _spread(found: dict[str, float], digits: int) -> str:
    return ", ".join(f"{found[key]:.{digits}f}" for key in ("minimum", "median", "maximum"))


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
