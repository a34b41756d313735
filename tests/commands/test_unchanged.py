"""A recipe that was built and is as it was: what is there stands, and a build says so. Whatever changed is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.commands.test_build import Cli
from tests.support.engines import busybox_rootfs

pytestmark = pytest.mark.engine

STANDS = "nothing changed since the last build: build/sample is what sample makes"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    cli.recipe()
    cli("build", "sample.toml", "--engine", "docker")
    return cli


def again(cli: Cli, *options: str) -> str:
    return cli("build", "sample.toml", "--engine", "docker", *options).stderr


def edit(cli: Cli, was: str, now: str) -> None:
    recipe = cli.directory / "sample.toml"
    text = recipe.read_text()
    assert was in text
    recipe.write_text(text.replace(was, now))


def test_nothing_changed(cli: Cli) -> None:
    record = (cli.directory / "build/sample/imgasm.json").read_bytes()
    done = cli("build", "sample.toml", "--engine", "docker", "--json")
    assert STANDS in done.stderr and "[1/2]" not in done.stderr
    assert json.loads(done.stdout)["images"] == json.loads(record)["images"]
    assert (cli.directory / "build/sample/imgasm.json").read_bytes() == record
    assert "using the last build in this directory: build/sample" in cli("size-report").stderr


def test_the_warnings_of_the_build_that_stands_are_told_again(cli: Cli) -> None:
    edit(cli, 'paths = ["/opt/app/input"]', 'paths = ["/opt/app/input", "/nowhere/**"]')
    edit(cli, 'compression = "gzip"', 'compression = "gzip"\nkeep = ["/opt/**", "/etc/passwd"]')
    first, second = again(cli), again(cli)
    warnings = [line for line in first.splitlines() if line.startswith("warning: ")]
    assert warnings == ["warning: image sample: the steps changed nothing that keep /etc/passwd matches",
                        "warning: /nowhere/** matched nothing: is it still needed?"]
    assert [line for line in second.splitlines() if line.startswith("warning: ")] == warnings and STANDS in second


def test_neither_a_build_nor_one_that_stands_wants_libraries_that_take_long_to_import(cli: Cli) -> None:
    """A source on this machine is read again, and what reads it can fetch as well."""
    edit(cli, '[[source]]\nurl = "input.txt"\nsha256', '[[file]]\npath = "/imgasm/sources/input.txt"\ncontent')
    cli.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    built, stands = again(cli), again(cli)
    assert STANDS in stands and STANDS not in built
    for told in (built, stands):
        assert "assembler.commands.unchanged" in told
        assert not [line for line in told.splitlines() if line.endswith((" httpx", " python_on_whales"))]


def test_a_comment_and_a_variable_of_the_same_value_are_no_change(cli: Cli) -> None:
    edit(cli, 'name = "sample"\n\n[vars]\nword = "one"', 'name = "sample"  # mine\n\n[vars]\nother = "one"')
    edit(cli, "{{ word }}", "{{ other }}")
    assert STANDS in again(cli)


@pytest.mark.parametrize(("was", "now", "told"), [
    ("head -c 3000000", "head -c 2000000", "run of step write changed"),
    ('name = "tidy"', 'name = "tidy"\nenv = { A = "1" }', "env of step tidy changed"),
    ('name = "tidy"', 'name = "other"', "step other stands where tidy stood"),
    ('[[step]]\nname = "tidy"\nrun = ["rm", "/opt/app/big"]\n', "", "step tidy is gone"),
    ("cat /opt/app/word", "cat /opt/app/words", "[[file]] /opt/app/run changed"),
    ('"/scratch"]', '"/scratch", "/more"]', "scratch of [container] changed"),
    ('paths = ["/opt/app/input"]', "paths = []", "[prune] changed"),
    ('compression = "gzip"', 'compression = "zstd"', "image sample changed"),
])  # fmt: skip
def test_what_changed_is_named_and_built(cli: Cli, was: str, now: str, told: str) -> None:
    edit(cli, was, now)
    done = again(cli)
    assert f"building again: {told}" in done and "[1/" in done
    assert STANDS in again(cli)


def test_a_variable_the_base_and_a_source_count_by_what_they_are(cli: Cli) -> None:
    assert "building again: run of step write changed" in again(cli, "--set", "word=two")
    assert STANDS in again(cli, "--set", "word=two")
    assert "building again: run of step write changed" in again(cli)
    (cli.directory / "base.tar").write_bytes(busybox_rootfs({"etc/new": b"of the base\n"}).getvalue())
    assert "building again: the base changed" in again(cli)
    (cli.directory / "input.txt").write_bytes(b"other\n")
    refused = cli("build", "sample.toml", "--engine", "docker", status=4).stderr
    assert "input.txt is not the file that was pinned" in refused


def test_another_time_is_another_build(cli: Cli) -> None:
    cli.environment["SOURCE_DATE_EPOCH"] = "1600000000"
    assert "building again: source_date_epoch changed" in again(cli)


@pytest.mark.parametrize("option", ["--no-cache", "--refresh", "--prove", "--keep-container"])
def test_these_build_in_any_case(cli: Cli, option: str) -> None:
    done = again(cli, option)
    assert "[2/2]" in done and STANDS not in done
    cli("clean", "--kept", "--engine", "docker")


def test_what_is_not_whole_any_more_is_built(cli: Cli) -> None:
    layout = cli.directory / "build/sample"
    layer = json.loads((layout / "imgasm.json").read_text())["images"][0]["layer"]["digest"].partition(":")[2]
    os.truncate(layout / "blobs/sha256" / layer, 100)
    assert "building again: not all of its images are there any more" in again(cli)
    assert STANDS in again(cli)
    (layout / "blobs/sha256" / layer).unlink()
    assert "[2/2]" in again(cli)


def test_an_image_that_lost_its_name_to_another_recipe_is_built(cli: Cli) -> None:
    (cli.directory / "thief.toml").write_text(
        'name = "thief"\n[base]\nrootfs = "base.tar"\n[[file]]\npath = "/a"\ncontent = "a"\n'
        '[[image]]\nname = "sample"\nreference = "127.0.0.1:1/sample:1"\n'
    )
    cli("build", "thief.toml", "--output", "build/sample")
    assert "[2/2]" in again(cli)


def test_a_source_without_digest_and_the_time_now(cli: Cli) -> None:
    edit(cli, "sha256 = ", "# ")
    assert "building again: what source input.txt is can't be known before it is fetched" in again(cli)
    assert STANDS in again(cli), "it is pinned now"
    assert "building again: created changed" in again(cli, "--created", "now")


def test_no_engine_is_needed_without_steps_and_another_one_is_as_good(cli: Cli) -> None:
    (cli.directory / "still.toml").write_text(
        'name = "still"\n[base]\nrootfs = "base.tar"\n[[file]]\npath = "/a"\ncontent = "a"\n[[image]]\nname = "still"\n'
    )
    assert "nothing changed" not in cli("build", "still.toml").stderr
    assert "nothing changed since the last build: build/still is what still makes" in cli("build", "still.toml").stderr


def test_a_secret_is_not_in_the_digests(cli: Cli) -> None:
    edit(cli, 'word = "one"', 'word = "one"\ntoken = { secret = true }')
    edit(cli, 'name = "tidy"', 'name = "tidy"\nenv = { TOKEN = "{{ token }}" }')
    cli.environment["token"] = "first-secret"
    again(cli, "--set-env", "token")
    one = json.loads((cli.directory / "build/sample/imgasm.json").read_text())["inputs"]
    cli.environment["token"] = "second-secret"
    again(cli, "--set-env", "token", "--no-cache")
    assert json.loads((cli.directory / "build/sample/imgasm.json").read_text())["inputs"] == one
