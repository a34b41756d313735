"""The images of a build: for each its changeset, its layer, its config and manifest, in the build's layout."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from assembler.changeset.capture import Capture, Result, changeset, prove_layer
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tree import EmptyTree
from assembler.changeset.unmatched_patterns import unmatched_patterns
from assembler.changeset.unpulled_tree import UnpulledTree
from assembler.commands.find_secrets import SecretSearch
from assembler.commands.judge_image import judge_image, tell
from assembler.commands.target_platform import refuse_foreign_programs
from assembler.errors import ChangesetError
from assembler.image.annotations import IMAGE_NAME, KERNEL_RELEASES
from assembler.image.assemble import BaseImage, assemble
from assembler.image.blob_origins import with_origins
from assembler.image.config import ImageSettings, NewLayer
from assembler.layer.compress import compressor
from assembler.layer.write_layer import Layer, write_layer
from assembler.model.node import shown
from assembler.model.reference import Reference
from assembler.model.size import human
from assembler.progress import NotedWarnings
from assembler.report.record_part import counted

if TYPE_CHECKING:
    from assembler.changeset.tree import Tree
    from assembler.commands.bases import Bases
    from assembler.commands.job import BuildOptions
    from assembler.image.blob_writer import BlobWriter
    from assembler.image.image import Image as OciImage
    from assembler.image.layout import Layout
    from assembler.places.held_image import HeldImage
    from assembler.progress import Progress
    from assembler.recipe.images import Image
    from assembler.recipe.recipe import Recipe
    from assembler.report.kernel_verdicts import ImageVerdicts

_NAMED: Final = 8
"""Paths that a line names."""
_FOR_LOADER: Final = "KERNEL_RELEASES"
"""The variable in which recipes/modules/load finds the kernels that it may load on: in a container it sees no label."""


@dataclass(frozen=True, slots=True)
class Written:
    """An image that stands in the layout. ``base`` is what it is stacked on, None for scratch; ``warnings`` were told
    of it."""

    layer: Layer
    result: Result
    oci: OciImage
    base: BaseImage | None
    verdicts: ImageVerdicts | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A finished layer that the layout does not have yet: it vanishes with ``blob``, unless that is committed."""

    image: Image
    below: HeldImage | None
    result: Result
    layer: Layer
    blob: BlobWriter
    verdicts: ImageVerdicts | None
    warnings: tuple[str, ...]


def write_images(
    recipe: Recipe, capture: Capture, layout: Layout, bases: Bases, options: BuildOptions
) -> list[Written]:
    """Writes the recipe's images to ``layout`` and gives them their names there.

    Before that, kernels are asked about the modules in each, and with ``options.prove`` each layer is proved.

    The layout stays as it was until every layer is written, and proved where that is wanted: an image that can't be
    made, or whose layer is refused, leaves neither blobs nor names behind, and none of the others does.

    All blobs are in the layout afterwards, but those of a base that was not pulled: index.json says where they are.
    """
    check_keep(recipe, capture, bases.world.progress)
    making = _Making(recipe, capture, bases, options)
    with ExitStack() as blobs:
        drafts = []
        for image in recipe.images:
            blob = blobs.enter_context(layout.new_blob(hashed=False))
            drafts.append(making.draft(image, blob))
        written = [_store(draft, recipe, layout, bases) for draft in drafts]
    for draft, one in zip(drafts, written, strict=True):
        below, listed = draft.below, one.oci.descriptor
        if below is not None and below.far_layers:
            listed = with_origins(listed, below.origins)
        listed = replace(listed, annotations={**listed.annotations, IMAGE_NAME: draft.image.name})
        layout.tag(listed, Reference.parse(draft.image.reference or f"localhost/{draft.image.name}:latest"))
    return written


def check_keep(recipe: Recipe, capture: Capture, progress: Progress) -> None:
    """ChangesetError that names every pattern of every image's ``keep`` that matches nothing and is not optional."""
    prune, lines = _prune(recipe), []
    for image in recipe.images:
        for one in unmatched_patterns(capture, prune, Rules.of_patterns(image.keep), on_own_base=image.onto == "base"):
            line = f"image {image.name}: keep {one.pattern} {one.why}"
            if one.pattern in image.optional:
                progress.say(f"{line} (it is optional)")
            else:
                lines.append(line)
    if lines:
        pattern = "the pattern" if len(lines) == 1 else "each pattern"
        raise ChangesetError(
            lines[0] if len(lines) == 1 else f"{len(lines)} patterns of keep match nothing",
            detail="\n".join(lines) if len(lines) > 1 else None,
            hint=f'Correct {pattern}, or write {{ path = "...", optional = true }} in keep for what may be missing.',
        )


def _prune(recipe: Recipe) -> Rules:
    return Rules.of_prune(recipe.prune.presets, recipe.prune.paths)


