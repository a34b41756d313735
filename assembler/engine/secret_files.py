"""Secrets as files in a container's memory, as long as a step runs. Their values go through pipes alone."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from assembler.engine.client_process import ask, feed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from assembler.engine.endpoint import Endpoint

_WRITE: Final = 'umask 077; cat >"$1" && chmod 400 "$1" && { [ -z "$2" ] || chown "$2" "$1"; }'


@contextmanager
def secret_files(
    engine: Endpoint, name: str, values: Mapping[PurePosixPath, bytes], user: str | None
) -> Iterator[None]:
    """Files at these paths, readable for ``user`` (None is root) alone, while the context lives."""
    execute = engine.command("container", "exec", "--interactive", "--user", "0", name, "/bin/sh", "-c")
    try:
        for path, value in values.items():
            feed([*execute, _WRITE, "sh", str(path), user or ""], io.BytesIO(value), "could not hand over a secret")
        yield
    finally:
        if values:
            ask([*execute, 'rm -f "$@"', "sh", *map(str, values)], "could not take a secret away")
