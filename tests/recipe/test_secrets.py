from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.commands.plan import plan
from assembler.model.secrets import Credentials, Secrets, credentials_in, has_password, mask_userinfo, without_userinfo
from tests.recipe.writing import SMALL, problems, read

VARS = """
[vars]
token = { secret = true }
login = "ann:{{ token }}"
"""
GIVEN = {"token": "s3cr3t/{{ }}"}


def small(more: str) -> str:
    return SMALL + VARS.replace("\n", "\n    ") + more


@pytest.mark.parametrize(
    ("more", "where", "why"),
    [
        ('[[step]]\nname = "x"\nrun = "echo {{ token }}"', '[[step]] #2 "x", run',
         "{{ token }} is secret, and every process list would show it here; put it into env, as "
         'env = { TOKEN = "{{ token }}" }, and write "$TOKEN"'),
        ('[[step]]\nname = "x"\nrun = ["echo", "{{ login }}"]', '[[step]] #2 "x", run #2',
         "{{ login }} is secret, and every process list would show it here; put it into env, as "
         'env = { LOGIN = "{{ login }}" }, and write "$LOGIN"'),
        ('[[image]]\nname = "x"\nenv = { A = "{{ token }}" }', '[[image]] #2 "x", env.A',
         "{{ token }} is secret, and anyone who gets the image could read it here; a secret can stand in env of "
         "[container] and [[step]], url of [[source]], mirror of [base.bootstrap]"),
        ('[[image]]\nname = "x"\nlabels = { A = "{{ login }}" }', '[[image]] #2 "x", labels.A',
         "{{ login }} is secret"),
        ('[[image]]\nname = "x"\nannotations = { A = "{{ token }}" }', '[[image]] #2 "x", annotations.A',
         "{{ token }} is secret"),
        ('[[file]]\npath = "/a"\ncontent = "{{ token }}"', "[[file]] #1, content", "{{ token }} is secret"),
        ('[[step]]\nname = "x {{ token }}"\nrun = "true"', '[[step]] #2 "x {{ token }}", name',
         "{{ token }} is secret"),
        ('[container]\nscratch = ["/{{ token }}"]', "[container], scratch #1", "{{ token }} is secret"),
        ('[[source]]\nurl = "x"\nname = "{{ token }}"', '[[source]] #1 "{{ token }}", name', "{{ token }} is secret"),
    ],
)
def test_a_secret_can_stand_only_where_nothing_shows_it(tmp_path: Path, more: str, where: str, why: str) -> None:
    (problem,) = (line for line in problems(tmp_path, small(f"{more}\n"), GIVEN) if "secret" in line)
    assert problem.startswith(f"{where}: {why}")


def test_a_secret_arrives_as_it_is_and_is_not_shown(tmp_path: Path) -> None:
    recipe = read(tmp_path, small("""
    [container]
    env = { TOKEN = "{{ token }}" }
    [[source]]
    url = "https://{{ login }}@example.com/{{ token }}/x?key={{ token }}"
    """), GIVEN)

    assert recipe.container.env == {"TOKEN": "s3cr3t/{{ }}"}
    assert recipe.sources[0].url == "https://ann:s3cr3t/{{ }}@example.com/s3cr3t/{{ }}/x?key=s3cr3t/{{ }}"
    assert recipe.vars == {"token": "***", "login": "ann:***"}
    assert "s3cr3t" not in recipe.sources[0].declared
    assert "s3cr3t" not in repr(recipe.secrets)
    shown = "\n".join(plan(recipe).lines()) + str(plan(recipe).to_json())
    assert "s3cr3t" not in shown
    assert "TOKEN=***" in shown.replace("'", "")


def test_the_lock_file_names_a_source_without_its_credentials(tmp_path: Path) -> None:
    text = SMALL + """
    [[source]]
    url = "https://ann:s3cr3t@example.com/x?y=1"
    """
    recipe = read(tmp_path, text, locked={"https://example.com/x?y=1": "a" * 64})

    assert recipe.sources[0].declared == "https://example.com/x?y=1"
    assert recipe.sources[0].sha256 == "a" * 64
    assert "s3cr3t" not in "\n".join(plan(recipe).lines()) + str(plan(recipe).to_json())


