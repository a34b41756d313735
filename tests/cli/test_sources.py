"""Sources through the command line: what the program that people run does, not a client that a test made."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assembler import __version__
from tests.source.server import Served, serving

CONTENT = b"a kernel's source"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def lock(folder: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`imgasm lock` of a recipe with that one source."""
    recipe = folder / "demo.toml"
    recipe.write_text(f'''
        name = "demo"
        base = {{ image = "a" }}
        [[source]]
        url = "{url}"
        [[image]]
        name = "demo"
    ''')
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run([sys.executable, "-m", "assembler", "lock", str(recipe)], capture_output=True, text=True,
                          check=False, env={**clean, "IMGASM_CACHE": str(folder / "cache"), **environment})


def pinned(folder: Path) -> str:
    [pin] = json.loads((folder / "demo.lock").read_text())["sources"].values()
    return str(pin["sha256"])


def test_a_source_behind_a_redirect_is_fetched(tmp_path: Path) -> None:
    with serving(Served(CONTENT)) as there, serving(Served(b"", redirects=[there.url])) as here:
        done = lock(tmp_path, here.url)

    assert done.returncode == 0, done.stderr
    assert pinned(tmp_path) == SHA256
    assert there.agents == [f"imgasm/{__version__}"]


def test_a_server_that_is_silent_for_six_seconds_is_waited_for(tmp_path: Path) -> None:
    with serving(Served(CONTENT, silence=6.0)) as slow:
        done = lock(tmp_path, slow.url)

    assert done.returncode == 0, done.stderr
    assert pinned(tmp_path) == SHA256
    assert done.stderr == ""
    assert len(slow.ranges) == 1


def test_credentials_in_a_url_do_not_follow_a_redirect(tmp_path: Path) -> None:
    with serving(Served(CONTENT)) as there, serving(Served(b"", redirects=[there.url])) as here:
        done = lock(tmp_path, here.url.replace("//", "//ann:s3cret@"))

    assert done.returncode == 0, done.stderr
    assert here.authorizations == ["Basic YW5uOnMzY3JldA=="]
    assert there.authorizations == [None]


@pytest.mark.parametrize("proxy", ["socks5://ann:s3cret@127.0.0.1:1", "gopher://ann:s3cret@127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(tmp_path: Path, proxy: str) -> None:
    done = lock(tmp_path, "http://example.invalid/x", ALL_PROXY=proxy)

    assert done.returncode == 4
    assert done.stderr == (
        "error: the proxy that the environment names can't be used\n"
        "hint: Give HTTP_PROXY, HTTPS_PROXY and ALL_PROXY the form http://host:port.\n"
    )
