"""Twelve builds on engines that are there: one worker is lost in the middle of a build, the collector is killed, and
one build fails for good."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from tests.support import engines
from tests.support.clusters import dask, slurm, wait_for
from tests.support.thin import Imgasm, busybox, write_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from assembler.engine.client import Engine
    from tests.support.clusters import Cluster
    from tests.support.debian_registry import DebianRegistry

KERNELS = [f"6.1.0-{number}-amd64" for number in range(6)]
HELD, FAILING = "6.1.0-1-amd64-open", "6.1.0-2-amd64-closed"
CELLS = {f"{kernel}-{flavour}" for kernel in KERNELS for flavour in ("closed", "open")}

RECIPE = """
name = "modules"
[vars]
kernel = ""
flavour = ""
[base]
{base}
[container]
network = "host"
[[step]]
name = "compile"
run = "wget -q -O /opt/module.ko http://127.0.0.1:{port}/{{{{ kernel }}}}-{{{{ flavour }}}}"
[[image]]
name = "modules"
onto = "scratch"
keep = ["/opt/**"]
annotations = {{ "io.imgasm.kernel.releases" = "{{{{ kernel }}}}" }}
"""
PLAN = """
name = "fleet"
recipe = "recipe.toml"
repository = "{host}/fleet/modules"
[axes]
kernel = {kernels}
flavour = ["closed", "open"]
"""


@dataclass
class Source:
    """What the steps read from. It counts, lets one wait, and has nothing for one of them."""

    asked: Counter[str] = field(default_factory=Counter)
    is_waiting: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def answer(self, key: str) -> int:
        self.asked[key] += 1
        if key == HELD:
            self.is_waiting.set()
            self.may_go_on.wait()
        return 404 if key == FAILING else 200


@contextmanager
def serving(source: Source) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(source.answer(self.path.strip("/")))
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        source.may_go_on.set()
        server.shutdown()


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engines.docker() as engine:
        yield engine


@pytest.fixture
def base(docker: Engine) -> Iterator[str]:
    image = engines.import_rootfs(docker, engines.busybox_rootfs(), {})
    yield image
    docker.images.remove(image)


@contextmanager
def collecting(cluster: Cluster, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """It is killed in the end, if it has not ended by itself."""
    command = [sys.executable, "-m", "assembler", "matrix", "plan.toml", "--on", cluster.on, "--json"]
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **cluster.environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def ended(folder: Path) -> list[str]:
    journal = folder / "build/fleet/journal.jsonl"
    return re.findall('"ended".*?"key": "([^"]*)"', journal.read_text()) if journal.exists() else []


def left(docker: Engine, base: str, folder: Path) -> list[str]:
    """Containers, mounts, and directories that a build works in."""
    command = docker.command("container", "ls", "--all", "--quiet", "--filter", f"ancestor={base}")
    containers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    return [*containers, *mounts, *map(str, (folder / "cache").rglob("work-*"))]


@pytest.mark.engine
@pytest.mark.root
@pytest.mark.parametrize(("start", "engine"), [(dask, "docker"), (slurm, "host")])
def test_what_is_lost_is_built_again_and_nothing_else(
    start: Callable[[Path, Mapping[str, str]], AbstractContextManager[Cluster]], engine: str,
    tmp_path: Path, docker: Engine, base: str, registry: DebianRegistry,
) -> None:  # fmt: skip
    source = Source()
    environment = {"IMGASM_CACHE": str(tmp_path / "cache"), "IMGASM_ENGINE": engine}
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox())
    on = {"docker": f'image = "{base}"', "host": 'layout = "./base"'}[engine]
    (tmp_path / "cluster").mkdir()
    with serving(source) as port, start(tmp_path / "cluster", environment) as cluster:
        name = f"{registry.host}/{start.__name__}"
        (tmp_path / "recipe.toml").write_text(RECIPE.format(base=on, port=port))
        plan = PLAN.format(host=name, kernels=json.dumps(KERNELS))
        (tmp_path / "plan.toml").write_text(plan)

        with collecting(cluster, tmp_path):
            wait_for(source.is_waiting.is_set)
            wait_for(lambda: len(ended(tmp_path)) > 1)
            cluster.lose(cluster.worker_of(f"--cell {HELD}"))
        with collecting(cluster, tmp_path) as second:
            source.may_go_on.set()
            wait_for(cluster.is_woken)
            out, log = second.communicate()

    assert second.returncode == 13, log
    report: Any = json.loads(out)
    outcomes = {cell["key"]: cell["outcome"] for cell in report["cells"]}
    assert outcomes.keys() == CELLS
    assert {key for key, outcome in outcomes.items() if outcome == "failed"} == {FAILING}
    (failed,) = [cell for cell in report["cells"] if cell["outcome"] == "failed"]
    assert (failed["exit_code"], failed["attempts"]) == (6, 2) and "compile" in failed["error"]
    assert "404" in "".join(failed["last_lines"]) and "error: 1 cell of 12 failed" in log

    assert report["entries"] == 11
    index = json.loads(subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{report['index']}"],
                                      capture_output=True, text=True, check=True).stdout)  # fmt: skip
    entries = {entry["annotations"].get("io.imgasm.axis.kernel"): entry for entry in index["manifests"]}
    assert len(index["manifests"]) == 12 and entries.keys() == {None, *KERNELS}, "eleven, and a signpost"

    again = {key: times for key, times in source.asked.items() if times > 1 and key != FAILING}
    assert again == {HELD: 2}, "nothing is built twice but what was lost"
    assert left(docker, base, tmp_path) == []


@pytest.mark.engine
@pytest.mark.root
def test_machines_share_the_steps_that_cells_have_in_common(
    tmp_path: Path, docker: Engine, base: str, registry: DebianRegistry
) -> None:
    common = '[[step]]\nname = "toolchain"\nrun = "echo cc > /usr/bin/cc"\ncheckpoint = true\n'
    source = Source()
    plan = PLAN.format(host=f"{registry.host}/shared", kernels=json.dumps(KERNELS[3:5]))
    (tmp_path / "plan.toml").write_text(f'checkpoints = "{registry.host}/shared/cache"\n{plan}')
    logs = []
    with serving(source) as port:
        (tmp_path / "recipe.toml").write_text(
            RECIPE.format(base=f'image = "{base}"', port=port).replace("[[step]]", f"{common}[[step]]"))
        for machine, cell in (("one", "@0"), ("two", "@3")):
            imgasm = Imgasm(tmp_path, IMGASM_ENGINE="docker", IMGASM_CACHE=str(tmp_path / machine))
            logs.append(imgasm("matrix", "plan.toml", "--cell", cell).stderr)
    assert "toolchain: " in logs[0] and "starting from" not in logs[0]
    assert "starting from the checkpoint after step toolchain" in logs[1]
