"""A registry in this process, on real sockets, that can be as odd as any registry in the field: one switch per quirk.

It is for what Debian's docker-registry never does. Without switches it is a plain, strict registry.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

Headers = dict[str, str]


@dataclass
class Answer:
    """A reply instead of the right one. ``early``: before the body was read, and then the connection is closed.
    ``raw``: all bytes of it as they are, to a connection that ends when they do."""

    status: int
    code: str = ""
    headers: Headers = field(default_factory=dict)
    body: bytes | None = None
    early: bool = False
    raw: Callable[[], Iterable[bytes]] | None = None

    @property
    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        return json.dumps({"errors": [{"code": self.code, "message": "as told"}]}).encode() if self.code else b""


@dataclass
class Faults:
    script: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    """Replies for the next calls of a move ("put_blob", "mount", "head_manifest", ...), used up one by one."""
    cuts: list[int] = field(default_factory=list)
    """Each blob body in turn is cut after that many bytes."""
    keeps_partial: bool = False
    """After a cut the bytes stay and can be asked for (v3, zot, ACR); else the session is dead (2.8)."""
    slow_commit: float = 0.0
    silence: threading.Event | None = None
    """No blob is committed before that."""
    lose_commits: int = 0
    """So many commits succeed and are not answered."""
    range_style: Callable[[int, int], str | None] = lambda start, end: f"0-{max(end - 1, 0)}"
    """(first byte of this chunk, bytes held) to the Range header."""
    patch_status: int = 202
    ignore_later_patches: bool = False
    chunk_limit: int | None = None
    chunk_min: int | None = None
    mounts: bool = True
    location: Callable[[str, str], str] = lambda origin, path: origin + path
    """(origin, path and query) to the Location header of uploads."""
    storage: str | None = None
    """Blobs are redirected to this origin."""
    auth: str | None = None
    """basic or bearer; user ann, password pw."""
    challenge_scope: str | None = None
    challenge_on_ping_only: bool = False
    token_reply: Callable[[str], dict[str, Any]] = lambda token: {"token": token, "expires_in": 300}
    token_uses: int | None = None
    """A token is good for so many requests."""
    grants_asked_first: bool = False
    """Only the first scope asked for is granted."""
    cookie: bool = False
    """Sets a cookie, and refuses whoever sends it back (Harbor's CSRF check)."""
    content_encoding: bool = False
    content_digest: str | None = None
    truncate_blobs: int | None = None
    """Blobs end after so many bytes, with the connection and without a length."""
    cut_blobs: list[int] = field(default_factory=list)
    """Each blob that is read is cut after so many bytes, with its length given."""
    no_ranges: bool = False
    loses_blob_once: str | None = None
    """PUT manifest says once that it misses this digest, and the blob is gone."""
    content_type: str | None = None
    referrers_page: int | None = None
    """It lists what refers to a manifest, so many on a page (OCI 1.1); else it knows no such list."""
    sips: bool = False
    """Bodies are read byte by byte, a hundred in a second."""


@dataclass
class Seen:
    method: str
    path: str
    query: str
    headers: Headers
    body: int = 0


@dataclass
class _Session:
    data: bytearray = field(default_factory=bytearray)
    patches: int = 0
    dead: bool = False
    state: int = 0


class FaultRegistry:
    def __init__(self) -> None:
        self.faults = Faults()
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.sessions: dict[str, _Session] = {}
        self.tokens: dict[str, tuple[list[str], int]] = {}
        self.token_requests: list[dict[str, list[str]]] = []
        self.seen: list[Seen] = []
        self.numbers = itertools.count()
        self.lock = threading.RLock()
        self.closed = threading.Event()
        self.origin = ""

    @property
    def host(self) -> str:
        return self.origin.removeprefix("http://")

    def moves(self) -> list[str]:
        return [seen.method for seen in self.seen]

    def scripted(self, move: str) -> Answer | None:
        with self.lock:
            answers = self.faults.script[move]
            return answers.pop(0) if answers else None


class _Cut(Exception):
    """The connection ends here, without a word."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FaultRegistry

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (_Cut, ConnectionError):
            self.close_connection = True
            # RST, as a proxy that dies sends it
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        seen = Seen(self.command, path, query, {key.lower(): value for key, value in self.headers.items()})
        with self.registry.lock:
            self.registry.seen.append(seen)
        self.query, self.seen = query, seen
        self.left = int(self.headers.get("Content-Length") or 0)
        move, arguments = _route(self.command, path, query)
        scripted = self.registry.scripted(move)
        if scripted is not None and scripted.early:
            self.close_connection = True
            self._reply(scripted.status, scripted.headers | {"Connection": "close"}, scripted.content)
            self._linger()
            return
        if scripted is not None and scripted.raw is not None:
            self._body()
            self.close_connection = True
            for piece in scripted.raw():
                self.wfile.write(piece)
            return
        if scripted is not None:
            self._body()
            self._reply(scripted.status, scripted.headers, scripted.content)
            return
        if move != "token" and not self._allowed(move):
            return
        getattr(self, f"_{move}")(*arguments)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    # -- replies and bodies --------------------------------------------------------------------------------------------

    def _reply(self, status: int, headers: Headers | None = None, body: bytes = b"") -> None:
        self._body()
        self.send_response_only(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            if value is not None:
                self.send_header(key, value)
        if self.registry.faults.cookie:
            self.send_header("Set-Cookie", "sid=1; Path=/")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str, detail: Any = None, headers: Headers | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower(), "detail": detail}]}).encode()
        self._reply(status, headers, body)

    def _linger(self) -> None:
        """As Go's server does: the reply is out, the rest of the body is read for a moment, then the line is dead."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        try:
            while self.connection.recv(65536):
                pass
        except OSError:
            pass

    def _body(self, into: bytearray | None = None, cut: int | None = None) -> None:
        while self.left and not self.close_connection:
            want = min(self.left, 65536 if cut is None else min(65536, cut))
            if self.registry.faults.sips:
                want = 0 if self.registry.closed.wait(0.01) else 1
            if want == 0:
                raise _Cut
            piece = self.rfile.read(want)
            if not piece:
                raise _Cut
            self.left -= len(piece)
            self.seen.body += len(piece)
            cut = None if cut is None else cut - len(piece)
            if into is not None:
                into += piece

    def _take(self, session: _Session) -> None:
        with self.registry.lock:
            cut = self.registry.faults.cuts.pop(0) if self.registry.faults.cuts and self.left else None
        try:
            self._body(session.data, cut)
        except _Cut:
            session.dead = not self.registry.faults.keeps_partial
            raise

    # -- who may -------------------------------------------------------------------------------------------------------

    def _allowed(self, move: str) -> bool:
        faults, given = self.registry.faults, self.headers.get("Authorization", "")
        if faults.cookie and self.headers.get("Cookie"):
            self._refuse(403, "DENIED", "CSRF token invalid")
            return False
        if faults.auth is None or (faults.auth == "basic" and given == "Basic " + _basic()):
            return True
        with self.registry.lock:
            scopes, uses = self.registry.tokens.get(given.removeprefix("Bearer "), ([], 0))
            self.registry.tokens[given.removeprefix("Bearer ")] = (scopes, uses - 1)
        wanted = faults.challenge_scope
        if faults.auth == "bearer" and uses > 0 and (wanted is None or wanted in scopes):
            return True
        headers = {"WWW-Authenticate": self._challenge(insufficient=uses > 0)}
        if faults.challenge_on_ping_only and move != "ping":
            headers = {}
        self._refuse(401, "UNAUTHORIZED", headers=headers)
        return False

    def _challenge(self, *, insufficient: bool) -> str:
        if self.registry.faults.auth == "basic":
            return 'Basic realm="faults"'
        scope = self.registry.faults.challenge_scope
        error = ',error="insufficient_scope"' if insufficient else ""
        return f'Bearer realm="{self.registry.origin}/token?keep=me",service="faults"' + (
            f',scope="{scope}"' if scope else "") + error

    def _token(self) -> None:
        faults, query = self.registry.faults, parse_qs(self.query)
        with self.registry.lock:
            self.registry.token_requests.append(query)
            token = f"token-{len(self.registry.token_requests)}"
            scopes = query.get("scope", [])
            self.registry.tokens[token] = (scopes[:1] if faults.grants_asked_first else scopes,
                                           faults.token_uses or 10**9)
        if self.headers.get("Authorization") != "Basic " + _basic():
            self._refuse(401, "UNAUTHORIZED")
            return
        self._reply(200, {}, json.dumps(faults.token_reply(token)).encode())

    def _ping(self) -> None:
        self._reply(200, {}, b"{}")

    # -- blobs ---------------------------------------------------------------------------------------------------------

    def _head_blob(self, name: str, digest: str) -> None:
        blob = self.registry.blobs.get((name, digest))
        if blob is None:
            self._refuse(404, "BLOB_UNKNOWN")
        else:
            self._reply(200, {"Content-Length": str(len(blob)), "Docker-Content-Digest": digest})

    def _get_blob(self, name: str, digest: str) -> None:
        faults, blob = self.registry.faults, self.registry.blobs.get((name, digest))
        if blob is None:
            self._refuse(404, "BLOB_UNKNOWN")
        elif faults.storage:
            self._reply(307, {"Location": f"{faults.storage}/storage/{digest}?X-Amz-Signature=secret"})
        else:
            self._send_blob(blob)

    def _storage(self, digest: str) -> None:
        """What a blob store shows: no credentials of ours may arrive here."""
        self._send_blob(next(blob for (_, key), blob in self.registry.blobs.items() if key == digest))

    def _send_blob(self, blob: bytes) -> None:
        faults = self.registry.faults
        if faults.content_encoding and "gzip" in self.headers.get("Accept-Encoding", ""):
            self._reply(200, {"Content-Encoding": "gzip"}, gzip.compress(blob))
            return
        if faults.truncate_blobs is not None:
            self.close_connection = True
            self._reply(200, {"Content-Length": None, "Connection": "close"},  # type: ignore[dict-item]
                        blob[:faults.truncate_blobs])
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and not faults.no_ranges else 0
        headers = {"Content-Range": f"bytes {start}-{len(blob) - 1}/{len(blob)}"} if start else {}
        with self.registry.lock:
            cut = faults.cut_blobs.pop(0) if faults.cut_blobs else None
        if cut is None:
            self._reply(206 if start else 200, headers, blob[start:])
            return
        headers["Content-Length"] = str(len(blob) - start)
        self._reply(206 if start else 200, headers, blob[start : start + cut])
        self.close_connection = True

    def _mount(self, name: str, digest: str, source: str) -> None:
        blob = self.registry.blobs.get((source, digest))
        if blob is not None and self.registry.faults.mounts:
            self.registry.blobs[name, digest] = blob
            self._reply(201, {"Location": f"/v2/{name}/blobs/{digest}"})
        else:
            self._start(name)

    def _start(self, name: str) -> None:
        with self.registry.lock:
            identifier = f"s{next(self.registry.numbers)}"
            session = self.registry.sessions[identifier] = _Session()
        self._progress(202, name, identifier, session, 0)

    def _progress(self, status: int, name: str, identifier: str, session: _Session, start: int) -> None:
        faults = self.registry.faults
        path = f"/v2/{name}/blobs/uploads/{identifier}?_state={_state(identifier, session)}"
        headers = {"Location": faults.location(self.registry.origin, path)}
        held = faults.range_style(start, len(session.data))
        if held is not None:
            headers["Range"] = held
        if faults.chunk_min is not None:
            headers["OCI-Chunk-Min-Length"] = str(faults.chunk_min)
        self._reply(status, headers)

    def _session(self, identifier: str) -> _Session | None:
        """The session, if its state came back byte for byte as it was given out."""
        session = self.registry.sessions.get(identifier)
        if session is None or session.dead:
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN" if session is None else "BLOB_UPLOAD_INVALID")
            return None
        if not re.fullmatch(re.escape(f"_state={_state(identifier, session)}") + r"(&digest=[^&]*)?", self.query):
            self._refuse(404, "BLOB_UPLOAD_INVALID", "the state is not the one that was given")
            return None
        return session

    def _patch_blob(self, name: str, identifier: str) -> None:
        faults, session = self.registry.faults, self._session(identifier)
        if session is None:
            return
        if faults.chunk_limit is not None and self.left > faults.chunk_limit:
            self._refuse(416, "BLOB_UPLOAD_INVALID", "exceeds the maximum permissible limit")
            return
        start = len(session.data)
        wanted = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", f"{start}-"))
        if wanted is not None and int(wanted[1]) != start:
            self._refuse(416, "BLOB_UPLOAD_INVALID", f"chunk starts at {wanted[1]}, not {start}")
            return
        session.patches += 1
        if faults.ignore_later_patches and session.patches > 1:
            self._body()
        else:
            self._take(session)
        session.state += 1
        self._progress(faults.patch_status, name, identifier, session, start)

    def _upload_status(self, name: str, identifier: str) -> None:
        session = self._session(identifier)
        if session is not None:
            self._progress(204, name, identifier, session, 0)

    def _cancel(self, name: str, identifier: str) -> None:
        self.registry.sessions.pop(identifier, None)
        self._reply(204)

    def _put_blob(self, name: str, identifier: str, digest: str) -> None:
        faults, session = self.registry.faults, self._session(identifier)
        if session is None:
            return
        self._take(session)
        if f"sha256:{hashlib.sha256(session.data).hexdigest()}" != digest:
            del self.registry.sessions[identifier]
            self._refuse(400, "DIGEST_INVALID")
            return
        time.sleep(faults.slow_commit)
        if faults.silence is not None:
            faults.silence.wait()
        with self.registry.lock:
            self.registry.blobs[name, digest] = bytes(session.data)
            del self.registry.sessions[identifier]
            faults.lose_commits -= 1
        if faults.lose_commits >= 0:
            raise _Cut
        self._reply(201, {"Location": f"/v2/{name}/blobs/{digest}",
                          "Docker-Content-Digest": faults.content_digest or digest})

    # -- manifests -----------------------------------------------------------------------------------------------------

    def _head_manifest(self, name: str, reference: str) -> None:
        self._get_manifest(name, reference)

    def _get_manifest(self, name: str, reference: str) -> None:
        faults, found = self.registry.faults, self.registry.manifests.get((name, reference))
        if found is None:
            self._refuse(404, "MANIFEST_UNKNOWN")
            return
        media_type, data = found
        digest = faults.content_digest or f"sha256:{hashlib.sha256(data).hexdigest()}"
        headers = {"Content-Type": faults.content_type or media_type, "Docker-Content-Digest": digest}
        if faults.content_encoding and "gzip" in self.headers.get("Accept-Encoding", ""):
            headers, data = headers | {"Content-Encoding": "gzip"}, gzip.compress(data)
        self._reply(200, headers, data)

    def _put_manifest(self, name: str, reference: str) -> None:
        data = bytearray()
        self._body(data)
        lost = self.registry.faults.loses_blob_once
        if lost is not None:
            self.registry.faults.loses_blob_once = None
            self.registry.blobs.pop((name, lost), None)
            self._refuse(400, "MANIFEST_BLOB_UNKNOWN", {"digest": lost})
            return
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        for key in (reference, digest):
            self.registry.manifests[name, key] = (self.headers["Content-Type"], bytes(data))
        self._reply(201, {"Docker-Content-Digest": self.registry.faults.content_digest or digest})


    def _get_referrers(self, name: str, digest: str) -> None:
        size, start = self.registry.faults.referrers_page, int(parse_qs(self.query).get("from", ["0"])[0])
        if size is None:
            self._refuse(404, "NOT_FOUND")
            return
        entries = [
            {"mediaType": media_type, "digest": reference, "size": len(data)}
            for (repository, reference), (media_type, data) in self.registry.manifests.items()
            if repository == name and ":" in reference
            and json.loads(data).get("subject", {}).get("digest") == digest
        ]  # fmt: skip
        media_type = "application/vnd.oci.image.index.v1+json"
        page = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries[start : start + size]}
        headers = {"Content-Type": media_type}
        if start + size < len(entries):
            headers["Link"] = f'<{self.seen.path}?from={start + size}>; rel="next"'
        self._reply(200, headers, json.dumps(page).encode())


