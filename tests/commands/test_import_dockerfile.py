"""imgasm import: the image of the imported recipe has the files and the config that ``docker build`` gives, or the
verdict says what it has not."""

from __future__ import annotations

import functools
import http.server
import io
import tarfile
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assembler.image.layout import Layout
from tests.support import engines
from tests.support.debian_registry import debian_registry
from tests.support.dockerfiles import config_of, docker, docker_build, pruned, tree
from tests.support.thin import Imgasm, busybox, write_image

FILES = {"load.sh": b"#!/bin/sh\necho loaded\n", "etc/app.conf": b"a=1\n", "etc/more/b.conf": b"b=2\n",
         "fetched": b"from elsewhere\n"}  # fmt: skip

SAME = "the image is the same"
TOLD = "the image is the same, but for what is said above"

DOCKERFILES = {
    "run, env, cmd": (SAME, """
        FROM BASE
        ENV GREETING="hello there" NAME=x
        RUN mkdir -p /opt/a && echo $GREETING > /opt/a/greeting; chmod 640 /opt/a/greeting
        RUN ["/bin/sh", "-c", "echo $NAME > /opt/a/name"]
        CMD cat /opt/a/greeting
        """),
    "copies": (SAME, """
        FROM BASE
        WORKDIR /srv/app
        COPY load.sh .
        COPY --chown=7:8 load.sh /opt/other
        COPY etc /etc/app
        COPY etc/*.conf load.sh /opt/many/
        RUN ln -s load.sh link && echo more >> load.sh
        ENTRYPOINT ["./load.sh"]
        """),
    "users and labels": (SAME, """
        FROM BASE
        LABEL a="b c" d=e
        RUN mkdir /data && chown 5:6 /data
        USER 5:6
        RUN echo mine > /data/mine
        EXPOSE 8080/tcp 53/udp
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=30s --retries=2 CMD test -e /data/mine
        ONBUILD RUN echo built
        """),
    "arguments": (SAME, """
        ARG VERSION=1
        FROM BASE
        ARG VERSION
        ARG FLAVOUR=plain
        ENV FULL=$VERSION-${FLAVOUR} OTHER=${NONE:-none}
        RUN echo "$VERSION $FLAVOUR $FULL $OTHER" > /version
        """),
    "shell": (SAME, """
        FROM BASE
        SHELL ["/bin/sh", "-ec"]
        RUN echo one > /one; \\
            # a comment
            echo two \\
                 three > /two
        RUN false || echo '{{ braces }} $HOME' > /three
        """),
    "a failure that the shell goes past": (SAME, """
        FROM BASE
        RUN false; echo went on > /went
        """),
    "clean-up": (TOLD, """
        FROM BASE
        RUN mkdir -p /var/lib/apt/lists /opt && echo l > /var/lib/apt/lists/l && echo kept > /opt/kept && \\
            rm -rf /var/lib/apt/lists/*
        """),
    "add": (TOLD, """
        FROM BASE
        ADD archive.tar.gz /opt/unpacked
        ADD SERVER/fetched /opt/fetched
        RUN cat /opt/fetched > /opt/copy
        """),
    "kernel": (TOLD, """
        FROM BASE
        RUN mkdir -p /lib/modules/$(uname -r) && echo `uname -r | tr a-z A-Z` > /lib/modules/release
        """),
    "a last stage that copies": (SAME, """
        FROM BASE AS builder
        WORKDIR /src
        RUN mkdir /out && echo program > /out/program && chmod 750 /out/program && echo left > /src/behind
        FROM scratch
        COPY --from=builder /out/program /program
        COPY --from=0 /out/ /opt/out/
        COPY load.sh /load.sh
        ENTRYPOINT ["/program"]
        """),
    "onto another image": (SAME, """
        FROM BASE AS builder
        RUN mkdir -p /opt/tool && echo tool > /opt/tool/tool
        FROM OTHER
        COPY --from=builder --chown=3 /opt/tool /opt/tool
        CMD ["/opt/tool/tool"]
        """),
    "a last stage that runs": (TOLD, """
        FROM BASE AS builder
        RUN mkdir -p /opt/tool && echo tool > /opt/tool/tool
        FROM OTHER AS packages
        RUN echo installed > /installed
        COPY --from=builder /opt/tool /opt/tool
        FROM packages
        RUN cat /installed > /again
        CMD ["/opt/tool/tool"]
        """),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("served")
    (directory / "fetched").write_bytes(FILES["fetched"])
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two images in a registry, which Docker and imgasm begin with."""
    directory = tmp_path_factory.mktemp("bases")
    with engines.docker(), debian_registry(directory / "registry") as registry:
        found = {"BASE": f"{registry.host}/base:1", "OTHER": f"{registry.host}/other:1"}
        for name, reference in found.items():
            config = {"Cmd": ["/bin/sh"], "Env": ["BASE=1", "PATH=/usr/bin:/bin"]}
            write_image(Layout.create(directory / name), reference, busybox(), **config)
            Imgasm(directory)("push", name, reference)
        yield found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What COPY reads."""
    folder = tmp_path / "context"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "load.sh").chmod(0o755)
    with tarfile.open(folder / "archive.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("in/archive")
        member.size, member.mode, member.uid = 3, 0o600, 12
        tar.addfile(member, io.BytesIO(b"abc"))
    return folder


@pytest.mark.engine
@pytest.mark.root
@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_image_has_the_same_files(name: str, context: Path, bases: dict[str, str], server: str) -> None:
    expected, text = DOCKERFILES[name]
    for word, meaning in (bases | {"SERVER": server}).items():
        text = text.replace(word, meaning, 1) if word == "SERVER" else text.replace(f"FROM {word}", f"FROM {meaning}")
    (context / "Dockerfile").write_text("".join(f"{line.strip()}\n" for line in text.strip().splitlines()))
    docker_build(context, "docker-made")
    run = Imgasm(context, IMGASM_ENGINE="docker")
    told = run.json("import", "Dockerfile", "--name", "made")
    assert told["verdict"] == expected, told
    for command in told["commands"]:
        run(*command.split()[1:])
    output = Path(told["recipes"][-1]).stem
    [made] = run("load", f"build/{output}", "--image", "made").stdout.split()
    presets = [preset for recipe in told["recipes"] for preset in _recipe(context / recipe)["prune"]["presets"]]
    theirs, ours = tree("docker-made"), tree(made)
    assert {path: entry for path, entry in ours.items() if theirs.get(path) != entry} == {}
    assert [path for path in theirs.keys() - ours.keys() if not pruned(path, presets)] == []
    assert config_of(made) == config_of("docker-made")
    docker("rmi", "--force", "docker-made", made)


def _recipe(path: Path) -> dict[str, Any]:
    return {"prune": {"presets": []}} | tomllib.loads(path.read_text())
