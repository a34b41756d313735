from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.qemu import kernel_package

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.qemu import Kernel

KERNEL = "6.1.0-56-amd64"


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """The kernel that the recipes compile for by default."""
    return kernel_package(KERNEL, tmp_path_factory.mktemp("kernel"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """imgasm's cache: the recipes that compile modules begin with the same base, which is made once."""
    return tmp_path_factory.mktemp("cache")
