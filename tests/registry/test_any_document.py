"""Documents that come from outside, with anything at all in them: each is read, or refused in a sentence."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from assembler.errors import ImageError, RegistryError
from assembler.image import strict_json
from assembler.image.choose_platform import choose
from assembler.image.image import parse_image
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.platform import Platform
from assembler.registry.auth_file import AuthFile
from assembler.registry.responses import Refused, Reply
from assembler.registry.upload_journal import read_journal

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_KEYS = st.sampled_from([
    "schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform", "os", "architecture",
    "variant", "rootfs", "diff_ids", "history", "annotations", "urls", "auths", "auth", "username", "password",
    "credHelpers", "credsStore", "identitytoken", "errors", "code", "message", "Layers", "r.example", "team",
]) | st.text(max_size=4)
_VALUES = st.sampled_from([
    2, str(Digest.of(b"")), media_types.OCI_MANIFEST, media_types.OCI_INDEX, media_types.OCI_LAYER_GZIP,
    "linux", "amd64", "YTpi", "sha256:x",
])
_JSON = st.recursive(
    _SCALARS | _VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)
_DESCRIPTOR = Descriptor(media_types.OCI_MANIFEST, Digest.of(b""), 0)


def _whole(kind: str) -> dict[str, Any]:
    layer = {"mediaType": media_types.OCI_LAYER_GZIP, "digest": str(Digest.of(b"")), "size": 0}
    if kind == "index":
        return {"schemaVersion": 2, "manifests": [layer | {"platform": {"os": "linux", "architecture": "amd64"}}]}
    return {"schemaVersion": 2, "config": layer, "layers": [layer]}


@given(_KEYS, _JSON)
def test_a_manifest(key: str, value: Any) -> None:
    """One part of a good manifest is replaced by anything."""
    data = json.dumps(_whole("manifest") | {key: value}).encode()
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b""))]}}
    for config_data in (json.dumps(config).encode(), json.dumps(config | {key: value}).encode()):
        try:
            image = parse_image(_DESCRIPTOR, data, config_data)
        except ImageError as error:
            assert error.message
        else:
            assert len(image.layers) == 1 or key == "layers"


@given(_KEYS, _JSON)
def test_an_index(key: str, value: Any) -> None:
    data = json.dumps(_whole("index") | {key: value}).encode()
    try:
        entries = strict_json.descriptors(strict_json.parse_index(data, media_types.OCI_INDEX), "manifests")
        assert choose(entries, Platform("linux", "amd64")) in entries
    except ImageError as error:
        assert error.message


@given(_JSON)
def test_a_file_of_credentials(value: Any) -> None:
    try:
        file = AuthFile.parse("auth.json", json.dumps(value))
    except RegistryError as error:
        assert "auth.json" in error.message
        return
    assert isinstance(file.helper("r.example"), str)
    found = file.find("r.example", "team/app", lambda _: None)
    assert found is None or not found.is_anonymous


@given(st.dictionaries(st.sampled_from(["r.example", "r.example/team", "https://r.example/v1/"]), _JSON))
def test_entries_of_credentials(auths: dict[str, Any]) -> None:
    file = AuthFile.parse("auth.json", json.dumps({"auths": auths}))
    warnings: list[str] = []
    found = file.find("r.example", "team/app", warnings.append)
    assert found is None or found.stored
    assert all("ignored" in warning for warning in warnings)


@given(_JSON)
@example({"code": "\x1b[2J"})  # a registry that would clear the terminal
@example({"code": "DENIED", "message": "\x1b[2J"})
def test_a_refusal(value: Any) -> None:
    data = json.dumps({"errors": [value]}).encode()
    error = Refused(Reply("GET", httpx.URL("https://r.example"), 400, httpx.Headers(), data))
    assert error.message.isprintable()
    assert error.hint


@given(st.lists(_JSON | st.just({"target": "t", "digest": "d", "location": "l", "accepted": 1}), max_size=4))
def test_a_journal(lines: list[Any]) -> None:
    good = [line for line in lines if isinstance(line, dict) and line.get("location") == "l"]
    found = read_journal("\n".join(json.dumps(line) for line in lines).encode())
    assert bool(found) == bool(good)
