"""A few seconds of scripts/fuzz: enough to see that every target runs, and that what it knows of is mended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_no_parser_of_foreign_input_fails_in_a_few_seconds(tmp_path: Path) -> None:
    done = subprocess.run([str(ROOT / "scripts" / "fuzz"), "--seconds", "7"], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 parsers; failed: none" in done.stdout
    assert "? inputs" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_fuzzer_finds_a_fault_that_is_there(tmp_path: Path) -> None:
    """A target that fails on one byte fails the run, and leaves the input."""
    program = (
        "import sys; sys.argv[1:] = ['--seconds', '5', 'range']\n"
        "import fuzzing.__main__ as run\n"
        "run.RUNNER = ['-c', 'import sys, atheris\\n'\n"
        "  'def fail(data): assert b\"!\" not in data\\n'\n"
        "  'atheris.Setup(sys.argv[:1] + sys.argv[3:], fail); atheris.Fuzz()']\n"
        "run.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    assert "range: " in done.stdout and "FAILED" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("fuzz-range-crash-")]


def test_every_target_has_a_name() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from fuzzing.names import NAMES  # type: ignore[import-not-found]
        from fuzzing.targets import TARGETS  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    assert tuple(sorted(TARGETS)) == NAMES
    for target in TARGETS.values():
        for seed in target.seeds:
            target(seed)
