"""Debian's docker-registry on loopback, and what lies in its storage."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def registry(place: Path, *, tls: bool = False) -> Iterator[tuple[str, Path]]:
    """``host:port``, and the directory of its storage, below ``place``, which is made.

    With ``tls`` its certificate, which is its own authority, is ``place``/ca.crt.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    place.mkdir()
    config, storage = place / "config.yml", place / "storage"
    http = f"addr: {host!r}, secret: bench"
    if tls:
        http += f", tls: {{certificate: {place / 'ca.crt'}, key: {_certify(place)}}}"
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{{http}}}\n"
    )
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        _wait_for(host)
        yield host, storage
    finally:
        process.terminate()
        process.wait()


def _certify(place: Path) -> Path:
    """The key of the certificate that is written to ``place``."""
    key = place / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
                    "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                    "-out", place / "ca.crt"], check=True, stderr=subprocess.DEVNULL)  # fmt: skip
    return key


def corrupt_blobs(storage: Path) -> list[str]:
    """The digests of all blobs whose bytes have another one; every blob is read."""
    return [path.parent.name for path in stored_blobs(storage) if _digest(path) != path.parent.name]


def stored_blobs(storage: Path) -> list[Path]:
    return sorted(storage.glob("docker/registry/v2/blobs/sha256/*/*/data"))


def stored_tags(storage: Path, repository: str) -> dict[str, str]:
    """Each tag's digest, as it stands on the disk."""
    tags = storage / "docker/registry/v2/repositories" / repository / "_manifests/tags"
    return {tag.name: (tag / "current/link").read_text().strip() for tag in sorted(tags.iterdir())}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wait_for(host: str) -> None:
    address, port = host.split(":")
    for _ in range(200):
        try:
            socket.create_connection((address, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("docker-registry does not answer")
