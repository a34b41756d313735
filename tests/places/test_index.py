"""One index over images that are somewhere already, and what a machine, and an engine, takes from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.layouts import Handmade, tar

if TYPE_CHECKING:
    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry
    from tests.support.forked import Forked

RELEASES, AXIS, SIGNPOST = "io.imgasm.kernel.releases", "io.imgasm.axis.", "io.imgasm.signpost"
FLEET = [("6.1.0-55-amd64 6.1.0-56-amd64", "closed"), ("6.1.0-56-amd64", "open"), ("6.12.1-amd64", "open")]


def modules(made: Handmade, kernels: str, flavour: str, **more: Any) -> dict[str, Any]:
    told = {RELEASES: kernels, AXIS + "flavour": flavour}
    return made.image(tar({f"opt/{kernels} {flavour}.ko": os.urandom(100_000)}), annotations=told, **more)


def raw(reference: str) -> Any:
    done = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def kernels_of(index: Any) -> list[str | None]:
    return [entry["annotations"].get(RELEASES) for entry in index["manifests"]]


@pytest.fixture
def fleet(imgasm: Forked, made: Handmade, registry: DebianRegistry) -> list[str]:
    """Three images of modules in repositories of their own, as many builds have pushed them."""
    place = f"{registry.host}/{imgasm.directory.name.replace('_', '-')}"
    for number, (kernels, flavour) in enumerate(FLEET):
        made.name(modules(made, kernels, flavour), f"{place}/{number}:1")
    made.save()
    return [pushed["reference"] for pushed in imgasm.json("push", "in")]


def sources(references: list[str]) -> list[str]:
    return [argument for reference in references for argument in ("--from", reference)]


def test_manifests_are_all_that_is_read_and_the_registry_mounts_the_rest(
    imgasm: Forked, fleet: list[str], registry: DebianRegistry
) -> None:
    target = fleet[0].replace("/0:1", "/fleet:535")
    log = registry.log.stat().st_size
    told = imgasm.json("index", target, *sources(fleet))
    assert told["sent"] < 4000, "the signpost's layer and config"
    index = raw(target)
    assert kernels_of(index) == [None, *(kernels for kernels, _ in FLEET)]
    assert [entry["platform"].get("os.version") for entry in index["manifests"]] == [
        None, None, "6.1.0-56-amd64", "6.12.1-amd64"]
    assert ["os.features" in entry["platform"] for entry in index["manifests"]] == [False, True, True, True]
    reads = [line for line in registry.log.read_text()[log:].splitlines() if '"GET /v2/' in line and "/blobs/" in line]
    assert len(reads) == 3, "of blobs, the configs"

    assert imgasm.json("index", target, *sources(fleet[::-1]))["digest"] == told["digest"], "in any order"
    more = imgasm.json("index", target, "--from", target, "--from", fleet[0])
    assert more["digest"] == told["digest"], "an index is what it lists"
    assert f"is to be {told['digest']}" in imgasm(
        "index", target.partition(":535")[0] + "@sha256:" + "0" * 64, *sources(fleet), status=2).stderr


def test_a_layout_says_where_the_layers_are(imgasm: Forked, made: Handmade, fleet: list[str]) -> None:
    imgasm("index", "./fleet", *sources(fleet))
    layout = imgasm.directory / "fleet"
    assert sum(file.stat().st_size for file in layout.rglob("*") if file.is_file()) < 20_000
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == imgasm.json("index", fleet[0].replace("/0:1", "/fleet:1"), *sources(fleet))["digest"]
    assert imgasm.json("index", "oci:again:v1", "--from", "fleet")["digest"] == entry["digest"]
    chosen = imgasm("choose", "fleet", "--kernel", "6.12.1-amd64", "--platform", "linux/amd64").stdout.strip()
    assert chosen.startswith("sha256:")
    imgasm("copy", "fleet", "./whole", "--copy-base-layers")
    assert "nothing is wrong" in imgasm("verify", "whole").stdout
    assert imgasm.json("index", "./from-here", "--from", "in")["digest"] == entry["digest"]
    imgasm("verify", "from-here")
    assert "imgasm copy makes an archive" in imgasm("index", "./fleet.tar", "--from", "in", status=2).stderr


def test_choosing_by_kernel_and_by_what_else_is_told(imgasm: Forked, made: Handmade, registry: DebianRegistry) -> None:
    made.name(modules(made, "6.1.0-55-amd64 6.1.0-56-amd64", "closed"), "closed")
    made.name(modules(made, "6.1.0-56-amd64", "open"), "open")
    made.name(modules(made, "6.1.0-56-amd64", "open", architecture="arm64"), "arm")
    made.name(made.image(tar({"a": b"a"}), architecture="arm64"), "plain")
    made.save()
    place = f"{registry.host}/choosing:1"
    imgasm("index", place, "--from", "in")
    digests = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
               for entry in json.loads((imgasm.directory / "in/index.json").read_bytes())["manifests"]}  # fmt: skip

    def choose(kernel: str, *options: str, platform: str = "linux/amd64", status: int = 0) -> Any:
        return imgasm("choose", place, "--kernel", kernel, "--platform", platform, *options, status=status)

    name = f"{registry.host}/choosing"
    assert choose("6.1.0-55-amd64").stdout == f"{name}@{digests['closed']}\n"
    assert choose("6.1.0-56-amd64", "--where", "flavour=open").stdout == f"{name}@{digests['open']}\n"
    assert choose("6.1.0-56-amd64", platform="linux/arm64").stdout == f"{name}@{digests['arm']}\n"
    assert without_imgasm(place, "6.1.0-55-amd64") == digests["closed"]
    ambiguous = choose("6.1.0-56-amd64", status=8).stderr
    assert "has 2 images for the kernel 6.1.0-56-amd64" in ambiguous and "flavour=closed" in ambiguous
    refused = choose("6.1.0-57-amd64", status=12).stderr
    assert "no image for the kernel 6.1.0-57-amd64 on linux/amd64" in refused and "6.1.0-55-amd64" in refused
    assert "exit" not in choose("6.1.0-56-amd64", "--where", f"{AXIS}flavour=open").stderr
    assert "needs a name and a value" in choose("6.1", "--where", "open", status=2).stderr

    other = f"{registry.host}/choosing-other:1"
    imgasm("push", "in", other, "--image", "closed")
    fallen = choose("6.1.0-57-amd64", "--fallback", other)
    assert fallen.stdout == f"{registry.host}/choosing-other@{digests['closed']}\n"
    assert f"taking {other}" in fallen.stderr
    told = imgasm.json("choose", place, "--kernel", "6.1.0-57-amd64", "--fallback", other)
    assert told["is_fallback"] and told["digest"] == digests["closed"]
    assert "is a single image, and no index" in imgasm("choose", other, status=8).stderr


def without_imgasm(place: str, kernel: str) -> str:
    """As docs/how-to/fleets.md shows it."""
    page = (Path(__file__).parents[2] / "docs/how-to/fleets.md").read_text()
    (script,) = re.findall(r"^skopeo inspect .*?\n(?=```)", page, re.DOTALL | re.MULTILINE)
    script = script.replace("skopeo inspect", "skopeo inspect --tls-verify=false").replace("$(uname -r)", kernel)
    done = subprocess.run(["sh", "-c", script.replace("registry.example.com/fleet/nvidia:535", place)],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.strip()


def test_this_machine_is_what_is_chosen_for(imgasm: Forked, made: Handmade) -> None:
    here = os.uname()
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[here.machine]
    wanted = made.name(modules(made, here.release, "open", architecture=architecture), "here")
    made.name(modules(made, "2.6.32", "open", architecture=architecture), "there")
    made.save()
    imgasm("index", "./fleet", "--from", "in")
    assert imgasm("choose", "fleet").stdout.strip() == wanted["digest"]


def test_an_ordinary_index_has_no_signpost(imgasm: Forked, made: Handmade) -> None:
    for architecture in ("amd64", "arm64"):
        made.name(made.image(tar({"a": b"a"}), architecture=architecture), architecture)
    made.save()
    told = imgasm.json("index", "./index", "--from", "in")
    assert [entry["platform"]["architecture"] for entry in told["manifests"]] == ["amd64", "arm64"]


@pytest.mark.engine
def test_an_engine_that_pulls_the_index_gets_words_and_never_modules(
    engine: Engine, imgasm: Forked, made: Handmade, registry: DebianRegistry
) -> None:
    """What is here is measured: docker and podman take the first of the entries for their platform."""
    for kernels, flavour in FLEET:
        made.name(modules(made, kernels, flavour), f"{registry.host}/pulled-by-{engine.name}/{kernels[:3]}:{flavour}")
    for docker in (False, True):
        made.name(modules(made, "5.10", f"docker-{docker}", docker=docker), f"{registry.host}/more/{docker}:1")
    made.save()
    place = f"{registry.host}/pulled-by-{engine.name}/fleet:1"
    imgasm("push", "in", "--index", place)
    tls = ["--tls-verify=false"] if engine.name == "podman" else []
    assert pull(engine, *tls, place), "it can be pulled"
    told = json.loads(run(engine, "image", "inspect", place).stdout)[0]
    assert "imgasm choose" in told["Config"]["Labels"][SIGNPOST]
    started = run(engine, "run", "--rm", "--network", "none", place, status=127)
    assert "imgasm choose NAME" in started.stderr

    chosen = imgasm("choose", place, "--kernel", "6.12.1-amd64", "--platform", "linux/amd64").stdout.strip()
    assert pull(engine, *tls, chosen)
    run(engine, "image", "rm", place, chosen)


def pull(engine: Engine, *arguments: str) -> str:
    return run(engine, "pull", "--quiet", *arguments).stdout


def run(engine: Engine, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(engine.command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done
