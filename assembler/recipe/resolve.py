"""From a :class:`Document` to the recipe's values: defaults filled in, paths absolute, files read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from assembler.model.budget import Budget, Growth
from assembler.model.place import TRANSPORTS, Place
from assembler.model.secrets import Secrets, without_userinfo
from assembler.recipe import model
from assembler.recipe.document import (
    BaseTable,
    BootstrapTable,
    ContainerTable,
    Document,
    GrowthTable,
    ImageTable,
    SourceTable,
    StepTable,
)
from assembler.recipe.files import resolve_file
from assembler.recipe.problems import Problems
from assembler.recipe.run import run_config
from assembler.recipe.sources import absolute_url, local_path, mount_path, source_name


@dataclass(frozen=True, slots=True)
class Given:
    """What the recipe's own text does not have: final variables, which of it is secret, the lock file's digests."""

    variables: Mapping[str, str]
    secrets: Secrets
    locked: Mapping[str, str]


def resolve(document: Document, file: Path, given: Given, problems: Problems) -> model.Recipe:
    folder = file.parent
    return model.Recipe(
        name=document.name,
        file=file,
        base=_base(document.base, folder),
        vars={name: given.secrets.mask(value) for name, value in given.variables.items()},
        secrets=given.secrets,
        container=_container(document.container),
        sources=tuple(
            _source(table, folder, given, number, problems) for number, table in enumerate(document.source)
        ),
        files=tuple(resolve_file(table, folder, number, problems) for number, table in enumerate(document.file)),
        steps=tuple(_step(table, document.container.shell) for table in document.step),
        prune=model.Prune(tuple(document.prune.presets), tuple(document.prune.paths)),
        images=tuple(_image(table, folder) for table in document.image),
        source_date_epoch=document.source_date_epoch,
        created=document.created,
    )


def _base(table: BaseTable, folder: Path) -> model.Base:
    return model.Base(
        image=table.image,
        bootstrap=_bootstrap(table.bootstrap) if table.bootstrap else None,
        rootfs=(folder / table.rootfs).resolve() if table.rootfs else None,
        layout=_layout(table.layout, folder) if table.layout else None,
    )


def _layout(text: str, folder: Path) -> str | Path:
    return Place.beside(text, folder) if text.startswith(TRANSPORTS) else (folder / text).resolve()


def _bootstrap(table: BootstrapTable) -> model.Bootstrap:
    return model.Bootstrap(
        suite=table.suite,
        packages=tuple(table.packages),
        components=tuple(table.components),
        variant=table.variant,
        architecture=table.architecture,
        mirror=table.mirror,
    )


def _container(table: ContainerTable) -> model.Container:
    return model.Container(
        privileged=table.privileged,
        cap_add=tuple(table.cap_add),
        security_opt=tuple(table.security_opt),
        devices=tuple(table.devices),
        network=table.network,
        scratch=tuple(map(PurePosixPath, table.scratch)),
        env=dict(table.env),
        shell=tuple(table.shell),
    )


def _source(table: SourceTable, folder: Path, given: Given, number: int, problems: Problems) -> model.Source:
    url = absolute_url(table.url, folder)
    if (path := local_path(url)) is not None and path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "no file"
        problems.add(("source", number, "url"), f'"{table.url}" is {what}, and a source is one file: pack it, '
                     "or let a [[file]] copy it into the container")  # fmt: skip
    declared = given.secrets.mask(without_userinfo(table.url))
    return model.Source(
        name=source_name(table, given.secrets),
        declared=declared,
        url=url,
        path=PurePosixPath(mount_path(table, given.secrets)),
        sha256=table.sha256 or given.locked.get(declared),
    )


def _step(table: StepTable, shell: list[str]) -> model.Step:
    script = table.run if isinstance(table.run, str) else None
    return model.Step(
        name=table.name,
        argv=tuple(table.run) if script is None else (*shell, script),
        script=script,
        env=dict(table.env),
        workdir=PurePosixPath(table.workdir) if table.workdir else None,
        user=table.user,
        timeout=table.timeout,
    )


def _image(table: ImageTable, folder: Path) -> model.Image:
    return model.Image(
        name=table.name,
        reference=table.reference,
        onto=Place.beside(table.onto, folder),
        keep=tuple(keep.path for keep in table.keep),
        optional=tuple(keep.path for keep in table.keep if keep.optional),
        config=run_config(table),
        compression=model.Compression(table.compression.codec, table.compression.level),
        budget=_budget(table, folder),
        annotations=dict(table.annotations),
    )


def _budget(table: ImageTable, folder: Path) -> Budget:
    budget = table.budget
    return Budget(
        layer=budget.layer or table.max_size,
        layer_unpacked=budget.layer_unpacked,
        image=budget.image,
        image_unpacked=budget.image_unpacked,
        paths=tuple(budget.paths.items()),
        peak=budget.peak,
        growth=_growth(budget.growth, folder) if budget.growth else None,
    )


def _growth(table: GrowthTable, folder: Path) -> Growth:
    baseline = Place.beside(table.baseline, folder) if table.baseline is not None else None
    return Growth(table.percent, table.floor or 0, baseline)
