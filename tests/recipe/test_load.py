from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from assembler.errors import RecipeError
from assembler.model.bootstrap import Bootstrap
from assembler.model.budget import Budget, Growth
from assembler.model.container import Container
from assembler.model.run_config import Healthcheck, RunConfig
from assembler.recipe.base import Base
from assembler.recipe.files import File
from assembler.recipe.images import Compression, Image
from assembler.recipe.load import Origin, load
from assembler.recipe.prune import Prune
from assembler.recipe.recipe import Recipe
from assembler.recipe.sources import Source
from assembler.recipe.steps import Step
from tests.recipe.writing import PRESETS, SMALL, read, write

SHA256 = "0123456789abcdef" * 4

FULL = f"""
    name = "nvidia"
    source_date_epoch = 5
    created = "2026-01-02T04:04:05+01:00"
    [vars]
    kernel = "6.1"
    [base]
    bootstrap = {{ suite = "bookworm", packages = ["make"], components = ["main", "contrib"], architecture = "arm64" }}
    [container]
    privileged = true
    cap_add = ["CAP_SYS_MODULE", "NET_ADMIN"]
    security_opt = ["seccomp=unconfined"]
    devices = ["/dev/fuse"]
    network = "host"
    scratch = ["/build/", "/usr/src"]
    env = {{ LANG = "C" }}
    shell = ["/bin/bash", "-euc"]
    [[source]]
    url = "https://example.com/a%20b.tar?x=1"
    sha256 = "{SHA256}"
    [[source]]
    url = "files/driver.run"
    path = "/driver.run"
    [[file]]
    path = "/etc/a"
    content = "kernel {{{{ kernel }}}}"
    [[file]]
    path = "/etc/b"
    from = "files/b"
    mode = "4755"
    owner = "app:users"
    [[step]]
    name = "script"
    run = "make"
    env = {{ A = "1" }}
    workdir = "/build"
    user = "nobody:nogroup"
    timeout = "1h30m"
    [[step]]
    name = "list"
    run = ["make", "{{{{ kernel }}}}"]
    timeout = 2.5
    [prune]
    presets = ["apt"]
    paths = ["/var/log/**"]
    [[image]]
    name = "one"
    reference = "localhost:5000/one:{{{{ kernel }}}}"
    onto = "scratch"
    keep = ["/opt/**"]
    entrypoint = ["/load"]
    cmd = []
    env = {{ A = "1" }}
    labels = {{ k = "v" }}
    user = "1000"
    workdir = "/work"
    ports = ["8080", "53/udp"]
    volumes = ["/data"]
    stop_signal = "SIGINT"
    healthcheck = {{ test = ["true"], interval = "30s", retries = 2 }}
    shell = ["/bin/bash", "-c"]
    onbuild = ["RUN make"]
    annotations = {{ a = "b" }}
    compression = {{ codec = "zstd", level = 19 }}
    max_size = "60MB"
    [image.budget]
    image_unpacked = "1GiB"
    paths = {{ "/opt/**/*.ko" = 50000 }}
    peak = "4GB"
    growth = {{ percent = 2.5, floor = "1MB", baseline = "./former" }}
    [[image]]
    name = "two"
    reference = "localhost:5000/two"
    onto = "./layout"
    compression = "gzip"
    budget = {{ layer = "1kB", growth = "5%" }}
"""


def test_a_small_recipe_gets_every_default(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL) == Recipe(
        name="small",
        file=tmp_path / "some.toml",
        base=Base(image="debian:bookworm"),
        steps=(Step("one", ("/bin/sh", "-e", "-c", "true"), "true"),),
        images=(Image("out"),),
    )


