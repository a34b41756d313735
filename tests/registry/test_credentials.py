"""Where credentials are found: files, variables and helpers, in Docker's and podman's order."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assembler.errors import RegistryError, UsageError
from assembler.registry.credentials import Credential
from assembler.registry.find_credential import CredentialSources, find_credential


def auth(user: str, password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def sources(home: Path, **environment: str) -> CredentialSources:
    environment.setdefault("XDG_RUNTIME_DIR", str(home / "run"))
    return CredentialSources.from_environment(environment, home, 1000)


def find(where: CredentialSources, registry: str = "r.example", repository: str = "team/app") -> Credential:
    return find_credential(registry, repository, where, _fail, pushing=True)


def _fail(warning: str) -> None:
    raise AssertionError(warning)


def test_every_place_in_its_order(tmp_path: Path) -> None:
    """Each place is taken away in turn, and the next one answers."""
    runtime = write(tmp_path / "run/containers/auth.json", {"auths": {"r.example": auth("runtime")}})
    config = write(tmp_path / ".config/containers/auth.json", {"auths": {"r.example": auth("config")}})
    docker = write(tmp_path / ".docker/config.json", {"auths": {"r.example": auth("docker")}})
    registry = write(tmp_path / "registry.json", {"auths": {"r.example": auth("registry")}})
    environment = {
        "IMGASM_USERNAME": "imgasm", "IMGASM_PASSWORD": "pw", "REGISTRY_AUTH_FILE": str(registry),
        "DOCKER_AUTH_CONFIG": json.dumps({"auths": {"r.example": auth("variable")}}),
    }
    authfile = write(tmp_path / "mine.json", {"auths": {"r.example": auth("mine")}})
    assert find(replace(sources(tmp_path, **environment), authfile=authfile)).username == "mine"
    assert find(sources(tmp_path, **environment)).username == "imgasm"
    del environment["IMGASM_PASSWORD"]
    assert find(sources(tmp_path, **environment)).username == "registry"
    del environment["REGISTRY_AUTH_FILE"]
    assert find(sources(tmp_path, **environment)).username == "variable"
    del environment["DOCKER_AUTH_CONFIG"]
    assert find(sources(tmp_path, **environment)).username == "docker"
    docker.unlink()
    assert find(sources(tmp_path, **environment)).username == "runtime"
    runtime.unlink()
    assert find(sources(tmp_path, **environment)).username == "config"
    config.unlink()
    assert find(sources(tmp_path, **environment)).is_anonymous


def test_the_variables_are_for_the_destination_of_a_push_alone(tmp_path: Path) -> None:
    """They name no registry: a base's would get the password of ours."""
    write(tmp_path / ".docker/config.json", {"auths": {"r.example": auth("docker")}})
    where = sources(tmp_path, IMGASM_USERNAME="imgasm", IMGASM_PASSWORD="pw")
    assert find_credential("r.example", "team/app", where, _fail).username == "docker"
    assert find_credential("base.example", "a", where, _fail).is_anonymous


def test_an_authfile_is_the_only_place(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"r.example": auth("docker")}})
    empty = write(tmp_path / "mine.json", {})
    assert find(replace(sources(tmp_path), authfile=empty)).is_anonymous
    with pytest.raises(UsageError, match="is not there"):
        find(replace(sources(tmp_path), authfile=tmp_path / "nothing.json"))


@pytest.mark.parametrize(("auths", "user"), [
    ({"r.example": auth("host"), "r.example/team": auth("team")}, "team"),
    ({"r.example/team/app": auth("app"), "r.example/team": auth("team")}, "app"),
    ({"r.example/other": auth("other"), "https://r.example/v1/": auth("url")}, "url"),
    ({"http://r.example": auth("url")}, "url"),
    ({"r.example:5000": auth("port"), "r.examples": auth("longer")}, ""),
    ({"r.example": {}, "https://r.example": auth("url")}, "url"),
    ({"r.example": {"username": "kube", "password": "pw"}}, "kube"),
    ({"r.example": {"auth": base64.b64encode(b"old:pw\0\0").decode()}}, "old"),
])
def test_keys(tmp_path: Path, auths: dict[str, Any], user: str) -> None:
    write(tmp_path / ".docker/config.json", {"auths": auths})
    assert find(sources(tmp_path)).username == user


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_many_names(tmp_path: Path, key: str) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: auth("hub")}})
    assert find(sources(tmp_path), "docker.io", "library/debian").username == "hub"


