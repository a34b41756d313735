"""What a recipe says for what a Dockerfile says, and what the verdict says of the rest. (Whether the image is the same
is in tests/commands/test_import_dockerfile.py.)"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from assembler.dockerfile.clean_up import without_clean_up
from assembler.dockerfile.convert import Request, convert
from assembler.dockerfile.verdict import Verdict
from assembler.errors import UsageError
from assembler.recipe.schema import schema
from tests.support.thin import Imgasm

FOUNDING = r"""
FROM ubuntu:14.04
MAINTAINER Somebody <somebody@example.com>
RUN apt-get -y update && apt-get -y install gcc make git bc && \
    apt-get clean && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /usr/src/kernels /opt/nvidia
ADD https://example.com/NVIDIA-Linux-x86_64-352.39.run /opt/nvidia/driver.run
WORKDIR /usr/src/kernels
RUN git clone https://example.com/linux.git --depth 1 --branch v`uname -r | sed -e "s/-.*//"` linux
WORKDIR /opt/nvidia
RUN sh driver.run -a -x --ui=none && make -C NVIDIA-Linux/kernel KERNEL_UNAME=$(uname -r) module
COPY load.sh /
CMD insmod /opt/nvidia/nvidia.ko
"""
"""What es-dev-stack's corenvidiadrivers uses, which imgasm was made for."""


def converted(text: str, context: Path, **more: Any) -> tuple[list[dict[str, Any]], Verdict]:
    """The recipes, each of which the schema lets pass."""
    found = convert(Request("made", text, context, "6.1.0-56-amd64", **more))
    recipes = [tomllib.loads(draft.text()) for draft in found.drafts]
    for recipe in recipes:
        jsonschema.validate(recipe, schema())
    return recipes, found.verdict


def told(verdict: Verdict) -> dict[int, list[str]]:
    lines: dict[int, list[str]] = {}
    for remark in verdict.remarks:
        lines.setdefault(remark.line, []).append(f"{remark.kind}: {remark.text}")
    return lines


def test_the_founding_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "load.sh").write_text("#!/bin/sh\n")
    [recipe], verdict = converted(FOUNDING.lstrip(), tmp_path)
    assert recipe["base"] == {"image": "ubuntu:14.04"}
    assert recipe["vars"] == {"kernel": "6.1.0-56-amd64"}
    assert recipe["source"][0]["url"] == "https://example.com/NVIDIA-Linux-x86_64-352.39.run"
    runs = [step["run"] for step in recipe["step"] if not step["name"].startswith(("directory", "add"))]
    assert runs[0].endswith("install gcc make git bc")
    assert "v`echo {{ kernel }} | sed" in runs[2]
    assert "KERNEL_UNAME={{ kernel }}" in runs[3]
    assert recipe["prune"] == {"presets": ["apt"]}
    assert recipe["file"] == [{"path": "/load.sh", "from": "load.sh"}]
    [image] = recipe["image"]
    assert image["cmd"] == ["/bin/sh", "-c", "insmod /opt/nvidia/nvidia.ko"]
    assert image["workdir"] == "/opt/nvidia" and "keep" not in image
    assert sorted(told(verdict)) == [2, 3, 6, 8, 10]
    assert "went: the prune preset apt" in told(verdict)[3][0]
    assert verdict.headline == "the image is the same, but for what is said above"
    assert "keep" in verdict.advice


def test_mounts_of_a_run_have_tables_of_their_own(tmp_path: Path) -> None:
    [recipe], verdict = converted(
        "FROM a\nRUN --mount=type=cache,target=/root/.cache,sharing=locked --mount=type=secret,id=key,env=KEY "
        "--mount=type=ssh --mount=type=tmpfs,target=/fast --mount=type=bind,source=src,target=/src make\n", tmp_path)
    assert recipe["cache"] == [{"name": "root-.cache", "path": "/root/.cache", "shared": False}]
    [step] = recipe["step"]
    assert recipe["secret"] == [{"name": "key", "env": "KEY", "variable": "KEY", "steps": [step["name"]]}]
    assert step["ssh"] is True
    assert recipe["container"]["scratch"] == ["/fast"]
    assert step["run"] == "make"
    assert [line.partition(":")[0] for line in told(verdict)[2]] == ["changed", "to do", "to do"]


def test_what_builds_for_other_platforms_is_a_variable(tmp_path: Path) -> None:
    [recipe], verdict = converted("FROM --platform=$BUILDPLATFORM a\nARG TARGETARCH\nARG TOKEN\nRUN echo $TARGETARCH\n",
                                  tmp_path)
    assert recipe["vars"] == {"TARGETARCH": "amd64", "TOKEN": ""}
    assert recipe["container"]["env"]["TARGETARCH"] == "{{ TARGETARCH }}"
    assert told(verdict)[3] == ["to do: ARG TOKEN has no default: --set TOKEN=..."]


