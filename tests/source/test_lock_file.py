from __future__ import annotations

import os
from pathlib import Path

import pytest

from assembler.errors import SourceError
from assembler.source import lock_file
from assembler.source.lock_file import Pin

A, B = "a" * 64, "b" * 64


def test_the_lock_file_stands_beside_the_recipe() -> None:
    assert lock_file.lock_path(Path("recipes/debian-6.1.toml")) == Path("recipes/debian-6.1.lock")


def test_no_lock_file_pins_nothing(tmp_path: Path) -> None:
    assert lock_file.read(tmp_path / "none.lock") == {}


def test_pins_are_added_in_order_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock_file.add(path, {"https://example.com/z": Pin(A, 1)})
    lock_file.add(path, {"local/a": Pin(B, 2), "https://example.com/z": Pin(B, 3)})

    assert lock_file.read(path) == {"local/a": Pin(B, 2), "https://example.com/z": Pin(B, 3)}
    assert path.read_text() == (
        '{\n  "sources": {\n'
        f'    "https://example.com/z": {{\n      "sha256": "{B}",\n      "size": 3\n    }},\n'
        f'    "local/a": {{\n      "sha256": "{B}",\n      "size": 2\n    }}\n'
        '  },\n  "version": 1\n}\n')
    assert os.listdir(tmp_path) == ["x.lock"]


def test_a_lock_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text('{"sources": {"u": {"sha256": "abc", "size": 1}}, "version": 1}')

    with pytest.raises(SourceError) as raised:
        lock_file.add(path, {"u": Pin(A, 1)})
    assert raised.value.message == f"{path} is not a lock file of imgasm"
    assert raised.value.detail == "sources.u.sha256: String should match pattern '^[0-9a-f]{64}$'"
    assert "abc" in path.read_text()
