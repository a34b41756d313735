"""Secrets in whole builds: while one runs every process is watched, and afterwards everything it left is searched."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.source.server import Served, serving
from tests.support import engines
from tests.support.debian_mirror import debian_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "s3cr3t-'\"$HOME `x`\\ {{ y }}"
PASSWORD = "pa55w0rd"
NEVER = (b"s3cr3t", PASSWORD.encode())
"""Parts that every form of the two has."""

RECIPE = r"""
name = "sample"

[vars]
token = { secret = true }
password = { secret = true }
login = "ann:{{ password }}"

[base]
rootfs = "base.tar"

[container]
network = "none"
env = { LOGIN = "{{ login }}", PLAIN = "plain text", PROXY = "http://bob:{{ password }}@proxy:3128" }

[[source]]
url = "%(url)s"

[[step]]
name = "use"
env = { TOKEN = "{{ token }}" }
run = '''
mkdir -p /opt/app
printf %%s "$TOKEN" | sha256sum | cut -d' ' -f1 > /opt/app/digest
echo "$PLAIN $LOGIN" | sed 's/ann:.*/ann:(hidden)/' > /opt/app/plain
echo "the token is $TOKEN, $PROXY"
cat <&0
sleep 1
'''

[[step]]
name = "use as somebody"
user = "ann"
run = ["sh", "-c", "test \"$LOGIN\" = ann:pa$((5 * 11))w0rd; exit %(status)s"]

[[image]]
name = "sample"
reference = "127.0.0.1:1/sample:1"
compression = "none"
"""


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.docker() if request.param == "docker" else engines.podman(tmp_path_factory.mktemp("podman")):
        yield request.param


class Watch:
    """Reads every process's arguments, again and again."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.002):
            for process in filter(str.isdecimal, os.listdir("/proc")):
                try:
                    self.seen.add(Path("/proc", process, "cmdline").read_bytes())
                except OSError:
                    pass  # it has ended

    def stop(self) -> None:
        self._over.set()


@contextmanager
def watching() -> Iterator[Watch]:
    watch = Watch()
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()


def imgasm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(folder / "home"), "IMGASM_CACHE": str(folder / "cache"), "TOKEN": TOKEN}
    return subprocess.run([sys.executable, "-m", "assembler", *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)


def prepare(folder: Path, url: str, status: int = 0) -> list[str]:
    """The recipe in ``folder``; returns what follows ``imgasm build``."""
    (folder / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "sample.toml").write_text(RECIPE % {"url": url, "status": status})
    return ["sample.toml", "--set-env", "token=TOKEN", "--set-file", "password=password"]


def leaks(*folders: Path) -> list[tuple[str, bytes]]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [(str(path), part) for path in files for part in NEVER if part in path.read_bytes()]


def protected(served: Served) -> str:
    return served.url.replace("//", "//ann:{{ password }}@") + "?key={{ password }}"


@pytest.mark.engine
def test_a_secret_is_found_nowhere_after_a_build_and_in_no_process_list(tmp_path: Path, engine: str) -> None:
    with serving(Served(b"input")) as served, watching() as watch:
        arguments = prepare(tmp_path, protected(served))
        done = imgasm(tmp_path, "build", *arguments, "--engine", engine, "-v", "--html", "report.html")
    assert done.returncode == 0, done.stderr

    layer = json.loads((tmp_path / "build/sample/imgasm.json").read_text())["images"][0]["layer"]["digest"]
    with tarfile.open(tmp_path / "build/sample/blobs/sha256" / layer.removeprefix("sha256:")) as tar:
        texts = {name: tar.extractfile(name).read().decode() for name in ("opt/app/digest", "opt/app/plain")}  # type: ignore[union-attr]
    assert texts["opt/app/digest"].strip() == hashlib.sha256(TOKEN.encode()).hexdigest()
    assert texts["opt/app/plain"] == "plain text ann:(hidden)\n"
    assert served.authorizations == ["Basic YW5uOnBhNTV3MHJk"]

    assert "the token is ***, http://***@proxy:3128" in done.stderr
    assert any(b"sleep" in arguments for arguments in watch.seen)  # the step's own processes were looked at
    assert not [arguments for arguments in watch.seen for part in NEVER if part in arguments]
    assert not [part for part in NEVER if part in (done.stdout + done.stderr).encode()]
    (tmp_path / "password").unlink()
    assert leaks(tmp_path) == []
    assert "***" in (tmp_path / "build/sample/imgasm.json").read_text()


@pytest.mark.engine
def test_a_failed_step_does_not_repeat_a_secret_that_it_printed(tmp_path: Path) -> None:
    with serving(Served(b"input")) as served:
        arguments = prepare(tmp_path, protected(served), status=7)
        failed = imgasm(tmp_path, "build", *arguments)
        recipe = tmp_path / "sample.toml"
        recipe.write_text(recipe.read_text().replace("sleep 1", "exit 3"))
        printed = imgasm(tmp_path, "build", *arguments)

    assert (failed.returncode, printed.returncode) == (6, 6)
    assert "the token is ***" in printed.stderr
    assert not [part for part in NEVER if part in (failed.stderr + printed.stderr).encode()]


def test_plan_and_lock_show_no_secret(tmp_path: Path) -> None:
    with serving(Served(b"input", statuses=[404])) as served:
        arguments = prepare(tmp_path, protected(served).replace("files", "{{ password }}"))
        refused = imgasm(tmp_path, "lock", *arguments)
        runs = [imgasm(tmp_path, *words, *arguments) for words in (["plan"], ["plan", "--json"], ["lock"])]

    assert refused.returncode == 4 and "404" in refused.stderr
    assert [run.returncode for run in runs] == [0, 0, 0]
    for run in (refused, *runs):
        assert not [part for part in NEVER if part in (run.stdout + run.stderr).encode()]
    assert list(json.loads((tmp_path / "sample.lock").read_text())["sources"]) == [
        served.url.replace("files", "***") + "?key=***"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", PASSWORD], "--set needs a name and a value"),
        (["--set-env", "token=NO_SUCH_VARIABLE"], "the environment has no variable NO_SUCH_VARIABLE"),
        (["--set-file", "password=nowhere"], "--set-file password: nowhere can't be read: No such file or directory"),
        (["--set-env", "token=TOKEN", "--set", f"token={PASSWORD}"], "token is given in two ways"),
    ],
)
def test_a_value_that_cannot_be_had_is_told_without_repeating_one(
    tmp_path: Path, options: list[str], message: str
) -> None:
    prepare(tmp_path, "x")
    done = imgasm(tmp_path, "plan", "sample.toml", *options)

    assert done.returncode == 2
    assert f"error: {message}" in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize("arguments", [["verify", f"docker://ann:{PASSWORD}@127.0.0.1:1/x"],
                                       ["copy", f"https://ann:{PASSWORD}@127.0.0.1:1/x", "out.tar"]])
