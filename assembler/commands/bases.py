"""What images stand on: the environment that the steps run in, and the images that new layers are stacked on.

Everything that is not simply an engine's image becomes an OCI layout first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assembler.commands.base_files import tree_of_base
from assembler.commands.make_base import BaseMaker
from assembler.engine.images import Images
from assembler.errors import ImageError, RegistryError
from assembler.image.assemble import store_image
from assembler.image.config import diff_ids_of
from assembler.image.image import Image
from assembler.image.layout import Layout
from assembler.image.recompress import recompress
from assembler.image.write_archive import write_archive
from assembler.model.digest import Digest
from assembler.model.place import Place, Store
from assembler.model.platform import Platform
from assembler.model.reference import Reference
from assembler.places.held_image import HeldImage
from assembler.places.open import open_place
from assembler.places.piped import piped

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from assembler.changeset.tree import Tree
    from assembler.commands.target_platform import TargetPlatform
    from assembler.engine.host.unpacked_bases import UnpackedBases
    from assembler.engine.runner import Runner
    from assembler.image.layout_cache import LayoutCache
    from assembler.layer.read_tar import Readable
    from assembler.places.registries import Registries
    from assembler.places.world import World
    from assembler.recipe.base import Base
    from assembler.recipe.images import Image as Wanted

_NAME: Final = "localhost/imgasm/base"
_FAST: Final = "zstd"


@dataclass(frozen=True, slots=True)
class Policy:
    """``refresh`` gets bases again although the engine or the cache has them. ``inspect`` reads bases that are in a
    registry to their last file, to know what they have already."""

    refresh: bool = False
    inspect: bool = False


class Bases:
    """Each base is prepared once in a build, however many images stand on it.

    Without an ``engine`` an image can be taken from its registry, but no steps can run on it.
    """

    def __init__(
        self, engine: Runner | None, world: World, target: TargetPlatform, cache: LayoutCache, policy: Policy
    ) -> None:
        self._engine = engine
        self._store = engine.images if engine is not None and isinstance(engine.images, Images) else None
        self.world = world
        self.target = target
        self._cache = cache
        self._progress = world.progress
        self._policy = policy
        self._maker = BaseMaker(cache, target, world.progress, policy.refresh)
        self._prepared: dict[object, tuple[Layout, Image]] = {}
        self._opened: dict[tuple[Reference | Place, Platform], HeldImage] = {}
        self._platform: Platform | None = None
        self._environment: str | None = None

    @property
    def platform(self) -> Platform:
        """What the environment's files are for; before the environment is known, what is asked for."""
        return self._platform or self.target.wanted

    def resolve(self, base: Base) -> Platform:
        """Makes, reads or pulls what the steps run in, and returns what it is for."""
        if self._engine is not None:
            self.environment(base, self._engine)
        else:
            self.whole(base)
        return self.platform

    def config(self, base: Base) -> dict[str, Any] | None:
        """The config of what :meth:`resolve` gives, with nothing brought to an engine; None: nobody can know."""
        if base.image is None:
            config = self._prepare(base)[1].config
        elif self._store is not None and (known := self._store.find(base.image)) is not None:
            config = self._store.config(known)
        else:
            try:
                reference = Reference.parse(base.image).with_default_tag()
                config = self._in_registry(reference, self.world.registries.impatient()).image.config
            except (RegistryError, ImageError):
                return None
        self._platform = self.target.check(Platform.of_config(config), base.image or _said(base))
        return config

    def identity(self, base: Base) -> Digest:
        """What :meth:`resolve` gave: its config's digest, which is also what an engine knows an image by."""
        if base.image is not None and self._engine is not None and self._store is not None:
            return Digest.parse(self.environment(base, self._engine))
        below = self.whole(base).image if base.image is not None else self._prepare(base)[1]
        return below.config_descriptor.digest

    def environment(self, base: Base, engine: Runner) -> str:
        """The engine's id of the image that the container is started from."""
        if self._environment is None:
            images = engine.images
            self._environment = self._loaded(base, images) if isinstance(images, Images) else self._taken(base, images)
        return self._environment

    def _taken(self, base: Base, bases: UnpackedBases) -> str:
        below = self.whole(base)
        return bases.take(below.image, self.open_layers(below), below.name, self._progress)

    def _loaded(self, base: Base, images: Images) -> str:
        if base.image is not None:
            identity = images.ensure(base.image, self._progress, refresh=self._policy.refresh)
            self._platform = self.target.check(Platform.of_config(images.config(identity)), base.image)
            return identity
        layout, image = self._prepare(base)
        self._platform = image.platform
        name = f"{_NAME}:{image.config_descriptor.digest.short}"
        known = images.find(name)
        if known is not None:
            return known
        with self._cache.loading(_said(base)):
            return images.find(name) or self._load(layout, image, name, images)

    def _load(self, layout: Layout, image: Image, name: str, images: Images) -> str:
        self._progress.say("loading the base into the engine")
        named = [(image, [Reference.parse(name)])]
        with (
            self._progress.task("loading the base") as task,
            piped(
                lambda sink: write_archive(layout, named, sink, plain_layers=True, advance=task.advance)
            ) as archive,
        ):
            return images.load(archive)

    def onto(self, image: Wanted, base: Base) -> HeldImage | None:
        """What ``image``'s layer is stacked on; None for scratch."""
        if image.onto == "scratch":
            return None
        if image.onto != "base":
            place = Place.told(image.onto)
            if place.store is not Store.REGISTRY:
                return self._of_place(place, self.platform)
            return self._of_reference(place.where, image.compression.codec)
        if base.image is not None and self._store is not None:
            return self._of_environment(base.image, self._store, image.compression.codec)
        below = self.whole(base)
        if base.layout is None and base.image is None:
            layout, whole = self._prepare(base)
            return self._held(layout, self._in_codec(layout, whole, image.compression.codec))
        return below

    def whole(self, base: Base) -> HeldImage:
        """The base with its layers, without an engine."""
        if base.image is not None:
            below = self._from_registry(Reference.parse(base.image))
        elif base.layout is not None:
            below = self._of_place(Place.told(base.layout), self.target.wanted)
        else:
            below = self._held(*self._prepare(base))
        self._platform = self.target.check(below.image.platform, below.name)
        return below

    def tree(self, below: HeldImage) -> Tree:
        """The files of an image, from its layers."""
        return tree_of_base(below, self._progress, inspect=self._policy.inspect)

    def open_layers(self, below: HeldImage) -> list[Callable[[], AbstractContextManager[Readable]]]:
        """Each layer's blob, the lowest first, to be opened as often as need be."""
        return [partial(below.open_layer, descriptor) for descriptor, _ in below.image.layers]

    # -- where they are ------------------------------------------------------------------------------------------------

    def _of_place(self, place: Place, platform: Platform) -> HeldImage:
        """A layout stays where it is; what is in an archive or engine is unpacked into the cache."""
        key = place, platform
        if key not in self._opened:
            with open_place(place, self.world, _FAST) as found:
                held = found.one(platform=platform).for_platform(platform)
                self._opened[key] = held.detached() if place.store is Store.LAYOUT else self._kept(held, place)
        return self._opened[key]

    def _kept(self, held: HeldImage, place: Place) -> HeldImage:
        key = f"archive-{held.digest.short}"
        return self._held(*self._cached(key, f"the base {place}", lambda layout: _taken_over(held, layout)))

    def _held(self, layout: Layout, image: Image, reference: Reference | None = None) -> HeldImage:
        return HeldImage.in_layout(layout, image, self.world.registries, reference)

    def _of_reference(self, text: str, codec: str) -> HeldImage:
        """An image in a registry: its manifest and config are all that is read of it."""
        reference = Reference.parse(text).with_default_tag()
        try:
            return self._in_registry(reference, self.world.registries)
        except RegistryError as error:
            if self._store is None or self._store.find(text) is None:
                raise
            name = self._store.engine
            self._progress.warn(f"{error.message}; {name} has an image of that name, and imgasm uses that")
            return self._from_engine(text, self._store, codec)

    def _of_environment(self, text: str, images: Images, codec: str) -> HeldImage:
        """The image that the steps ran in. Its registry's blobs are the real ones; an engine keeps only the files."""
        reference = Reference.parse(text).with_default_tag()
        try:
            below = self._in_registry(reference, self.world.registries.impatient())
        except (RegistryError, ImageError) as error:
            self._progress.say(f"{error.message}; the base's layers are taken from {images.engine}")
            return self._from_engine(text, images, codec)
        had = images.config(images.ensure(text, self._progress))
        if diff_ids_of(had) == diff_ids_of(below.image.config):
            return below
        self._progress.warn(
            f"{text} is another image in its registry now than in {images.engine}, whose layers are taken; "
            "--refresh pulls it"
        )
        return self._from_engine(text, images, codec)

    def _in_registry(self, reference: Reference, registries: Registries) -> HeldImage:
        """Manifest and config: all that is read of it."""
        key = reference, self.platform
        if key not in self._opened:
            world = replace(self.world, registries=registries)
            with open_place(Place(Store.REGISTRY, str(reference)), world) as found:
                held = found.one().for_platform(self.platform).detached()
            self._progress.say(f"{reference} is {held.digest}")
            self._opened[key] = replace(held, registries=self.world.registries, reference=reference)
        return self._opened[key]

    def _from_registry(self, reference: Reference) -> HeldImage:
        """With all its layers, which are kept in the cache."""
        reference = reference.with_default_tag()
        remote = self._in_registry(reference, self.world.registries)
        image = remote.image

        def make(layout: Layout) -> Image:
            with self._progress.task(f"pulling {reference}", total=sum(one.size for one in remote.far_layers)) as task:
                for blob in remote.far_layers:
                    self.world.registries.fetch(blob, remote.origins, layout, task.advance)
            store_image(layout, image)
            return image

        layout, _ = self._cached(f"registry-{image.descriptor.digest.short}", str(reference), make)
        return replace(remote, store=layout)

    def _from_engine(self, reference: str, images: Images, codec: str) -> HeldImage:
        """An image that the engine has or pulls. It keeps no blobs, only files: they are compressed again."""
        identity = images.ensure(reference, self._progress)

        def make(layout: Layout) -> Image:
            self._progress.say(f"reading {reference} from {images.engine}")
            with open_place(Place(Store.ENGINE, identity, engine=images.engine), self.world, _FAST) as found:
                return _taken_over(found.one().for_platform(self.platform), layout)

        layout, image = self._cached(f"engine-{Digest.parse(identity).short}", reference, make)
        return self._held(layout, self._in_codec(layout, image, codec), Reference.parse(reference))

    def _prepare(self, base: Base) -> tuple[Layout, Image]:
        """A base that is not an image of an engine or registry, as a layout."""
        if base not in self._prepared:
            if base.layout is not None:
                below = self._of_place(Place.told(base.layout), self.target.wanted)
                assert isinstance(below.store, Layout)
                self._prepared[base] = below.store, below.image
            elif base.rootfs is not None:
                self._prepared[base] = self._maker.of_tarball(base.rootfs)
            elif base.bootstrap is not None:
                self._prepared[base] = self._maker.bootstrapped(base.bootstrap)
            self.target.check(self._prepared[base][1].platform, _said(base))
        return self._prepared[base]

    def _cached(self, key: str, what: str, make: Callable[[Layout], Image]) -> tuple[Layout, Image]:
        return self._cache.get(key, what, make, refresh=self._policy.refresh)

    def _in_codec(self, layout: Layout, image: Image, codec: str) -> Image:
        """A base of ours follows the new layer's compression: an engine that can't read zstd can read neither."""
        name = f"{_NAME}:{codec}-{image.descriptor.digest.short}"

        def make() -> Image:
            with self._progress.task(f"base as {codec}") as task:
                return recompress(layout, image, layout, codec, advance=task.advance)

        return self._cache.also(layout, name, f"the base as {codec}", make)


def _said(base: Base) -> str:
    """What a base that is made here is called in messages."""
    return f"the base {base.rootfs or base.layout}" if base.bootstrap is None else f"the {base.bootstrap.suite} base"


def _taken_over(held: HeldImage, layout: Layout) -> Image:
    """An image with all its blobs, into a layout that stays."""
    held.bring(layout)
    store_image(layout, held.image)
    return held.image
