"""What an index.json lists: the names of its images, and which of them somebody means.

A name may be containerd's (``io.containerd.image.name``, a whole reference), the image-spec's
(``org.opencontainers.image.ref.name``, which skopeo and podman fill with whatever they were told: a tag or a whole
reference), or the one that imgasm's recipe gave. One image may stand there several times, once for each of its names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError, UsageError
from assembler.image.annotations import FULL_NAME, IMAGE_NAME, REF_NAME
from assembler.image.choose_platform import fitting, is_image, platform_of
from assembler.model.digest import Digest
from assembler.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from assembler.model.descriptor import Descriptor
    from assembler.model.platform import Platform

_NAMES: Final = (FULL_NAME, REF_NAME, IMAGE_NAME)


def group(entries: Iterable[Descriptor]) -> list[tuple[Descriptor, ...]]:
    """The entries of each image together, in the order in which the images come."""
    found: dict[Digest, list[Descriptor]] = {}
    for entry in entries:
        found.setdefault(entry.digest, []).append(entry)
    return [tuple(alike) for alike in found.values()]


def find(
    entries: Sequence[Descriptor], name: str | Digest | None, platform: Platform | None, where: str, how: str = ""
) -> tuple[Descriptor, ...]:
    """The entries of the one image that is meant. ImageError that lists what there is, if it is none or several.

    ``name`` is a digest, one of the image's names, or ``@2`` for the third one. Where several are left, ``platform``
    chooses. ``how`` ends the error's hint: how to choose by name.
    """
    found = group(called(entries, name) if name is not None else entries)
    if len(found) > 1:
        fits = {entry.digest for entry in fitting([alike[0] for alike in found], platform)}
        found = [alike for alike in found if alike[0].digest in fits] or found
    if len(found) == 1:
        return found[0]
    problem = "no image" if not found else "more than one image"
    told = f" named {name}" if name is not None else ""
    if len(found) > 1 and all(platform_of(alike[0]) and not name_of(alike[0]) for alike in found):
        how = " Choose one with --platform."
    raise ImageError(f"{where} holds {problem}{told}", hint=f"It holds: {holds(entries)}.{how if entries else ''}")


def called(entries: Sequence[Descriptor], name: str | Digest) -> list[Descriptor]:
    """What ``name`` means: the entries that are called so to the letter, else those it is a shorter way to call."""
    text = str(name)
    if text.startswith("@") and text[1:].isdecimal():
        return list(group(entries)[int(text[1:])]) if int(text[1:]) < len(group(entries)) else []
    for is_called in (_to_the_letter, _by_reference, _by_a_part):
        if found := [entry for entry in entries if is_called(entry, text)]:
            return found
    return []


def _to_the_letter(entry: Descriptor, name: str) -> bool:
    return name == str(entry.digest) or name in (entry.annotations.get(key) for key in _NAMES)


def _by_reference(entry: Descriptor, name: str) -> bool:
    """``debian`` for docker.io/library/debian:latest."""
    try:
        wanted = Reference.parse(name).with_default_tag()
    except (UsageError, ImageError):
        return False
    return any(wanted == reference.with_default_tag() for reference in references([entry]))


def _by_a_part(entry: Descriptor, name: str) -> bool:
    """The tag, the repository, or the last part of that."""
    return any(
        name in (found.tag, found.name, found.repository, found.repository.rpartition("/")[2])
        for found in references([entry])
    )


def references(entries: Iterable[Descriptor]) -> tuple[Reference, ...]:
    """The names that can name the image in a registry or engine, each once: those with a tag or a digest.

    No tag is made up. A ref.name counts where it is whole: ``v1`` is a tag of who knows what.
    """
    found = (_reference(entry) for entry in entries)
    return tuple(dict.fromkeys(one for one in found if one is not None and (one.tag or one.digest)))


def _reference(entry: Descriptor) -> Reference | None:
    full, tag = entry.annotations.get(FULL_NAME), entry.annotations.get(REF_NAME)
    text = full or (tag if tag and _has_registry(tag) else None)
    try:
        return Reference.parse(text) if text else None
    except (UsageError, ImageError):
        return None


def _has_registry(text: str) -> bool:
    host, slash, _ = text.partition("/")
    return slash == "/" and (host == "localhost" or "." in host or ":" in host)


def name_of(entry: Descriptor) -> str | None:
    return entry.annotations.get(FULL_NAME) or entry.annotations.get(REF_NAME)


def holds(entries: Sequence[Descriptor]) -> str:
    """What is listed, for people: by name, else by platform, else by digest."""
    images = [entry for entry in entries if is_image(entry)]
    return ", ".join(sorted({_shown(entry) for entry in images})) or "none"


def _shown(entry: Descriptor) -> str:
    name, platform = name_of(entry), platform_of(entry)
    if name is not None:
        return f"{name} ({platform})" if platform is not None else name
    return str(platform or entry.digest)


def named(image: Descriptor, entries: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """``image`` under the names, and with the other annotations, that ``entries`` have; nameless where they are."""
    found = (replace(image, annotations={**image.annotations, **entry.annotations}) for entry in entries)
    return tuple(found) or (image,)


def entry_called(image: Descriptor, reference: Reference) -> Descriptor:
    """``image`` as index.json lists it under ``reference``; without a name where that has no tag."""
    if reference.tag is None:
        return image
    names = {FULL_NAME: f"{reference.name}:{reference.tag}", REF_NAME: reference.tag}
    return replace(image, annotations={**image.annotations, **names})


def merged(listed: Sequence[Descriptor], entry: Descriptor) -> list[Descriptor]:
    """``listed`` with ``entry``, which takes its name from whatever had it. Without a name it only joins the others,
    and not even that where its image is listed already."""
    if not any(key in entry.annotations for key in (FULL_NAME, REF_NAME)):
        return list(listed) if any(one.digest == entry.digest for one in listed) else [*listed, entry]
    return [*(one for one in listed if not _gives_way(one, entry)), entry]


def _gives_way(entry: Descriptor, new: Descriptor) -> bool:
    """Whether ``entry`` must leave the index for ``new``: it has the name, or it is the same image without one."""
    full, tag = entry.annotations.get(FULL_NAME), entry.annotations.get(REF_NAME)
    new_full, new_tag = new.annotations.get(FULL_NAME), new.annotations.get(REF_NAME)
    if full is not None:
        return full in (new_full, new_tag)
    if tag is None:
        return entry.digest == new.digest
    return tag in (new_tag, new_full)


def with_platforms(
    entries: Iterable[Descriptor], platform: Callable[[Descriptor], Platform | None]
) -> list[Descriptor]:
    """``entries``, each with the platform that ``platform`` finds where index.json does not say it."""
    found = []
    for entry in entries:
        known = platform(entry) if platform_of(entry) is None else None
        extra = {**entry.extra, "platform": known.to_json()} if known is not None else entry.extra
        found.append(replace(entry, extra=extra))
    return found