def test_heredocs_are_scripts_and_files(tmp_path: Path) -> None:
    [recipe], verdict = converted(
        "FROM a\nENV X=1\nCOPY <<A <<'B' /etc/\nx is $X\nA\nx is $X\nB\nRUN <<EOF\nset -e\necho {{ a }}\nEOF\n"
        "RUN cat <<EOF > /f\ntext\nEOF\n", tmp_path)
    assert [file["content"] for file in recipe["file"]] == ["x is 1\n", "x is $X\n"]
    assert [file["path"] for file in recipe["file"]] == ["/etc/A", "/etc/B"]
    assert [step["run"] for step in recipe["step"]] == ["set -e\necho \\{{ a }}\n", "cat <<EOF > /f\ntext\nEOF\n"]
    assert verdict.headline == "the image is the same"


def test_stages_that_copy_from_each_other_are_built_in_their_order(tmp_path: Path) -> None:
    text = ("FROM a AS one\nRUN touch /1\nFROM b AS two\nCOPY --from=one /1 /1\nRUN touch /2\n"
            "FROM scratch\nCOPY --from=two /2 /2\nCOPY --from=one /1 /1\nCOPY --from=c/d:3 /3 /3\n")
    recipes, _ = converted(text, tmp_path)
    assert [recipe["name"] for recipe in recipes] == ["made-one", "made-two", "made"]
    assert [image["name"] for image in recipes[0]["image"]] == ["for-two", "for-stage2"]
    assert recipes[1]["base"] == {"layout": "oci:build/made-two-base:for-two"}
    assert recipes[1]["image"][0]["onto"] == "oci:build/made-one:for-stage2"
    assert recipes[2]["base"] == {"image": "c/d:3"}
    assert recipes[2]["image"][0]["onto"] == "oci:build/made-two:for-stage2"


def test_the_target_is_a_stage_that_is_named(tmp_path: Path) -> None:
    recipes, _ = converted("FROM a AS one\nRUN touch /1\nFROM b\nRUN touch /2\n", tmp_path, target="ONE")
    assert [recipe["base"] for recipe in recipes] == [{"image": "a"}]


@pytest.mark.parametrize(("text", "line", "words"), [
    ("COPY missing /x", 2, "missing is not in"),
    ("ADD https://example.com/a.git /x", 2, "fetch it in a step"),
    ("FRMO b", 2, "FRMO is no instruction"),
    ("ENV P=$UNKNOWN", 2, "$UNKNOWN is empty here"),
    ("COPY --from=b /out/ /usr/", 2, "keep has all of /usr"),
])  # fmt: skip
def test_what_is_left_to_do_is_said(text: str, line: int, words: str, tmp_path: Path) -> None:
    _, verdict = converted(f"FROM a\n{text}\n", tmp_path)
    assert any(words in remark for remark in told(verdict)[line])
    assert "needs your hand" in verdict.headline


@pytest.mark.parametrize(("script", "left", "presets"), [
    ("apt-get install -y a && rm -rf /var/lib/apt/lists/*", "apt-get install -y a", ["apt"]),
    ("dnf install -y a; dnf -y clean all", "dnf install -y a", ["yum"]),
    ("a && \\\n    apt-get clean && \\\n    rm -rf /var/lib/apt/lists/* /var/cache/apt/*", "a", ["apt"]),
    ("rm -rf /var/cache/apk/*", "", ["apk"]),
    ("a && rm -rf /tmp/* /var/tmp/*", "a", ["tmp"]),
    ("rm -rf /var/lib/apt/lists/* /opt", "rm -rf /var/lib/apt/lists/* /opt", []),
    ("apt-get clean && echo done", "apt-get clean && echo done", []),
    ("a || apt-get clean", "a || apt-get clean", []),
])  # fmt: skip
def test_only_clean_up_at_the_end_goes(script: str, left: str, presets: list[str]) -> None:
    rest, gone = without_clean_up(script)
    assert (rest, list(gone)) == (left, presets)


@pytest.mark.parametrize("text", ["RUN make\n", "ARG A=1\n"])
def test_a_dockerfile_begins_with_from(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FROM"):
        converted(text, tmp_path)


def test_the_command_writes_recipes_that_can_be_planned_and_replaces_none(tmp_path: Path) -> None:
    run, context = Imgasm(tmp_path), tmp_path / "app.d"
    context.mkdir()
    (context / "prog").write_text("x")
    (tmp_path / "Containerfile").write_text(
        "FROM a AS one\nRUN make\nFROM scratch AS two\nCOPY --from=one /x /x\nCOPY prog /\n")
    done = run("import", "Containerfile", "--context", "app.d", "--target", "two")
    assert done.stdout == "app.d/app.d.toml\n"
    assert "verdict: the image is the same" in done.stderr
    assert "$ imgasm build app.d.toml" in done.stderr
    assert "onto         scratch" in run("plan", "app.d/app.d.toml").stdout
    assert run("import", "Containerfile", "--context", "app.d", "--target", "two").returncode == 0
    (context / "app.d.toml").write_text("# mine\n")
    refused = run("import", "Containerfile", "--context", "app.d", status=2)
    assert "exists, with other contents" in refused.stderr
    assert run("import", "Containerfile", "--context", "app.d", "--name", "other").stdout == "app.d/other.toml\n"
