from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.recipe.problems import Problems
from assembler.recipe.variables import expand, faults, references, resolve, substitute, unused
from assembler.recipe.vars import declare
from tests.recipe.writing import SMALL, problems, read

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
PLAIN = st.text(st.characters(exclude_characters="{\\\0"))
TREES = st.recursive(
    st.one_of(PLAIN, st.integers(), st.booleans()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def none() -> Problems:
    return Problems("some.toml", {})


@given(TREES)
def test_a_tree_without_references_stays_as_it_is(tree: object) -> None:
    assert substitute(tree, resolve({}, none()), none()) == tree


@given(PLAIN, st.lists(st.tuples(NAMES, st.sampled_from(["{{%s}}", "{{ %s }}", "{{\t%s\n}}"]), PLAIN)), st.data())
def test_each_reference_becomes_its_value(head: str, parts: list[tuple[str, str, str]], data: st.DataObject) -> None:
    values = {name: data.draw(st.text(), label=name) for name, _, _ in parts}
    text = head + "".join(form % name + tail for name, form, tail in parts)

    assert expand(text, values) == head + "".join(values[name] + tail for name, _, tail in parts)
    assert references(text) == values.keys()
    assert list(faults(text, values)) == []


@given(st.text(st.characters(exclude_characters="\0")))
def test_escaped_braces_stand_for_themselves(text: str) -> None:
    braces = text.replace("\\", "")
    escaped = braces.replace("{{", r"\{{")

    assert expand(escaped, {}) == braces
    assert list(faults(escaped, ())) == []


@given(st.dictionaries(NAMES, PLAIN, min_size=1), st.data())
def test_values_may_refer_to_values_in_any_order(plain: dict[str, str], data: st.DataObject) -> None:
    chain = data.draw(st.permutations(sorted(plain)))
    declared = {name: plain[name] + "".join(f"{{{{ {earlier} }}}}" for earlier in chain[:at][-1:])
                for at, name in enumerate(chain)}  # fmt: skip
    shuffled = {name: declared[name] for name in data.draw(st.permutations(chain))}

    expected, before = {}, ""
    for name in chain:
        expected[name] = before = plain[name] + before
    variables = resolve(shuffled, none())
    assert variables.values == expected
    assert list(variables.values) == list(shuffled)


@given(st.lists(NAMES, min_size=1, unique=True))
def test_a_circle_has_no_value_and_is_told_once(names: list[str]) -> None:
    circle = {name: f"{{{{ {after} }}}}" for name, after in zip(names, names[1:] + names[:1], strict=True)}
    found = RecordingProblems()

    variables = resolve({"outside0123": f"{{{{ {names[0]} }}}}", **circle}, found)
    assert not variables.values
    assert len(found.messages) == 1
    assert found.messages[0].startswith("refers to itself: ")


class RecordingProblems(Problems):
    def __init__(self) -> None:
        super().__init__(Path("some.toml"), {})
        self.messages: list[str] = []

    def add(self, at: tuple[str | int, ...], message: str) -> None:
        self.messages.append(message)
        super().add(at, message)


def test_set_overrides_what_is_declared() -> None:
    assert declare({"a": "1", "b": "2"}, {"b": "3"}, none()).texts == {"a": "1", "b": "3"}


def test_used_through_another_variable_is_used() -> None:
    assert unused({"a": "{{ b }}", "b": "x", "c": "{{ d }}", "d": "y"}, {"k": ["{{ a }}"]}) == ["c", "d"]


def test_keys_are_not_replaced_values_everywhere_are(tmp_path: Path) -> None:
    recipe = read(tmp_path, SMALL + """
    env = { "A" = "{{ v }}" }
    keep = ["/opt/{{ v }}/**"]
    [vars]
    v = "1"
    """, {"v": "2"})

    assert recipe.images[0].config.env == {"A": "2"}
    assert recipe.images[0].keep == ("/opt/2/**",)
    assert recipe.vars == {"v": "2"}


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ("{{ nothing }}", "{{ nothing }} is not defined (there are: v)"),
        ("{{.Name}}", r"{{ must be followed by a variable's name and }}; write \{{ for two literal braces"),
        ("{{ v", r"{{ must be followed by a variable's name and }}; write \{{ for two literal braces"),
    ],
)
def test_a_reference_that_can_not_be_meant(tmp_path: Path, run: str, problem: str) -> None:
    text = SMALL.replace('"true"', f"'echo {{{{ v }}}} {run}'") + "    [vars]\n    v = '1'\n"

    assert problems(tmp_path, text) == [f'[[step]] #1 "one", run: {problem}']


def test_go_templates_can_be_written(tmp_path: Path) -> None:
    text = SMALL.replace('"true"', r"'docker inspect -f \{{.Id}}'")

    assert read(tmp_path, text).steps[0].script == "docker inspect -f {{.Id}}"


@pytest.mark.parametrize(
    ("text", "tag"),
    [("6.12.48+deb13", "6.12.48_deb13"), ("-.x", "_.x"), (".x", "_x"), ("a b/c:d", "a_b_c_d"), ("v1_2", "v1_2")],
)
def test_the_filter_tag_makes_a_tag(text: str, tag: str) -> None:
    assert expand("x:{{ kernel | tag }}, {{kernel|tag}}, {{ kernel }}", {"kernel": text}) == f"x:{tag}, {tag}, {text}"


def test_a_filter_that_does_not_exist_is_told(tmp_path: Path) -> None:
    text = SMALL + """
    [vars]
    v = "1"
    [container]
    env = { V = "{{ v | tga }}" }
    """
    assert problems(tmp_path, text) == ['[container], env.V: there is no filter "tga"; did you mean "tag"?']


def test_the_error_of_a_tag_with_a_plus_says_how_to_make_one(tmp_path: Path) -> None:
    text = SMALL.replace('name = "out"', 'name = "out"\n    reference = "host/x:{{ v }}"') + """
    [vars]
    v = "6.12+deb13"
    """
    assert problems(tmp_path, text) == [
        "[[image]] #1 \"out\", reference: 'host/x:6.12+deb13' is not an image reference: '6.12+deb13' is not a tag; "
        "of a variable, {{ name | tag }} makes one"
    ]
