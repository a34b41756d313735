"""The image-spec's documents as models, which ``verify`` holds an image against (config.md, manifest.md, ...).

Go writes null for an empty list or map, and every reader takes it; so do these. Unknown keys are allowed by the spec.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from assembler.errors import ImageError
from assembler.model import media
from assembler.model.digest import Digest
from assembler.model.moment import RFC_3339


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


class Manifest(_Document):
    schemaVersion: Literal[2]
    mediaType: str | None = None
    config: DescriptorDocument
    layers: list[DescriptorDocument]
    annotations: dict[str, str] | None = None


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


class RootFs(_Document):
    type: Literal["layers"]
    diff_ids: list[DigestText]


class History(_Document):
    created: Time | None = None
    author: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class Config(_Document):
    created: Time | None = None
    author: str | None = None
    architecture: str = Field(min_length=1)
    os: str = Field(min_length=1)
    config: RunSection | None = None
    rootfs: RootFs
    history: list[History] | None = None


LAYER_TYPES = {
    media.OCI_LAYER: "none",
    media.OCI_LAYER_GZIP: "gzip",
    media.OCI_LAYER_ZSTD: "zstd",
    media.DOCKER_LAYER: "none",
    media.DOCKER_LAYER_GZIP: "gzip",
}
"""The layers that engines run, and the compression that each type promises."""


def problems(document: dict[str, Any], model: type[BaseModel]) -> list[str]:
    """Everything in ``document`` that is not as ``model`` wants it, each as ``key.key: what is wrong``."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        return [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
    return []