def test_a_secret_without_a_value_is_asked_for_once(tmp_path: Path) -> None:
    used = small('[container]\nenv = { T = "{{ token }} {{ login }}" }\n')
    assert problems(tmp_path, used) == [
        "[vars], token: is secret, so its value must be given: --set-env token=VARIABLE takes an environment "
        "variable's, --set-file token=FILE a file's"
    ]
    assert problems(tmp_path, used, {"token": "abc"}) == [
        "--set token: a secret has at least 4 characters: a shorter one can't be hidden"
    ]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("5", "expected a string, or { secret = true } for a value given with the command, not 5"),
        ("{ secret = false }", "needs either a value or secret = true: a secret's value is never in the recipe"),
        ('{ secret = true, value = "x" }', "needs either a value or secret = true: a secret's value is never in the "
         "recipe"),
    ],
)
def test_a_variable_is_a_text_or_a_secret(tmp_path: Path, kind: str, problem: str) -> None:
    text = SMALL + f"""
    [container]
    env = {{ V = "{{{{ v }}}}" }}
    [vars]
    v = {kind}
    """
    assert f"[vars], v: {problem}" in problems(tmp_path, text, {"v": "long enough"} if "true" in kind else {})


@pytest.mark.parametrize("run", ['"git clone https://ann:pw@host/x"', '["git", "clone", "https://token@host/x"]'])
def test_a_password_in_a_script_is_refused_for_every_process_list_shows_it(tmp_path: Path, run: str) -> None:
    (problem,) = problems(tmp_path, SMALL + f"""
    [[step]]
    name = "x"
    run = {run}
    """)
    assert "a URL has a password in it, which would be shown and recorded" in problem
    assert "pw" not in problem


def test_what_a_shell_fills_in_and_a_user_of_ssh_are_no_passwords(tmp_path: Path) -> None:
    read(tmp_path, SMALL + """
    [[step]]
    name = "x"
    run = 'git clone "https://$TOKEN@host/x"; git clone ssh://git@host/x; mail ann@example.com'
    """)


def test_a_name_that_no_shell_can_set_cannot_hold_a_secret(tmp_path: Path) -> None:
    text = small('[container]\nenv = { "a.b" = "{{ login }}" }\n')
    assert problems(tmp_path, text, GIVEN) == [
        "[container], env.a.b: a variable of this name can't hold a secret, because no shell can set it; use letters, "
        "digits and _"
    ]


def test_an_error_does_not_repeat_a_secret(tmp_path: Path) -> None:
    text = small('[[source]]\nurl = "ftp://{{ login }}@host/x"\n')
    for secret in ("s3cr3t", "back\\slash, 'one' and \"two\" quotes"):
        (problem,) = problems(tmp_path, text, {"token": secret})
        assert problem.startswith("[[source]] #1, url: 'ftp://***@host/x' can't be fetched; give an http, https")


@given(st.text(min_size=4), st.text(), st.text())
def test_no_text_shows_a_secret_that_it_held(secret: str, before: str, after: str) -> None:
    masked = Secrets(frozenset({secret})).mask(before + secret + after)
    assert secret not in masked or secret in "***" or secret in (before + "***" + after)


def test_every_line_of_a_secret_is_hidden_and_its_form_in_urls() -> None:
    secrets = Secrets(frozenset({"first line\nsecond/line\n"}))
    assert secrets.mask("got first line") == "got ***"
    assert secrets.mask("http://h/second%2Fline") == "http://h/***"
    assert secrets.touches("second/line") and not secrets.touches("line")


@pytest.mark.parametrize(
    ("text", "shown", "bare"),
    [
        ("at http://ann:p@ss@host:80/x@y now", "at http://***@host:80/x@y now", "at http://host:80/x@y now"),
        ("deb [trusted=yes] https://t@h/ x main", "deb [trusted=yes] https://***@h/ x main",
         "deb [trusted=yes] https://h/ x main"),
        ("http://host/a?mail=x@y ann@host", "http://host/a?mail=x@y ann@host", "http://host/a?mail=x@y ann@host"),
    ],
)
def test_a_urls_userinfo_is_hidden(text: str, shown: str, bare: str) -> None:
    assert mask_userinfo(text) == shown
    assert without_userinfo(text) == bare
    assert has_password(text) == (shown != text)


def test_a_mirrors_credentials_are_found_decoded() -> None:
    assert credentials_in("deb http://ann:p%40ss@host:8080/debian/ x main") == [
        Credentials("http://host:8080", "ann", "p@ss")
    ]
