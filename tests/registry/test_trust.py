"""Certificates: what Docker trusts is trusted on every release of Python, and what is wrong with one is said."""

from __future__ import annotations

import http.server
import os
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.model.certificates import system_trust
from tests.support.certificates import write_authority

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(http.server.BaseHTTPRequestHandler):
    """An empty registry, and one file for all other questions."""

    def do_GET(self) -> None:
        body = b"contents\n"
        self.send_response(404 if self.path.startswith("/v2/a/") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments: Any) -> None:
        """Clients that do not trust us go away in the middle."""


@contextmanager
def server(certificates: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with Server(("127.0.0.1", 0), Handler) as http_server:
        http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{http_server.server_address[1]}"
        finally:
            http_server.shutdown()


def imgasm(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "assembler", *arguments], capture_output=True, text=True, check=False,
                          cwd=cwd, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]),
                                        "IMGASM_CACHE": str(cwd / "cache"), **environment})  # fmt: skip


def test_no_release_of_python_asks_more_of_a_certificate_than_docker() -> None:
    flags = system_trust().verify_flags
    assert not flags & ssl.VERIFY_X509_STRICT
    assert flags & ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.mark.parametrize(("bundle", "authorities"), [("ca.pem", range(1, 2)), ("none.pem", range(100, 1000))])
def test_the_systems_authorities_are_trusted_and_mozillas_where_there_are_none(
    bundle: str, authorities: range, tmp_path: Path
) -> None:
    write_authority(tmp_path)
    (tmp_path / "none.pem").touch()
    program = ("import ssl; from assembler.model.certificates import system_trust; trust = system_trust(); "
               "before = trust.cert_store_stats()['x509_ca']; trust.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), "
               "server_hostname='localhost'); print(before, trust.cert_store_stats()['x509_ca'])")  # fmt: skip
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "SSL_CERT_FILE": str(tmp_path / bundle),
        "SSL_CERT_DIR": str(tmp_path / "no-directory")}).stdout.split()  # fmt: skip
    assert told[0] == "0"
    assert int(told[1]) in authorities


def test_a_private_authority_without_a_key_identifier_is_trusted(tmp_path: Path) -> None:
    """By --ca-file for a registry, as one of the system's for a source."""
    write_authority(tmp_path)
    with server(tmp_path) as host:
        asked = imgasm("verify", f"{host}/a:1", "--tls", "--ca-file", tmp_path / "ca.pem", cwd=tmp_path)
        assert asked.returncode == 9 and "certificate" not in asked.stderr
        (tmp_path / "recipe.toml").write_text(
            f'name = "a"\n[base]\nimage = "a"\n[[source]]\nurl = "https://{host}/file"\n[[image]]\nname = "a"\n')
        locked = imgasm("lock", "recipe.toml", cwd=tmp_path, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert locked.returncode == 0, locked.stderr


@pytest.mark.parametrize(("wrong", "says", "hint"), [
    ({"age": timedelta(days=2)}, "certificate has expired", "Check this machine's clock."),
    ({"age": timedelta(days=-2)}, "certificate is not yet valid", "Check this machine's clock."),
    ({"address": "127.0.0.9"}, "IP address mismatch", "Use the name that the certificate is for"),
])
def test_what_is_wrong_with_a_certificate_is_said(
    wrong: dict[str, Any], says: str, hint: str, tmp_path: Path
) -> None:
    write_authority(tmp_path, **wrong)
    with server(tmp_path) as host:
        done = imgasm("verify", f"{host}/a:1", "--tls", "--ca-file", tmp_path / "ca.pem", cwd=tmp_path)
    assert done.returncode == 9
    assert says in done.stderr and hint in done.stderr and "--ca-file" not in done.stderr


def test_the_hint_fits_an_authority_that_was_given_and_is_another_one(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        write_authority(tmp_path / name)
    with server(tmp_path / "ours") as host:
        done = imgasm("verify", f"{host}/a:1", "--tls", "--ca-file", tmp_path / "theirs/ca.pem", cwd=tmp_path)
    assert done.returncode == 9
    assert "If you did, that file holds another one" in done.stderr
