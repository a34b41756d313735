from __future__ import annotations

import os
from pathlib import Path

import pytest

from assembler.errors import RecipeError
from tests.recipe.writing import SMALL, problems, read, told

WRONG = """
    name = "a"
    steps = 1
    [vars]
    kernel = "6.1"
    unused = "x"
    loop = "{{ pool }}"
    pool = "{{ loop }}"
    [base]
    image = "debian:bookworm"
    rootfs = "x"
    [container]
    scratch = ["build", "/"]
    privilegd = true
    env = { A = 3 }
    [[step]]
    name = "compile"
    rnu = "make {{ kernle }} {{ kernel }}"
    timeout = "5x"
    [[step]]
    name = "two"
    run = 5
    env = { A = "{{ loop }}" }
    [[image]]
    name = "x y"
    keep = ["opt", "/opt/**"]
    compression = { codec = "gzip", level = 22 }
    max_size = 0
    ports = ["99999"]
    [[image]]
    onto = "foo/bar:"
    compression = "bzip2"
"""


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        read(tmp_path, WRONG, {"kernal": "5"})

    assert raised.value.message == f"{tmp_path}/some.toml has 21 problems"
    assert raised.value.hint == (
        "Variables are declared in [vars]; --set name=value gives them other values. "
        "`imgasm schema` prints every table and key that a recipe can have."
    )
    assert told(raised.value) == [
        '--set kernal: [vars] declares no variable of that name; did you mean "kernel"?',
        'steps: there is no such key; did you mean "step"?',
        "[vars], unused: nothing in the recipe uses {{ unused }}; remove it",
        "[vars], loop: refers to itself: loop -> pool -> loop",
        "[base]: needs exactly one of image, bootstrap, rootfs and layout, but has image and rootfs",
        "[container], scratch #1: 'build' is not an absolute path in the container, such as /opt/nvidia",
        "[container], scratch #2: the root can't be scratch: nothing would be left for a layer; "
        "name a directory, such as /build",
        '[container], privilegd: there is no such key; did you mean "privileged"?',
        "[container], env.A: expected a string, not 3",
        '[[step]] #1 "compile", rnu: there is no such key; did you mean "run"?',
        '[[step]] #1 "compile", rnu: {{ kernle }} is not defined; did you mean "kernel"?',
        '[[step]] #1 "compile", timeout: \'5x\' is not a duration; write it as "30m", "1h30m", "90s" '
        "or a number of seconds",
        '[[step]] #2 "two", run: expected a script as a string, or a list of strings to execute: '
        '["make", "-C", "/build"]',
        '[[image]] #1 "x y", name: \'x y\' is not a name: letters, digits, \'.\', \'_\' and \'-\' only',
        "[[image]] #1 \"x y\", keep #1: 'opt' is not an absolute glob, such as /opt/nvidia/**",
        '[[image]] #1 "x y", compression: "gzip" has the levels 1 to 12, but level is 22',
        '[[image]] #1 "x y", max_size: must be more than 0; leave the key out for no limit',
        '[[image]] #1 "x y", ports #1: \'99999\' is not a port; write it as "8080" or "53/udp"',
        "[[image]] #2, name: is missing",
        "[[image]] #2, onto: 'foo/bar:' is not an image reference: '' is not a tag",
        "[[image]] #2, compression.codec: expected 'zstd', 'gzip' or 'none', not 'bzip2'",
    ]


