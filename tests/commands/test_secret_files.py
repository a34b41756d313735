"""Secrets of [[secret]]: steps have them, and after a build nothing has."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.commands.find_secrets import SecretSearch
from assembler.errors import ChangesetError
from assembler.model.secrets import Secrets
from tests.commands.test_build import Cli
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.engine

KEY = "-----BEGIN KEY-----\nc2VjcmV0LWtleQ/of+many==\n-----END KEY-----\n"
TOKEN, PASSWORD = "t0ken-of-the-environment", "passw0rd-of-a-command"
RECIPE = """
name = "sample"

[base]
rootfs = "base.tar"

[container]
network = "none"

[[secret]]
name = "key.pem"
file = "key.pem"
steps = ["sign"]

[[secret]]
name = "token"
env = "TOKEN_HERE"
variable = "TOKEN"

[[secret]]
name = "password"
command = ["printf", "passw0rd-of-a-%s", "command"]
steps = ["other"]

[[step]]
name = "sign"
checkpoint = true
user = "ann"
run = '''
test $(md5sum < /run/secrets/key.pem | cut -c 1-32) = MD5 || exit 3
echo "it is $TOKEN"; cat /run/secrets/key.pem
test ! -e /run/secrets/password
mkdir -p /tmp/made; echo signed > /tmp/made/signed; sleep 1
'''

[[step]]
name = "other"
run = '''
test ! -e /run/secrets/key.pem
test "$(stat -c %a:%u /run/secrets/password)" = 400:0
test "$(cat /run/secrets/password)" = "passw0rd-of-""a-command"
mount | grep -q 'tmpfs on /run/secrets'
LEAK
'''

