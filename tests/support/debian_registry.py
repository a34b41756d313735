"""Debian's docker-registry as a process of its own: the real part that pushes are tested against."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
  secret: one-secret-for-the-tests
{more}
"""


@dataclass(frozen=True, slots=True)
class DebianRegistry:
    """``host`` is ``127.0.0.1:port``; ``log`` the file that shows why it did not start."""

    host: str
    root: Path
    log: Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def debian_registry(directory: Path, more: str = "") -> Iterator[DebianRegistry]:
    """A registry that stores under ``directory``; ``more`` is appended to its configuration (auth, tls)."""
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    config, log = directory / "config.yml", directory / "log"
    config.write_text(_CONFIG.format(root=directory / "storage", port=port, more=more))
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with log.open("wb") as output, subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=output, stderr=output, env=environment
    ) as process:
        try:
            _wait_for(port, process, log)
            yield DebianRegistry(f"127.0.0.1:{port}", directory / "storage", log)
        finally:
            process.terminate()


def htpasswd(directory: Path, username: str, password: str) -> str:
    """Configuration that lets in this one user."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "htpasswd"
    subprocess.run(["htpasswd", "-Bbc", "-C", "4", str(file), username, password], check=True, capture_output=True)
    return f"auth:\n  htpasswd: {{realm: tests, path: {file}}}"


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"docker-registry did not start: {log.read_text()}")
