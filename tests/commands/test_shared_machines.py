"""Machines that many use: any umask, an engine in a user namespace, a file system that has no locks."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.commands.test_build import Cli, contents
from tests.support import engines

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
name = "still"
[base]
rootfs = "base.tar"
[[file]]
path = "/opt/made"
content = "here"
[[image]]
name = "still"
compression = "gzip"
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "still.toml").write_text(RECIPE)
    return cli


@pytest.mark.parametrize("umask", ["000", "002", "077"])
def test_any_umask_makes_the_same_image_and_a_cache_that_the_next_build_takes(cli: Cli, umask: str) -> None:
    cli("build", "still.toml", "--output", "usual")
    cli.environment["IMGASM_CACHE"] = str(cli.directory / "cache")
    made = []
    for output in ("first", "second"):
        command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *cli.command("build", "still.toml", "--no-cache")]
        done = subprocess.run([*command, "--output", output], cwd=cli.directory, env=cli.environment, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        made.append(contents(cli.directory / output))
    assert made == [contents(cli.directory / "usual")] * 2


@pytest.mark.root
@pytest.mark.engine
def test_docker_with_a_user_namespace_builds_what_docker_builds(tmp_path: Path) -> None:
    """Its files have other owners on the host's disk, so they are read from exports."""
    made = []
    for options in ([], ["--userns-remap", "default"]):
        directory = tmp_path / f"with-{len(options)}-options"
        directory.mkdir()
        with engines.dockerd(*options):
            cli = Cli(directory)
            recipe = cli.recipe(more="[[step]]\nname = 'own'\nrun = 'chown -R 7:9 /opt/app; chmod 4711 /opt/app/run'")
            told = json.loads(cli("build", recipe, "--engine", "docker", "--json", "--prove").stdout)
            assert told["engine"]["capture"] == ("exports" if options else "overlay")
            cli("load", "--engine", "docker")
            cli("clean", "--engine", "docker")
        made.append(contents(directory / "build/sample"))
    assert made[0] == made[1]


@pytest.mark.parametrize("refusal", ["ENOLCK", "EOPNOTSUPP"])
def test_where_a_file_system_has_no_locks_that_is_said_and_reading_goes_on(cli: Cli, refusal: str) -> None:
    """As NFS without its lock daemon. No file system that can be had here refuses flock(2), so strace does."""
    cli("build", "still.toml", "--output", "image")
    refused = ["strace", "-f", "-b", "execve", "-qqq", "-o", "/dev/null", "-e", "trace=flock", "-e",
               f"inject=flock:error={refusal}"]  # fmt: skip

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*refused, *cli.command(*arguments)], cwd=cli.directory, env=cli.environment, text=True,
                              capture_output=True, check=False)

    for arguments in (
        ["build", "still.toml", "--output", "other", "--no-cache"], ["copy", "oci:image", "oci:copied"],
        ["copy", "oci:image", "oci-archive:image.tar"], ["clean", "image"], ["logout", "127.0.0.1:1"],
    ):  # fmt: skip
        done = run(*arguments)
        assert done.returncode == 11, (arguments, done.stderr)
        assert "can't be locked" in done.stderr and "needs a file system with locks" in done.stderr
    for arguments in (["verify", "image"], ["size-report", "image"], ["plan", "still.toml"]):
        assert run(*arguments).returncode == 0, arguments
    assert not (cli.directory / "other/index.json").exists() and not (cli.directory / "image.tar").exists()
