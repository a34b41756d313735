"""How an image was built, as an in-toto predicate: SLSA's provenance (slsa.dev/spec/v1.0/provenance), from its record.

The record says what is said here: nothing is measured or looked up again, and two pushes of a build say the same.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import UsageError
from assembler.model.digest import Digest
from assembler.model.timestamp import moment
from assembler.report.build_records import Builds, is_build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.model.place import Place
    from assembler.model.step_usage import StepUsage
    from assembler.report.build_record import BuildRecord, ImageReport, Material

_BUILD_TYPE: Final = "urn:imgasm:recipe:v1"
_AGAIN: Final = "Build it again with this imgasm, and push it from there."


class BuiltImages:
    """What is told of the builds at ``place``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        known = place.directory is not None and is_build(place.directory)
        self._told = {image.manifest: (record, image) for record, image in Builds.load(place.path).images()
                      } if known else {}  # fmt: skip

    def provenance(self, image: Digest, builder: str) -> dict[str, Any]:
        """The predicate about ``image``. ``builder`` is the URI of who built, as the user gives it.

        UsageError where nothing is told of its build, or a former imgasm built it, which did not note what of.
        """
        record, report = self._told.get(str(image), (None, None))
        if record is None or report is None or not record.materials:
            raise UsageError(f"how {image} in {self._place} was built is not known", hint=_AGAIN)
        return _predicate(record, report, builder)


def _predicate(record: BuildRecord, image: ImageReport, builder: str) -> dict[str, Any]:
    recipe, *materials = map(_resource, record.materials)
    times = [one for one in record.steps if one.at is not None]
    metadata: dict[str, Any] = {"imgasm_steps": [_step(one) for one in record.steps]}
    if times:
        first, last = times[0], times[-1]
        metadata |= {"startedOn": moment(first.at or 0), "finishedOn": moment((last.at or 0) + last.seconds)}
    if record.notes:
        metadata["imgasm_notes"] = list(record.notes)
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {"recipe": recipe, "image": image.name, "vars": record.vars},
            "internalParameters": {"inputs": asdict(record.inputs) if record.inputs else None},
            "resolvedDependencies": materials,
        },
        "runDetails": {
            "builder": {"id": builder, "version": dict(_versions(record))},
            "metadata": metadata,
            "byproducts": [{"name": "the new layer as a tar", "digest": _digest(image.layer.diff_id)}],
        },
    }  # fmt: skip


def _versions(record: BuildRecord) -> Iterator[tuple[str, str]]:
    yield "imgasm", record.imgasm
    yield from record.libraries.items()
    if record.engine is not None:
        yield record.engine.name, record.engine.version


def _resource(material: Material) -> dict[str, Any]:
    uri = {"uri": material.uri} if material.uri else {}
    return {"name": material.name, **uri, "digest": _digest(material.digest)}


def _digest(text: str) -> dict[str, str]:
    digest = Digest.parse(text)
    return {digest.algorithm: digest.hex}


def _step(step: StepUsage) -> dict[str, Any]:
    began = {"startedOn": moment(step.at)} if step.at is not None else {}
    return {"name": step.name, **began, "seconds": round(step.seconds, 3), "bytesWritten": step.added}