def test_everything_a_recipe_can_say_arrives(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "b").write_bytes(b"\xff{{ untouched }}")

    assert read(tmp_path, FULL, locked={"files/driver.run": "f" * 64}) == Recipe(
        name="nvidia",
        file=tmp_path / "some.toml",
        base=Base(bootstrap=Bootstrap("bookworm", ("make",), ("main", "contrib"), architecture="arm64")),
        vars={"kernel": "6.1"},
        container=Container(
            privileged=True,
            cap_add=("SYS_MODULE", "NET_ADMIN"),
            security_opt=("seccomp=unconfined",),
            devices=("/dev/fuse",),
            network="host",
            scratch=(PurePosixPath("/build"), PurePosixPath("/usr/src")),
            env={"LANG": "C"},
            shell=("/bin/bash", "-euc"),
        ),
        sources=(
            Source("a b.tar", "https://example.com/a%20b.tar?x=1", "https://example.com/a%20b.tar?x=1",
                   PurePosixPath("/imgasm/sources/a b.tar"), SHA256),
            Source("driver.run", "files/driver.run", (tmp_path / "files/driver.run").as_uri(),
                   PurePosixPath("/driver.run"), "f" * 64),
        ),
        files=(
            File(PurePosixPath("/etc/a"), b"kernel 6.1"),
            File(PurePosixPath("/etc/b"), tmp_path / "files" / "b", 0o4755, "app:users"),
        ),
        steps=(
            Step("script", ("/bin/bash", "-euc", "make"), "make", {"A": "1"}, PurePosixPath("/build"),
                 "nobody:nogroup", 5400.0),
            Step("list", ("make", "6.1"), timeout=2.5),
        ),
        prune=Prune(("apt",), ("/var/log/**",)),
        images=(
            Image(
                name="one",
                reference="localhost:5000/one:6.1",
                onto="scratch",
                keep=("/opt/**",),
                config=RunConfig(
                    entrypoint=("/load",),
                    cmd=(),
                    env={"A": "1"},
                    labels={"k": "v"},
                    user="1000",
                    workdir="/work",
                    ports=("8080", "53/udp"),
                    volumes=("/data",),
                    stop_signal="SIGINT",
                    healthcheck=Healthcheck(("CMD", "true"), interval=30.0, retries=2),
                    shell=("/bin/bash", "-c"),
                    onbuild=("RUN make",),
                ),
                compression=Compression("zstd", 19),
                budget=Budget(
                    layer=60_000_000,
                    image_unpacked=1 << 30,
                    paths=(("/opt/**/*.ko", 50_000),),
                    peak=4_000_000_000,
                    growth=Growth(2.5, 1_000_000, tmp_path / "former"),
                ),
                annotations={"a": "b"},
            ),
            Image("two", "localhost:5000/two", tmp_path / "layout", compression=Compression("gzip"),
                  budget=Budget(layer=1000, growth=Growth(5.0))),
        ),
        source_date_epoch=5,
        created="2026-01-02T03:04:05Z",
    )  # fmt: skip


def test_the_recipes_own_digest_wins_over_the_lock_file(tmp_path: Path) -> None:
    text = SMALL + f'\n    [[source]]\n    url = "https://example.com/x"\n    sha256 = "{SHA256}"\n'

    assert read(tmp_path, text, locked={"https://example.com/x": "f" * 64}).sources[0].sha256 == SHA256


def test_a_base_and_a_layer_may_stand_in_files_beside_the_recipe(tmp_path: Path) -> None:
    text = SMALL.replace('image = "debian:bookworm"', 'rootfs = "../rootfs.tar.zst"')

    assert read(tmp_path, text).base == Base(rootfs=tmp_path.parent / "rootfs.tar.zst")


@pytest.mark.parametrize(("written", "size"), [("1", 1), ('"1.5kB"', 1500), ('"60MiB"', 60 * 2**20)])
def test_a_budget_is_a_number_of_bytes_or_has_a_unit(tmp_path: Path, written: str, size: int) -> None:
    assert read(tmp_path, f"{SMALL}    max_size = {written}\n").images[0].budget.layer == size


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        load(Origin(tmp_path / "none.toml"), {}, presets=PRESETS)
    assert raised.value.message == f"the recipe {tmp_path}/none.toml can't be read: No such file or directory"


def test_a_recipe_that_is_not_toml(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "a"\nrun = make\n')

    with pytest.raises(RecipeError) as raised:
        load(Origin(path), {}, presets=PRESETS)
    assert raised.value.message == f"{path} is not valid TOML"
    assert raised.value.detail == f"{path}:2:7: Invalid value\n    run = make\n          ^"


def test_a_recipe_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_bytes(b'name = "\xff"')

    with pytest.raises(RecipeError) as raised:
        load(Origin(path), {}, presets=PRESETS)
    assert raised.value.message == f"{path} is not a recipe: byte 8 is not UTF-8, which TOML must be"
