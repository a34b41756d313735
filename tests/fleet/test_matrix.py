"""A plan's cells, what of them is built again, and what is told. The recipe has no steps, and so needs no engine."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from assembler.image.layout import Layout
from tests.support.clusters import wait_for
from tests.support.debian_registry import debian_registry, htpasswd
from tests.support.forked import Forked
from tests.support.thin import rootfs, write_image

if TYPE_CHECKING:
    from tests.support.debian_registry import DebianRegistry

RECIPE = """
name = "modules"
[vars]
kernel = ""
flavour = "closed"
greeting = "none"
[base]
layout = "./base"
[[file]]
path = "/opt/module.ko"
from = "modules/{{ kernel }}"
[[file]]
path = "/opt/{{ flavour }}"
content = "{{ greeting }}"
[[image]]
name = "modules"
onto = "scratch"
keep = ["/opt/**"]
annotations = { "io.imgasm.kernel.releases" = "{{ kernel }}" }
"""
KERNELS = ["6.1.0-55-amd64", "6.1.0-56-amd64", "6.12.117+deb12-amd64"]
PLAN = """
name = "Fleet_1"
recipe = "recipe.toml"
repository = "HOST/REPOSITORY"
[axes]
kernel = ["6.1.0-55-amd64", "6.1.0-56-amd64", "6.12.117+deb12-amd64"]
flavour = ["closed", "open"]
[[exclude]]
kernel = "6.1.0-55-amd64"
flavour = "open"
"""
KEYS = ["6.1.0-55-amd64-closed", "6.1.0-56-amd64-closed", "6.1.0-56-amd64-open", "6.12.117_deb12-amd64-closed",
        "6.12.117_deb12-amd64-open"]  # fmt: skip


@pytest.fixture
def imgasm(tmp_path: Path, registry: DebianRegistry) -> Forked:
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", rootfs({"srv/x": b"x"}))
    (tmp_path / "modules").mkdir()
    for kernel in KERNELS:
        (tmp_path / "modules" / kernel).write_text(kernel)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    repository = f"{tmp_path.name.replace('_', '-')}/modules"
    (tmp_path / "plan.toml").write_text(PLAN.replace("HOST", registry.host).replace("REPOSITORY", repository))
    return Forked(tmp_path)


def add(imgasm: Forked, text: str, *, before: str = "[axes]") -> None:
    plan = imgasm.directory / "plan.toml"
    plan.write_text(plan.read_text().replace(before, f"{text}\n{before}", 1))


def outcomes(report: Any) -> dict[str, str]:
    return {cell["key"]: cell["outcome"] for cell in report["cells"]}


def test_cells_are_listed_and_chosen(imgasm: Forked) -> None:
    listed = imgasm("matrix", "plan.toml", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == KEYS
    assert listed[3].endswith("kernel=6.12.117+deb12-amd64 flavour=closed")
    meant = imgasm.json("matrix", "plan.toml", "--list", "--only", "*-open", "--only", "kernel=*-55-amd64,flavour=*")
    assert [cell["key"] for cell in meant] == [KEYS[0], KEYS[2], KEYS[4]]
    assert [cell["key"] for cell in imgasm.json("matrix", "plan.toml", "--missing")] == KEYS
    assert "the plan has no such cell" in imgasm("matrix", "plan.toml", "--only", "6.2*", status=2).stderr
    assert "the plan has no cell 7" in imgasm("matrix", "plan.toml", "--cell", "7", status=2).stderr
    assert "contradict each other" in imgasm("matrix", "plan.toml", "--cell", "@0", "--only", "*", status=2).stderr
    assert "there is no such engine" in imgasm("matrix", "plan.toml", "--on", "ray:1", status=2).stderr
    bare = Forked(imgasm.directory, PATH="/nowhere")
    assert "sbatch is not installed" in bare("matrix", "plan.toml", "--on", "slurm", status=5).stderr


@pytest.mark.parametrize(("more", "before", "words"), [
    ("retires = 2", "[axes]", 'retires: there is no such key; did you mean "retries"?'),
    ('set = { kernel = "6" }', "[axes]", "set, kernel: is an axis, too"),
    ('tag = "6.1.0-56-amd64-open"', "[axes]", "would have the same tag as the index"),
    ('[[exclude]]\nkernel = "7"', "[[exclude]]", '[[exclude]] #1, kernel: no axis kernel has the value "7"'),
    ('[[exclude]]\nflavour = "open"\n[[exclude]]\nflavour = "closed"', "[[exclude]]", "no cell is left"),
    ('x = ["1+2", "1_2"]', "kernel", "would have the same tag as"),
    (f'x = ["{"x" * 120}"]', "kernel", "would have more than 128 characters"),
])  # fmt: skip
def test_what_is_wrong_with_a_plan(imgasm: Forked, more: str, before: str, words: str) -> None:
    add(imgasm, more, before=before)
    assert words in imgasm("matrix", "plan.toml", "--list", status=3).stderr


def test_a_plan_that_is_none(imgasm: Forked) -> None:
    assert "the plan none.toml can't be read" in imgasm("matrix", "none.toml", "--list", status=3).stderr
    (imgasm.directory / "plan.toml").write_text(PLAN.replace("REPOSITORY", "a b"))
    assert "is not an image reference" in imgasm("matrix", "plan.toml", "--list", status=3).stderr


def test_what_stands_is_not_built_again_and_what_fails_leaves_the_others_alone(imgasm: Forked) -> None:
    gone = imgasm.directory / "modules" / KERNELS[2]
    gone.unlink()
    failed = imgasm("matrix", "plan.toml", "--on", "local:2", status=13).stderr
    assert "2 cells of 5 failed" in failed and "error: 2 cells of 5 failed" in failed
    assert 'from: "modules/6.12.117+deb12-amd64" can\'t be copied' in failed, "the log's last lines"
    assert "attempts" not in failed, "no other attempt would read a better recipe"
    assert [cell["key"] for cell in imgasm.json("matrix", "plan.toml", "--missing")] == KEYS[3:]

    gone.write_text("module")
    (imgasm.directory / "modules" / KERNELS[0]).write_text("another")
    report = imgasm.json("matrix", "plan.toml", "--on", "local:2")
    assert outcomes(report) == dict(zip(KEYS, ["built", "kept", "kept", "built", "built"], strict=True))
    assert report["entries"] == 5
    index = report["index"]
    assert imgasm.json("matrix", "plan.toml", "--index")["digest"] == report["digest"]
    chosen = imgasm("choose", index, "--kernel", KERNELS[1], "--where", "flavour=open", "--platform", "linux/amd64")
    assert chosen.stdout.strip().endswith(next(cell["digest"] for cell in report["cells"] if cell["key"] == KEYS[2]))
    assert "nothing is wrong" in imgasm("verify", index).stdout

    gone.unlink()
    report = json.loads(imgasm("matrix", "plan.toml", "--only", KEYS[3], "--json", status=13).stdout)
    assert outcomes(report) == {KEYS[3]: "failed"} and report["entries"] == 5, "its former image stays"
    assert not list((imgasm.directory / ".cache/imgasm/archives").glob("*"))


def test_one_cell_as_engines_ask_for_it(imgasm: Forked) -> None:
    add(imgasm, 'set_env = { greeting = "GREETING" }')
    assert "no variable GREETING" in imgasm("matrix", "plan.toml", "--cell", "@2", status=2).stderr
    hello, bye = (Forked(imgasm.directory, GREETING=word) for word in ("hello", "bye"))
    told = json.loads(hello("matrix", "plan.toml", "--cell", "@2").stdout)
    assert (told["key"], told["outcome"]) == (KEYS[2], "built")
    again = json.loads(hello("matrix", "plan.toml", "--cell", KEYS[2]).stdout)
    assert (again["outcome"], again["digest"]) == ("kept", told["digest"])
    other = json.loads(bye("matrix", "plan.toml", "--cell", KEYS[2]).stdout)
    assert other["outcome"] == "built" and other["digest"] != told["digest"]
    anew = json.loads(bye("matrix", "plan.toml", "--cell", KEYS[2], "--no-cache").stdout)
    assert (anew["outcome"], anew["digest"]) == ("built", other["digest"])
    assert imgasm.json("matrix", "plan.toml", "--index")["entries"] == 1


def test_an_image_of_several_must_be_named(imgasm: Forked) -> None:
    recipe = imgasm.directory / "recipe.toml"
    recipe.write_text(RECIPE + '\n[[image]]\nname = "other"\nkeep = ["/opt/**"]\nonto = "scratch"\n')
    assert "which image of recipe.toml is meant?" in imgasm("matrix", "plan.toml", "--cell", "@0", status=3).stderr
    add(imgasm, 'image = "modules"')
    imgasm("matrix", "plan.toml", "--cell", "@0")


def test_cells_meet_the_registry_as_the_collector_does(imgasm: Forked) -> None:
    folder = imgasm.directory / "locked"
    with debian_registry(folder, htpasswd(folder, "ann", "secret")) as locked:
        plan = imgasm.directory / "plan.toml"
        plan.write_text(PLAN.replace("HOST", locked.host).replace("REPOSITORY", "modules"))
        auth = imgasm.directory / "auth.json"
        auth.write_text(json.dumps({"auths": {locked.host: {"auth": base64.b64encode(b"ann:secret").decode()}}}))
        assert "401" in imgasm("matrix", "plan.toml", "--only", KEYS[0], "--retry-for", "0s", status=9).stderr
        report = imgasm.json("matrix", "plan.toml", "--only", KEYS[0], "--plain-http", "--authfile", "auth.json")
    assert outcomes(report) == {KEYS[0]: "built"} and report["entries"] == 1


def test_an_interrupted_collector_takes_its_builds_along(imgasm: Forked) -> None:
    """One whose registry never answers goes on until it is told to end."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        plan = imgasm.directory / "plan.toml"
        plan.write_text(plan.read_text().replace("HOST", "x"))
        text = plan.read_text()
        start = text.index("127.0.0.1:")
        plan.write_text(text[:start] + f"127.0.0.1:{silent.getsockname()[1]}" + text[text.index("/", start) :])
        command = [sys.executable, "-m", "assembler", "matrix", "plan.toml", "--on", "local:2"]
        with subprocess.Popen(command, cwd=imgasm.directory, stderr=subprocess.PIPE) as process:
            wait_for(lambda: len(cells_of(process.pid)) == 2)
            assert "another imgasm matrix writes to" in imgasm("matrix", "plan.toml", status=2).stderr
            cells = cells_of(process.pid)
            process.send_signal(signal.SIGTERM)
            process.communicate()
    assert process.returncode == 143
    assert not [cell for cell in cells if Path(f"/proc/{cell}/exe").exists()]


