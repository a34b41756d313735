"""What stands in examples/: each file is held against what reads it, as far as that is to be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from assembler.image.layout import Layout
from tests.support import engines
from tests.support.clusters import slurm, wait_for
from tests.support.thin import Imgasm, busybox, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry

EXAMPLES = Path(__file__).parents[2] / "examples"
BESIDE_PYTHON = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
RELEASES = "io.imgasm.kernel.releases"
KMM = "Module"
"""A kind of which no schema can be had here."""


def documents(text: str) -> Iterator[Any]:
    for document in yaml.safe_load_all(text):
        if document["kind"] != KMM:
            kubernetes_validate.validate(document, "1.33", strict=True)
        yield document


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    """With an index ``fleet`` over images for two kernels, of which one is this machine's."""
    for kernel in (os.uname().release, "6.12.117+deb12-amd64"):
        write_image(Layout.create(tmp_path / "images"), f"localhost/{kernel.replace('+', '_')}:1", busybox(),
                    rootfs({"kernel": kernel.encode()}), Labels={RELEASES: kernel},
                    Entrypoint=["/bin/sh", "-c", "cat /kernel > /out/loaded"])  # fmt: skip
    imgasm = Imgasm(tmp_path)
    imgasm("index", "./fleet", "--from", "images")
    return imgasm


def test_the_plan(tmp_path: Path) -> None:
    cells = Imgasm(tmp_path).json("matrix", str(EXAMPLES / "plan.toml"), "--list")
    assert [cell["key"] for cell in cells][-2:] == ["6.1.0-56-amd64-open", "6.1.0-56-cloud-amd64-open"]
    recipe = str(EXAMPLES / "../recipes/debian-6.1-nvidia-535.toml")
    for cell in cells:
        Imgasm(tmp_path)("plan", recipe, *(f"--set={name}={value}" for name, value in cell["values"].items()))
    job = Imgasm(tmp_path)("matrix", str(EXAMPLES / "plan.toml"), "--emit", "kubernetes").stdout
    assert [document["spec"]["completions"] for document in documents(job)] == [5]


def test_daemonsets_for_the_kernels_of_a_cluster(imgasm: Imgasm) -> None:
    kernels = "6.12.117+deb12-amd64\n2.6.32\n"
    done = subprocess.run([EXAMPLES / "kubernetes/daemonsets", "fleet", "--platform", "linux/amd64"], input=kernels,
                          text=True, capture_output=True, check=False, cwd=imgasm.directory, env=BESIDE_PYTHON)
    (daemonset,) = documents(done.stdout)
    assert done.returncode == 1 and "nothing is loaded on nodes with the kernel 2.6.32" in done.stderr
    pod = daemonset["spec"]["template"]["spec"]
    chosen = imgasm("choose", "fleet", "--kernel", "6.12.117+deb12-amd64", "--platform", "linux/amd64").stdout.strip()
    assert pod["initContainers"][0]["image"] == chosen
    assert list(pod["nodeSelector"].values()) == ["6.12.117_deb12-amd64"]
    assert daemonset["metadata"]["name"] == "load-nvidia-6.12.117-deb12-amd64"


def test_everything_else_for_kubernetes() -> None:
    files = sorted((EXAMPLES / "kubernetes").glob("*.yaml"))
    found = {document["kind"]: document for file in files for document in documents(file.read_text())}
    assert found.keys() == {"DaemonSet", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Pod", KMM}
    assert found["Pod"]["spec"]["nodeSelector"] == {"example.com/nvidia": "loaded"}
    label = found["DaemonSet"]["spec"]["template"]["spec"]["initContainers"][1]
    assert label["args"][-1] == "example.com/nvidia=loaded"
    (mapping,) = found[KMM]["spec"]["moduleLoader"]["container"]["kernelMappings"]
    assert mapping["containerImage"].endswith(":${KERNEL_FULL_VERSION}")


@pytest.mark.engine
@pytest.mark.root
def test_a_prolog_loads_before_the_job_starts(imgasm: Imgasm, registry: DebianRegistry) -> None:
    folder, index = imgasm.directory, f"{registry.host}/prolog/fleet:1"
    imgasm("push", "fleet", index)
    with engines.docker() as engine:
        _write_prolog(folder, index, engine)
        (folder / "cluster").mkdir()
        with slurm(folder / "cluster", {}, f"Prolog={folder}/prolog\nPrologFlags=Alloc\n") as cluster:
            submit = ["sbatch", "--parsable", f"--output={folder}/job.log"]
            job = f"#!/bin/sh\ncat {folder}/out/loaded\necho the job\n"
            subprocess.run(submit, input=job, text=True, check=True, capture_output=True, cwd=folder,
                           env={**os.environ, **cluster.environment})  # fmt: skip
            wait_for(lambda: (folder / "job.log").exists() and "the job" in (folder / "job.log").read_text())
        subprocess.run(engine.command("image", "rm", imgasm("choose", index).stdout.strip()), check=True,
                       capture_output=True)  # fmt: skip
    assert (folder / "job.log").read_text() == f"{os.uname().release}the job\n"


def _write_prolog(folder: Path, index: str, engine: Engine) -> None:
    """The example, with its settings in another place, and an engine that is here."""
    text = (EXAMPLES / "slurm/prolog").read_text()
    prolog = folder / "prolog"
    prolog.write_text(text.replace(". /etc/slurm/fleet", f". {folder}/settings"))
    prolog.chmod(0o755)
    run = " ".join(engine.command("run", "--rm", "--network", "none", "-v", f"{folder}/out:/out"))
    (folder / "out").mkdir()
    host = f"export DOCKER_HOST={os.environ['DOCKER_HOST']}\n" if "DOCKER_HOST" in os.environ else ""
    (folder / "settings").write_text(
        f"PATH={Path(sys.executable).parent}:$PATH\n{host}index={index}\nchoice=\nmodule=no_such_module\nrun='{run}'\n")
