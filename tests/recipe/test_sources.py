from __future__ import annotations

from pathlib import Path

import pytest

from assembler.recipe.sources import SourceTable, absolute_url, mount_path, source_name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/linux-4.3.6.tar.xz", "linux-4.3.6.tar.xz"),
        ("https://example.com/a%20b.run?token=1#x", "a b.run"),
        ("https://example.com/a%2F..%2Fb", "b"),
        ("https://example.com/folder/", "folder"),
        ("https://example.com", "source"),
        ("https://example.com/..", "source"),
        ("files/driver.run", "driver.run"),
    ],
)
def test_a_source_is_called_after_its_url(url: str, name: str) -> None:
    table = SourceTable(url=url)

    assert source_name(table) == name
    assert mount_path(table) == f"/imgasm/sources/{name}"


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("https://example.com/a%20b?c", "https://example.com/a%20b?c"),
        ("file:///opt/a%20b", "file:///opt/a%20b"),
        ("file:a%20b", "file:///recipes/a%20b"),
        ("files/a b", "file:///recipes/files/a%20b"),
        ("../a#b", "file:///a%23b"),
        ("/opt/a", "file:///opt/a"),
    ],
)
def test_paths_are_relative_to_the_recipe(url: str, absolute: str) -> None:
    assert absolute_url(url, Path("/recipes")) == absolute