def cells_of(pid: int) -> list[int]:
    children = (child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split())
    return [int(child) for child in children if b"--cell" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_job_for_kubernetes_is_what_its_schemas_want(imgasm: Forked) -> None:
    assert "says nothing of Kubernetes" in imgasm("matrix", "plan.toml", "--emit", "kubernetes", status=3).stderr
    add(imgasm, '[kubernetes]\nimage = "registry.example.com/imgasm:1"', before="[[exclude]]")
    for more in ("", 'registry_secret = "push"\ncache_claim = "cache"\nparallelism = 2\n'):
        add(imgasm, more, before="[[exclude]]")
        job = json.loads(imgasm("matrix", "plan.toml", "--emit", "kubernetes").stdout)
        for version in ("1.31", "1.33"):
            kubernetes_validate.validate(job, version, strict=True)
    assert job["metadata"]["name"] == "fleet-1"
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimitPerIndex"]) == (5, 2, 1)
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["type"] == "DisruptionTarget"
    pod = spec["template"]["spec"]
    assert pod["hostUsers"] is False and "privileged" not in json.dumps(job) and "hostPath" not in json.dumps(job)
    (container,) = pod["containers"]
    assert container["command"][:5] == ["imgasm", "matrix", "/plan/plan.toml", "--cell", "@$(JOB_COMPLETION_INDEX)"]
    assert container["command"][5:7] == ["--engine", "host"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**job, "spec": {**spec, "completions": "five"}}, "1.33", strict=True)
