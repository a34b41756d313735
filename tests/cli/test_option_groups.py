"""Options that belong together are declared once: every command that can meet a registry has all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Annotated

import pytest
import typer
from typer.testing import CliRunner

from assembler.cli.option_groups import takes_groups
from tests.cli.running import imgasm
from tests.support.certificates import write_authority

if TYPE_CHECKING:
    from pathlib import Path

CONNECTION = {"--plain-http", "--tls", "--ca-file", "--cert", "--key", "--authfile"}


@dataclass(frozen=True)
class Paint:
    """A group of the test's own."""

    color: Annotated[str, typer.Argument()]
    coats: Annotated[int, typer.Option("--coats")] = 1
    shiny: Annotated[bool, typer.Option("--shiny")] = False


def test_a_group_arrives_as_one_argument() -> None:
    seen: list[object] = []

    @takes_groups
    def paint(what: Annotated[str, typer.Argument()], paint: Paint, loud: bool = False) -> None:
        seen.append((what, paint, loud))

    app = typer.Typer()
    app.command()(paint)
    assert CliRunner().invoke(app, ["door", "red", "--coats", "2", "--loud"]).exit_code == 0
    assert seen == [("door", Paint("red", 2), True)]
    assert list(signature(paint).parameters) == ["what", "color", "coats", "shiny", "loud"]


def test_two_groups_with_an_option_of_the_same_name_are_refused() -> None:
    def paint(first: Paint, color: str) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name"):
        takes_groups(paint)


@pytest.mark.parametrize("command", ["build", "load", "push", "copy", "verify", "size-report", "compare"])
def test_every_command_that_can_meet_a_registry_takes_the_same_options(tmp_path: Path, command: str) -> None:
    shown = imgasm(tmp_path, command, "--help", COLUMNS="200").stdout
    assert set(re.findall(r"--[a-z-]+", shown)) >= CONNECTION


def test_a_key_without_its_certificate_is_an_error(tmp_path: Path) -> None:
    authority = write_authority(tmp_path)
    done = imgasm(tmp_path, "size-report", "r.example/a", "--key", authority / "client.key")
    assert done.returncode == 2
    assert "--key needs --cert" in done.stderr


def test_tls_files_and_plain_http_contradict_each_other(tmp_path: Path) -> None:
    authority = write_authority(tmp_path)
    done = imgasm(tmp_path, "verify", "r.example/a", "--plain-http", "--ca-file", authority / "ca.pem")
    assert done.returncode == 2
    assert "--plain-http switches off" in done.stderr


@pytest.mark.parametrize("option", ["--authfile", "--ca-file", "--cert"])
@pytest.mark.parametrize("command", [["build", "a.toml"], ["load", "."], ["compare", "a", "b"]], ids=" ".join)
def test_a_file_that_is_not_there_is_an_error_even_where_no_registry_is_met(
    tmp_path: Path, command: list[str], option: str
) -> None:
    (tmp_path / "a.toml").write_text("")
    command = [str(tmp_path / word) if word == "a.toml" else word for word in command]
    done = imgasm(tmp_path, *command, option, "/not/there")
    assert done.returncode == 2
    assert option in done.stderr
    assert "does not exist" in done.stderr


def test_options_about_a_container_are_refused_where_there_is_none(tmp_path: Path) -> None:
    recipe = tmp_path / "a.toml"
    recipe.write_text('name = "a"\n[base]\nimage = "r.example/a"\n[[file]]\npath = "/a"\ncontent = "a"\n'
                      '[[image]]\nname = "a"\n')
    done = imgasm(tmp_path, "build", recipe, "--keep-container", "--capture", "export")
    assert done.returncode == 2
    assert "--keep-container and --capture" in done.stderr


def test_what_cannot_both_be_printed_is_refused(tmp_path: Path) -> None:
    assert "--markdown and --json" in imgasm(tmp_path, "size-report", ".", "--json", "--markdown").stderr
    (tmp_path / "a.toml").write_text("")
    assert "--verbose and --quiet" in imgasm(tmp_path, "build", tmp_path / "a.toml", "-v", "-q").stderr


