"""Reports of images from everywhere, as the command line gives them."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from assembler.image.image import Image
from assembler.image.layout import Layout
from assembler.image.write_archive import write_archive
from assembler.model.reference import Reference
from assembler.model.size import human
from assembler.report.schema import schema, schema_text
from tests.image.imagemaking import add_image, run
from tests.support import engines
from tests.support.debian_registry import debian_registry

ROOT = Path(__file__).parents[2]
LOWER = {"bin/": None, "bin/tool": b"\x7fELF" + os.urandom(30_000), "etc/conf": b"one\n", "opt/big": bytes(100_000)}
UPPER = {"etc/conf": b"two\n", "opt/.wh.big": b"", "opt/copy": LOWER["bin/tool"]}


class Imgasm:
    """imgasm as a process with a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "HOME": str(directory), "SOURCE_DATE_EPOCH": "1700000000", "NO_COLOR": "1"}
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE"):
            self.environment.pop(name, None)

    def __call__(
        self, *arguments: str | Path, status: int = 0, memory: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """``memory`` is the most that it may hold, in bytes."""
        limit = [] if memory is None else ["prlimit", f"--data={memory}"]
        command = [*limit, sys.executable, "-m", "assembler", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def json(self, *arguments: str | Path, status: int = 0) -> Any:
        value = json.loads(self(*arguments, "--json", status=status).stdout)
        jsonschema.validate(value, schema())
        return value


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    return Imgasm(tmp_path)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


@pytest.fixture
def image(layout: Layout) -> Image:
    made = add_image(layout, LOWER, UPPER)
    layout.tag(made.descriptor, Reference.parse("localhost/sample:1"))
    return made


def test_the_checked_in_schema_is_the_current_one(imgasm: Imgasm) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert (ROOT / "docs/size-report.schema.json").read_text() == schema_text() == imgasm("schema", "--report").stdout


def check(report: Any, image: Image, *, compressed: bool = True) -> None:
    """Against tar's list of the layers, unpacked by gzip."""
    assert report["kind"] == "image" and len(report["layers"]) == 2
    assert [layer["files"] for layer in report["layers"]] == [3, 2]
    assert [layer["bytes"] for layer in report["layers"]] == [130_008, 30_008]
    assert [layer["wasted"] for layer in report["layers"]] == [100_004, 0]
    contents = report["contents"]
    assert (contents["bytes"], contents["wasted"]) == (160_016, 100_004)
    assert contents["wasted_paths"] == [{"path": "/opt/big", "bytes": 100_000}, {"path": "/etc/conf", "bytes": 4}]
    assert [file["path"] for file in contents["files"]] == ["/bin/tool", "/opt/copy", "/etc/conf"]
    assert [(hint["kind"], hint["bytes"]) for hint in contents["hints"]] == [("equal", 30_004)]
    assert sum(contents["table"]["sizes"]) == 60_012
    if compressed:
        assert [layer["compressed"] for layer in report["layers"]] == [blob.size for blob, _ in image.layers]


def test_a_layout(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    report = imgasm.json("size-report", layout.root)
    check(report, image)
    for (blob, _), layer in zip(image.layers, report["layers"], strict=True):
        plain = gzip.decompress(layout.path(blob.digest).read_bytes())
        listed = subprocess.run(["tar", "-tvf", "-"], input=plain, capture_output=True, check=True).stdout.splitlines()
        sizes = [int(line.split()[2]) for line in listed]
        assert (layer["uncompressed"], layer["bytes"]) == (len(plain), sum(sizes))
    text = imgasm("size-report", f"oci:{layout.root}:1").stdout
    assert "efficiency 37.5 %" in text and "100 kB  /opt/big" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_skopeos_archives(imgasm: Imgasm, layout: Layout, image: Image, form: str) -> None:
    archive = imgasm.directory / "archive.tar"
    run("skopeo", "copy", f"oci:{layout.root}:1", f"{form}:{archive}:sample:1")
    check(imgasm.json("size-report", archive), image, compressed=form == "oci-archive")
    check(imgasm.json("size-report", f"{form}:{archive}"), image, compressed=False)
    assert os.listdir(imgasm.directory / ".cache/imgasm/archives") == []


def test_a_registry_is_asked_for_the_manifest_only(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    with debian_registry(imgasm.directory / "registry") as registry:
        reference = f"{registry.host}/team/sample:1"
        run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout.root}:1", f"docker://{reference}")
        before = registry.log.read_text().count("/blobs/")
        report = imgasm.json("size-report", reference)
        asked = registry.log.read_text().count("/blobs/") - before
        assert report["contents"] is None
        assert [layer["compressed"] for layer in report["layers"]] == [blob.size for blob, _ in image.layers]
        assert asked <= 2, "only the config"
        assert "--deep" in imgasm("size-report", reference).stdout
        assert "--deep" in imgasm("size-report", reference, "--max-path", "/x=1B", status=2).stderr

        check(imgasm.json("size-report", reference, "--deep"), image)
        assert not (imgasm.directory / ".cache/imgasm/archives").exists()
        assert imgasm.json("compare", reference, reference)["paths"] is None
        assert imgasm.json("compare", reference, reference, "--deep")["paths"] == []

        grown = add_image(layout, LOWER, UPPER, {"new": os.urandom(2000)})
        layout.tag(grown.descriptor, Reference.parse("localhost/sample:2"))
        limits = ["--baseline", reference, "--max-growth", "1%", "--growth-floor", "100B"]
        failed = imgasm("size-report", f"oci:{layout.root}:2", *limits, status=10)
        assert "the image, 2." in failed.stderr and "/new" not in failed.stdout.split("Largest files")[0]
        imgasm("size-report", f"oci:{layout.root}:2", "--baseline", reference, "--max-growth", "1MB")


def test_budgets_and_faces(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    faces = ["--html", "page.html", "--svg", "picture.svg", "--junit", "verdict.xml", "--markdown"]
    budget = ["--max-image-unpacked", "100kB", "--max-path", "/opt/**=30kB", "--max-path", "/etc/**=1kB"]
    done = imgasm("size-report", layout.root, *faces, *budget, status=10)
    assert "the image, unpacked," in done.stderr and "/opt/\\*\\* is 30.0 kB" in done.stdout
    assert "/etc" not in done.stderr.split("error:")[1]
    verdict = ElementTree.parse(imgasm.directory / "verdict.xml").getroot()
    assert verdict.get("failures") == "1"
    assert (imgasm.directory / "page.html").read_text().startswith("<!doctype html>")
    ElementTree.parse(imgasm.directory / "picture.svg")
    assert "--max-growth needs --baseline" in imgasm("size-report", layout.root, "--max-growth", "1%", status=2).stderr
    assert "--max-path" in imgasm("size-report", layout.root, "--max-path", "/x", status=2).stderr
    assert "--max-layer" in imgasm("size-report", layout.root, "--max-layer", "x", status=2).stderr
    assert "error: no/where: No such file" in imgasm("size-report", layout.root, "--svg", "no/where", status=11).stderr


def test_compare_two_images(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    other = add_image(layout, {**LOWER, "etc/conf": b"three, and longer\n"}, UPPER | {"new": bytes(5000)})
    layout.tag(other.descriptor, Reference.parse("localhost/sample:2"))
    found = imgasm.json("compare", f"oci:{layout.root}:1", f"oci:{layout.root}:2")
    assert found["paths"] == [{"name": "/new", "before": 0, "after": 5000}]
    assert sum(change["after"] - change["before"] for change in found["steps"]) == 5000
    assert found["packages"] == [{"name": "in no package", "before": 60_012, "after": 65_012}]
    text = imgasm("compare", f"oci:{layout.root}:1", f"oci:{layout.root}:2").stdout
    assert "+5.00 kB" in text and "/new" in text


def lying(path: Path, layout: Layout, image: Image) -> None:
    """An archive in the OCI form with one byte of a layer changed."""
    with (path.parent / "whole").open("wb") as file:
        write_archive(layout, [(image, [Reference.parse("localhost/sample:1")])], file)
    data = bytearray((path.parent / "whole").read_bytes())
    at = data.index(layout.path(image.layers[0][0].digest).read_bytes())
    data[at + image.layers[0][0].size // 2] ^= 1
    path.write_bytes(data)


def bomb(path: Path) -> None:
    """A layer of 1 GB of zeros in 1 MB, and no manifest."""
    squeezed = gzip.compress(bytes(1 << 20), 9) * 1024
    (path.parent / "layer").write_bytes(squeezed)
    with tarfile.open(path, "w") as tar:
        tar.add(path.parent / "layer", "layer.tar")


def escaping(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))


@pytest.mark.parametrize("case", ["lying", "bomb", "escaping", "cut", "text", "nothing"])
def test_hostile_archives_are_clear_errors_in_bounded_memory(
    imgasm: Imgasm, layout: Layout, image: Image, case: str
) -> None:
    path = imgasm.directory / "bad.tar"
    if case == "lying":
        lying(path, layout, image)
    elif case == "bomb":
        bomb(path)
    elif case == "escaping":
        escaping(path)
    elif case == "cut":
        lying(path, layout, image)
        path.write_bytes(path.read_bytes()[:20_000])
    elif case == "text":
        path.write_text("hello")
    before = set(imgasm.directory.rglob("*"))
    done = imgasm("size-report", path, status=2 if case == "nothing" else 8, memory=400 << 20)
    assert "error:" in done.stderr and "Traceback" not in done.stderr
    left = set(imgasm.directory.rglob("*")) - before
    assert {str(entry.relative_to(imgasm.directory)) for entry in left} <= {
        ".cache", ".cache/imgasm", ".cache/imgasm/archives",
    }  # fmt: skip


def test_a_damaged_layer_of_a_layout_is_told(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    path = layout.path(image.layers[1][0].digest)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=1))
    failed = imgasm("size-report", layout.root, status=8)
    assert "does not match its digest" in failed.stderr


def test_without_a_build_or_an_image_there_is_nothing_to_report(imgasm: Imgasm) -> None:
    assert "No build has been made in this directory" in imgasm("size-report", status=2).stderr
    assert "There is nothing at ./x" in imgasm("size-report", "./x", status=2).stderr


def test_several_images_need_a_choice(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    layout.tag(add_image(layout, LOWER).descriptor, Reference.parse("localhost/other:1"))
    failed = imgasm("size-report", layout.root, status=8)
    assert "localhost/other:1" in failed.stderr
    assert len(imgasm.json("size-report", layout.root, "--image", "localhost/other:1")["layers"]) == 1


RECIPE = """
name = "sample"

[base]
rootfs = "base.tar"

[container]
network = "none"
scratch = ["/scratch"]

[[step]]
name = "write"
run = '''
mkdir -p /opt/app /usr/share/doc/app /var/lib/dpkg/info
head -c 3000000 /dev/urandom > /opt/app/random
head -c 4 /dev/zero | dd of=/opt/app/random conv=notrunc 2>/dev/null  # by chance it might look like something
head -c 4000000 /dev/zero > /opt/app/zeros
head -c 50000 /opt/app/random > /usr/share/doc/app/manual
echo "#!/bin/sh" > /opt/app/run
echo /opt/app/run > /var/lib/dpkg/info/app.list
cp /imgasm/sources/debug /opt/app/debug
ln /opt/app/run /opt/app/again
'''

[[step]]
name = "copy"
run = "cp /opt/app/random /opt/app/copy; head -c 100000 /dev/urandom > /opt/app/gone"

[[step]]
name = "tidy"
run = "rm /opt/app/gone"

[[source]]
url = "debug"

[prune]
presets = ["apt"]
paths = ["/nothing/here/**"]

[[image]]
name = "sample"
reference = "{reference}"
compression = "{codec}"
cmd = ["/bin/true"]
{more}
"""


def write_recipe(imgasm: Imgasm, *, codec: str = "zstd", reference: str = "127.0.0.1:1/x:1", more: str = "") -> str:
    (imgasm.directory / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    source = imgasm.directory / "debug.c"
    source.write_text("struct s { int a; long b; } v = {1, 2};\nint main(void) { return (int)v.b; }\n")
    run("gcc", "-g3", source, "-o", imgasm.directory / "debug")
    text = RECIPE.format(codec=codec, reference=reference, more=more)
    (imgasm.directory / "recipe.toml").write_text(text)
    return "recipe.toml"


def blob_of(imgasm: Imgasm, record: Any) -> Path:
    digest = record["images"][0]["layer"]["digest"].removeprefix("sha256:")
    return imgasm.directory / "build/sample/blobs/sha256" / digest


@pytest.mark.engine
@pytest.mark.parametrize("codec", ["zstd", "gzip"])
def test_a_builds_numbers_agree_with_an_independent_count(imgasm: Imgasm, codec: str) -> None:
    """tar -tvf, zstd -l (gzip -l), du and stat see what the report says."""
    done = imgasm("build", write_recipe(imgasm, codec=codec), "--engine", "docker", "--json")
    record = json.loads(done.stdout)
    jsonschema.validate(record, schema())
    assert "/nothing/here/** matched nothing" in done.stderr
    image, blob = record["images"][0], blob_of(imgasm, record)
    layer, table = image["layer"], image["table"]

    assert layer["compressed"] == blob.stat().st_size
    listed = run("zstd" if codec == "zstd" else "gzip", "-dc", blob)
    assert layer["uncompressed"] == len(listed)
    tar = subprocess.run(["tar", "-tvf", "-"], input=listed, capture_output=True, check=True).stdout.decode()
    files = {line.split()[-1]: int(line.split()[2]) for line in tar.splitlines() if line.startswith("-")}
    rows = {
        f"{table['directories'][parent]}/{name}": (size, step, share, kind, package)
        for parent, name, size, step, share, kind, package in zip(
            *(table[key] for key in ("parents", "names", "sizes", "steps", "shares", "kinds", "packages")), strict=True
        )
    }
    assert {path.lstrip("/"): row[0] for path, row in rows.items()} == files
    assert layer["content"] == sum(files.values())
    assert image["entries"] if "entries" in image else sum(image["kinds"].values()) == len(tar.splitlines())

    unpacked = imgasm.directory / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", "-", "-C", str(unpacked)], input=listed, check=True)
    found = run("find", unpacked, "-type", "f", "-printf", "%i %s\\n").split(b"\n")
    assert sum(int(line.split()[1]) for line in set(found) if line) == layer["content"]

    shares = {path: row[2] for path, row in rows.items()}
    assert sum(shares.values()) + layer["rest"] == layer["compressed"]
    assert all(share >= 0 for share in shares.values())
    # Who wrote it, what it is, whose it is.
    names = [step["name"] for step in record["steps"]]
    assert names[rows["/opt/app/copy"][1]] == "copy" and names[rows["/opt/app/random"][1]] == "write"
    # The package lists another name of the script than the one that holds its content.
    script = rows["/opt/app/again"]
    assert (table["kind_names"][script[3]], table["package_names"][script[4]]) == ("script", "app")
    assert table["kind_names"][rows["/opt/app/debug"][3]] == "ELF"
    hints = {hint["kind"]: hint for hint in image["hints"]}
    assert hints["equal"]["bytes"] == 3_000_000 and hints["equal"]["examples"] == ["/opt/app/random"]
    assert (hints["preset"]["what"], hints["preset"]["bytes"]) == ("docs", 50_000)
    assert hints["debug"]["examples"] == ["/opt/app/debug"] and hints["debug"]["bytes"] > 5000
    assert record["steps"][1]["added"] == 3_100_000 and record["steps"][2]["removed"] == 100_000
    assert record["discarded"] == [{"written_by": 1, "removed_by": 2, "bytes": 100_000}]


@pytest.mark.engine
def test_both_ways_of_reading_tell_the_same(imgasm: Imgasm) -> None:
    recipe = write_recipe(imgasm)
    overlay = imgasm.json("build", recipe, "--engine", "docker", "--capture", "overlay", "--output", "one")
    exports = imgasm.json("build", recipe, "--engine", "docker", "--capture", "export", "--output", "two")
    tables = [record["images"][0]["table"] for record in (overlay, exports)]
    for column in ("names", "steps", "kinds", "packages"):
        assert tables[0][column] == tables[1][column]
    kinds = [[(hint["kind"], hint["bytes"]) for hint in record["images"][0]["hints"]] for record in (overlay, exports)]
    assert kinds[0] == kinds[1]


@pytest.mark.engine
def test_budgets_of_a_recipe(imgasm: Imgasm) -> None:
    """A build over budget writes its report, says who it was, and fails before anybody could push."""
    with debian_registry(imgasm.directory / "registry") as registry:
        reference = f"{registry.host}/sample:1"
        growth = 'budget = { growth = { percent = 1, floor = "10kB" } }'
        recipe = imgasm.directory / write_recipe(imgasm, reference=reference, more=growth)
        # How soon zstd sees that a copy of random bytes is one depends on these bytes: by up to 1 % of the layer.
        without_copy = recipe.read_text().replace("cp /opt/app/random /opt/app/copy;", "")
        assert "/opt/app/copy" not in without_copy
        recipe.write_text(without_copy)
        first = imgasm("build", recipe, "--engine", "docker")
        assert "its growth has no limit this time" in first.stderr
        imgasm("push")
        imgasm("build", "recipe.toml", "--engine", "docker")

        text = (imgasm.directory / "recipe.toml").read_text().replace("head -c 3000000", "head -c 3100000")
        (imgasm.directory / "recipe.toml").write_text(text)
        grown = imgasm("build", "recipe.toml", "--engine", "docker", status=10)
        assert "more than" in grown.stderr and reference in grown.stderr
        assert "/opt/app/random, written by write" in grown.stderr

        limits = """[image.budget]
layer = "1MB"
peak = "1MB"
image_unpacked = "9MB"
paths = { "/opt/app/z*" = "1MB", "/usr/**" = "1MB" }
growth = { baseline = "./build/sample", floor = "1GB" }
"""
        write_recipe(imgasm, more=limits)
        faces = ["--junit", "verdict.xml", "--html", "page.html", "--svg", "picture.svg"]
        failed = imgasm("build", "recipe.toml", "--engine", "docker", *faces, status=10)
        assert re.search(r"compressed, is [3-6]\.", failed.stderr)  # zstd sees more or less of the copy
        base = run("du", "--apparent-size", "--bytes", imgasm.directory / "base.tar").split()[0]
        builds = json.loads((imgasm.directory / "build/sample/imgasm.json").read_text())["builds"]
        record = builds[-1]  # the first one's image has another name, and is still there
        whole = record["images"][0]["layer"]["uncompressed"] + record["images"][0]["base"][0]["uncompressed"]
        assert record["images"][0]["base"][0]["uncompressed"] == int(base)
        assert f"the image, unpacked, is {human(whole)}" in failed.stderr
        assert "/opt/app/z* is 4.00 MB" in failed.stderr and "/usr/**" not in failed.stderr
        assert "Over budget" in failed.stdout
        suite = ElementTree.parse(imgasm.directory / "verdict.xml").getroot()
        assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
        assert "over budget" in imgasm("size-report", "--markdown", status=10).stdout
        ambiguous = imgasm("compare", "build/sample", "build/sample", status=2).stderr
        assert f"Choose one with --image: {reference}, 127.0.0.1:1/x:1." in " ".join(ambiguous.split())
        compared = imgasm.json("compare", "build/sample", "build/sample", "--image", "127.0.0.1:1/x:1")
        assert compared["paths"] == [] == compared["steps"]


@pytest.mark.engine
def test_an_image_in_the_engine(imgasm: Imgasm, layout: Layout, image: Image) -> None:
    imgasm("load", layout.root, "--engine", "docker")
    try:
        check(imgasm.json("size-report", "docker-daemon:localhost/sample:1"), image, compressed=False)
    finally:
        run("docker", "image", "rm", "localhost/sample:1")