[[image]]
name = "sample"
reference = "127.0.0.1:1/sample:1"
keep = ["/tmp/made/**"]
"""


@pytest.fixture(params=["docker", "podman", "host"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.running(request.param, tmp_path_factory.mktemp("engine")) as name:
        yield name


@pytest.fixture
def cli(tmp_path: Path, engine: str) -> Cli:
    cli = Cli(tmp_path)
    cli.environment |= {"IMGASM_ENGINE": engine, "TOKEN_HERE": TOKEN}
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "key.pem").write_text(KEY)
    digest = hashlib.md5(KEY.encode(), usedforsecurity=False).hexdigest()
    (tmp_path / "sample.toml").write_text(RECIPE.replace("LEAK", "true").replace("MD5", digest))
    return cli


def leak(cli: Cli, script: str) -> None:
    recipe = cli.directory / "sample.toml"
    recipe.write_text(recipe.read_text().replace("tmpfs on /run/secrets'\ntrue", f"tmpfs on /run/secrets'\n{script}"))


def test_a_value_is_found_nowhere(cli: Cli, engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = tmp_path_factory.mktemp("before") / "marker"
    before.touch()
    with watched_processes() as seen:
        done = cli("build", "sample.toml", "--verbose")
    told = done.stdout + done.stderr
    assert "it is ***" in told and "checkpoint after step sign" in told
    (cli.directory / "key.pem").unlink()  # the user's own file
    left = b"".join(path.read_bytes() for path in cli.directory.rglob("*") if path.is_file())
    stored = engine_files(engine, before) if engine != "host" else {}  # whose are all below the directory
    assert any(b"of the base\n" in data for data in (left, *stored.values()))
    for value in (TOKEN, PASSWORD, KEY.splitlines()[1]):
        for form in (value.encode(), base64.b64encode(value.encode()), value.encode().hex().encode()):
            assert form not in left and form not in b"".join(seen) and form not in told.encode()
            assert not [path for path, data in stored.items() if form in data]
    assert len(seen) > 20
    assert len(list((cli.directory / ".cache/imgasm/checkpoints").glob("*/checkpoint.json"))) == 1


def test_a_value_in_the_layer_ends_the_build(cli: Cli) -> None:
    leak(cli, "cp /run/secrets/password /tmp/made/leaked")
    assert "image sample: the value of a secret is in /tmp/made/leaked" in cli("build", "sample.toml", status=7).stderr
    assert not (cli.directory / "build/sample/imgasm.json").exists()
    assert not list((cli.directory / "build/sample/blobs/sha256").iterdir())


def test_a_failed_build_goes_on_with_its_secrets(cli: Cli, engine: str) -> None:
    leak(cli, "exit 5")
    cli("build", "sample.toml", "--on-failure", "keep", status=6)
    shell = subprocess.run(cli.command("shell"), cwd=cli.directory, env=cli.environment, capture_output=True, text=True,
                           input="cat /run/secrets/password; echo; echo $TOKEN; ls /run/secrets", check=False)
    assert shell.stdout.split() == [PASSWORD, TOKEN, "password"], shell.stderr
    recipe = cli.directory / "sample.toml"
    recipe.write_text(recipe.read_text().replace("exit 5", "true"))
    cli("resume")
    assert json.loads((cli.directory / "build/sample/imgasm.json").read_text())["images"]


def test_what_can_not_be_had_is_said(cli: Cli) -> None:
    del cli.environment["TOKEN_HERE"]
    assert "secret token: the environment has no variable TOKEN_HERE" in cli("build", "sample.toml", status=2).stderr
    cli.environment["TOKEN_HERE"] = "abc"
    assert "secret token has fewer than 4 characters" in cli("build", "sample.toml", status=3).stderr
    (cli.directory / "key.pem").unlink()
    cli.environment["TOKEN_HERE"] = TOKEN
    assert "secret key.pem can't be read: " in cli("build", "sample.toml", status=2).stderr


@pytest.mark.parametrize("form", [
    lambda value: b"before " + value + b" and behind",
    lambda value: b"x" * 1_048_570 + value,
    lambda value: base64.b64encode(value),
    lambda value: base64.b64encode(b"a" + value + b"b"),
    lambda value: base64.urlsafe_b64encode(b"ab" + value + b"c"),
    lambda value: value.hex().encode(),
    lambda value: value.hex().upper().encode(),
    lambda value: gzip.compress(b"tar" * 1000 + value),
])  # fmt: skip
def test_every_form_is_found(form: Callable[[bytes], bytes]) -> None:
    search = SecretSearch.of(Secrets(frozenset({"s3cret?value>of~mine"})))
    layer = engines.busybox_rootfs({"etc/leak": form(b"s3cret?value>of~mine")})
    with pytest.raises(ChangesetError, match="the value of a secret is in /etc/leak"):
        search.refuse(layer, "it")
    search.refuse(engines.busybox_rootfs({"etc/fine": form(b"another value of mine")}), "it")


def test_steps_are_tried_again(cli: Cli) -> None:
    leak(cli, "echo x >> /tmp/made/tries; test $(wc -l < /tmp/made/tries) -ge 3")
    recipe = cli.directory / "sample.toml"
    text = recipe.read_text().replace('name = "other"', 'name = "other"\nretries = 1')
    recipe.write_text(text)
    failed = cli("build", "sample.toml", status=6).stderr
    assert failed.count("trying again in 1 s (1 of 1)") == 1
    recipe.write_text(text.replace("retries = 1", "retries = 2"))
    assert "trying again in 2 s (2 of 2)" in cli("build", "sample.toml").stderr


def test_the_ssh_agent_is_there_for_the_step_that_wants_it(cli: Cli, tmp_path: Path) -> None:
    import socket

    leak(cli, 'test -S "$SSH_AUTH_SOCK"')
    recipe = cli.directory / "sample.toml"
    recipe.write_text(recipe.read_text().replace('name = "other"', 'name = "other"\nssh = true'))
    cli.environment.pop("SSH_AUTH_SOCK", None)
    assert "SSH_AUTH_SOCK names no SSH agent" in cli("build", "sample.toml", status=2).stderr
    path = Path("/var/tmp") / f"agent.{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        try:
            cli.environment["SSH_AUTH_SOCK"] = str(path)
            cli("build", "sample.toml")
        finally:
            path.unlink()


def engine_files(engine: str, since: Path) -> dict[Path, bytes]:
    """All that an engine has written since then, wherever it keeps images, containers, volumes, states and logs."""
    information = engines.connect(engine).info
    state = information.root.parent
    places = [information.root, *([state] if state.name.startswith(("imgasm-engine", "podman")) else [])]
    command = ["find", *places, "-xdev", "-type", "f", "-cnewer", since, "-print0"]
    found = subprocess.run(command, capture_output=True, check=False).stdout.split(b"\0")  # some vanish meanwhile
    paths = {Path(os.fsdecode(name)) for name in found if name}
    return {path: path.read_bytes() for path in paths if path.exists()}


class watched_processes:
    """Every command line on this machine, again and again."""

    def __enter__(self) -> list[bytes]:
        self.seen: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self.seen

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.append(path.read_bytes())
                except OSError:
                    continue  # it ended
