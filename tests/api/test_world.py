"""The world of a program: what it finds, and what it is made from."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from assembler import Platform, Tls, UsageError, World, WorldSettings
from tests.cli.running import imgasm


def test_settings_are_plain_data_and_show_no_password() -> None:
    environment = {"HOME": "/home/ann", "IMGASM_USERNAME": "ann", "IMGASM_PASSWORD": "hunter2"}
    settings = WorldSettings(environment, engine="podman", tls=Tls(ca_file=Path("ca.pem")), plain_http=True,
                             platform=Platform("linux", "arm64"))  # fmt: skip
    environment["HOME"] = "/home/eve"
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings
    assert again.home == Path("/home/ann")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(World.from_settings(settings))
    assert World.from_settings(again).registries.settings.plain_http is True
    assert World.from_settings(again).platform == Platform("linux", "arm64")


def test_the_cache_is_where_the_program_then_the_environment_says() -> None:
    home = {"HOME": "/home/ann"}
    assert WorldSettings(home).cache_folder == Path("/home/ann/.cache/imgasm")
    assert WorldSettings(home | {"XDG_CACHE_HOME": "relative"}).cache_folder == Path("/home/ann/.cache/imgasm")
    xdg = home | {"XDG_CACHE_HOME": "/cache"}
    assert WorldSettings(xdg).cache_folder == Path("/cache/imgasm")
    own = xdg | {"IMGASM_CACHE": "/own"}
    assert WorldSettings(own).cache_folder == Path("/own")
    assert WorldSettings(own, cache=Path("/given")).cache_folder == Path("/given")


def test_the_engine_is_the_one_that_the_program_then_the_environment_names() -> None:
    environment = {"IMGASM_ENGINE": "podman"}
    assert WorldSettings().engine_name() is None
    assert WorldSettings(environment).engine_name() == "podman"
    assert WorldSettings(environment, engine="docker").engine_name() == "docker"
    with pytest.raises(UsageError, match="IMGASM_ENGINE is 'rkt'"):
        World.from_environment({"IMGASM_ENGINE": "rkt"}).engine()


def test_an_open_quote_in_an_engine_s_options_is_a_usage_error(tmp_path: Path) -> None:
    done = imgasm(tmp_path, "clean", "--engine", "podman", IMGASM_PODMAN_OPTIONS="--root 'x")
    assert done.returncode == 2, done.stderr
    assert "IMGASM_PODMAN_OPTIONS can't be read: No closing quotation" in done.stderr
