"""Who types what the pages show sees what they show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.docs.sessions import Typed, replay, typed
from tests.support import engines
from tests.support.debian_registry import debian_registry

REGISTRY = "127.0.0.1:5000"

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base of README's and the tutorial's recipe is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def reader(tmp_path: Path, cache: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who has installed imgasm, and whose engine is Docker."""
    with engines.docker():
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {name: text for name, text in os.environ.items() if name.startswith("DOCKER_")}
        yield {**kept, "PATH": programs, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "IMGASM_CACHE": str(cache),
               "IMGASM_ENGINE": "docker"}  # fmt: skip
        subprocess.run(["imgasm", "clean", "--kept"], env={**os.environ, "PATH": programs}, check=True)


@pytest.mark.parametrize("page", ["docs/tutorial.md", "README.md"])
def test_the_first_image(page: str, tmp_path: Path, reader: dict[str, str]) -> None:
    """With a registry of the test's own in the place of the reader's."""
    with debian_registry(tmp_path / "registry") as registry:
        first, *others = typed(page)
        assert first.command == "imgasm recipes hello"
        replay(first, tmp_path, reader)
        recipe = tmp_path / "hello.toml"
        recipe.write_text(recipe.read_text().replace(REGISTRY, registry.host))
        for each in others:
            replay(Typed(each.command.replace(REGISTRY, registry.host), each.told), tmp_path, reader)


def test_a_dockerfile_is_imported(tmp_path: Path, reader: dict[str, str]) -> None:
    page = "docs/how-to/dockerfile.md"
    (tmp_path / "Dockerfile").write_text(blocks(page, "dockerfile")[0])
    for each in typed(page):
        replay(each, tmp_path, reader)


def test_a_build_that_fails(tmp_path: Path, reader: dict[str, str]) -> None:
    of_its_own = {"etc/reader": os.urandom(8)}  # what the engine has already is not loaded, and nothing said
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs(of_its_own).getvalue())
    (tmp_path / "tool.toml").write_text(blocks("docs/how-to/resume.md", "toml")[0])
    for each in typed("docs/how-to/resume.md"):
        replay(each, tmp_path, reader)
