"""The engine's images: pulling, loading, saving, naming."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from assembler.engine.client_process import ask, feed, follow, reading
from assembler.engine.owner_labels import PREFIX
from assembler.engine.refusal import is_of_absent_image, refusals
from assembler.errors import EngineError
from assembler.model import media_types
from assembler.model.platform import Platform
from assembler.progress import line_by_line

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from assembler.engine.endpoint import Endpoint
    from assembler.model.engines import EngineName
    from assembler.progress import Progress

_LOADED: Final = re.compile(r"^Loaded image(?: ID|\(s\))?: *(\S+)", re.MULTILINE)


class _Layers(BaseModel):
    diff_ids: list[str] = Field(default=[], alias="Layers")


class _Image(BaseModel):
    id: str = Field(alias="Id")
    architecture: str = Field(alias="Architecture")
    os: str = Field(alias="Os")
    variant: str = Field(default="", alias="Variant")
    manifest_type: str = Field(default="", alias="ManifestType")
    config: dict[str, Any] | None = Field(default=None, alias="Config")
    rootfs: _Layers = Field(alias="RootFS")


_ANSWER: Final = TypeAdapter(list[_Image])

_RUN_KEYS: Final = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir")
"""Config keys that the image-spec knows; docker adds others of the container that an image was made from."""


class Images:
    """Image ids are ``sha256:<hex>`` for both engines."""

    def __init__(self, engine: Endpoint) -> None:
        self._engine = engine
        self._known: dict[str, _Image] = {}

    @property
    def engine(self) -> EngineName:
        return self._engine.name

    def ensure(self, reference: str, progress: Progress, *, refresh: bool = False) -> str:
        """The id of the image called ``reference``. It is pulled if the engine does not have it, or to ``refresh``."""
        present = self.find(reference)
        if present is not None and not refresh:
            return present
        label = f"pulling {reference}"
        progress.say(label)
        what = f"{self._engine.name} could not pull {reference}"
        with line_by_line(progress, label) as on_line:
            follow(self._engine.command("image", "pull", reference), on_line, what)
        return self._inspect(reference).id

    def find(self, reference: str) -> str | None:
        try:
            return self._inspect(reference).id
        except EngineError as error:
            if is_of_absent_image(error):
                return None
            raise

    def load(self, archive: BinaryIO) -> str:
        """Reads an OCI or Docker archive from ``archive`` and returns the id of its (last) image."""
        what = f"{self._engine.name} could not load the image"
        answer = feed(self._engine.command("image", "load"), archive, what)
        loaded = _LOADED.findall(answer)
        if not loaded:
            raise EngineError(f"{what}: it names no image", detail=answer)
        return self._inspect(loaded[-1].split(",")[-1]).id

    def config(self, image: str) -> dict[str, Any]:
        """What the engine knows of the image's config, in the form of the image-spec's config.md.

        History and times are missing: they are the archive's (:meth:`save`). imgasm's own labels are left out.
        """
        found = self._known.get(image) or self._inspect(image)  # an id's image never changes
        run = {key: value for key in _RUN_KEYS if (value := (found.config or {}).get(key))}
        labels = {key: value for key, value in run.pop("Labels", {}).items() if not key.startswith(PREFIX)}
        platform = Platform(found.os, found.architecture, found.variant)
        return platform.to_json() | {
            "config": run | ({"Labels": labels} if labels else {}),
            "rootfs": {"type": "layers", "diff_ids": found.rootfs.diff_ids},
        }

    def save(self, image: str) -> AbstractContextManager[BinaryIO]:
        """A stream of the engine's archive of the image. EngineError at once if the engine has no such image.

        podman keeps an image's OCI manifest, with its annotations, which only its OCI archive can hold.
        """
        kept = self._engine.name == "podman" and self._inspect(image).manifest_type == media_types.OCI_MANIFEST
        form = ["--format", "oci-archive", "--uncompressed"] if kept else []
        what = f"{self._engine.name} could not save {image}"
        return reading(self._engine.command("image", "save", *form, image), what)

    def tag(self, image: str, reference: str) -> None:
        with refusals(f"{self._engine.name} could not name the image {reference}"):
            self._engine.client.image.tag(image, reference)

    def remove(self, image: str) -> None:
        """Takes the name or id away; whatever a container still uses stays, and is an error."""
        with refusals(f"{self._engine.name} could not remove the image {image}"):
            self._engine.client.image.remove(image)

    def _inspect(self, reference: str) -> _Image:
        what = f"{self._engine.name} does not know the image {reference}"
        answer = ask(self._engine.command("image", "inspect", reference), what)
        try:
            image = _ANSWER.validate_json(answer)[0]
        except (ValidationError, IndexError) as error:
            raise EngineError(f"{what}: its answer is not understood", detail=str(error)) from error
        image = image if image.id.startswith("sha256:") else image.model_copy(update={"id": f"sha256:{image.id}"})
        self._known[image.id] = image
        return image
