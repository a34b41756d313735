"""Tables that people have written in docs/reference, for the man pages: exit codes and environment variables."""

from __future__ import annotations

from pathlib import Path

from documenting.outline import Entry, Page, Section


def written_table(path: Path) -> Page:
    """The page's title, and the rows of its table: the first column and the second."""
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    entries = tuple(Entry(term.replace("`", ""), meaning) for term, meaning in rows[2:])
    return Page(title, (), (Section(f"The {title.lower()}", entries=entries),))
