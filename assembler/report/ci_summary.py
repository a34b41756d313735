"""A build and its budget for machines that watch builds: a summary in Markdown, a JUnit file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report.dockerfile_cost import HEADING, ONE_STAGE, two_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.report.build_record import BuildRecord, ImageReport, Violation
    from assembler.report.dockerfile_cost import DockerfileCost

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def markdown(record: BuildRecord, violations: Sequence[Violation]) -> str:
    """For a CI system's job summary or a comment on a change."""
    verdict = ": over budget" if violations else ": within budget" if record.checked else ""
    lines = [f"### {_escape(record.recipe.name)}{verdict}", ""]
    lines += ["| image | layer | unpacked | image | largest step |", "| --- | ---: | ---: | ---: | --- |"]
    lines += [_image_row(record, image) for image in record.images]
    judged = ((image.name, image.verdicts.summary) for image in record.images if image.verdicts is not None)
    lines += [f"\n{_escape(name)}: {_escape(summary)}" for name, summary in judged]
    for violation in violations:
        lines += ["", f"**{_escape(violation.sentence)}**", ""]
        lines += [f"- {_escape(culprit)}" for culprit in violation.culprits]
    if any(step.added is not None for step in record.steps):
        lines += ["", "| step | written | peak |", "| --- | ---: | ---: |"]
        lines += [f"| {_escape(step.name)} | {_size(step.added)} | {_size(step.peak)} |" for step in record.steps]
    if record.dockerfile:
        lines += ["", *_dockerfile(record.dockerfile)]
    return "\n".join(lines) + "\n"


def _dockerfile(cost: DockerfileCost) -> Iterator[str]:
    yield f"{HEADING}:"
    yield ""
    yield f"- {ONE_STAGE}: {cost.one_stage()}"
    yield f"- {two_stages(cost)}"
    yield from (f"  - {_escape(image)}: {weight}" for image, weight in cost.last_stages())


def _image_row(record: BuildRecord, image: ImageReport) -> str:
    steps = sorted(((tally.bytes, step) for step, tally in image.steps if step is not None), reverse=True)
    largest = _escape(record.steps[steps[0][1]].name) if steps else ""
    layer = image.layer
    sizes = f"{human(layer.compressed)} | {_size(layer.uncompressed)} | {human(image.compressed)}"
    return f"| {_escape(image.name)} | {sizes} | {largest} |"


def junit(record: BuildRecord, checked: Iterable[str], violations: Sequence[Violation]) -> str:
    """One test case for each image in ``checked``; an image over its budget is a failure."""
    names = list(checked)
    failed = {violation.image for violation in violations}
    seconds = f"{sum(step.seconds for step in record.steps):.3f}"
    counts = {"tests": str(len(names)), "failures": str(len(failed)), "errors": "0", "skipped": "0"}
    title = _xml(f"{record.recipe.name}: budgets")
    suite = ElementTree.Element("testsuite", {"name": title, **counts, "time": seconds})
    for name in names:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "budget", "name": _xml(name), "time": "0"})
        broken = [violation for violation in violations if violation.image == name]
        if broken:
            failure = ElementTree.SubElement(case, "failure", {"message": _xml(broken[0].sentence), "type": "budget"})
            failure.text = _xml("\n".join(line for each in broken for line in (each.sentence, *each.culprits)))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _escape(text: str) -> str:
    """So that a file's name is neither a table's cell, nor a link, nor HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|#&!])", r"\\\1", printable(text))


def _xml(text: str) -> str:
    """Without what XML 1.0 can't say even as an entity."""
    return _NO_XML.sub("?", text)


def _size(size: int | None) -> str:
    return "" if size is None else human(size)
