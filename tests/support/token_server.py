"""A small token server (distribution, "Token Authentication"): signs what Debian's docker-registry then checks."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER, SERVICE = "tests-issuer", "tests-service"


@dataclass
class TokenServer:
    """``answers`` is what the replies carry beside the token; ``requests`` are (method, parameters, authorization).
    ``ahead``: seconds by which its clock, less 10, is before the registry's."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    username: str
    password: str
    refresh_token: str = "refresh-me"
    lasts: int = 300
    name_of_token: str = "token"
    announce_expiry: bool = True
    ahead: int = 0
    requests: list[tuple[str, dict[str, list[str]], str | None]] = field(default_factory=list)
    url: str = ""

    def registry_config(self, directory: Path) -> str:
        bundle = directory / "issuer.pem"
        bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return (f"auth:\n  token: {{realm: {self.url}/token, service: {SERVICE}, issuer: {ISSUER}, "
                f"rootcertbundle: {bundle}}}")

    def grant(self, scopes: list[str]) -> str:
        """A JWT that allows exactly ``scopes``."""
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        chain = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        header = {"typ": "JWT", "alg": "ES256", "x5c": [chain]}
        claims = {"iss": ISSUER, "sub": self.username, "aud": SERVICE, "exp": now + self.lasts,
                  "nbf": now - 10 + self.ahead, "iat": now, "jti": str(time.monotonic_ns()), "access": access}
        signed = f"{_encode(header)}.{_encode(claims)}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encode(value: Any) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tokens: TokenServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.tokens.requests.append(("GET", query, self.headers.get("Authorization")))
        expected = base64.b64encode(f"{self.tokens.username}:{self.tokens.password}".encode()).decode()
        self._answer(self.headers.get("Authorization") == f"Basic {expected}", query.get("scope", []))

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.tokens.requests.append(("POST", form, self.headers.get("Authorization")))
        self._answer(form.get("refresh_token") == [self.tokens.refresh_token], form.get("scope", [""])[0].split())

    def _answer(self, allowed: bool, scopes: list[str]) -> None:
        body: dict[str, Any] = {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}
        if allowed:
            body = {self.tokens.name_of_token: self.tokens.grant(scopes)}
            if self.tokens.announce_expiry:
                body["expires_in"] = self.tokens.lasts
        data = json.dumps(body).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def token_server(username: str, password: str) -> Iterator[TokenServer]:
    key = ec.generate_private_key(ec.SECP256R1())
    tokens = TokenServer(key, self_signed("tests-issuer", key), username, password)
    handler = type("Handler", (_Handler,), {"tokens": tokens})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        tokens.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield tokens
        finally:
            server.shutdown()
            thread.join()
