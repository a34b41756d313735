"""A bill of materials in CycloneDX 1.6 (ECMA-424): https://cyclonedx.org/docs/1.6/json/."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from assembler.model.timestamp import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.report.bill_of_materials import Bill, BillFile
    from assembler.report.build_record import BuildRecord
    from assembler.report.package_facts import Package


def cyclonedx(bill: Bill) -> dict[str, Any]:
    """The same bill gives the same document."""
    image = bill.image
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image.manifest)}",
        "version": 1,
        "metadata": {
            "timestamp": moment(bill.finished),
            "tools": {"components": [{"type": "application", "name": "imgasm", "version": bill.record.imgasm}]},
            "component": {"type": "container", "bom-ref": image.manifest, "name": image.reference or image.name,
                          "version": image.manifest},
        },
        "components": [
            *({"type": "operating-system", "bom-ref": f"os:{system}-{release}", "name": system, "version": release}
              for system, release in bill.distributions),
            *({**_package(package), "components": list(map(_file, bill.of_package(package)))}
              for package in bill.packages),
            *map(_file, bill.unowned),
        ],
        "dependencies": [{"ref": image.manifest, "dependsOn": [package.purl for package in bill.packages]}],
        "formulation": [_formula(bill.record)],
    }  # fmt: skip


def _package(package: Package) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "library", "bom-ref": package.purl, "name": package.name,
                            "version": package.version, "purl": package.purl}  # fmt: skip
    if package.licence is not None:
        told["licenses"] = [{"license": {"name": package.licence}}]
    if package.source is not None:
        told["properties"] = [{"name": "imgasm:source", "value": package.source}]
    return told


def _file(file: BillFile) -> dict[str, Any]:
    module = dict(file.module)
    told: dict[str, Any] = {
        "type": "device-driver" if module else "file", "bom-ref": f"file:{file.path}", "name": file.path,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
    }  # fmt: skip
    if version := module.pop("version", ""):
        told["version"] = version
    if licence := module.pop("license", ""):
        told["licenses"] = [{"license": {"name": licence}}]
    facts = {"step": file.step, **{f"module:{key}": value for key, value in module.items()}}
    told["properties"] = [{"name": f"imgasm:{key}", "value": value} for key, value in facts.items() if value]
    return told


def _formula(record: BuildRecord) -> dict[str, Any]:
    """How it was made: what of, and by which steps."""
    return {
        "components": list(_materials(record)),
        "workflows": [{
            "bom-ref": "build", "uid": "build", "name": record.recipe.name, "taskTypes": ["build"],
            "tasks": [{"bom-ref": f"step:{step.name}", "uid": f"step:{step.name}", "name": step.name,
                       "taskTypes": ["build"]} for step in record.steps],
        }],
    }  # fmt: skip


def _materials(record: BuildRecord) -> Iterator[dict[str, Any]]:
    for material in record.materials:
        algorithm, _, content = material.digest.partition(":")
        told: dict[str, Any] = {"type": "data", "bom-ref": f"material:{material.name}", "name": material.name,
                                "hashes": [{"alg": f"SHA-{algorithm[3:]}", "content": content}]}  # fmt: skip
        if material.uri is not None:
            told["externalReferences"] = [{"type": "distribution", "url": material.uri}]
        yield told
