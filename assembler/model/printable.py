"""Foreign text for people's eyes: names out of archives and file systems can hold line ends and escape sequences."""

from __future__ import annotations


def printable(text: str, *, keep: str = "", instead: str | None = None) -> str:
    """``text`` without anything that a terminal or a browser obeys, but for the characters in ``keep``.

    For each such character there is its escape sequence in Python, or ``instead``.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escaped(char, instead) for char in text)


def _escaped(char: str, instead: str | None) -> str:
    return ascii(char)[1:-1] if instead is None else instead