@pytest.mark.parametrize(
    ("addition", "problem"),
    [
        ('[[step]]\nname = "one"\nrun = "x"',
         '[[step]] #2 "one", name: "one" is used already: [[step]] #1 "one", name'),
        ('[[image]]\nname = "out"', '[[image]] #2 "out", name: "out" is used already: [[image]] #1 "out", name'),
        ('[[source]]\nurl = "http://h/x"\n[[source]]\nurl = "http://i/x"',
         '[[source]] #2, name: "x" is used already: [[source]] #1, name'),
        ('[[file]]\npath = "/a"\ncontent = ""\n[[file]]\npath = "/a/"\ncontent = ""',
         '[[file]] #2, path: "/a" is used already: [[file]] #1, path'),
        ('[[file]]\npath = "/dev/shm/a"\ncontent = ""',
         '[[file]] #1, path: "/dev/shm/a" can reach no image: every engine mounts /dev'),
        ('[container]\nscratch = ["/b"]\n[[image]]\nname = "k"\nkeep = ["/b/x*"]',
         '[[image]] #2 "k", keep #1: "/b/x*" can match nothing: /b is scratch, and nothing on scratch reaches a layer; '
         "let a step put what the image needs somewhere else"),
        ('[[image]]\nname = "k"\nports = ["65535", "1-65535/udp", "65536"]',
         '[[image]] #2 "k", ports #3: \'65536\' is not a port; write it as "8080" or "53/udp"'),
        ('[[image]]\nname = "k"\nports = ["1/sctp", "0"]',
         '[[image]] #2 "k", ports #2: \'0\' is not a port; write it as "8080" or "53/udp"'),
        ('[prune]\npresets = ["atp"]', '[prune], presets #1: there is no preset "atp"; did you mean "apt"?'),
        ('[prune]\npresets = ["zzz"]', '[prune], presets #1: there is no preset "zzz" (there are: apt, docs, python)'),
        ('[[file]]\npath = "/a"', "[[file]] #1: needs exactly one of content and from"),
        ('[[file]]\npath = "/a"\ncontent = ""\nmode = "0888"',
         "[[file]] #1, mode: '0888' is not a mode; write the octal digits as a string: \"0755\""),
        ('[[file]]\npath = "/a"\nfrom = "nothing"',
         '[[file]] #1, from: "nothing" can\'t be copied: No such file or directory'),
        ('[[file]]\npath = "/a"\nfrom = "../nothing"',
         '[[file]] #1, from: "../nothing" can\'t be copied: it is not in the recipe\'s folder, which must hold all '
         "that the recipe needs"),
        ('[[source]]\nurl = "ftp://host/x"',
         "[[source]] #1, url: 'ftp://host/x' can't be fetched; give an http, https or file URL, or a path relative "
         "to the recipe"),
        ('[[source]]\nurl = "x"\nsha256 = "12"',
         "[[source]] #1, sha256: '12' is not a sha256: 64 lower-case hex digits"),
        ('[[step]]\nname = "x"\nrun = "x"\nworkdir = "build"', '[[step]] #2 "x", workdir: \'build\' is not an absolute '
         "path in the container, such as /opt/nvidia"),
        ('[[image]]\nname = "z"\ncompression = { codec = "none", level = 1 }',
         '[[image]] #2 "z", compression: "none" has no levels, but level is 1'),
        ('[[image]]\nname = "z"\nentrypoint = "/bin/sh"',
         '[[image]] #2 "z", entrypoint: expected a list, not "/bin/sh"'),
        ('[[image]]\nname = "z"\nmax_size = 5\nbudget = { layer = 5 }',
         '[[image]] #2 "z": has both max_size and budget.layer, which say the same; leave one of them out'),
        ('[[image]]\nname = "z"\nbudget = { growth = "5%" }', '[[image]] #2 "z", budget.growth: has nothing to compare '
         "with: give the image a reference, or growth a baseline"),
        ('[[image]]\nname = "z"\nbudget = { growth = "5" }',
         '[[image]] #2 "z", budget.growth.percent: \'5\' is not a share; write it as "5%", or as a number of percent'),
        ('[[image]]\nname = "z"\nbudget = { paths = { "etc" = "1kB" } }',
         "[[image]] #2 \"z\", budget.paths.etc: 'etc' is not an absolute glob, such as /opt/nvidia/**"),
        ('[prune]\npaths = ["/a[z-a]"]', "[prune], paths #1: '/a[z-a]' is not a glob: its set in brackets can't be "
         "read (bad character range z-a); a bracket itself is [[]"),
        ('[[image]]\nname = "z"\nbudget = { pead = 5 }',
         '[[image]] #2 "z", budget.pead: there is no such key; did you mean "peak"?'),
        ('[[image]]\nname = "z"\nmax_size = "6 gallons"', '[[image]] #2 "z", max_size: \'6 gallons\' is not a size; '
         'write it as "60MB", "60MiB" or "1000B"'),
        ('[vars]\nA = 1',
         '[vars], A: expected a string, or { secret = true } for a value given with the command, not 1'),
        ('[[step]]\nname = "x"\nrun = "a\\u0000b"',
         '[[step]] #2 "x", run: holds a NUL character, which no path, argument or script can have'),
        ('[[step]]\nname = "x"\nrun = "a"\ntimeout = inf',
         '[[step]] #2 "x", timeout: must be more than 0; leave the key out for no limit'),
        ('[file]\npath = "/a"', "[[file]]: there may be several, so each one begins with [[file]], in double brackets"),
        ('[container]\nshell = []', "[container], shell: at least one is needed"),
        ('[container]\ncap_add = ["sys-module"]',
         "[container], cap_add #1: 'sys-module' is not a capability, such as SYS_MODULE"),
        ('[[image]]\nname = "z"\nenv = { "A=B" = "c" }',
         "[[image]] #2 \"z\", env: 'A=B' is not a name for an environment variable"),
    ],
)  # fmt: skip
def test_a_problem_names_table_and_key_and_what_is_right(tmp_path: Path, addition: str, problem: str) -> None:
    assert problems(tmp_path, SMALL.replace("\n    ", "\n") + addition) == [problem]


def test_two_images_for_one_reference_would_overwrite_each_other(tmp_path: Path) -> None:
    text = SMALL.replace("\n    ", "\n") + 'reference = "h:1/a"\n[[image]]\nname = "z"\nreference = "h:1/a"'

    assert problems(tmp_path, text) == [
        '[[image]] #2 "z", reference: "h:1/a" is used already: [[image]] #1 "out", reference']


