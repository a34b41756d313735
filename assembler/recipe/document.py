"""The recipe as TOML has it: every table, key and type. What the tables mean together is ``rules``' business.

The descriptions are the recipe's reference: the JSON Schema shows them in editors.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from assembler.layer.codecs import CODECS, DEFAULT, CodecName
from assembler.recipe.files import FileTable
from assembler.recipe.run import RunTable
from assembler.recipe.table import Table
from assembler.recipe.values import (
    Baseline,
    Capability,
    ContainerPath,
    Created,
    Duration,
    Environment,
    FileName,
    Glob,
    ImageReference,
    Name,
    Onto,
    Percent,
    ScratchPath,
    Script,
    Sha256,
    Size,
    SourceUrl,
    Text,
    VariableName,
    absolute_glob,
    fail,
)


class VariableTable(Table):
    """A variable as a table. A secret one has no value in the recipe: it is given when the recipe is used."""

    value: str | None = Field(default=None, description="What the variable stands for; the same as a string alone.")
    secret: bool = Field(
        default=False, description="Its value comes from --set-env, --set-file or --set, and is never shown, stored or "
        "recorded.")

    @model_validator(mode="after")
    def _one_origin(self) -> VariableTable:
        if self.secret == (self.value is not None):
            fail("needs either a value or secret = true: a secret's value is never in the recipe")
        return self


def _value_alone(value: Any) -> Any:
    if not isinstance(value, str | dict):
        fail(f"expected a string, or {{ secret = true }} for a value given with the command, not {value}")
    return {"value": value} if isinstance(value, str) else value


class BootstrapTable(Table):
    """A Debian-like base made by mmdebstrap: no image registry needed."""

    suite: Text = Field(description="The release: bookworm, trixie, jammy.")
    packages: list[Text] = Field(default=[], description="Packages beyond those of the variant.")
    components: list[Text] = Field(default=["main"], description="Archive components: main, contrib, non-free.")
    variant: Text = Field(default="minbase", description="mmdebstrap's --variant.")
    architecture: Text | None = Field(
        default=None, description="Debian's name, such as amd64; by default this machine's.")
    mirror: Text | None = Field(
        default=None, description="URL of the package archive, or a line for apt's sources.list; a snapshot's pins the "
        "base. By default mmdebstrap's choice.")


class BaseTable(Table):
    """Where the build environment comes from: exactly one of the four."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    image: ImageReference | None = Field(default=None, description="An image that the engine pulls.")
    bootstrap: BootstrapTable | None = Field(default=None, description="Made here by mmdebstrap.")
    rootfs: Text | None = Field(default=None, description="A root file system as a tarball, relative to the recipe.")
    layout: Text | None = Field(
        default=None, description="An OCI layout, such as a former build, relative to the recipe; oci:DIR:NAME for one "
        "image of several.")

    @model_validator(mode="after")
    def _exactly_one(self) -> BaseTable:
        if len(self.model_fields_set) != 1:
            given = " and ".join(sorted(self.model_fields_set)) or "none of them"
            fail(f"needs exactly one of image, bootstrap, rootfs and layout, but has {given}")
        return self


class ContainerTable(Table):
    """How the one container runs."""

    privileged: bool = Field(
        default=False, description="All capabilities and devices: only for steps that insert modules.")
    cap_add: list[Capability] = Field(
        default=[], description="Capabilities beyond the engine's default: SYS_MODULE, or MKNOD for device nodes with "
        "podman 5.")
    security_opt: list[Text] = Field(default=[], description="The engine's --security-opt.")
    devices: list[Text] = Field(default=[], description="Devices of the host: /dev/fuse.")
    network: Text | None = Field(default=None, description="The engine's --network: host, none, or a network's name.")
    scratch: list[ScratchPath] = Field(
        default=[], description="Directories on volumes: nothing in them can reach a layer.")
    env: Environment = Field(default={}, description="Environment of every step; no image gets it.")
    shell: Annotated[list[Text], Field(min_length=1)] = Field(
        default=["/bin/sh", "-e", "-c"], description="Runs the steps' scripts; the script is the last argument.")


class SourceTable(Table):
    """An input that is fetched once, checked, and mounted read-only: no layer ever holds it."""

    url: SourceUrl = Field(description="An http, https or file URL, or a path relative to the recipe.")
    name: FileName | None = Field(default=None, description="By default the last part of the URL.")
    path: ContainerPath | None = Field(
        default=None, description="Where it is mounted; by default /imgasm/sources/<name>.")
    sha256: Sha256 | None = Field(
        default=None, description="64 hex digits. Without them the lock file beside the recipe pins.")


class StepTable(Table):
    """A script or command in the container."""

    name: Text = Field(description="What reports call it.")
    run: Script = Field(description="A script for the container's shell, or a list that is executed as it is.")
    env: Environment = Field(default={}, description="Environment of this step, beside the container's.")
    workdir: ContainerPath | None = Field(default=None, description="The directory to run in.")
    user: Text | None = Field(default=None, description="user or user:group to run as.")
    timeout: Duration | None = Field(default=None, description='"30m", "1h30m", or a number of seconds.')


class PruneTable(Table):
    """What no image needs."""

    presets: list[Text] = Field(
        default=[], description="Names of imgasm's own lists; `imgasm schema --presets` shows them all.")
    paths: list[Glob] = Field(default=[], description="Absolute globs; ** crosses directories.")


