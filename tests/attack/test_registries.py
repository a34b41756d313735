"""Registries that lie, drip, flood and send elsewhere: each is refused, or believed no more than its bytes.

An image is pulled from a hostile registry, or pushed to it, by somebody whose password it would like to have, or to
send on. Each time that ends in bounded time and memory, with an error of imgasm's own or with the right bytes; what
lies in the layout then is what its digest says; and nobody but the registry has seen a credential.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
import tracemalloc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from assembler.commands.copy import copy
from assembler.errors import ImgasmError
from assembler.image.layout import Layout
from assembler.image.verify_layout import verify_layout
from assembler.model import media_types
from assembler.model.pace import Pace
from assembler.model.place import Place
from assembler.places.check_place import named_place
from assembler.places.put import PutOptions
from assembler.places.world import World
from assembler.places.world_settings import WorldSettings
from assembler.progress import SilentProgress
from assembler.registry.retry import Clock
from tests.image.imagemaking import add_image
from tests.support.clocks import FakeTime
from tests.support.fault_registry import Answer, FaultRegistry, fault_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

SECONDS: Final = 20.0
BYTES: Final = 96 << 20
SECRET: Final = base64.b64encode(b"ann:pw").decode()
LARGE: Final = 16 << 20
"""More than the sockets' buffers on both sides."""

AGAIN: Final = 120
"""So often a reply is given: more often than anybody asks."""


@dataclass
class Scene:
    """``registry`` has the image ``app:1`` where it is pulled from, and ``elsewhere`` is another origin."""

    registry: FaultRegistry
    elsewhere: FaultRegistry
    may_leave: bool = True
    """Whether ``elsewhere`` may be asked anything."""

    def say(self, move: str, *answers: Answer) -> None:
        self.registry.faults.script[move] = [*answers, *[answers[-1]] * AGAIN]

    def raw(self, move: str, make: Callable[[], Iterable[bytes]]) -> None:
        self.say(move, Answer(0, raw=make))

    @property
    def manifest(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.registry.manifests["app", "1"][1])
        return data

    def serve(self, manifest: dict[str, Any] | bytes, media_type: str = media_types.OCI_MANIFEST) -> None:
        data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.registry.manifests["app", "1"] = media_type, data

    def change_layer(self, change: Callable[[bytes], bytes]) -> None:
        key = "app", self.manifest["layers"][0]["digest"]
        self.registry.blobs[key] = change(self.registry.blobs[key])


@dataclass(frozen=True)
class Hostile:
    """``said`` is in the error; None: everything ends well. ``hurried``: nothing may take longer than half a second."""

    change: Callable[[Scene], object]
    said: str | None
    hurried: bool = False