def _route(method: str, path: str, query: str) -> tuple[str, list[str]]:
    parameters = parse_qs(query)
    if path == "/v2/":
        return "ping", []
    if path == "/token":
        return "token", []
    if match := re.fullmatch(r"/storage/(.+)", path):
        return "storage", [match[1]]
    if match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path):
        return f"{method.lower()}_manifest", [*match.groups()]
    if match := re.fullmatch(r"/v2/(.+)/referrers/([^/]+)", path):
        return "get_referrers", [*match.groups()]
    if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/", path):
        if "mount" in parameters:
            return "mount", [match[1], parameters["mount"][0], parameters["from"][0]]
        return "start", [match[1]]
    if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/([^/]+)", path):
        name, identifier = match.groups()
        if method == "PUT":
            return "put_blob", [name, identifier, unquote(parameters.get("digest", [""])[0])]
        return {"PATCH": "patch_blob", "GET": "upload_status", "DELETE": "cancel"}[method], [name, identifier]
    match = re.fullmatch(r"/v2/(.+)/blobs/([^/]+)", path)
    assert match is not None, path
    return f"{method.lower()}_blob", [*match.groups()]


def _state(identifier: str, session: _Session) -> str:
    """With every byte that a careless client changes on the way."""
    return f"{identifier}.{session.state}%3D%3d%e4%2B+a/b~%20"


def _basic() -> str:
    return base64.b64encode(b"ann:pw").decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken pipes are what these tests are about."""


@contextmanager
def fault_registry() -> Iterator[FaultRegistry]:
    registry = FaultRegistry()
    handler = type("Handler", (_Handler,), {"registry": registry})
    with _Server(("127.0.0.1", 0), handler) as server:
        registry.origin = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield registry
        finally:
            registry.closed.set()
            server.shutdown()
            thread.join()
