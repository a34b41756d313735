from __future__ import annotations

import random
from collections import Counter

from assembler.report.build_record import BaseLayer, ImageReport, LayerSize, Tally
from assembler.report.layer_summary import LayerFile, summary

LAYER = LayerSize(digest="sha256:a", diff_id="sha256:b", media_type="m", compressed=40, uncompressed=100)


def report(*entries: LayerFile, largest: int = 20) -> ImageReport:
    base = [BaseLayer(digest="sha256:c", compressed=7)]
    found = summary(entries, largest)
    return ImageReport(
        name="x", manifest="sha256:d", base=tuple(base), layer=LAYER.model_copy(update={"content": found.content}),
        kinds=found.kinds, steps=found.steps, directories=found.directories, files=found.files,
    )  # fmt: skip


def test_totals() -> None:
    image = report(
        (b"a", "directory", 0, 0), (b"a/f", "regular file", 10, 0), (b"a/g", "regular file", 5, 1),
        (b"h", "regular file", 1, None), (b"a/link", "hard link", 0, 0),
    )  # fmt: skip
    assert image.kinds == {"directory": 1, "hard link": 1, "regular file": 3}
    assert image.entries == 5
    assert image.layer.content == 16
    assert image.compressed == 47
    assert image.steps == ((None, Tally(files=1, bytes=1)), (0, Tally(files=1, bytes=10)), (1, Tally(files=1, bytes=5)))


def test_directories_that_only_lead_to_a_directory_are_left_out() -> None:
    image = report((b"opt/nvidia/lib/big", "regular file", 100, 2), (b"opt/nvidia/small", "regular file", 20, 1))
    assert [(heavy.path, heavy.bytes, heavy.files) for heavy in image.directories] == [
        ("/opt/nvidia", 120, 2), ("/opt/nvidia/lib", 100, 1),
    ]  # fmt: skip
    assert image.directories[0].steps == ((2, 100), (1, 20))


def test_an_empty_layer() -> None:
    image = report()
    assert (image.entries, image.layer.content, image.directories, image.files) == (0, 0, (), ())


def test_the_largest_of_many_agree_with_sorting_them_all() -> None:
    chance = random.Random(3)
    files = {b"d%d/e%d/f%d" % (n % 7, n % 11, n): chance.randint(0, 10**6) for n in range(5000)}
    image = report(*((path, "regular file", size, 0) for path, size in files.items()), largest=9)
    expected = sorted(files.items(), key=lambda item: (-item[1], item[0]))[:9]
    found = [(heavy.path, heavy.bytes) for heavy in image.files]
    assert found == [("/" + path.decode(), size) for path, size in expected]
    below = Counter[str]()
    for path, size in files.items():
        below["/" + path.split(b"/")[0].decode()] += size
    directories = {heavy.path: heavy.bytes for heavy in image.directories}
    assert {path: directories[path] for path in below} == below
    assert directories["/"] == sum(files.values())
