"""The wheel on a machine without the repository: it says what it is, and has all that its user needs."""

from __future__ import annotations

from email.parser import Parser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def user(debian_13: Machine) -> Machine:
    """imgasm out of its wheel in /opt/imgasm; nothing of the repository is installed there."""
    made = debian_13.run("sh", "-euc", """
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends python3-venv mmdebstrap ca-certificates
        python3 -m venv /opt/imgasm
        /opt/imgasm/bin/pip wheel --quiet --no-deps --wheel-dir /opt/wheel .
        /opt/imgasm/bin/pip install --quiet /opt/wheel/*.whl""")
    assert made.returncode == 0, made.stdout
    return debian_13


def test_the_wheel_says_its_licence_and_what_it_runs_on(user: Machine) -> None:
    listed = user.run("sh", "-c", "cat /opt/imgasm/lib/python3*/site-packages/imgasm-*.dist-info/METADATA").stdout
    metadata = Parser().parsestr(listed)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    classifiers = metadata.get_all("Classifier", [])
    assert "Operating System :: POSIX :: Linux" in classifiers
    for minor in (11, 12, 13, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    found = user.run("sh", "-c", "ls /opt/imgasm/lib/python3*/site-packages/imgasm-*.dist-info/licenses").stdout
    assert found == "LICENSE\n"


def test_a_recipe_out_of_the_wheel_is_built(user: Machine) -> None:
    done = user.run("sh", "-euc", """
        rm -rf /home/user && mkdir /home/user && cd /home/user
        /opt/imgasm/bin/imgasm recipes debian-6.1-nvidia-535 hello
        /opt/imgasm/bin/imgasm plan debian-6.1-nvidia-535.toml >plan
        grep -q /opt/nvidia/load plan
        /root/imgasm/scripts/with-engine --install /opt/imgasm/bin/imgasm build hello.toml
        /opt/imgasm/bin/imgasm verify build/hello""", IMGASM_ENGINE="podman")  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "image hello-tiny: 4 entries" in done.stdout
