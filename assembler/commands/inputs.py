"""What a build's result depends on: the recipe as it is after its variables, and what it names elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from assembler.commands.budget_baseline import find_baselines
from assembler.commands.compressor_versions import LIBRARIES
from assembler.commands.recipe_files import opened
from assembler.layer.write_layer import LAYER_FORMAT
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest
from assembler.model.inputs import Inputs, StepInputs
from assembler.recipe.files import File, Folder
from assembler.recipe.steps import Step
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from assembler.commands.bases import Bases
    from assembler.recipe.images import Image
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.sources import Source
    from assembler.report.budget import Baseline

_IDLE: Final = frozenset({"name", "script", "timeout", "ssh", "retries", "checkpoint", "max_age"})
"""What changes nothing that a step writes; ``argv`` has the script."""

_CALLED: Final = {"argv": "run"}

_OF_ENGINES: Final = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir",
)  # fmt: skip
"""What an engine tells of an image's config (:meth:`assembler.engine.images.Images.config`)."""


class Surroundings:
    """What a recipe only names. ``way`` is how the container's files were asked to be read."""

    def __init__(self, recipe: Recipe, bases: Bases, way: str) -> None:
        self._recipe = recipe
        self._bases = bases
        self._way = way

    @cached_property
    def baselines(self) -> dict[str, Baseline]:
        return find_baselines(self._recipe.images, self._bases.world, self._bases.platform)

    def inputs(self, sources: Mapping[Source, str]) -> Inputs | None:
        """``sources`` are sha256 digests as hex. None where the base can't be known before it is pulled.

        Secrets are masked before anything is hashed: another password makes no other image.
        """
        recipe, digest = self._recipe, _Digests(self._recipe).of
        if (base := self._bases.config(recipe.base)) is None:
            return None
        tells = _as_engines_tell(base) if recipe.base.image and recipe.steps else base
        environment = {"imgasm": digest([__version__, LAYER_FORMAT, LIBRARIES]), "the base": digest(tells),
                       "source_date_epoch": digest(recipe.source_date_epoch)}  # fmt: skip
        if recipe.steps:
            environment |= {f"{key} of [container]": digest(value) for key, value in asdict(recipe.container).items()}
        environment |= {f"source {source.name}": digest([source.path, sources[source]]) for source in sources}
        environment |= {f"cache {cache.name}": digest(cache.path) for cache in recipe.caches}
        environment |= {f"secret {secret.name}": digest(asdict(secret)) for secret in recipe.secret_inputs}
        environment |= {f"[[file]] {file.path}": digest(list(_contents(file))) for file in recipe.files}
        steps = (StepInputs(step.name, dict(_parts(step, digest))) for step in recipe.steps)
        return Inputs(environment, tuple(steps), self._images(digest))

    def _images(self, digest: Callable[[object], str]) -> dict[str, str]:
        recipe = self._recipe
        found = {"name": digest(recipe.name), "created": digest(recipe.created),
                 "[prune]": digest(asdict(recipe.prune)), "--capture": digest(self._way)}  # fmt: skip
        for image in recipe.images:
            found[f"image {image.name}"] = digest(_wanted(image))
            found |= {f"kernel {path}": _digest_of(path) for path in image.kernels or ()
                      if isinstance(path, Path) and path.is_file()}  # fmt: skip
            if (below := self._bases.onto(image, recipe.base)) is not None:
                found[f"what image {image.name} is stacked on"] = str(below.digest)
            if (baseline := self.baselines.get(image.name)) is not None:
                found[f"the baseline of image {image.name}"] = digest([baseline.layer, baseline.whole])
        return found


@dataclass(frozen=True, slots=True)
class _Digests:
    recipe: Recipe

    def of(self, value: object) -> str:
        return Digest.of(self.recipe.secrets.mask(canonical_json(_plain(value)).decode()).encode()).hex


def _parts(step: Step, digest: Callable[[object], str]) -> Iterator[tuple[str, str]]:
    for field in fields(Step):
        if field.name not in _IDLE:
            yield _CALLED.get(field.name, field.name), digest(getattr(step, field.name))


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return Digest.of_file(file).hex


def _wanted(image: Image) -> dict[str, Any]:
    return {**asdict(image), "onto": image.onto if image.onto in ("base", "scratch") else None}


def _as_engines_tell(config: dict[str, Any]) -> dict[str, Any]:
    """The same for an image in an engine and in its registry."""
    run = config.get("config") or {}
    platform = {key: config[key] for key in ("os", "architecture") if key in config}
    return platform | {"rootfs": config.get("rootfs"), "config": {key: run[key] for key in _OF_ENGINES if run.get(key)}}


def _contents(file: File | Folder) -> Iterator[object]:
    """With the bytes of files on this machine as their digests."""
    for one in (file.files if isinstance(file, Folder) else (file,)):
        with opened(one) as stream:
            yield [one.path, one.mode, one.owner, str(Digest.of_file(stream))]
    if isinstance(file, Folder):
        yield [file.path, file.owner, list(file.directories), [asdict(link) for link in file.links]]


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path | PurePosixPath) else value