def test_a_password_on_the_command_line_is_not_repeated(tmp_path: Path, arguments: list[str]) -> None:
    done = imgasm(tmp_path, *arguments)

    assert done.returncode != 0
    assert PASSWORD not in done.stderr + done.stdout


class _Guarded(http.server.SimpleHTTPRequestHandler):
    """apt speaks HTTP/1.1 and sends its password when it is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers["Authorization"] == "Basic YW5uOnBhNTV3MHJk":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def guarded_mirror(folder: Path) -> Iterator[str]:
    """A package archive of ann's, as ``host:port``."""
    folder.mkdir()
    debian_mirror(folder, "tiny", {"opt/tiny": b"contents\n"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Guarded, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.root
def test_a_mirrors_password_is_in_no_process_list_and_not_in_the_base(tmp_path: Path) -> None:
    with guarded_mirror(tmp_path / "mirror") as host, watching() as watch:
        (tmp_path / "password").write_text(PASSWORD)
        (tmp_path / "based.toml").write_text(f"""
            name = "based"
            [vars]
            password = {{ secret = true }}
            [base.bootstrap]
            suite = "bookworm"
            variant = "extract"
            packages = ["tiny"]
            mirror = "deb [trusted=yes] http://ann:{{{{ password }}}}@{host} ./"
            [[image]]
            name = "based"
            onto = "scratch"
            keep = ["/etc/apt", "/opt"]
            compression = "none"
        """)
        done = imgasm(tmp_path, "build", "based.toml", "-v", "--set-file", "password=password")
    assert done.returncode == 0, done.stderr

    layer = json.loads((tmp_path / "build/based/imgasm.json").read_text())["images"][0]["layer"]["digest"]
    with tarfile.open(tmp_path / "build/based/blobs/sha256" / layer.removeprefix("sha256:")) as tar:
        assert "opt/tiny" in tar.getnames()
        assert "etc/apt/auth.conf" not in tar.getnames()
        sources = tar.extractfile("etc/apt/sources.list")
        assert sources is not None and sources.read() == f"deb [trusted=yes] http://{host} ./\n".encode()
    assert any(b"mmdebstrap" in arguments for arguments in watch.seen)
    assert not [arguments for arguments in watch.seen for part in NEVER if part in arguments]
    (tmp_path / "password").unlink()
    assert leaks(tmp_path) == []
    assert PASSWORD not in done.stdout + done.stderr
