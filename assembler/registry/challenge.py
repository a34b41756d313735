"""WWW-Authenticate, read by its grammar (RFC 9110, 11.6.1) and not by splitting at commas: scopes hold commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME: Final = re.compile(_TOKEN)
_PARAMETER: Final = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))', re.DOTALL)
_GAP: Final = re.compile(r"[\s,]*")
_REST: Final = re.compile(r"[^,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` and the keys of ``parameters`` are in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    def get(self, key: str) -> str:
        return self.parameters.get(key, "")


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """All challenges of all WWW-Authenticate lines, in order; what is not a challenge is passed over."""
    return [challenge for value in values for challenge in _parse_line(value)]


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Bearer where it is offered, else Basic; Negotiate, NTLM and the like are not for us."""
    by_scheme = {challenge.scheme: challenge for challenge in challenges}
    return by_scheme.get("bearer") or by_scheme.get("basic")


def _parse_line(line: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    for word, value in _words(line):
        if value is not None:
            parameters.setdefault(word.lower(), value)
            continue
        if scheme:
            yield Challenge(scheme, parameters)
        scheme, parameters = word.lower(), {}
    if scheme:
        yield Challenge(scheme, parameters)


def _words(line: str) -> Iterator[tuple[str, str | None]]:
    """(name, value) for a parameter, (name, None) for a scheme."""
    position = _end(_GAP, line, 0)
    while position < len(line):
        if parameter := _PARAMETER.match(line, position):
            name, quoted, bare = parameter.groups()
            yield name, re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else bare
            position = parameter.end()
        elif scheme := _SCHEME.match(line, position):
            yield scheme.group(), None
            position = scheme.end()
        else:
            position = _end(_REST, line, position)  # garbage up to the next comma
        position = _end(_GAP, line, position)


def _end(pattern: re.Pattern[str], line: str, position: int) -> int:
    match = pattern.match(line, position)
    return match.end() if match else position
