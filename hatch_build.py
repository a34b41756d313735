"""Builds the C beside the Python (assembler/layer/_many_files.c), where a compiler and Python's headers are.

Without them the wheel is pure Python, and complete: the same bytes, small files in twice the time.
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "assembler/layer/_many_files.c"
LIBRARY = SOURCE.replace(".c", ".abi3.so")
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-pthread"]


class Extension(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._place = Path(tempfile.mkdtemp())
        made = self._place / "library"
        library = Path(self.root, LIBRARY)
        if not self._compile(made):
            self.app.display_warning("no C compiler, or no headers of Python: imgasm is built without its C part")
            if version == "editable":
                library.unlink(missing_ok=True)
        elif version == "editable":
            beside = library.with_suffix(".new")
            shutil.copyfile(made, beside)
            beside.replace(library)  # a process may be using the old one
        else:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data |= {"pure_python": False, "tag": f"cp311-abi3-{platform}"}
            build_data["force_include"][str(made)] = LIBRARY

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._place)

    def _compile(self, target: Path) -> bool:
        compiler = os.environ.get("CC") or next(filter(shutil.which, ["cc", "gcc", "clang"]), "cc")
        headers = "-I" + sysconfig.get_path("include")
        command = [*shlex.split(compiler), *FLAGS, headers, str(Path(self.root, SOURCE)), "-o", str(target)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False
