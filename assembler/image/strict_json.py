"""JSON from outside: read once, strictly, so that nobody can read the same bytes in another way (CVE-2021-41190)."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from assembler.errors import ImageError
from assembler.model import media_types
from assembler.model.descriptor import Descriptor

MANIFEST_CAP: Final = 4 << 20
CONFIG_CAP: Final = 4 << 20
"""Bytes. Registries take manifests of up to 4 MiB; containers/image reads no larger config."""

_HINT: Final = "Get the image again from where it was made; imgasm does not guess what is meant."
_FOREIGN: Final = {
    "manifest": frozenset({"manifests", "fslayers", "history"}),
    "index": frozenset({"config", "layers", "fslayers", "history"}),
}


def parse(data: bytes, what: str) -> dict[str, Any]:
    """One JSON object in UTF-8. Python would take the last of two equal keys, Go either: two are an error."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not valid JSON: {str(error)[:200]}", hint=_HINT) from error
    if not isinstance(value, dict):
        raise ImageError(f"{what} is not a JSON object", hint=_HINT)
    return value


def parse_manifest(data: bytes, media_type: str) -> dict[str, Any]:
    """An image manifest whose descriptor or Content-Type says ``media_type``."""
    return _parse_kind(data, media_type, "manifest", media_types.MANIFESTS)


def parse_index(data: bytes, media_type: str) -> dict[str, Any]:
    return _parse_kind(data, media_type, "index", media_types.INDEXES)


def descriptors(document: dict[str, Any], key: str) -> list[Descriptor]:
    """The list of descriptors under ``key``. Docker 25.0 wrote null for an empty one."""
    values = document.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        raise ImageError(f"{key!r} is not a list of descriptors", hint=_HINT)
    return [Descriptor.from_json(value) for value in values]


def _parse_kind(data: bytes, media_type: str, kind: str, types: frozenset[str]) -> dict[str, Any]:
    document = parse(data, f"the {kind}")
    if document.get("schemaVersion") == 1 or media_type not in types:
        raise ImageError(f"imgasm can't read a {kind} of the type {media_type!r}",
                         hint="Convert the image to OCI first.")  # fmt: skip
    if document.get("mediaType", media_type) != media_type:
        raise ImageError(f"the {kind} says it is {document['mediaType']!r}, its descriptor {media_type!r}", hint=_HINT)
    if document.get("schemaVersion") != 2:
        raise ImageError(f"the {kind} has no schemaVersion 2", hint=_HINT)
    _check_keys(document, kind)
    return document


def _check_keys(document: dict[str, Any], kind: str) -> None:
    known = ("schemaVersion", "mediaType", "config", "layers", "manifests", "annotations", "subject", "artifactType")
    exact = {name.lower(): name for name in known}
    for key in document:
        if exact.get(key.lower(), key) != key:
            raise ImageError(f"the {kind} has the key {key!r}, which some read as {exact[key.lower()]!r}", hint=_HINT)
        if key.lower() in _FOREIGN[kind]:
            raise ImageError(f"the {kind} has the key {key!r}, so it can be read as another kind", hint=_HINT)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
