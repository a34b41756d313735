"""imgasm as a process of its own that begins where this one is: the whole command line, without 0.5 s of imports."""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import subprocess
import sys
import tempfile
from typing import NoReturn

import assembler
from assembler.__main__ import main
from tests.support.thin import Imgasm

for module in pkgutil.walk_packages(assembler.__path__, "assembler."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


class Forked(Imgasm):
    """For tests that run imgasm some hundred times; at least once per option there is one with a real start."""

    def __call__(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            child = os.fork()
            if child == 0:
                self._run(arguments, out.fileno(), error.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            texts = []
            for file in (out, error):
                file.seek(0)
                texts.append(file.read().decode())
        assert code == status, f"{arguments}: {code}\n" + "".join(texts)
        return subprocess.CompletedProcess(arguments, code, *texts)

    def _run(self, arguments: tuple[str, ...], out: int, error: int) -> NoReturn:
        code = 99
        try:
            os.chdir(self.directory)
            for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE"):
                os.environ.pop(name, None)
            os.environ |= self._environment
            for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), out, error)):
                os.dup2(file, number)
            sys.stdin, sys.stdout, sys.stderr = (
                io.TextIOWrapper(io.FileIO(number, mode, closefd=False), write_through=True, encoding="utf-8")
                for number, mode in enumerate("rww")
            )
            sys.argv = ["imgasm", *arguments]
            main()
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 1
        finally:
            os._exit(code)
