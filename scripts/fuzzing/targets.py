"""The parsers of what comes from outside: each reads any bytes, and may only succeed or raise what users are shown.

A target's seeds are the forms that registries, engines and people really write.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from assembler.errors import ImgasmError
from assembler.image import strict_json
from assembler.image.choose_platform import choose
from assembler.image.image import parse_image
from assembler.layer.check_layer import check_layer
from assembler.layer.decompress import decompress
from assembler.layer.path_tree import PathTree
from assembler.layer.read_tar import read_tar
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.platform import Platform
from assembler.model.reference import Reference
from assembler.recipe.load import Origin as RecipeOrigin
from assembler.recipe.load import load
from assembler.recipe.recipe import STANDARD_INPUT
from assembler.registry.auth_file import AuthFile
from assembler.registry.challenge import choose as choose_challenge
from assembler.registry.challenge import parse_challenges
from assembler.registry.credentials import Credential
from assembler.registry.location import follow, with_digest
from assembler.registry.origin import Origin
from assembler.registry.redact import redact
from assembler.registry.repository import held_bytes
from assembler.registry.responses import Refused, Reply
from assembler.registry.retry import retry_after
from assembler.registry.token_scopes import merge
from assembler.registry.tokens import TokenServer
from assembler.registry.upload_journal import read_journal

_URL: Final = httpx.URL("https://registry.example/v2/a/blobs/uploads/")
_ORIGIN: Final = Origin.of(_URL)
_DESCRIPTOR: Final = Descriptor(media_types.OCI_MANIFEST, Digest.of(b""), 0)
_LAYER: Final = {"mediaType": media_types.OCI_LAYER_GZIP, "digest": str(Digest.of(b"")), "size": 0}
_CONFIG: Final = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_LAYER["digest"]]}}


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` raises whatever must not happen."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]

    def __call__(self, data: bytes) -> None:
        try:
            self.run(data)
        except ImgasmError as error:
            assert error.message


def _challenge(data: bytes) -> None:
    challenges = parse_challenges(data.decode("latin-1").split("\n"))
    chosen = choose_challenge(challenges)
    assert chosen is None or chosen.scheme in ("bearer", "basic")
    assert all(challenge.scheme for challenge in challenges)


def _scopes(data: bytes) -> None:
    merged = merge(data.decode("latin-1").split())
    assert merge(merged) == merged


def _range(data: bytes) -> None:
    held = held_bytes(data.decode("latin-1"))
    assert held is None or held >= 0


def _location(data: bytes) -> None:
    url = follow(data.decode("latin-1"), _URL, _ORIGIN, lambda _: None)
    assert url.scheme == "https" and not url.userinfo
    assert "geheim" not in redact(with_digest(url, Digest.of(b"")).copy_merge_params({"_state": "geheim"}))


def _auth_file(data: bytes) -> None:
    file = AuthFile.parse("auth.json", data)
    for registry in ("docker.io", "registry.example"):
        file.helper(registry)
        file.find(registry, "team/app", lambda _: None)


def _token(data: bytes) -> None:
    reply = Reply("GET", _URL, 200, httpx.Headers(), data)
    token = TokenServer(_URL, "s", Credential("a", "b"), lambda *_: reply).fetch((), 0.0)
    assert token.text.isprintable() and token.lasts >= 60
    httpx.Headers({"Authorization": f"Bearer {token.text}"})


def _refusal(data: bytes) -> None:
    error = Refused(Reply("GET", _URL, 500, httpx.Headers(), data))
    assert error.message.isprintable() and error.hint
    assert isinstance(error.temporary, bool)


def _retry_after(data: bytes) -> None:
    seconds = retry_after(Refused(Reply("GET", _URL, 429, httpx.Headers([(b"Retry-After", data)]))), 1.8e9)
    assert seconds is None or seconds >= 0


def _journal(data: bytes) -> None:
    for key, line in read_journal(data).items():
        assert key == (line.target, line.digest)


def _manifest(data: bytes) -> None:
    """What has layers has no children, whatever somebody says that it is (CVE-2021-41190)."""
    layers = strict_json.descriptors(strict_json.parse_manifest(data, media_types.OCI_MANIFEST), "layers")
    children = strict_json.descriptors(strict_json.parse_index(data, media_types.OCI_INDEX), "manifests")
    assert not (layers and children)


def _index(data: bytes) -> None:
    index = strict_json.parse_index(data, media_types.OCI_INDEX)
    choose(strict_json.descriptors(index, "manifests"), Platform("linux", "arm", "v7"))


def _config(data: bytes) -> None:
    """A manifest that fits is made for any config, so that only the config can be wrong."""
    manifest = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "layers": [_LAYER],
                "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(data)), "size": len(data)}}
    image = parse_image(_DESCRIPTOR, json.dumps(manifest).encode(), data)
    assert image.platform.os


def _reference(data: bytes) -> None:
    reference = Reference.parse(data.decode("latin-1"))
    assert Reference.parse(str(reference)) == reference


def _layer(data: bytes) -> None:
    for member in read_tar(decompress(io.BytesIO(data))):
        member.path, member.xattrs  # noqa: B018
        for _ in member.chunks():
            pass


def _layer_check(data: bytes) -> None:
    """Whatever is wrong is a finding, and none of them steers a terminal."""
    assert all(finding.what.isprintable() for finding in check_layer(decompress(io.BytesIO(data)), PathTree(), "layer"))


def _recipe(data: bytes) -> None:
    recipe = load(RecipeOrigin(STANDARD_INPUT, data), {}, presets=("apt", "docs"))
    assert recipe.name and recipe.images


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/" + "x" * 120, tarfile.REGTYPE), ("l", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mtime = kind, "d" if kind == tarfile.SYMTYPE else "", 1.5
            tar.addfile(member)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_MANIFEST: Final = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": _LAYER, "layers": [_LAYER]}
_INDEX: Final = {"schemaVersion": 2, "manifests": [_LAYER | {"platform": {"os": "linux", "architecture": "arm"}}]}

TARGETS: Final = {
    "auth-file": Target(_auth_file, (
        b'{"auths":{"registry.example/team":{"auth":"YTpi"},"https://index.docker.io/v1/":{"identitytoken":"t"}},'
        b'"credHelpers":{"a.example":"x"},"credsStore":"y"}',
    )),
    "challenge": Target(_challenge, (
        b'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
        b'Basic realm="a\\"b", Bearer realm=c, Negotiate',
    )),
    "config": Target(_config, (_json(_CONFIG), _json(_CONFIG | {"history": [{}], "config": {"Env": ["A=b"]}}))),
    "index": Target(_index, (_json(_INDEX),)),
    "journal": Target(_journal, (
        _json({"target": "https://r/a", "digest": _LAYER["digest"], "location": "https://r/u", "accepted": 5}) + b"\n",
    )),
    "layer": Target(_layer, (_tar(),)),
    "layer-check": Target(_layer_check, (_tar(),)),
    "location": Target(_location, (
        b"/v2/a/blobs/uploads/1?_state=x%3D", b"https://s3.example/x?sig=y", b"//10.0.0.1:80/x#y", b"http://[::1]/",
    )),
    "manifest": Target(_manifest, (_json(_MANIFEST),)),
    "range": Target(_range, (b"0-0", b"0--1", b"bytes=0-1048575", b"22-41")),
    "recipe": Target(_recipe, (
        b'name = "x"\n[vars]\nv = "1"\n[base]\nimage = "debian:12"\n[[step]]\nname = "s"\nrun = "true {{ v }}"\n'
        b'[prune]\npresets = ["apt"]\n[[image]]\nname = "x"\nkeep = ["/a/**"]\nmax_size = "2MB"\n',
    )),
    "reference": Target(_reference, (
        b"docker.io/library/debian:12", b"debian", f"r.example:5000/a:b@{Digest.of(b'')}".encode(),
    )),
    "refusal": Target(_refusal, (b'{"errors":[{"code":"DENIED","message":"no","detail":{}}]}', b"<html>")),
    "retry-after": Target(_retry_after, (b"120", b"Wed, 21 Oct 2026 07:28:00 GMT")),
    "scopes": Target(_scopes, (b"repository:a/b:pull,push registry:catalog:* repository:x:any",)),
    "token": Target(_token, (b'{"token":"a","access_token":"b","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}',)),
}
