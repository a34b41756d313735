"""A record of a build as the main recipe has it, for the tests of what is made of records."""

from __future__ import annotations

from collections.abc import Iterator

from assembler.model.step_usage import StepUsage
from assembler.report.build_record import (
    BaseLayer,
    BuildRecord,
    Discard,
    Drop,
    EngineName,
    ImageReport,
    LayerSize,
    PruneRule,
    RecipeName,
    Tally,
)
from assembler.report.layer_summary import LayerFile, summary

MB = 1_000_000


def layer_files() -> Iterator[LayerFile]:
    yield b"opt", "directory", 0, 2
    yield b"opt/nvidia", "directory", 0, 2
    yield b"opt/nvidia/nvidia.ko", "regular file", 140 * MB, 3
    yield b"opt/nvidia/nvidia-uvm.ko", "regular file", 9 * MB, 3
    yield b"opt/nvidia/load", "regular file", 1200, None
    yield b"opt/nvidia/[bold]evil\x1b[31m", "regular file", 300, 2
    yield b"bin/busybox", "regular file", 2 * MB, 2
    yield b"etc/gone", "whiteout", 0, None


def record(*, remote: bool = False) -> BuildRecord:
    steps: tuple[StepUsage, ...] = (
        StepUsage("toolchain", 62.4, 312 * MB, 312 * MB, 0, 402 * MB, 90 * MB, 0, 79_100 * MB, 0),
        StepUsage("kernel headers", 7.3, 370 * MB, 58 * MB, 0, 370 * MB, 0, 0, 79_000 * MB, 0),
        StepUsage("compile", 301, 540 * MB, 170 * MB, 0, 1_640 * MB, 200 * MB, 900 * MB, 78_000 * MB, 900 * MB),
        StepUsage("strip", 1.2, 521 * MB, 151 * MB, 170 * MB, 1_500 * MB, 79 * MB, 900 * MB, 78_100 * MB, 0),
    )
    if remote:
        steps = tuple(StepUsage(step.name, step.seconds, step.layer) for step in steps)
    found = summary(layer_files())
    image = ImageReport(
        name="nvidia-modules",
        reference="registry.example.com:5000/nvidia/modules:535",
        manifest="sha256:" + "1" * 64,
        layer=LayerSize(
            digest="sha256:" + "2" * 64,
            diff_id="sha256:" + "3" * 64,
            media_type="application/vnd.oci.image.layer.v1.tar+zstd",
            compressed=46_300_000,
            uncompressed=151_100_000,
            content=found.content,
        ),
        base=(BaseLayer(digest="sha256:" + "4" * 64, compressed=59 * MB),),
        kinds=found.kinds,
        steps=found.steps,
        directories=found.directories,
        files=found.files,
        touched=Tally(files=3, bytes=12_000),
    )
    return BuildRecord(
        imgasm="0.1.0",
        recipe=RecipeName(name="nvidia", file="recipes/nvidia.toml"),
        vars={"kernel": "6.1.0-56-amd64"},
        engine=EngineName(name="docker", version="20.10.24", storage="overlay2", capture="overlay"),
        steps=steps,
        discarded=(Discard(written_by=2, removed_by=3, bytes=170 * MB),),
        prune=(
            PruneRule(pattern="/var/lib/apt/lists/**", preset="apt", files=12, bytes=20 * MB),
            PruneRule(pattern="/var/cache/apt/**", preset="apt", files=0, bytes=0),
            PruneRule(pattern="/usr/share/doc/**", preset="docs", files=900, bytes=8 * MB),
            PruneRule(pattern="/opt/typo/**", files=0, bytes=0),
        ),
        drops=(Drop(path="/run/x", what="socket"),),
        images=(image,),
    )