def test_a_recipe_without_image_makes_nothing(tmp_path: Path) -> None:
    assert problems(tmp_path, 'name = "x"\nbase = { image = "a" }\nimage = []') == ["[[image]]: at least one is needed"]
    assert problems(tmp_path, 'name = "x"') == ["[base]: is missing", "[[image]]: is missing"]


@pytest.mark.parametrize(("url", "what"), [("folder", "a directory"), ("folder/fifo", "no file")])
def test_a_source_that_is_no_file_is_told_before_anything_is_fetched(tmp_path: Path, url: str, what: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "fifo")

    assert problems(tmp_path, SMALL.replace("\n    ", "\n") + f'[[source]]\nurl = "{url}"') == [
        f'[[source]] #1, url: "{url}" is {what}, and a source is one file: pack it, or let a [[file]] copy it into the '
        "container"]


def test_a_directory_with_something_that_cannot_be_copied_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    os.mkfifo(tmp_path / "folder" / "sub" / "fifo")

    assert problems(tmp_path, SMALL.replace("\n    ", "\n") + '[[file]]\npath = "/a"\nfrom = "folder"') == [
        '[[file]] #1, from: "folder" can\'t be copied: /a/sub/fifo is neither a file nor a directory nor a symbolic '
        "link"]


def places(folder: Path, text: str, **given: str) -> list[str]:
    """What the error says, with the recipe's folder left out."""
    with pytest.raises(RecipeError) as raised:
        read(folder, text, given)
    return (raised.value.detail or "").replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'a'\nbase = { image = 'b' }\n[[image]]\nname = 5 # here",
         ['some.toml:4:8: [[image]] #1 "5", name: expected a string, not 5', "    name = 5 # here", "           ^"]),
        ("name = 'a'\nbase = { image = 'b' }\n[[image]]\n\tnam = 'x'",
         ['some.toml:4:2: [[image]] #1, nam: there is no such key; did you mean "name"?',
          "     nam = 'x'", "     ^^^"]),
        ("name = 'a'\n[base]\nimage = 'b'\n[[image]]\nname = 'x'\nlabels.kernel = '''\n{{ kernle }}\n'''\n"
         "[vars]\nkernel = '6'",
         ['some.toml:7:1: [[image]] #1 "x", labels.kernel: {{ kernle }} is not defined; did you mean "kernel"?',
          "    {{ kernle }}", "    ^^^^^^^^^^^^"]),
        ("name = 'a'\n[base]\nimage = 'b'\n[[image]]\nlabels = { x = 'y' }",
         ["some.toml:4:1: [[image]] #1, name: is missing", "    [[image]]", "    ^^^^^^^^^"]),
        ("name = 'a'\n[base]\nimage = 'b'\n[[imgae]]\nname = 'x'",
         ['some.toml:4:1: imgae: there is no such key; did you mean "image"?', "    [[imgae]]", "    ^^^^^^^^^"]),
        ("name = 'a'\n[base]\nimage = 'b'", ["some.toml: [[image]]: is missing"]),
        ("name = 'a'\n[base]\nimage = 'http://ann:pw@host/x'\n[[image]]\nname = 'x'",
         ["some.toml:3:9: [base], image: a URL has a password in it, which would be shown and recorded; put the URL "
          'into env, as env = { URL = "..." }, and write "$URL"', "    image = 'http://***@host/x'"]),
    ],
)  # fmt: skip
def test_each_mistake_is_one_error_with_its_line_and_column(tmp_path: Path, text: str, said: list[str]) -> None:
    assert places(tmp_path, text) == said


@pytest.mark.parametrize("text", ["a = '''\nx", "a = 1\r\nb = \r\n", "a = ", "[a", "a = 1 1", "\n\n= 3"])
def test_a_text_that_is_no_toml_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    first, *rest = places(tmp_path, text)
    line, column = map(int, first.split(":")[1:3])
    lines = text.replace("\r\n", "\n").split("\n")
    assert 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1
    assert rest == ([f"    {lines[line - 1].rstrip()}", "    " + " " * (column - 1) + "^"] if lines[line - 1] else [])


def test_the_hint_fits_the_mistake(tmp_path: Path) -> None:
    hints = {}
    mistakes = {"key": "prests = []", "preset": 'presets = ["atp"]', "value": "paths = 1",
                "variable": 'paths = ["/{{ x }}"]'}  # fmt: skip
    for name, text in mistakes.items():
        with pytest.raises(RecipeError) as raised:
            read(tmp_path, SMALL.replace("\n    ", "\n") + f"[prune]\n{text}")
        hints[name] = raised.value.hint
    assert hints == {
        "key": "`imgasm schema` prints every table and key that a recipe can have.",
        "preset": "`imgasm schema --presets` shows them all, and what they stand for.",
        "value": None,
        "variable": "Variables are declared in [vars]; --set name=value gives them other values.",
    }
