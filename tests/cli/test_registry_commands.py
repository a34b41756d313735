"""login, logout and push as a user types them, against Debian's registry with a password and with TLS."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.image.layout import Layout
from assembler.model.reference import Reference
from tests.support.certificates import write_authority
from tests.support.debian_registry import debian_registry, htpasswd
from tests.support.images import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.debian_registry import DebianRegistry

USER, PASSWORD = "ann", "pass:word"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[DebianRegistry]:
    """TLS with an authority of its own, a client certificate demanded, and a password."""
    directory = tmp_path_factory.mktemp("registry")
    tls = (f"  tls: {{certificate: {authority}/server.pem, key: {authority}/server.key, "
           f"clientcas: [{authority}/ca.pem]}}\n")
    with debian_registry(directory, tls + htpasswd(directory, USER, PASSWORD)) as registry:
        yield registry


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    plan = make_plan(tmp_path / "layout", sizes=(700_000,))
    (tmp_path / "layout" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (tmp_path / "layout" / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
    Layout.open(tmp_path / "layout").tag(plan.manifests[0].descriptor, Reference.parse("localhost/a:v1"))
    return tmp_path / "layout"


def tls(authority: Path) -> list[str]:
    return ["--tls", "--ca-file", f"{authority}/ca.pem", "--cert", f"{authority}/client.pem", "--key",
            f"{authority}/client.key"]


def imgasm(home: Path, *arguments: str | Path, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "assembler", *arguments], input=text, text=True, capture_output=True,
                          env=surroundings(home) | environment, check=False)


def surroundings(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(home / "run")}


def test_login_push_logout(registry: DebianRegistry, authority: Path, home: Path, layout: Path) -> None:
    login = imgasm(home, "login", registry.host, "-u", USER, "--password-stdin", *tls(authority), text=PASSWORD + "\n")
    assert login.returncode == 0, login.stderr
    file = home / ".docker" / "config.json"
    assert f"the credentials are in {file}" in login.stderr
    assert registry.host in json.loads(file.read_text())["auths"]

    push = imgasm(home, "push", layout, f"{registry.host}/cli:v1", "--chunk-size", "300kB", *tls(authority))
    assert push.returncode == 0, push.stderr
    assert re.match(r".*/cli@sha256:[0-9a-f]{64}  70\d kB sent\n", push.stdout)
    assert not (layout / "imgasm-push.jsonl").exists()

    logout = imgasm(home, "logout", registry.host)
    assert logout.stdout == f"the credentials for {registry.host} are removed\n"
    push = imgasm(home, "push", layout, f"{registry.host}/cli:v2", *tls(authority))
    assert push.returncode == 9
    assert "imgasm login" in push.stderr
    assert imgasm(home, "logout", registry.host).stdout.startswith("there were no credentials")


def test_what_the_registry_refuses_is_not_stored(registry: DebianRegistry, authority: Path, home: Path) -> None:
    login = imgasm(home, "login", registry.host, "-u", USER, "--password-stdin", *tls(authority), text="geheim")
    assert login.returncode == 9
    assert "Nothing was stored" in login.stderr
    assert "geheim" not in login.stderr
    assert not (home / ".docker").exists()


def test_the_password_is_asked_for_and_not_shown(registry: DebianRegistry, authority: Path, home: Path) -> None:
    file = home / "auth.json"
    command = [sys.executable, "-m", "assembler", "login", registry.host, "--authfile", str(file), *tls(authority)]
    leader, terminal = pty.openpty()
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=surroundings(home),
                          start_new_session=True) as process:
        os.close(terminal)
        shown = _answer(leader, b"Username", USER) + _answer(leader, b"Password", PASSWORD, hidden=True) + _rest(leader)
    os.close(leader)
    assert process.returncode == 0, shown
    assert PASSWORD.encode() not in shown
    assert json.loads(file.read_text())["auths"][registry.host]


def test_without_a_terminal_nobody_waits(home: Path) -> None:
    login = imgasm(home, "login", "r.example")
    assert login.returncode == 2
    assert "--password-stdin" in login.stderr
    assert imgasm(home, "login", "r.example", "--password-stdin", text="x").returncode == 2


def test_the_variables_reach_the_destination_of_a_push(
    registry: DebianRegistry, authority: Path, home: Path, layout: Path
) -> None:
    push = imgasm(home, "push", layout, f"{registry.host}/cli:v3", *tls(authority), IMGASM_USERNAME=USER,
                  IMGASM_PASSWORD=PASSWORD)
    assert push.returncode == 0, push.stderr


@pytest.mark.parametrize("size", ["10", "0B", "many"])
def test_a_chunk_size_is_a_size(home: Path, layout: Path, size: str) -> None:
    push = imgasm(home, "push", layout, "127.0.0.1:1/a", "--chunk-size", size)
    assert push.returncode == 2
    assert "--chunk-size" in push.stderr


def test_every_flag_that_a_hint_names_exists(home: Path) -> None:
    """The hints of the whole package speak of flags of push."""
    hints = "".join(path.read_text() for path in (ROOT / "assembler" / "registry").glob("*.py"))
    named = set(re.findall(r"--[a-z][a-z-]+", hints))
    assert {"--chunk-size", "--ca-file", "--cert", "--key", "--plain-http"} <= named
    known = set(re.findall(r"--[a-z][a-z-]+", imgasm(home, "push", "--help", COLUMNS="200").stdout))
    assert named - known == set()


def _answer(leader: int, prompt: bytes, answer: str, *, hidden: bool = False) -> bytes:
    """What was typed before the terminal stopped to echo would be thrown away with its change."""
    seen = b""
    while prompt not in seen:
        seen += os.read(leader, 1000)
    while hidden and termios.tcgetattr(leader)[3] & termios.ECHO:
        time.sleep(0.01)
    os.write(leader, answer.encode() + b"\n")
    return seen


def _rest(leader: int) -> bytes:
    seen = b""
    try:
        while piece := os.read(leader, 1000):
            seen += piece
    except OSError:  # how a terminal says that its other side is closed
        pass
    return seen