def test_a_password_may_hold_colons(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"r.example": auth("ann", "a:b:c")}})
    assert find(sources(tmp_path)).password == "a:b:c"


def test_tokens(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json",
          {"auths": {"a.example": {"identitytoken": "i"}, "b.example": {"registrytoken": "r"}}})
    assert find(sources(tmp_path), "a.example").identity_token == "i"
    assert find(sources(tmp_path), "b.example").registry_token == "r"


def test_a_malformed_entry_is_passed_over_and_not_shown(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"r.example": {"auth": "geheim!"}}})
    warnings: list[str] = []
    assert find_credential("r.example", "a", sources(tmp_path), warnings.append).is_anonymous
    assert "malformed" in warnings[0]
    assert "geheim" not in warnings[0]


def test_a_broken_file_is_passed_over_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"auths": "geheim"')
    write(tmp_path / "run/containers/auth.json", {"auths": {"r.example": auth("podman")}})
    warnings: list[str] = []
    assert find_credential("r.example", "a", sources(tmp_path), warnings.append).username == "podman"
    assert "geheim" not in warnings[0]


def test_an_empty_file_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").touch()
    assert find(sources(tmp_path)).is_anonymous


# -- helpers -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    """docker-credential-tests: knows ann for r.example, a token for t.example, the Hub, and fails for f.example."""
    program = tmp_path / "bin/docker-credential-tests"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh
read -r server
test "$1" = get || exit 2
case "$server" in
r.example) echo '{"ServerURL": "r.example", "Username": "helped", "Secret": "s"}';;
t.example) echo '{"ServerURL": "t.example", "Username": "<token>", "Secret": "identity"}';;
https://index.docker.io/v1/) echo '{"Username": "hub", "Secret": "s"}';;
f.example) echo 'the vault is locked'; exit 1;;
g.example) echo 'garbage';;
*) echo 'credentials not found in native keychain'; exit 1;;
esac
""")
    program.chmod(0o755)
    return program


def with_helper(home: Path, helper: Path, config: dict[str, Any]) -> CredentialSources:
    write(home / ".docker/config.json", config)
    return sources(home, PATH=f"{helper.parent}:/usr/bin:/bin")


def test_a_helper_for_one_registry_comes_before_auths(tmp_path: Path, helper: Path) -> None:
    where = with_helper(tmp_path, helper, {
        "credHelpers": {"r.example": "tests", "x.example": "tests"},
        "auths": {"r.example": auth("file"), "x.example": auth("file"), "y.example": auth("file")},
    })
    assert find(where).username == "helped"
    assert find(where, "x.example").is_anonymous  # the helper does not know it, and auths is no fallback
    assert find(where, "y.example").username == "file"


def test_the_store_is_for_all_registries(tmp_path: Path, helper: Path) -> None:
    where = with_helper(tmp_path, helper, {"credsStore": "tests", "auths": {"x.example": auth("file")}})
    assert find(where).username == "helped"
    assert find(where, "t.example").identity_token == "identity"
    assert find(where, "docker.io", "library/debian").username == "hub"
    assert find(where, "x.example").is_anonymous


def test_podmans_files_have_no_store(tmp_path: Path, helper: Path) -> None:
    where = with_helper(tmp_path, helper, {})
    write(tmp_path / "run/containers/auth.json", {"credsStore": "tests", "auths": {"r.example": auth("file")}})
    assert find(where).username == "file"


@pytest.mark.parametrize(("name", "registry", "why"), [
    ("missing", "r.example", "docker-credential-missing is not installed"),
    ("../../bin/sh", "r.example", "not the name of a credential helper"),
    ("tests", "f.example", "the vault is locked"),
    ("tests", "g.example", "did not answer as a credential helper does"),
])
def test_a_helper_that_fails_is_an_error(tmp_path: Path, helper: Path, name: str, registry: str, why: str) -> None:
    where = with_helper(tmp_path, helper, {"credsStore": name})
    with pytest.raises(RegistryError, match=why):
        find(where, registry)


def test_what_podman_stores_is_found(tmp_path: Path) -> None:
    """skopeo writes podman's file; what it stores for a registry without asking it is what we read."""
    authfile = write(tmp_path / "auth.json", {"auths": {"r.example": auth("ann")}})
    done = subprocess.run(["skopeo", "login", "--get-login", "--authfile", str(authfile), "r.example"],
                          check=True, capture_output=True, text=True)
    assert done.stdout.strip() == find(replace(sources(tmp_path), authfile=authfile)).username == "ann"
