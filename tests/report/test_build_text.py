from __future__ import annotations

import pytest

from assembler.model.printable import printable
from assembler.model.step_usage import StepUsage
from assembler.report.build_record import BuildRecord, RecipeName
from assembler.report.build_text import duration, render
from assembler.report.file_table import LayerRow, file_table
from assembler.report.package_facts import Package

from .records import record


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("remote", [False, True])
def test_it_fits_and_no_figure_is_cut(width: int, remote: bool) -> None:
    text = render(record(remote=remote), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text and "\x1b" not in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_steps() -> None:
    lines = render(record()).splitlines()
    assert "  step              time   layer    added  removed     peak  scratch     free" in lines
    assert "  compile         5m 01s  540 MB   170 MB      0 B  1.64 GB   900 MB  78.0 GB" in lines


def test_what_could_not_be_measured_has_no_column() -> None:
    lines = render(record(remote=True)).splitlines()
    assert "  step              time   layer" in lines
    assert not any("Dockerfile" in line for line in lines)


def test_a_rule_that_matched_nothing_is_seen_but_not_a_presets_single_glob() -> None:
    text = render(record())
    assert "/opt/typo/**         matched nothing" in text
    assert "/var/cache/apt" not in text
    assert "preset apt       12          20.0 MB" in text


def test_the_image_and_its_comparison() -> None:
    text = render(record())
    assert "46.3 MB compressed, 151 MB as a tar" in text
    assert "105 MB compressed, 59.0 MB of it in 1 layer below" in text
    assert "8: 5 regular files, 2 directories, 1 whiteout" in text
    assert "/opt/nvidia/nvidia.ko           strip" in text
    assert "1.59 GB in 4 layers" in text
    assert "10.5 times less" in text
    assert "170 MB  compile, then strip" in text
    assert "estimate" in text


def test_names_can_neither_colour_nor_command_the_terminal() -> None:
    text = render(record())
    assert r"/opt/nvidia/[bold]evil\x1b[31m" in text
    assert printable("a\nb\x1b\x9b‮") == r"a\nb\x1b\x9b\u202e"


def test_colour_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    plain = render(record(), 80, color=False)
    assert "\x1b[" not in plain
    assert "\x1b[33m/opt/typo/**" in render(record(), 80, color=True)


def test_a_long_name_gives_way_to_the_figures() -> None:
    step = StepUsage("install everything that the compiler needs", 3.0, 1, 1, 1, 1, 1, 1, 1)
    text = render(BuildRecord(imgasm="1", recipe=RecipeName(name="x", file="x.toml"), steps=(step,)), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "1 B" in text and "everything" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (59.94, "59.9s"), (59.96, "1m 00s"), (187, "3m 07s"), (3599.6, "1h 00m"), (3725, "1h 02m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_packages_of_the_layer_stand_with_their_licences() -> None:
    rows = [LayerRow(b"bin/a", 2000, package="tool"), LayerRow(b"bin/b", 500, package="tool"),
            LayerRow(b"bin/c", 9000, package="other"), LayerRow(b"bin/d", 1)]  # fmt: skip
    plain = record()
    image = plain.images[0].model_copy(update={"table": file_table(rows)})
    package = Package(name="tool", manager="deb", version="1-2", licence="GPL-2+")
    lines = render(plain.model_copy(update={"images": (image,), "packages": (package,)})).splitlines()
    start = lines.index("  packages in the layer")
    assert [" ".join(line.split()) for line in lines[start + 1 : start + 3]] == [
        "9.00 kB other (1 file)", "2.50 kB tool, 1-2, GPL-2+ (2 files)",
    ]  # fmt: skip
