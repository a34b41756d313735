"""Foreign text for people's eyes: names out of archives and file systems can hold line ends and escape sequences."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` on one line, as it is where all of it is printable, else with everything but ASCII escaped."""
    return text if text.isprintable() else ascii(text)[1:-1]
