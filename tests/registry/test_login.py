"""What login stores, others find; what others stored, logout forgets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.errors import RegistryError, UsageError
from assembler.registry.credentials import Credential
from assembler.registry.find_credential import CredentialSources, find_credential
from assembler.registry.login import check_login, erase, store
from tests.registry.conftest import USER, Connect

if TYPE_CHECKING:
    from tests.support.debian_registry import DebianRegistry


def find(file: Path, registry: str, **environment: str) -> Credential:
    return find_credential(registry, "a", CredentialSources(docker_config=file, environment=environment), _fail)


def _fail(warning: str) -> None:
    raise AssertionError(warning)


@pytest.mark.parametrize("registry", ["r.example", "r.example:5000", "docker.io"])
def test_what_is_stored_is_found_and_forgotten(tmp_path: Path, registry: str) -> None:
    file = tmp_path / ".docker" / "config.json"
    assert store(registry, USER, file, {}) == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    found = find(file, registry)
    assert (found.username, found.password) == (USER.username, USER.password)
    assert erase(registry, file, {})
    assert find(file, registry).is_anonymous
    assert not erase(registry, file, {})


def test_logins_at_once_lose_none_of_the_credentials(tmp_path: Path) -> None:
    """Seven of thirty were lost, silently, when each wrote back what it had read."""
    file, code = tmp_path / ".docker/config.json", """
import sys
from pathlib import Path
from assembler.registry.credentials import Credential
from assembler.registry.login import erase, store
sys.stdin.read()
for name in sys.argv[2:]:
    store(name, Credential("ann", "pw"), Path(sys.argv[1]), {})
erase(sys.argv[2], Path(sys.argv[1]), {})
"""
    names = [[f"r{who}-{number}.example" for number in range(20)] for who in range(6)]
    logins = [subprocess.Popen([sys.executable, "-c", code, file, *mine], stdin=subprocess.PIPE) for mine in names]
    for login in logins:
        assert login.stdin is not None
        login.stdin.close()
    assert [login.wait() for login in logins] == [0] * 6
    assert set(json.loads(file.read_text())["auths"]) == {name for mine in names for name in mine[1:]}


def test_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    before = {"auths": {"other.example": {"auth": "YTpi"}, "r.example/ns": {"auth": "YTpi"}},
              "HttpHeaders": {"X": "1"}, "psFormat": "table"}
    file.write_text(json.dumps(before))
    store("r.example", USER, file, {})
    erase("r.example", file, {})
    assert json.loads(file.read_text()) == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    os.symlink(tmp_path / "dotfiles" / "config.json", tmp_path / "config.json")
    store("r.example", USER, tmp_path / "config.json", {})
    assert (tmp_path / "config.json").is_symlink()
    assert find(tmp_path / "dotfiles" / "config.json", "r.example").username == USER.username


def test_a_broken_file_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{")
    with pytest.raises(RegistryError, match="not a Docker config"):
        store("r.example", USER, file, {})
    assert file.read_text() == "{"


def test_an_identity_token_is_stored_as_one(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    store("r.example", Credential(identity_token="refresh"), file, {})
    assert find(file, "r.example").identity_token == "refresh"


def test_a_user_name_with_a_colon_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="colon"):
        store("r.example", Credential("a:b", "pw"), tmp_path / "config.json", {})


def test_a_helper_keeps_the_secret(tmp_path: Path) -> None:
    """docker-credential-tests keeps one message in a file."""
    program, vault = tmp_path / "docker-credential-tests", tmp_path / "vault"
    program.write_text(f"""#!/bin/sh
case "$1" in
store) cat > {vault};;
get) cat {vault} 2>/dev/null || {{ echo 'credentials not found in native keychain'; exit 1; }};;
erase) rm -f {vault};;
esac
""")
    program.chmod(0o755)
    file = tmp_path / "config.json"
    file.write_text('{"credsStore": "tests"}')
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert store("r.example", USER, file, environment) == "docker-credential-tests"
    assert json.loads(vault.read_text()) == {
        "ServerURL": "r.example", "Username": USER.username, "Secret": USER.password,
    }
    assert json.loads(file.read_text()) == {"credsStore": "tests", "auths": {"r.example": {}}}
    assert find(file, "r.example", **environment).password == USER.password
    assert erase("r.example", file, environment)
    assert not vault.exists()
    assert find(file, "r.example", **environment).is_anonymous


def test_skopeo_finds_what_was_stored(
    password_registry: DebianRegistry, tmp_path: Path
) -> None:
    file = tmp_path / "auth.json"
    store(password_registry.host, USER, file, {})
    command = ["skopeo", "login", "--get-login", "--tls-verify=false", "--authfile", str(file), password_registry.host]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == USER.username


def test_credentials_are_checked_before_they_are_stored(
    password_registry: DebianRegistry, plain_registry: DebianRegistry, open_registry: Connect
) -> None:
    with open_registry(password_registry.host, USER) as client:
        assert check_login(client)
    wrong = replace(USER, password="geheim")
    with open_registry(password_registry.host, wrong) as client, pytest.raises(RegistryError):
        check_login(client)
    with open_registry(plain_registry.host, USER) as client:
        assert not check_login(client)