@dataclass(frozen=True, slots=True)
class _Making:
    """What the layers of a build are made of, and how."""

    recipe: Recipe
    capture: Capture
    bases: Bases
    options: BuildOptions

    def draft(self, image: Image, blob: BlobWriter) -> _Draft:
        progress = NotedWarnings(self.bases.world.progress)
        below = self.bases.onto(image, self.recipe.base)
        tree = _tree(image, self.bases, below)
        patterns = Patterns(_prune(self.recipe), Rules.of_patterns(image.keep))
        result = changeset(self.capture, tree, patterns, clamp=self.recipe.source_date_epoch)
        if below is not None:
            platform = below.base.image.platform
            refuse_foreign_programs(image.name, result.changeset.entries, self.bases.platform, platform, below.name)
        if below is not None and isinstance(tree, UnpulledTree):
            _check_unpulled(image, result, below, progress)
        _tell_findings(image, result, progress)
        verdicts = self._judge(image, tree, result)
        if verdicts is not None:
            tell(verdicts, progress, may_refuse=self.options.may_refuse)
        layer = _write_layer(image, result, blob, progress)
        if (search := SecretSearch.of(self.recipe.secrets)).patterns:
            with blob.reread() as written:
                search.refuse(written, f"image {image.name}")
        if self.options.prove:
            self._prove(image, blob, tree, patterns)
        entries = counted(layer.entries, "entry")
        progress.say(f"image {image.name}: {entries}, {human(layer.descriptor.size)} compressed")
        return _Draft(image, below, result, layer, blob, verdicts, tuple(progress.warnings))

    def _judge(self, image: Image, tree: Tree | None, result: Result) -> ImageVerdicts | None:
        world = self.bases.world
        with world.progress.task(f"modules of {image.name}"):
            return judge_image(image, self.capture, tree, result, world)

    def _prove(self, image: Image, blob: BlobWriter, tree: Tree | None, patterns: Patterns) -> None:
        world = self.bases.world
        start = world.clock.monotonic()
        with blob.reread() as written, world.progress.task(f"proof of {image.name}"):
            proof = prove_layer(written, self.capture, tree, patterns, clamp=self.recipe.source_date_epoch)
        world.progress.say(
            f"image {image.name}: proved, {counted(proof.entries, 'entry')} for {counted(proof.paths, 'path')}, "
            f"{human(proof.bytes)} of contents read again in {world.clock.monotonic() - start:.1f} s"
        )
        for what, paths in proof.unseen.items():
            world.progress.say(f"image {image.name}: the proof can't see {_some(what, paths)}")


def _some(what: str, paths: tuple[bytes, ...]) -> str:
    if not paths:
        return what
    more = ", ..." if len(paths) > _NAMED else ""
    return f"{counted(len(paths), 'path')}: {what} ({', '.join(map(shown, paths[:_NAMED]))}{more})"


def _tell_findings(image: Image, result: Result, progress: Progress) -> None:
    for finding in result.findings:
        progress.warn(f"{shown(finding.path)}: {finding.what}")
    for rule in result.idle:
        if rule.pattern not in image.optional:
            progress.warn(f"image {image.name}: the steps changed nothing that keep {rule.pattern} matches")


def _store(draft: _Draft, recipe: Recipe, layout: Layout, bases: Bases) -> Written:
    below, layer = draft.below, draft.layer
    draft.blob.commit(layer.descriptor.digest)
    if below is not None:
        below.bring(layout, only_layers=True)
    base = below.base if below is not None else None
    oci = assemble(
        layout,
        base,
        NewLayer(layer.descriptor, layer.diff_id, f"imgasm build {recipe.name}: {_story(recipe)}"),
        _settings(draft, bases, recipe),
    )
    return Written(layer, draft.result, oci, base, draft.verdicts, draft.warnings)


def _settings(draft: _Draft, bases: Bases, recipe: Recipe) -> ImageSettings:
    """What the recipe says of the image, and on which kernels its modules load."""
    image, told, variables = draft.image, dict[str, str](), dict[str, str]()
    below = draft.below.base.image.manifest.get("annotations") or {} if draft.below is not None else {}
    if draft.verdicts is not None and (draft.verdicts.fits or KERNEL_RELEASES in below):
        told = {KERNEL_RELEASES: " ".join(draft.verdicts.fits)}
        variables = {_FOR_LOADER: told[KERNEL_RELEASES]}
    run = replace(image.config, labels={**told, **image.config.labels}, env={**variables, **image.config.env})
    return ImageSettings(run, bases.platform, {**told, **image.annotations}, recipe.created)


def _tree(image: Image, bases: Bases, below: HeldImage | None) -> Tree | None:
    """What the layer is compared with; None is the build's own base, which the capture knows best."""
    if image.onto == "base":
        return None
    return EmptyTree() if below is None else bases.tree(below)


def _check_unpulled(image: Image, result: Result, below: HeldImage, progress: Progress) -> None:
    """Says what was taken for granted about a base that nobody looked into; ChangesetError where that can't do."""
    told = {finding.path for finding in result.findings}
    gone = [path for path in result.removed if path not in told]
    size = human(sum(descriptor.size for descriptor in below.far_layers))
    if gone:
        raise ChangesetError(
            f"image {image.name!r}: {shown(gone[0])} was removed, but imgasm can't know whether {below.name} has it "
            "without reading its layers",
            hint=f"List in keep what the image should have, or read the {size} with --inspect-base.",
        )
    roots = {entry.path.partition(b"/")[0] for entry in result.changeset.entries}
    progress.say(
        f"image {image.name}: {', '.join(map(shown, sorted(roots)))} is written with its directories as they are here, "
        f"because {below.name} was not read; --inspect-base reads its {size}, and leaves out what it has already"
    )


def _write_layer(image: Image, result: Result, blob: BlobWriter, progress: Progress) -> Layer:
    entries = result.changeset.entries
    total = entries.content_size
    chosen = compressor(image.compression.codec, image.compression.level, file_size=total // max(1, len(entries)))
    with progress.task(f"layer of {image.name}", total=total) as task:
        return write_layer(entries, blob, chosen, advance=task.advance)


def _story(recipe: Recipe) -> str:
    """What ``docker history`` shows: what was done, without saying when."""
    return ", ".join(step.name for step in recipe.steps) or "no steps"
