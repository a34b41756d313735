from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.registry.challenge import Challenge, choose, parse_challenges
from assembler.registry.token_scopes import merge

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
HUB_PARAMETERS = {
    "realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:a/b:pull,push",
}


@pytest.mark.parametrize(("lines", "expected"), [
    ([HUB], [Challenge("bearer", HUB_PARAMETERS)]),
    (['Basic realm="registry"'], [Challenge("basic", {"realm": "registry"})]),
    (['BASIC Realm="a"', "bearer realm=https://x/t"],
     [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "https://x/t"})]),
    (['Basic realm="a", Bearer realm="b",service="c"'],
     [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b", "service": "c"})]),
    (['Bearer realm="a",service="",scope=""'], [Challenge("bearer", {"realm": "a", "service": "", "scope": ""})]),
    (['Bearer realm="say \\"hi\\", \\\\ok" , error="insufficient_scope"'],
     [Challenge("bearer", {"realm": 'say "hi", \\ok', "error": "insufficient_scope"})]),
    (["Negotiate, Basic realm=x"], [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
    (["Bearer realm = \"a\" ;; junk, Basic"], [Challenge("bearer", {"realm": "a"}), Challenge("basic", {})]),
    (['Bearer realm="never closed'], [Challenge("bearer", {"realm": ""})]),
    ([""], []),
])
def test_parse(lines: list[str], expected: list[Challenge]) -> None:
    parsed = [c for c in parse_challenges(lines) if c.scheme in ("bearer", "basic", "negotiate")]
    assert parsed == expected


def test_bearer_is_chosen_before_basic_and_others_never() -> None:
    chosen = choose(parse_challenges(['Negotiate', 'Basic realm="a"', HUB]))
    assert chosen is not None
    assert chosen.scheme == "bearer"
    assert choose(parse_challenges(["NTLM abc=="])) is None


@given(st.lists(st.text(alphabet='abR="\\, \t;:/', max_size=60)))
def test_any_text_is_read_without_failing(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower()


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(st.characters(codec="ascii"), max_size=20),
                       max_size=5))
def test_what_is_quoted_is_read_back(parameters: dict[str, str]) -> None:
    def quote(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    line = "Bearer " + ",".join(f"{key}={quote(value)}" for key, value in parameters.items())
    assert parse_challenges([line]) == [Challenge("bearer", parameters)]


@pytest.mark.parametrize(("scopes", "merged"), [
    (["repository:a:pull", "repository:a:push,pull"], ("repository:a:pull,push",)),
    (["repository:testimg:pull", "repository:docker-local/testimg:pull,push"],  # Artifactory
     ("repository:testimg:pull", "repository:docker-local/testimg:pull,push")),
    (["repository:a:any", "repository:a:pull"], ("repository:a:any", "repository:a:pull")),  # Cloudsmith
    (["repository:host:5000/a:pull"], ("repository:host:5000/a:pull",)),
    (["registry:catalog:*"], ("registry:catalog:*",)),
])
def test_scopes_merge_for_each_repository(scopes: list[str], merged: tuple[str, ...]) -> None:
    assert merge(scopes) == merged
