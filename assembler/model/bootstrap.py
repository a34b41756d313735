"""A Debian-like base that mmdebstrap makes: what a recipe says of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """``variant``: mmdebstrap's (minbase, apt, essential, ...); ``architecture`` is Debian's name, None this machine's;
    ``mirror`` may hold secrets, None is the suite's own."""

    suite: str
    packages: tuple[str, ...] = ()
    components: tuple[str, ...] = ("main",)
    variant: str = "minbase"
    architecture: str | None = None
    mirror: str | None = field(default=None, repr=False)
