"""A containerd of the tests' own, and ``ctr`` to speak to it."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Containerd:
    socket: Path

    def ctr(self, *arguments: str) -> str:
        done = subprocess.run(["ctr", "--address", str(self.socket), *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def containerd(directory: Path) -> Iterator[Containerd]:
    config, socket = directory / "config.toml", directory / "socket"
    config.write_text(
        f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
    )
    with (directory / "log").open("wb") as log, subprocess.Popen(
        ["containerd", "--config", str(config)], stdout=log, stderr=log
    ) as process:
        try:
            _wait_for(Containerd(socket), process, directory / "log")
            yield Containerd(socket)
        finally:
            process.terminate()


def _wait_for(server: Containerd, process: subprocess.Popen[bytes], log: Path) -> None:
    while not server.socket.exists():
        if process.poll() is not None:
            raise RuntimeError(f"containerd did not start: {log.read_text()}")
        time.sleep(0.05)
    server.ctr("version")
