from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

from assembler.commands.open_recipe import open_recipe
from assembler.commands.plan import plan

TEXT = '''
    name = "demo"
    source_date_epoch = 0
    created = "now"
    [vars]
    version = "1.2"
    [base]
    bootstrap = { suite = "bookworm", packages = ["make", "gcc"] }
    [container]
    scratch = ["/build"]
    env = { LANG = "C", NOTE = "two words" }
    [[source]]
    url = "https://example.com/demo-{{ version }}.tar"
    [[file]]
    path = "/etc/demo.conf"
    content = "0123456789"
    [[step]]
    name = "unpack"
    workdir = "/build"
    timeout = "30m"
    run = """
    set -x

    tar -xf /imgasm/sources/demo-{{ version }}.tar
    """
    [[step]]
    name = "build"
    run = ["make", "VERSION={{ version }} beta"]
    [[step]]
    name = "check"
    run = "uname -r"
    [prune]
    presets = ["yum"]
    paths = ["/opt/demo/*.log"]
    [[image]]
    name = "demo"
    reference = "localhost:5000/demo:{{ version }}"
    cmd = []
    entrypoint = ["/opt/demo/run", "now then"]
    labels = { a = "b" }
    compression = { codec = "zstd", level = 19 }
    max_size = "60MB"
    [[image]]
    name = "bare"
    onto = "scratch"
    keep = ["/opt/demo/**"]
'''

LINES = """\
recipe demo

variables
  version  1.2

times
  clamp    0 s since 1970
  created  now

container
  base         bookworm main (minbase) with make gcc
  scratch      /build
  environment  LANG=C NOTE='two words'
  shell        /bin/sh -e -c

sources
  /imgasm/sources/demo-1.2.tar  https://example.com/demo-1.2.tar (not pinned yet)

files
  /etc/demo.conf  10 B, mode 0644

step 1 "unpack"
  workdir  /build
  timeout  1800 s
    set -x

    tar -xf /imgasm/sources/demo-1.2.tar

step 2 "build"
  execute  make 'VERSION=1.2 beta'

step 3 "check"
    uname -r

prune
  yum    /var/cache/yum/** /var/cache/dnf/** /var/log/yum.log /var/log/dnf*.log /var/lib/dnf/history*
  paths  /opt/demo/*.log

image demo
  onto         base
  keep         everything that is not pruned
  compression  zstd level 19
  budget       layer 60.0 MB
  reference    localhost:5000/demo:1.2
  entrypoint   /opt/demo/run 'now then'
  cmd          none (the base's is cleared)
  labels       a=b

image bare
  onto         scratch
  keep         /opt/demo/**
  compression  zstd
warning: step "check" asks for uname -r: that is the kernel of the machine that builds, not of the machines that will \
use the image; use a variable in [vars]
"""


def written(folder: Path) -> Path:
    path = folder / "demo.toml"
    path.write_text(dedent(TEXT))
    return path


def test_a_plan_reads_like_the_build(tmp_path: Path) -> None:
    assert "\n".join(plan(open_recipe(written(tmp_path), {})).lines()) + "\n" == LINES


def test_a_plan_shows_what_the_command_line_changed(tmp_path: Path) -> None:
    assert "  version  3" in list(plan(open_recipe(written(tmp_path), {"version": "3"})).lines())


def test_a_plan_is_json_too(tmp_path: Path) -> None:
    value = json.loads(json.dumps(plan(open_recipe(written(tmp_path), {})).to_json()))

    assert value["base"]["bootstrap"]["packages"] == ["make", "gcc"]
    assert value["steps"][1]["argv"] == ["make", "VERSION=1.2 beta"]
    assert value["files"] == [{"path": "/etc/demo.conf", "size": 10, "owner": None, "mode": "0644"}]
    assert value["prune"]["paths"] == ["/opt/demo/*.log"]
    assert value["images"][0]["budget"]["layer"] == 60_000_000
    assert value["images"][1]["keep"] == ["/opt/demo/**"]
    assert len(value["warnings"]) == 1
