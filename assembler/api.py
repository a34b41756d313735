"""What ``import assembler`` offers to programs: the use cases of the command line, for callers without a terminal.

Wherever a place is asked for, it is a :class:`~assembler.model.place.Place`, a path object, or text as ``imgasm copy``
takes it: ``oci:DIR[:NAME]``, ``oci-archive:FILE``, ``docker-archive:FILE``, ``docker-daemon:IMAGE``,
``containers-storage:IMAGE``, a path, or a reference in a registry. A path object is never a reference.

The examples run in a directory with the recipe of docs/library.md, and with ``world`` as it is made there.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.errors import own_errors
from assembler.model.place import Place
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from assembler.commands.job import BuildOptions
    from assembler.model.digest import Digest
    from assembler.places.held_image import HeldImage
    from assembler.places.put import PutOptions
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe
    from assembler.report.build_record import BuildRecord
    from assembler.report.build_records import Builds
    from assembler.report.image_layers import LayersReport


def load_recipe(path: str | os.PathLike[str], variables: Mapping[str, str] | None = None) -> Recipe:
    """The recipe in the TOML file ``path``, with its lock file. Nothing is run and nothing is fetched.

    ``variables`` are other values for variables that the recipe declares, as ``--set`` gives them; secrets, too.

    Raises RecipeError that names every mistake in ``detail``, and SourceError for a lock file that is damaged.

    >>> recipe = load_recipe("motd.toml", {"text": "Welcome."})
    >>> recipe.name, [image.name for image in recipe.images]
    ('motd', ['motd'])
    """
    from assembler.commands.open_recipe import open_recipe

    with own_errors():
        return open_recipe(Path(path), variables or {})


def build(
    recipe: Recipe, output: str | os.PathLike[str], world: World, options: BuildOptions | None = None
) -> BuildRecord:
    """Runs the steps of ``recipe`` in one container, and writes each of its images with one new layer to the OCI layout
    in the directory ``output``, which is made if need be. A recipe without steps needs no engine.

    Gives what the build did: sizes in bytes, times in seconds. The same lies in ``output`` as imgasm.json.

    Raises EngineError, StepFailed (a step's last lines are its ``detail``), SourceError, ChangesetError, ImageError,
    RegistryError, UsageError for options that contradict the recipe, and FileError for a full disk and its like; the
    layout then has none of the images. BudgetExceeded is raised when the images are there, and larger than the recipe
    allows: :func:`size_report` gives the record. The container is removed whatever happens.

    >>> record = build(load_recipe("motd.toml"), "build/motd", world)
    >>> image = record.images[0]
    >>> image.name, image.layer.media_type, image.entries
    ('motd', 'application/vnd.oci.image.layer.v1.tar+zstd', 2)
    """
    from assembler.commands import build as use
    from assembler.commands.budget import raise_if_broken
    from assembler.commands.job import BuildOptions

    with own_errors():
        record = use.build(recipe, Path(output), world, options or BuildOptions())
    raise_if_broken(record)
    return record


@contextmanager
def open_image(
    place: Place | str | os.PathLike[str],
    world: World,
    name: str | None = None,
    platform: Platform | str | None = None,
) -> Iterator[HeldImage]:
    """The image at ``place``, for as long as the context lives: manifest, config, and where each blob is.

    ``name`` chooses one of several images by its name, reference, tag or digest. ``platform``, such as ``linux/arm64``,
    chooses one image of an index, which otherwise stays whole. Of an image in a registry no layer is read before it is
    asked for. Layers that lie uncompressed in an archive or engine are compressed with gzip.

    Raises ImageError when the place holds no such image, or several and none is named, RegistryError, EngineError, and
    UsageError for a place that can't be.

    >>> with open_image("build/motd", world) as image:
    ...     print(image.image.platform.os, [layer.size > 100 for layer, diff_id in image.image.layers])
    ...     print(*image.references)
    linux [True]
    localhost/motd:latest
    """
    from assembler.places.check_place import named_place
    from assembler.places.open import open_place

    with ExitStack() as stack:
        with own_errors():
            found = stack.enter_context(open_place(_place(place, named_place), world, "gzip"))
            wanted = Platform.parse(platform) if isinstance(platform, str) else platform
            image = found.one(name, wanted or world.platform)
            image = image if wanted is None else image.for_platform(wanted)
        yield image
        with own_errors():
            stack.close()


def put_image(
    image: HeldImage, place: Place | str | os.PathLike[str], world: World, options: PutOptions | None = None
) -> Digest:
    """Puts ``image`` where it should be, and gives the digest of the manifest or index that is there now.

    A registry is sent only what it lacks, and the tag last. A path that is not there yet becomes an archive if it ends
    in .tar, else a layout. What the image's layout lacks of a base is mounted by the base's own registry; for all other
    places it is fetched with ``PutOptions(copy_far=True)``.

    Raises RegistryError, EngineError, ImageError (also when layers of a base are far, and it was not allowed to fetch
    them), UsageError and FileError. The place has the image then as it was before, or not at all.

    >>> with open_image("build/motd", world) as image:
    ...     digest = put_image(image, "registry.example.com/team/motd:1", world)
    >>> with open_image("registry.example.com/team/motd:1", world) as pushed:
    ...     pushed.digest == digest
    True
    """
    from assembler.places.put import PutOptions, put

    with own_errors():
        return put(image, _place(place, Place.target), world, options or PutOptions())


def size_report(
    what: str | os.PathLike[str],
    world: World,
    *,
    image: str | None = None,
    platform: Platform | str | None = None,
    deep: bool = False,
) -> Builds | LayersReport:
    """Where the bytes are: of a build's directory its records, by step and file; of any other place, and of ``oci:``
    and a build's directory, the image's layers. All sizes are in bytes.

    ``image`` chooses one of several, ``platform`` from an index, by default this machine's. Of an image whose layers
    are in a registry only the manifest is read, and ``contents`` is None, unless ``deep``.

    Raises ImageError, RegistryError, EngineError, and UsageError where there is nothing or no such image.

    >>> build(load_recipe("motd.toml"), "build/motd", world).broken
    ()
    >>> report = size_report("build/motd", world)
    >>> [file.path for record, image in report.images() for file in image.files]
    ['/etc/motd']
    >>> size_report("oci:build/motd", world).contents.bytes
    7
    """
    from assembler.commands.size_report import size_report as read

    with own_errors():
        wanted = Platform.parse(platform) if isinstance(platform, str) else platform
        return read(_text(what), image, wanted or world.platform, world, deep=deep)


def _place(where: Place | str | os.PathLike[str], parse: Callable[[str], Place]) -> Place:
    return where if isinstance(where, Place) else parse(_text(where))


def _text(where: str | os.PathLike[str]) -> str:
    """A relative path object with ``./`` before it, which keeps it from being read as a reference."""
    return where if isinstance(where, str) else os.path.join(".", where)
