"""Everything that is wrong with a layout and its images, from the digests down to the tars' headers.

Nothing is believed: every blob is hashed, every layer is unpacked in memory and held against its diff_id. All findings
come at once, and one of them hides others only where nothing can be read any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImageError
from assembler.image import spec_models, strict_json
from assembler.image.annotations import DOCKER_ATTESTATION, FULL_NAME, REF_NAME
from assembler.image.artifact import LAYERS, is_elsewhere, signed_statement
from assembler.image.blob_inventory import Findings, Inventory, reason
from assembler.image.blob_origins import origins
from assembler.image.blob_writer import blob_path
from assembler.image.check_layers import LayerToCheck, check_layers
from assembler.image.choose_platform import platform_of
from assembler.image.config import count_layers
from assembler.image.index_entries import called
from assembler.image.layout import INDEX_CAP
from assembler.model import media_types
from assembler.model.digest import Digest
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import BaseModel

    from assembler.image.layout import Layout
    from assembler.layer.findings import Finding, Severity
    from assembler.model.descriptor import Descriptor

_DEPTH: Final = 3
_MARKER_CAP: Final = 4096
_INDEX: Final = "index.json"

Json = dict[str, Any]


def verify_layout(layout: Layout, advance: Callable[[int], object] = int, name: str | None = None) -> list[Finding]:
    """All findings. ``advance`` gets the number of blob bytes that were hashed.

    With ``name``, only what index.json lists under that reference, tag or digest is looked into; every blob is hashed
    nevertheless. ``layout`` need not be one that ``Layout.open`` takes.
    """
    findings = Findings()
    blobs = Inventory(layout, findings, advance)
    blobs.take_stock()
    check = _LayoutCheck(layout, blobs, findings)
    check.marker()
    check.index(name)
    if name is None and not check.is_blind:
        blobs.unreferenced()
    return findings.all


@dataclass(frozen=True, slots=True)
class _Mention:
    """A descriptor, and who has it. ``is_thin``: the layers of its base stayed in their registry."""

    descriptor: Descriptor
    where: str
    depth: int
    is_thin: bool

    def to(self, descriptor: Descriptor) -> _Mention:
        return _Mention(descriptor, blob_path(self.descriptor.digest), self.depth + 1, self.is_thin)


class _LayoutCheck:
    """``is_blind`` says that a document which may refer to more could not be read."""

    def __init__(self, layout: Layout, blobs: Inventory, findings: Findings) -> None:
        self._layout = layout
        self._blobs = blobs
        self._findings = findings
        self._note = findings.note
        self._seen: set[tuple[object, ...]] = set()
        self._chains: set[tuple[object, ...]] = set()
        self._platforms: dict[Digest, Platform] = {}
        self._images = 0
        self._artifacts = 0
        self.is_blind = False

    # The layout's own files

    def marker(self) -> None:
        value = self._file("oci-layout", _MARKER_CAP)
        self._problems(value, spec_models.LayoutMarker, "oci-layout")

    def index(self, name: str | None) -> None:
        value = self._file(_INDEX, INDEX_CAP)
        self._problems(value, spec_models.Index, _INDEX)
        self.is_blind = value is None
        listed = [entry for entry in spec_models.descriptors((value or {}).get("manifests")) if entry is not None]
        chosen = called(listed, name) if name is not None else listed
        if listed and not chosen:
            self._note("error", _INDEX, f"lists nothing that is called {name}")
        self._ambiguous(chosen)
        for entry in chosen:
            self._follow(_Mention(entry, _INDEX, 0, bool(origins(entry))))
        if not self._images and not self._artifacts:
            self._note("error", _INDEX, "leads to no image, so none was checked")

    def _file(self, name: str, cap: int) -> Json | None:
        try:
            return strict_json.parse(self._layout.read_file(name, cap), "the file")
        except FileNotFoundError:
            self._note("error", name, "is not there")
        except (ImageError, OSError) as error:
            self._note("error", name, reason(error))
        return None

    def _problems(self, value: Json | None, model: type[BaseModel], where: str) -> None:
        for problem in spec_models.problems(value, model) if value is not None else ():
            self._note("error", where, problem)

    def _ambiguous(self, listed: Sequence[Descriptor]) -> None:
        """A tag alone must be enough, unless full names or platforms tell the entries apart (image-layout.md)."""
        first: dict[str, Descriptor] = {}
        for entry in listed:
            tag = entry.annotations.get(REF_NAME)
            other = first.setdefault(tag, entry) if tag is not None else entry
            if other.digest != entry.digest and not _are_told_apart(other, entry):
                self._note("warning", _INDEX, f"gives the name {tag} to {other.digest} and to {entry.digest}")

    # Indexes and manifests

    def _follow(self, root: _Mention) -> None:
        pending = [root]
        while pending:
            mention = pending.pop()
            pending += reversed(self._document(mention))

    def _document(self, mention: _Mention) -> list[_Mention]:
        """What it mentions in turn."""
        descriptor, said = mention.descriptor, mention.descriptor.media_type
        if not self._blobs.use(descriptor, mention.where):
            self.is_blind = True
            return []
        is_known = said in media_types.INDEXES or said in media_types.MANIFESTS
        key = (descriptor.digest, said if is_known else "", mention.is_thin, _no_image(descriptor))
        children: list[_Mention] = []
        if key not in self._seen:
            self._seen.add(key)
            children = self._read(mention, is_known)
        self._platform(mention)
        return children

    def _read(self, mention: _Mention, is_known: bool) -> list[_Mention]:
        digest, said = mention.descriptor.digest, mention.descriptor.media_type
        value = self._json(digest, strict_json.MANIFEST_CAP, is_quiet=not is_known)
        model = spec_models.kind_of(value, said) if value is not None else None
        if value is None or model is None:
            if is_known:
                self.is_blind = True
            else:
                self._note("warning", mention.where, f"{digest} is {said}, which is not checked")
            return []
        if not is_known:
            kind = "an index" if model is spec_models.Index else "a manifest"
            self._note("error", mention.where, f"{digest} is {kind}, and not {said or 'of no type'}")
        elif value.get("mediaType", said) != said:
            self._note("error", blob_path(digest), f"it says it is {value['mediaType']!r}, its descriptor {said!r}")
        self._problems(value, model, blob_path(digest))
        if subject := spec_models.descriptor(value.get("subject")):
            self._blobs.spare(subject.digest)
        if model is spec_models.Manifest:
            self._manifest(value, mention)
            return []
        if mention.depth >= _DEPTH:
            self._note("error", blob_path(digest), "is an index that is nested too deeply; imgasm does not read it")
        return [mention.to(entry) for entry in spec_models.descriptors(value.get("manifests")) if entry is not None]

    def _json(self, digest: Digest, cap: int, *, is_quiet: bool = False) -> Json | None:
        try:
            return strict_json.parse(self._blobs.read(digest, cap), "it")
        except ImageError as error:
            if not is_quiet:
                self._note("error", blob_path(digest), error.message)
            return None

    # Images

    def _manifest(self, manifest: Json, mention: _Mention) -> None:
        where = blob_path(mention.descriptor.digest)
        config, layers = spec_models.descriptor(manifest.get("config")), spec_models.descriptors(manifest.get("layers"))
        has_config = config is not None and self._blobs.use(config, where)
        whole = self._present(layers, where, mention.is_thin)
        if not self._is_image(manifest, config, layers, mention):
            return
        for layer in filter(None, layers):
            self._layer_type(layer, where, mention.descriptor.media_type)
        self._images += 1
        value = self._json(config.digest, strict_json.CONFIG_CAP) if has_config and config is not None else None
        if value is not None and config is not None:
            self._config(value, len(layers), blob_path(config.digest))
            self._platforms[mention.descriptor.digest] = Platform(
                *(spec_models.text(value.get(key)) for key in ("os", "architecture", "variant"))
            )
        self._layers(whole, _diff_ids(value))

    def _present(self, layers: Sequence[Descriptor | None], where: str, is_thin: bool) -> list[Descriptor | None]:
        """The layers that can be read, in their places. Those of a thin image's base may be elsewhere, its own not."""
        whole: list[Descriptor | None] = []
        lacking = 0
        for number, layer in enumerate(layers, 1):
            if layer is None:
                whole.append(None)
                continue
            may_lack = is_elsewhere(layer) or (is_thin and number < len(layers))
            is_whole = self._blobs.use(layer, where, may_lack=may_lack)
            lacking += may_lack and layer.digest not in self._blobs.sizes
            whole.append(layer if is_whole else None)
        if lacking:
            self._note("note", where, f"{lacking} of {len(layers)} layers are not here, so they were not checked")
        return whole

    def _is_image(
        self, manifest: Json, config: Descriptor | None, layers: Iterable[Descriptor | None], mention: _Mention
    ) -> bool:
        """Whether it is checked as one, which is told wherever engines could see it in another way."""
        why = _no_image(mention.descriptor)
        if why is None and "artifactType" in manifest:
            why = f"its artifactType is {manifest['artifactType']}"
        if why is None and config is not None and config.media_type not in media_types.CONFIGS:
            why = f"its config is {config.media_type}"
        known = [layer for layer in layers if layer is not None]
        holds_layers = any(layer.media_type in LAYERS for layer in known)
        says_octets = config is not None and config.media_type == media_types.OCTETS
        if why is None and config is not None and says_octets and known and not holds_layers:
            why = f"its config is {config.media_type}"
        if why is None and (statement := signed_statement(known)) is not None:
            why = f"it is {statement}"
        if why is None:
            return True
        where = blob_path(mention.descriptor.digest)
        if holds_layers:
            self._note("error", where, f"engines see no image in it, because {why}; yet its layers are an image's")
            return True
        if not _is_attestation(mention.descriptor):
            self._artifacts += 1
            self._note("warning", where, f"is not checked as an image, because {why}")
        return False

    def _layer_type(self, layer: Descriptor, where: str, media_type: str) -> None:
        if layer.media_type not in LAYERS:
            self._note("error", where, f"a layer is {layer.media_type}, which engines do not run")
        elif media_type == media_types.DOCKER_MANIFEST and layer.media_type == media_types.OCI_LAYER_ZSTD:
            self._note("error", where, "a zstd layer in a manifest of Docker's type, which podman refuses")

    def _config(self, config: Json, layers: int, where: str) -> None:
        self._problems(config, spec_models.Config, where)
        diff_ids, history = len(_diff_ids(config)), config.get("history")
        if diff_ids != layers:
            self._note("error", where, f"{diff_ids} diff_ids for {layers} layers")
        spoken = count_layers(one for one in history if isinstance(one, dict)) if isinstance(history, list) else 0
        if spoken != diff_ids:
            severity: Severity = "error" if history else "warning"
            self._note(severity, where, f"the history speaks of {spoken} layers, diff_ids of {diff_ids}")

    def _platform(self, mention: _Mention) -> None:
        """Engines choose by the index's word and run by the config's."""
        listed, real = platform_of(mention.descriptor), self._platforms.get(mention.descriptor.digest)
        if listed is None or real is None or listed.os == "unknown":
            return
        said = f"says that {mention.descriptor.digest} is for {listed}; its config says {real}"
        if (listed.os, listed.architecture) != (real.os, real.architecture):
            self._note("error", mention.where, said)
        elif listed.variant and real.variant and listed.variant != real.variant:
            self._note("warning", mention.where, said)

    def _layers(self, blobs: Sequence[Descriptor | None], diff_ids: Sequence[Digest | None]) -> None:
        """Images that have all their layers in common are unpacked once."""
        pairs = list(zip_longest(blobs, diff_ids[: len(blobs)]))
        key = tuple((blob and (blob.digest, blob.media_type), diff_id) for blob, diff_id in pairs)
        if key not in self._chains:
            self._chains.add(key)
            check_layers(self._layout, [LayerToCheck(blob, diff_id) for blob, diff_id in pairs], self._findings)


def _diff_ids(config: Json | None) -> list[Digest | None]:
    rootfs = config.get("rootfs") if config is not None else None
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [_digest(text) for text in found] if isinstance(found, list) else []


def _digest(text: object) -> Digest | None:
    try:
        return Digest.parse(spec_models.text(text))
    except ImageError:
        return None


def _are_told_apart(one: Descriptor, other: Descriptor) -> bool:
    names = [entry.annotations.get(FULL_NAME) for entry in (one, other)]
    platforms = [platform_of(entry) for entry in (one, other)]
    return any(None not in pair and pair[0] != pair[1] for pair in (names, platforms))


def _is_attestation(entry: Descriptor) -> bool:
    key, value = DOCKER_ATTESTATION
    return entry.annotations.get(key) == value


def _no_image(entry: Descriptor) -> str | None:
    """Why readers of an index's entry don't see an image in it (image/choose_platform.py)."""
    if _is_attestation(entry):
        return "it is called an attestation"
    if "artifactType" in entry.extra:
        return f"its artifactType is {entry.extra['artifactType']}"
    platform = platform_of(entry)
    return "its platform is unknown" if platform is not None and platform.os == "unknown" else None