def flood(head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def make() -> Iterator[bytes]:
        yield head
        while True:
            yield piece

    return make


def drip(scene: Scene, head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def make() -> Iterator[bytes]:
        yield head
        while not scene.registry.closed.wait(0.02):
            yield piece

    return make


def dripping(move: str, head: bytes, piece: bytes = b"x") -> Callable[[Scene], None]:
    return lambda scene: scene.raw(move, drip(scene, head, piece))


def flooding(move: str, head: bytes, piece: bytes) -> Callable[[Scene], None]:
    return lambda scene: scene.raw(move, flood(head, piece))


def raw(move: str, *pieces: bytes) -> Callable[[Scene], None]:
    return lambda scene: scene.raw(move, lambda: pieces)


def sent_to(move: str, location: str, status: int = 307) -> Callable[[Scene], None]:
    return lambda scene: scene.say(move, Answer(status, headers={"Location": location.format(scene.elsewhere.host)}))


def challenged(challenge: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        headers = {"WWW-Authenticate": challenge.format(scene.elsewhere.host)}
        for move in ("get_manifest", "head_blob"):
            scene.say(move, Answer(401, headers=headers))

    return change


def tokens(reply: bytes | Callable[[Scene], Answer]) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.registry.faults.auth = "bearer"
        scene.say("token", Answer(200, body=reply) if isinstance(reply, bytes) else reply(scene))

    return change


def faults(**values: Any) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        for name, value in values.items():
            setattr(scene.registry.faults, name, value)

    return change


def served(media_type: str, **keys: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.serve(scene.manifest | keys, media_type)


def listed(scene: Scene, link: str, filler: int = 0) -> None:
    """Pages of referrers, each of which names ``link`` as the next one."""
    page = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [], "annotations": {"a": "x" * filler}}
    scene.say("get_referrers", Answer(200, headers={"Content-Type": media_types.OCI_INDEX, "Link": link},
                                      body=json.dumps(page).encode()))


def elsewhere_asks(scene: Scene) -> None:
    """The blob is at another origin, and that wants a password."""
    scene.registry.faults.auth = "basic"
    scene.registry.faults.storage = scene.elsewhere.origin
    scene.elsewhere.faults.script["storage"] = [
        Answer(401, headers={"WWW-Authenticate": f'Basic realm="{scene.elsewhere.host}"'})] * AGAIN  # fmt: skip


def layer_elsewhere(*urls: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        manifest = scene.manifest
        layer = manifest["layers"][0]
        layer |= {"urls": [url.format(scene.elsewhere.host) for url in urls], "mediaType": FOREIGN}
        scene.serve(manifest)
        scene.may_leave = False
        del scene.registry.blobs["app", layer["digest"]]

    return change


def uploads_elsewhere(scene: Scene) -> None:
    scene.registry.faults.auth = "basic"
    scene.registry.faults.location = lambda origin, path: scene.elsewhere.origin + path
    scene.elsewhere.sessions = scene.registry.sessions
    scene.elsewhere.blobs = scene.registry.blobs


def has_all(scene: Scene) -> None:
    scene.say("head_blob", Answer(200))
    refusal = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "detail": "?"}]}
    scene.say("put_manifest", Answer(404, body=json.dumps(refusal).encode()))


def other_range(scene: Scene) -> None:
    digest = scene.manifest["layers"][0]["digest"]
    whole = scene.registry.blobs["app", digest]
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole[:10]
    other = b"HTTP/1.1 206 No\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n" + whole[:10]
    scene.say("get_blob", Answer(0, raw=lambda: [cut]), Answer(0, raw=lambda: [other]))


OK = b"HTTP/1.1 200 OK\r\n"
NO = b"HTTP/1.1 400 No\r\n"
TYPE = b"Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
MANY = b", ".join(b'Bearer realm="' + b'\\"' * 20 for _ in range(1000))
"""Quotes that never end, for a parser that looks for the end from each beginning."""
LINK_LOCAL = "169.254.169.254"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
GZIP = gzip.compress(bytes(10 << 20))

PULLS: dict[str, Hostile] = {
    # floods and drips
    "CVE-2020-1702 a manifest without an end": Hostile(flooding("get_manifest", OK + TYPE + b"\r\n", b" " * 65536),
                                                       "more than"),
    "CVE-2020-1702 a manifest that says it has a terabyte": Hostile(
        flooding("get_manifest", OK + TYPE + b"Content-Length: 1099511627776\r\n\r\n", b" " * 65536), "more than"),
    "CVE-2020-1702 an error without an end": Hostile(flooding("get_manifest", NO + b"\r\n", b"x" * 65536), "400"),
    "kind: headers without an end": Hostile(flooding("get_manifest", OK, b"X-Again: and again\r\n"), "No answer"),
    "kind: one header without an end": Hostile(flooding("get_manifest", OK + b"X: ", b"x" * 65536), "No answer"),
    "kind: chunks of one byte and a long extension without an end": Hostile(
        flooding("get_manifest", OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 9000 + b"\r\n{\r\n"),
        "too slow", hurried=True),
    "kind: interim answers without an end": Hostile(
        flooding("get_manifest", b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000), "too slow", hurried=True),
    "kind: interim answers that drip": Hostile(
        dripping("get_manifest", b"", b"HTTP/1.1 102 Processing\r\n\r\n"), "too slow", hurried=True),
    "kind: a head that drips": Hostile(dripping("get_manifest", OK + b"X: "), "too slow", hurried=True),
    "kind: a manifest that drips": Hostile(dripping("get_manifest", OK + TYPE + b"\r\n", b" "), "too slow",
                                           hurried=True),
    "kind: an error that drips": Hostile(dripping("get_manifest", NO + b"\r\n"), "too slow", hurried=True),
    "kind: a blob that drips": Hostile(dripping("get_blob", OK + b"\r\n"), "too slow", hurried=True),
    "kind: a token that drips": Hostile(
        tokens(lambda scene: Answer(0, raw=drip(scene, OK + b"\r\n", b" "))), "too slow", hurried=True),
    "kind: Retry-After of a thousand years": Hostile(
        lambda scene: scene.say("get_manifest", Answer(429, headers={"Retry-After": "31536000000"})), "429"),
    "kind: a 503 for ever": Hostile(lambda scene: scene.say("get_manifest", Answer(503)), "503"),
    # answers that are none
    "kind: two lengths that differ (request smuggling)": Hostile(
        raw("get_manifest", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}  "), "No answer"),
    "kind: a length and chunks at once (request smuggling)": Hostile(
        raw("get_manifest", OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        "manifest"),
    "kind: a length below nothing": Hostile(raw("get_manifest", OK + b"Content-Length: -1\r\n\r\n{}"), "No answer"),
    "kind: a chunk of 2^80 bytes": Hostile(
        raw("get_manifest", OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n{}"), "No answer"),
    "kind: a NUL in a header": Hostile(raw("get_manifest", OK + b"X: a\0b\r\n\r\n{}"), "No answer"),
    "kind: another protocol's greeting": Hostile(raw("get_manifest", b"SSH-2.0-OpenSSH_9.2\r\n"), "No answer"),
    "kind: a reason of terminal escapes": Hostile(
        raw("get_manifest", b"HTTP/1.1 418 \x1b]0;title\x07\x1b[2J\r\nContent-Length: 0\r\n\r\n"), "418"),
    "kind: an error of 20,000 brackets": Hostile(
        lambda scene: scene.say("get_manifest", Answer(400, body=b'{"errors":' + b"[" * 20_000)), "400"),
    # what it says of bytes
    "CVE-2021-41190 a Content-Type that says index": Hostile(served(media_types.OCI_INDEX), "descriptor"),
    "CVE-2021-41190 a Content-Type that changes what the bytes are": Hostile(
        served(media_types.OCI_INDEX, mediaType=None, manifests=[]), "index"),
    "kind: Docker's first schema": Hostile(
        lambda scene: scene.serve({"schemaVersion": 1, "fsLayers": [], "history": []},
                                  "application/vnd.docker.distribution.manifest.v1+prettyjws"), "manifest"),
    "kind: a Content-Type of a web page": Hostile(lambda scene: scene.serve(b"<html>Log in</html>", "text/html"),
                                                  "manifest"),
    "kind: a compressed answer that unpacks to a thousand times as much": Hostile(
        lambda scene: scene.say("get_manifest", Answer(200, headers={"Content-Encoding": "gzip"}, body=GZIP)),
        "manifest"),
    "kind: a blob of other bytes": Hostile(lambda scene: scene.change_layer(lambda data: data[::-1]), "do not match"),
    "kind: a blob that goes on": Hostile(lambda scene: scene.say("get_blob", Answer(200, body=bytes(5000))),
                                         "do not match"),
    "kind: a blob without an end": Hostile(flooding("get_blob", OK + b"\r\n", b"x" * 65536), "do not match"),
    "kind: a blob that is always cut at its first byte": Hostile(faults(truncate_blobs=0), "ended at byte 0"),
    "kind: a blob that goes on at another byte": Hostile(other_range, "another part"),
    "kind: a Docker-Content-Digest that is another's": Hostile(faults(content_digest="sha256:" + "0" * 64), None),
    "kind: a Docker-Content-Digest that is a path": Hostile(faults(content_digest="../../etc/passwd"), None),
    # where it sends people and what they bring
    "CVE-2020-15157 a blob at a host that asks for a password": Hostile(elsewhere_asks, "401"),
    "CVE-2020-15157 a layer's urls": Hostile(layer_elsewhere("http://{}/v2/app/blobs/x"), None),
    "CVE-2020-15157 a layer's urls lead to a cloud's metadata": Hostile(
        layer_elsewhere(f"http://{LINK_LOCAL}/latest", "file:///etc/passwd"), None),
    "kind: redirects in a circle": Hostile(sent_to("get_manifest", "#again", 302), "more than 5 times"),
    "kind: pages in a circle": Hostile(lambda scene: listed(scene, '<?again>; rel="next"'), "more than 100 pages"),
    "kind: pages that are large, in a circle": Hostile(
        lambda scene: listed(scene, '<?again>; rel="next"', 3_000_000), "bytes of referrers"),
    "kind: the next page is in a cloud": Hostile(
        lambda scene: listed(scene, f'<http://{LINK_LOCAL}/>; rel="next"'), "link-local"),
    "kind: a redirect to a cloud's metadata": Hostile(sent_to("get_manifest", f"http://{LINK_LOCAL}/latest"),
                                                      "link-local"),
    "kind: a redirect to a file": Hostile(sent_to("get_manifest", "file:///etc/passwd"), "neither http nor https"),
    "kind: a redirect into a private network": Hostile(sent_to("get_blob", "http://10.0.0.1/"), "private"),
    "kind: a redirect with a password of its own": Hostile(sent_to("get_blob", "http://a:b@{}/"), "password"),
    "kind: a redirect with a line end in it": Hostile(
        raw("get_manifest", b"HTTP/1.1 307 No\r\nLocation: /a\rX: y\r\nContent-Length: 0\r\n\r\n"), ""),
    "kind: a realm in a cloud": Hostile(challenged(f'Bearer realm="http://{LINK_LOCAL}/token"'), "link-local"),
    "kind: a realm that is a file": Hostile(challenged('Bearer realm="file:///etc/passwd"'), "neither http nor https"),
    "kind: a realm with a password of its own": Hostile(challenged('Bearer realm="http://a:b@{}/"'), "password"),
    "kind: a challenge of a thousand quotes without an end": Hostile(
        challenged(MANY.decode()[:60_000].replace("{", "")), "401"),
    "kind: a 401 for ever": Hostile(challenged('Basic realm="again"'), "401"),
    "kind: a token server that sends to a foreign host": Hostile(
        tokens(lambda scene: Answer(307, headers={"Location": f"{scene.elsewhere.origin}/token"})), "redirects to"),
    "kind: a token with a line end in it (header injection)": Hostile(tokens(b'{"token":"a\\r\\nX: b"}'),
                                                                      "without a token"),
    "kind: a token without an end": Hostile(
        tokens(lambda scene: Answer(0, raw=flood(OK + b"\r\n", b" " * 65536))), "more than"),
    "kind: a token that lasts NaN": Hostile(
        tokens(lambda scene: Answer(200, body=b'{"token":"a","expires_in":NaN}')), ""),
    "kind: cookies": Hostile(faults(cookie=True), None),
}  # fmt: skip

PUSHES: dict[str, Hostile] = {
    "kind: an upload that is read byte by byte": Hostile(faults(sips=True), "too slow", hurried=True),
    "kind: an upload's answer that drips": Hostile(dripping("start", b"HTTP/1.1 202 Go\r\nX: "), "too slow",
                                                   hurried=True),
    "kind: an upload at a foreign host": Hostile(uploads_elsewhere, None),
    "kind: an upload in a cloud": Hostile(faults(location=lambda origin, path: f"http://{LINK_LOCAL}{path}"),
                                          "link-local"),
    "kind: an upload without a Location": Hostile(faults(location=lambda origin, path: ""), "without a Location"),
    "kind: a body that is sent on to a cloud": Hostile(sent_to("put_blob", f"http://{LINK_LOCAL}/"), "link-local"),
    "kind: bodies in a circle": Hostile(sent_to("put_blob", "#again"), "more than 5 times"),
    "kind: it has all blobs, and then none": Hostile(has_all, "MANIFEST_BLOB_UNKNOWN"),
    "kind: it stored other bytes": Hostile(faults(content_digest="sha256:" + "0" * 64), "stored"),
    "kind: it holds more bytes than were sent": Hostile(faults(range_style=lambda start, end: "0-" + "9" * 400,
                                                               keeps_partial=True, cuts=[5]), None),
    "kind: chunks of a terabyte at least": Hostile(faults(chunk_min=1 << 40), None),
    "kind: an upload that is forgotten each time": Hostile(
        lambda scene: scene.say("put_blob", Answer(404, "BLOB_UPLOAD_UNKNOWN")), "404"),
}  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """With the credentials for the registry where a login puts them, and the image in the layout ``image``, too."""
    with fault_registry() as registry, fault_registry() as elsewhere:
        layout = Layout.create(tmp_path / "image")
        image = add_image(layout, {"etc/file": b"content"})
        entry = image.descriptor.to_json() | {"annotations": {"org.opencontainers.image.ref.name": "it"}}
        index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}
        (layout.root / "index.json").write_text(json.dumps(index))
        registry.manifests["app", "1"] = media_types.OCI_MANIFEST, image.manifest_bytes
        for path in layout.root.glob("blobs/sha256/*"):
            registry.blobs["app", f"sha256:{path.name}"] = path.read_bytes()
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {registry.host: {"auth": SECRET}}}))
        yield Scene(registry, elsewhere)


def test_these_are_more_than_forty() -> None:
    assert len(PULLS) + len(PUSHES) >= 40


@pytest.mark.parametrize("name", PULLS)
def test_a_hostile_registry_is_pulled_from(scene: Scene, tmp_path: Path, name: str) -> None:
    case = PULLS[name]
    case.change(scene)
    outcome(tmp_path, scene, case, f"docker://{scene.registry.host}/app:1", f"oci:{tmp_path}/out:it")
    for blob in tmp_path.glob("out/blobs/*/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    if case.said is None:
        assert not [finding for finding in verify_layout(Layout(tmp_path / "out")) if finding.severity == "error"]
    else:
        assert not json.loads(index.read_bytes())["manifests"] if (index := tmp_path / "out/index.json").exists() else 1


@pytest.mark.parametrize("name", PUSHES)
def test_a_hostile_registry_is_pushed_to(scene: Scene, tmp_path: Path, name: str) -> None:
    case = PUSHES[name]
    if case.hurried:
        add_large_layer(tmp_path / "image")
    case.change(scene)
    scene.registry.blobs.clear()
    outcome(tmp_path, scene, case, f"oci:{tmp_path}/image:it", f"docker://{scene.registry.host}/app:new")
    if case.said is None:
        _, data = scene.registry.manifests["app", "new"]
        assert data == scene.registry.manifests["app", "1"][1]
        assert all(f"sha256:{hashlib.sha256(blob).hexdigest()}" == digest
                   for (_, digest), blob in scene.registry.blobs.items())
    else:
        assert ("app", "new") not in scene.registry.manifests


def add_large_layer(root: Path) -> None:
    layout = Layout.open(root)
    entry = add_image(layout, bytes(LARGE), codec="none").descriptor.to_json()
    entry |= {"annotations": {"org.opencontainers.image.ref.name": "it"}}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def outcome(home: Path, scene: Scene, case: Hostile, source: str, target: str) -> None:
    waiting = FakeTime()
    clock = Clock(time.monotonic, time.time, waiting.sleep, lambda: 0.5)
    world = World.from_settings(WorldSettings({"HOME": str(home)}), SilentProgress(), clock)
    if case.hurried:
        settings = replace(world.registries.settings, pace=Pace(least=1e6, window=0.5, whole=0.5))
        world = replace(world, registries=replace(world.registries, settings=settings))
    begin = time.process_time()
    tracemalloc.start()
    try:
        copy(named_place(source), None, Place.target(target), world, PutOptions())
    except ImgasmError as error:
        assert case.said is not None, error
        assert error.exit_code in (8, 9) and case.said in error.message, error
        assert error.message.isprintable() and len(error.message) < 2000
        assert "pw" not in error.message and SECRET not in error.message
    else:
        assert case.said is None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.process_time() - begin < SECONDS and peak < BYTES
    assert sum(waiting.pauses) < 200
    assert scene.may_leave or not scene.elsewhere.seen
    assert all("authorization" not in seen.headers for seen in scene.elsewhere.seen)
