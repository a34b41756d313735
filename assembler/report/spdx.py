"""A bill of materials in SPDX 2.3: https://spdx.github.io/spdx-spec/v2.3/."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from assembler.model.timestamp import moment

if TYPE_CHECKING:
    from assembler.report.bill_of_materials import Bill, BillFile
    from assembler.report.package_facts import Package

_UNKNOWN: Final = "NOASSERTION"
_IMAGE: Final = "SPDXRef-image"


def spdx(bill: Bill) -> dict[str, Any]:
    """The same bill gives the same document.

    Licences stand in comments: packages don't say them in SPDX's words. Packages contain no files here, because not all
    of a package's files need be in the layer.
    """
    image, packages = bill.image, bill.packages
    references = {file.path: f"SPDXRef-file-{number}" for number, file in enumerate(bill.files)}
    names = {package.name: f"SPDXRef-package-{number}" for number, package in enumerate(packages)}
    owned = [(names[package.name], references[file.path]) for package in packages
             for file in bill.of_package(package)]  # fmt: skip
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image.reference or image.name,
        "documentNamespace": f"urn:imgasm:{image.manifest}",
        "creationInfo": {"created": moment(bill.finished), "creators": [f"Tool: imgasm-{bill.record.imgasm}"]},
        "packages": [
            {"SPDXID": _IMAGE, "name": image.reference or image.name, "versionInfo": image.manifest,
             "downloadLocation": _UNKNOWN, "primaryPackagePurpose": "CONTAINER",
             "packageVerificationCode": {"packageVerificationCodeValue": _verification_code(bill)}},
            *(_system(number, *distribution) for number, distribution in enumerate(bill.distributions)),
            *(_package(package, names[package.name]) for package in packages),
        ],
        "files": [_file(file, references[file.path]) for file in bill.files],
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", _IMAGE),
            *(_relationship(_IMAGE, "CONTAINS", part) for part in (*names.values(), *references.values())),
            *({**_relationship(package, "OTHER", file), "comment": "the package owns the file"}
              for package, file in owned),
        ],
    }  # fmt: skip


def _verification_code(bill: Bill) -> str:
    """SPDX 2.3, 7.9: over the SHA-1 digests of all files."""
    return hashlib.sha1("".join(sorted(file.sha1 for file in bill.files)).encode(), usedforsecurity=False).hexdigest()


def _system(number: int, name: str, release: str) -> dict[str, Any]:
    return {"SPDXID": f"SPDXRef-OperatingSystem-{number}", "name": name, "versionInfo": release,
            "downloadLocation": _UNKNOWN, "filesAnalyzed": False, "primaryPackagePurpose": "OPERATING-SYSTEM"}


def _package(package: Package, reference: str) -> dict[str, Any]:
    told = {
        "SPDXID": reference, "name": package.name, "versionInfo": package.version, "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False, "licenseConcluded": _UNKNOWN, "licenseDeclared": _UNKNOWN, "copyrightText": _UNKNOWN,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": package.purl}],
    }  # fmt: skip
    if package.licence is not None:
        told["licenseComments"] = package.licence
    if package.source is not None:
        told["sourceInfo"] = f"built from the source package {package.source}"
    return told


def _file(file: BillFile, reference: str) -> dict[str, Any]:
    facts = ({"written by the step": file.step} if file.step and not file.package else {}) | dict(file.module)
    told = {
        "SPDXID": reference, "fileName": f".{file.path}", "licenseConcluded": _UNKNOWN, "copyrightText": _UNKNOWN,
        "checksums": [{"algorithm": "SHA1", "checksumValue": file.sha1},
                      {"algorithm": "SHA256", "checksumValue": file.sha256}],
    }  # fmt: skip
    return told | ({"comment": "; ".join(f"{key}: {value}" for key, value in facts.items())} if facts else {})


def _relationship(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
