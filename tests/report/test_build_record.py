from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from assembler.errors import FileError, ImageError, UsageError
from assembler.report.build_record import BuildRecord
from assembler.report.build_records import RECORD_NAME, Builds
from assembler.report.record_part import path_text

from .records import MB, record

ONE = Builds(builds=(record(),))


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    assert ONE.save(tmp_path) == tmp_path / RECORD_NAME
    assert Builds.load(tmp_path) == Builds.load(tmp_path / RECORD_NAME) == ONE
    assert [file.name for file in tmp_path.iterdir()] == [RECORD_NAME]


def test_the_file_follows_the_json_schema(tmp_path: Path) -> None:
    schema = BuildRecord.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(ONE.save(tmp_path).read_text()), schema)


def test_a_save_that_fails_leaves_the_former_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ONE.save(tmp_path)

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_room)
    with pytest.raises(FileError, match=f"{RECORD_NAME}: No space"):
        Builds(builds=(record(remote=True),)).save(tmp_path)
    assert Builds.load(tmp_path) == ONE
    assert [file.name for file in tmp_path.iterdir()] == [RECORD_NAME]


def test_keys_of_a_later_imgasm_are_ignored_but_not_another_format(tmp_path: Path) -> None:
    file = ONE.save(tmp_path)
    value = json.loads(file.read_text())
    file.write_text(json.dumps({**value, "weather": "fine"}))
    assert Builds.load(tmp_path) == ONE
    file.write_text(json.dumps({**value, "format": 2}))
    with pytest.raises(ImageError, match=r"format: .*1") as error:
        Builds.load(tmp_path)
    assert error.value.hint


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1}', b"\xff\xfe"])
def test_a_broken_record_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD_NAME).write_bytes(content)
    with pytest.raises(ImageError, match="not a record"):
        Builds.load(tmp_path)


def test_no_record_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no build"):
        Builds.load(tmp_path)


def test_a_dockerfile_never_shrinks_and_has_no_scratch() -> None:
    cost = record().dockerfile
    assert cost is not None
    assert cost.steps == (312 * MB, 58 * MB, 1070 * MB, 151 * MB)
    assert (cost.bytes, cost.scratch) == (1591 * MB, 900 * MB)
    assert cost.compressed_estimate == 1591 * MB * 46_300_000 // (151 * MB + 1500)
    assert record(remote=True).dockerfile is None


def test_paths_that_are_no_text_stay_apart() -> None:
    assert path_text(b"a\xff") == "/a\\xff"
    assert path_text("ä".encode()) == "/ä"


def test_a_record_that_names_a_step_that_is_not_there_is_refused(tmp_path: Path) -> None:
    value = json.loads(ONE.save(tmp_path).read_text())
    value["images"][0]["files"][0]["steps"][0][0] = 4
    (tmp_path / RECORD_NAME).write_text(json.dumps(value))
    with pytest.raises(ImageError, match="a step is named"):
        Builds.load(tmp_path)
