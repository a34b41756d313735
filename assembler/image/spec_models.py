"""The image-spec's documents as models, which ``verify`` holds an image against (config.md, manifest.md, ...).

Go writes null for an empty list or map, and every reader takes it; so do these. Unknown keys are allowed by the spec.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from assembler.errors import ImageError
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.timestamp import RFC_3339

if TYPE_CHECKING:
    from collections.abc import Iterator



def _digest(text: str) -> str:
    try:
        return str(Digest.parse(text))
    except ImageError as error:
        raise ValueError(error.message) from error


def _time(text: str) -> str:
    if not RFC_3339.fullmatch(text):
        raise ValueError("not a time as RFC 3339 has it")
    datetime.fromisoformat(text[:19])
    return text


DigestText = Annotated[str, AfterValidator(_digest)]
Time = Annotated[str, AfterValidator(_time)]
Texts = list[str] | None
Set = dict[str, dict[str, Any] | None] | None


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class DescriptorDocument(_Document):
    mediaType: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$")
    digest: DigestText
    size: int = Field(ge=0)
    urls: Texts = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    artifactType: str | None = None


class PlatformDocument(_Document):
    os: str = Field(min_length=1)
    architecture: str = Field(min_length=1)
    variant: str | None = None


class IndexEntry(DescriptorDocument):
    platform: PlatformDocument | None = None


class Index(_Document):
    schemaVersion: Literal[2]
    mediaType: str | None = None
    manifests: list[IndexEntry] | None
    annotations: dict[str, str] | None = None
    artifactType: str | None = None
    subject: DescriptorDocument | None = None


class Manifest(_Document):
    schemaVersion: Literal[2]
    mediaType: str | None = None
    config: DescriptorDocument
    layers: list[DescriptorDocument]
    annotations: dict[str, str] | None = None
    artifactType: str | None = None
    subject: DescriptorDocument | None = None


class HealthcheckSection(_Document):
    """Docker's (docker-image-spec v1.3): the image-spec reserves the key for it. Times are nanoseconds."""

    Test: Texts = None
    Interval: int = 0
    Timeout: int = 0
    StartPeriod: int = 0
    StartInterval: int = 0
    Retries: int = 0


class RunSection(_Document):
    User: str | None = None
    ExposedPorts: Set = None
    Env: list[Annotated[str, Field(pattern=r"(?s)^[^=]+=")]] | None = None
    Entrypoint: Texts = None
    Cmd: Texts = None
    Volumes: Set = None
    WorkingDir: str | None = None
    Labels: dict[str, str] | None = None
    StopSignal: str | None = None
    Healthcheck: HealthcheckSection | None = None
    OnBuild: Texts = None
    Shell: Texts = None


class RootFs(_Document):
    type: Literal["layers"]
    diff_ids: list[DigestText]


class History(_Document):
    created: Time | None = None
    author: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class LayoutMarker(_Document):
    """The file oci-layout."""

    imageLayoutVersion: Literal["1.0.0"]


class Config(_Document):
    created: Time | None = None
    author: str | None = None
    architecture: str = Field(min_length=1)
    os: str = Field(min_length=1)
    variant: str | None = None
    config: RunSection | None = None
    rootfs: RootFs
    history: list[History] | None = None


_SCHEMA_1 = {"fslayers", "history"}
_KEYS = {key.lower(): key for key in (*Index.model_fields, *Manifest.model_fields)}


def problems(document: dict[str, Any], model: type[BaseModel]) -> list[str]:
    """Everything in ``document`` that is not as ``model`` wants it, each as ``key.key: what is wrong``."""
    found = list(_odd_keys(document, model)) if model in (Index, Manifest) else []
    try:
        model.model_validate(document)
    except ValidationError as error:
        found += [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return found


def _odd_keys(document: dict[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """Keys by which somebody could take the document for something else (CVE-2021-41190)."""
    other = Manifest if model is Index else Index
    foreign = _SCHEMA_1 | (other.model_fields.keys() - model.model_fields.keys())
    for key in document:
        if key.lower() in foreign:
            yield f"it has the key {key!r}, so it can be read as another kind"
        elif _KEYS.get(key.lower(), key) != key:
            yield f"it has the key {key!r}, which some read as {_KEYS[key.lower()]!r}"


def kind_of(document: dict[str, Any], media_type: object) -> type[Index] | type[Manifest] | None:
    """What a document is by its type, or else by what is in it."""
    for said in map(text, (media_type, document.get("mediaType"))):
        if said in media_types.INDEXES:
            return Index
        if said in media_types.MANIFESTS:
            return Manifest
    if isinstance(document.get("manifests"), list):
        return Index
    return Manifest if isinstance(document.get("layers"), list) and "config" in document else None


def descriptor(value: Any) -> Descriptor | None:
    """What of a descriptor can be used, whatever else is wrong with it; None without a digest.

    A size that is none is -1.
    """
    rest = dict(value) if isinstance(value, dict) else {}
    media_type, digest, size = rest.pop("mediaType", None), rest.pop("digest", None), rest.pop("size", None)
    annotations = rest.pop("annotations", None)
    texts = annotations.items() if isinstance(annotations, dict) else ()
    try:
        return Descriptor(
            media_type if isinstance(media_type, str) else "",
            Digest.parse(digest if isinstance(digest, str) else ""),
            size if type(size) is int and size >= 0 else -1,
            {key: text for key, text in texts if isinstance(text, str)},
            rest,
        )
    except ImageError:
        return None


def descriptors(value: Any) -> list[Descriptor | None]:
    return [descriptor(one) for one in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""
