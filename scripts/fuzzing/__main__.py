"""Runs the fuzzer on each parser, as many at once as there are cores."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from fuzzing.names import NAMES

_LONGEST: Final = 4096
"""Bytes of an input; deeper nesting than these hold is what Python's own limit is for."""


RUNNER = ["-m", "fuzzing.one"]
"""What Python runs for each parser."""


def main() -> None:
    wanted = _arguments()
    names, workers = wanted.parser or NAMES, os.cpu_count() or 1
    seconds = max(1, round(wanted.seconds * min(workers, len(names)) / len(names)))
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers) as pool:
        corpora = wanted.corpus or Path(scratch)
        passed = pool.map(lambda name: _fuzz(name, corpora / name, seconds), names)
        failed = [name for name, fine in zip(names, passed, strict=True) if not fine]
    print(f"{len(names)} parsers; failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzzes every parser of what comes from outside.")
    parser.add_argument("parser", nargs="*", choices=[*NAMES, []], metavar="PARSER", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=60, help="for all of them together; default: %(default)s")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="keep inputs that reach new code there")
    return parser.parse_args()


def _fuzz(name: str, corpus: Path, seconds: int) -> bool:
    """An input that fails is written to the current directory, with a name that begins with ``fuzz-<name>-``."""
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=10", "-rss_limit_mb=2048",
               f"-artifact_prefix=fuzz-{name}-", "-print_final_stats=1"]
    command = [sys.executable, *RUNNER, name, str(corpus), *options]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    log = done.stdout + done.stderr
    runs = log.partition("stat::number_of_executed_units:")[2].split()
    print(f"{name}: {runs[0] if runs else '?'} inputs{'' if done.returncode == 0 else ', FAILED'}", flush=True)
    if done.returncode:
        print(log[-4000:], file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    main()
