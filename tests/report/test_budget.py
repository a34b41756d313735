from __future__ import annotations

from xml.etree import ElementTree

import pytest

from assembler.model.budget import Budget, Growth
from assembler.model.globs import matching
from assembler.report.budget import Baseline, check
from assembler.report.build_record import BuildRecord, ImageReport, Violation
from assembler.report.ci_summary import junit, markdown
from assembler.report.file_table import LayerRow, file_table

from .records import MB, layer_files, record


@pytest.fixture
def build() -> BuildRecord:
    """As the records' record, with every file of its layer."""
    plain = record()
    table = file_table(LayerRow(path, size, step) for path, kind, size, step in layer_files() if size)
    return plain.model_copy(update={"images": (plain.images[0].model_copy(update={"table": table}),)})


def broken(build: BuildRecord, budget: Budget, baseline: Baseline | None = None) -> list[Violation]:
    return check(build, build.images[0], budget, matching, baseline)


def with_sizes(image: ImageReport, compressed: int) -> ImageReport:
    return image.model_copy(update={"layer": image.layer.model_copy(update={"compressed": compressed})})


def test_no_limits_no_findings(build: BuildRecord) -> None:
    assert broken(build, Budget()) == []


@pytest.mark.parametrize(
    ("limits", "actual"),
    [
        (Budget(layer=46_300_000), None), (Budget(layer=46_299_999), 46_300_000),
        (Budget(layer_unpacked=151_100_000), None), (Budget(layer_unpacked=100 * MB), 151_100_000),
        (Budget(image=105_300_000), None), (Budget(image=105 * MB), 105_300_000),
        (Budget(peak=1640 * MB), None), (Budget(peak=1639 * MB), 1640 * MB),
        (Budget(paths=(("/opt/**/*.ko", 149 * MB),)), None), (Budget(paths=(("/opt/**/*.ko", 100 * MB),)), 149 * MB),
    ],
)  # fmt: skip
def test_a_limit_holds_to_the_byte(build: BuildRecord, limits: Budget, actual: int | None) -> None:
    assert [violation.actual for violation in broken(build, limits)] == ([] if actual is None else [actual])


def test_the_step_and_the_largest_files_are_named(build: BuildRecord) -> None:
    (violation,) = broken(build, Budget(layer=40 * MB))
    assert violation.sentence == (
        "nvidia-modules: the layer, compressed, is 46.3 MB, 6.30 MB over its budget of 40.0 MB"
    )
    assert violation.culprits == (
        "149 MB of it written by strip",
        "140 MB /opt/nvidia/nvidia.ko, written by strip",
        "9.00 MB /opt/nvidia/nvidia-uvm.ko, written by strip",
        "2.00 MB /bin/busybox, written by compile",
    )


def test_the_peak_names_its_step(build: BuildRecord) -> None:
    (violation,) = broken(build, Budget(peak=1000 * MB))
    assert violation.culprits[0] == "compile reached it: 540 MB in the layer and 900 MB on scratch after it"


def test_what_nobody_measured_is_not_within_budget() -> None:
    remote = record(remote=True)
    budget = Budget(peak=10**12, paths=(("/opt/**", 10**12),), image_unpacked=10**12)
    found = check(remote, remote.images[0], budget, matching)
    assert [violation.actual for violation in found] == [None, None, None]
    assert "can't be measured" in found[0].sentence


@pytest.mark.parametrize(
    ("growth", "before", "allowed"),
    [
        (Growth(percent=10, floor=1000), 100_000, 110_000),
        (Growth(percent=10, floor=50_000), 100_000, 150_000),
        (Growth(), 100_000, 100_000),
    ],
)
def test_growth_has_a_relative_and_an_absolute_floor(growth: Growth, before: int, allowed: int) -> None:
    assert growth.allowed(before) == allowed


def test_growth_against_a_former_build_names_what_grew(build: BuildRecord) -> None:
    image = build.images[0]
    rows = [LayerRow(b"opt/nvidia/nvidia.ko", 100 * MB, 3), LayerRow(b"bin/busybox", 2 * MB, 2)]
    former = with_sizes(image, 30 * MB).model_copy(update={"table": file_table(rows)})
    baseline = Baseline.of_image("build/yesterday", former)
    violations = broken(build, Budget(growth=Growth(percent=10)), baseline)
    assert [violation.limit for violation in violations] == [33 * MB, 97_900_000]
    assert "16.3 MB more than 30.0 MB in build/yesterday" in violations[0].sentence
    assert violations[0].culprits == (
        "40.0 MB more in /opt/nvidia/nvidia.ko, written by strip",
        "9.00 MB for /opt/nvidia/nvidia-uvm.ko, written by strip",
        "1.20 kB for /opt/nvidia/load, there before the first step",
    )
    assert broken(build, Budget(growth=Growth(percent=60)), baseline) == []


def test_growth_against_a_bare_manifest(build: BuildRecord) -> None:
    (layer,) = broken(build, Budget(growth=Growth(floor=MB)), Baseline("registry.example.com/x:1", 40 * MB, 105 * MB))
    assert "/opt/nvidia/nvidia.ko" in layer.culprits[1]


def test_markdown(build: BuildRecord) -> None:
    violations = broken(build, Budget(layer=40 * MB, paths=(("/**/*evil*", 1),)))
    text = markdown(build, violations)
    assert text.startswith("### nvidia: over budget\n")
    assert "| nvidia-modules | 46.3 MB | 151 MB | 105 MB | strip |" in text
    assert "| compile | 170 MB | 1.64 GB |" in text
    assert r"\[bold\]evil\\x1b\[31m" in text
    assert "budget" not in markdown(build, [])
    assert "within budget" in markdown(build.model_copy(update={"checked": ("nvidia-modules",)}), [])


def test_junit(build: BuildRecord) -> None:
    evil = [
        violation.model_copy(update={"culprits": ("\x00<&\x1b",)}) for violation in broken(build, Budget(layer=40 * MB))
    ]
    suite = ElementTree.fromstring(junit(build, ["nvidia-modules", "other"], evil))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failed, passed = suite.findall("testcase")
    failure = failed.find("failure")
    assert failure is not None and failure.text is not None and failure.text.endswith("?<&?")
    assert passed.find("failure") is None
