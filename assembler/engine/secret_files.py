"""Secrets as files in a container's memory, as long as a step runs. Their values go through pipes alone."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from assembler.engine.client_process import ask, feed
from assembler.engine.running import AS_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from assembler.engine.running import Running

_WRITE: Final = 'umask 077; cat >"$1" && chmod 400 "$1" && { [ -z "$2" ] || chown "$2" "$1"; }'


@contextmanager
def secret_files(container: Running, values: Mapping[PurePosixPath, bytes], user: str | None) -> Iterator[None]:
    """Files at these paths, readable for ``user`` (None is root) alone, while the context lives."""
    def script(text: str, *arguments: str) -> list[str]:
        return container.exec(["/bin/sh", "-c", text, "sh", *arguments], AS_ROOT)

    try:
        for path, value in values.items():
            feed(script(_WRITE, str(path), user or ""), io.BytesIO(value), "could not hand over a secret")
        yield
    finally:
        if values:
            ask(script('rm -f "$@"', *map(str, values)), "could not take a secret away")