_LEVELS: Final = ", ".join(
    f"{codec.levels[0]} to {codec.levels[-1]} for {codec.name}" for codec in CODECS.values() if codec.levels
)


class CompressionTable(Table):
    codec: CodecName = DEFAULT
    level: int | None = Field(
        default=None, description=f"{_LEVELS}; by default the codec's own.")

    @model_validator(mode="after")
    def _level_exists(self) -> CompressionTable:
        levels = CODECS[self.codec].levels
        if self.level is not None and self.level not in levels:
            right = f"the levels {levels[0]} to {levels[-1]}" if levels else "no levels"
            fail(f'"{self.codec}" has {right}, but level is {self.level}')
        return self


def _codec_alone(value: Any) -> Any:
    return {"codec": value} if isinstance(value, str) else value


class GrowthTable(Table):
    """How much more than a baseline is too much: more than the share and more than the floor."""

    percent: Percent = Field(default=0.0, description='"5%", or a number of percent.')
    floor: Size | None = Field(default=None, description="Growth below this never counts, however many percent it is.")
    baseline: Baseline | None = Field(
        default=None, description="A reference, or the path of a former build or a layout that begins with / or ./; "
        "by default what the registry has under the image's own reference.")


def _percent_alone(value: Any) -> Any:
    return {"percent": value} if isinstance(value, str) else value


class BudgetTable(Table):
    """What the image may cost at most. A broken budget fails the build with exit code 10 before anything is pushed."""

    layer: Size | None = Field(default=None, description="The layer, compressed.")
    layer_unpacked: Size | None = Field(default=None, description="The layer as a tar.")
    image: Size | None = Field(default=None, description="All layers of the image, compressed.")
    image_unpacked: Size | None = Field(default=None, description="All layers of the image as tars.")
    paths: dict[Glob, Size] = Field(default={}, description="For a glob, what the files that match it hold together.")
    peak: Size | None = Field(default=None, description="What the build itself needs on disk, scratch included.")
    growth: Annotated[GrowthTable | None, BeforeValidator(_percent_alone)] = Field(
        default=None, description='"5%" more than the baseline, or a table with percent, floor and baseline.')


class KeepTable(Table):
    """What may leave the container."""

    path: Glob = Field(description="An absolute glob; it goes through the container's symbolic links.")
    optional: bool = Field(default=False, description="Whether it may match nothing, which is an error otherwise.")


def _path_alone(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": absolute_glob(value)}
    return value if isinstance(value, dict) else fail("expected an absolute glob, or a table with path and optional")


class ImageTable(RunTable):
    """What comes out: exactly one new layer."""

    name: Name = Field(description="What the command line and the layout call it.")
    reference: ImageReference | None = Field(default=None, description="Where push and load take it.")
    onto: Onto = Field(
        default="base", description='"base", "scratch", a reference, a layout\'s path that begins with / or ./, or '
        "oci:DIR:NAME")
    keep: list[Annotated[KeepTable, BeforeValidator(_path_alone)]] = Field(
        default=[], description="Nothing but this leaves the container; empty means everything. Globs, or tables with "
        "path and optional.")
    annotations: dict[str, str] = Field(default={}, description="The manifest's annotations.")
    compression: Annotated[CompressionTable, BeforeValidator(_codec_alone)] = Field(
        default=CompressionTable(), description='"zstd", "gzip", "none", or a table with codec and level.')
    max_size: Size | None = Field(
        default=None, description='Short for budget.layer: "60MB", "60MiB", or bytes.')
    budget: BudgetTable = BudgetTable()

    @model_validator(mode="after")
    def _one_limit(self) -> ImageTable:
        if self.max_size is not None and self.budget.layer is not None:
            fail("has both max_size and budget.layer, which say the same; leave one of them out")
        return self


class Document(Table):
    """An imgasm recipe."""

    name: Name = Field(description="What the build is called.")
    source_date_epoch: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="No new file in a layer is later than this, in seconds since 1970; steps find it in "
        "SOURCE_DATE_EPOCH, which wins over this where imgasm itself finds it set.")
    created: Created | None = Field(
        default=None, description="When the images were made, as they tell it; by default they don't. "
        '"2026-01-02T03:04:05Z", "source_date_epoch" or "now".')
    vars: dict[VariableName, Annotated[VariableTable, BeforeValidator(_value_alone)]] = Field(
        default={}, description="What {{ name }} stands for; --set name=value overrides. {{ name | tag }} is the same "
        "as a tag can have it: 6.12.48+deb13 becomes 6.12.48_deb13.")
    base: BaseTable
    container: ContainerTable = ContainerTable()
    source: list[SourceTable] = Field(default=[])
    file: list[FileTable] = Field(default=[])
    step: list[StepTable] = Field(default=[])
    prune: PruneTable = PruneTable()
    image: Annotated[list[ImageTable], Field(min_length=1)]


def keys_at(location: tuple[str | int, ...]) -> list[str]:
    """The keys that the table at ``location`` may have."""
    table: type[Table] = Document
    for key in location:
        if isinstance(key, str):
            table = _table_in(_fields(table).get(key)) or table  # or a name that the recipe chose, as in [vars]
    return list(_fields(table))


def _fields(table: type[Table]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in table.model_fields.items()}


def _table_in(annotation: Any) -> type[Table] | None:
    """The table class inside ``list[T]``, ``T | None`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next(filter(None, map(_table_in, getattr(annotation, "__args__", ()))), None)
