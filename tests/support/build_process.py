"""A build as a process of its own, for tests that end it: one container with a scratch volume, one endless step.

    python -m tests.support.build_process ENGINE IMAGE BUILD
"""

from __future__ import annotations

import signal
import sys
from pathlib import PurePosixPath
from types import FrameType
from typing import cast

from assembler.engine.connect import connect
from assembler.engine.container import ContainerSpec
from assembler.engine.step import Command
from assembler.model.container import Container
from assembler.model.engines import EngineName


class Terminated(BaseException):
    pass


def terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def main(engine: str, image: str, build: str) -> None:
    signal.signal(signal.SIGTERM, terminate)
    spec = ContainerSpec(image, build, Container(network="none", scratch=(PurePosixPath("/scratch"),)))
    try:
        with connect(cast(EngineName, engine)).session(spec) as session:
            session.run(Command("endless", ["/bin/sh", "-c", "echo started; sleep 1000"], {}),
                        on_output=lambda line: print(line, flush=True))  # noqa: T201
    except (Terminated, KeyboardInterrupt):
        sys.exit(99)


if __name__ == "__main__":
    main(*sys.argv[1:])
