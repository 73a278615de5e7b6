"""Templates in the sandbox: holes, hostile templates, hostile values."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendering import templates
from rendering.cleaning import cleaned
from rendering.errors import TemplateError
from rendering.templates import allowed, render_html, render_line, render_text

ANN = allowed({"first_name": "Ann", "city": "Austin"})


def test_values_are_put_in() -> None:
    assert render_text("Hi {{ first_name }} of {{ city }}", ANN) == "Hi Ann of Austin"


def test_a_missing_value_uses_its_fallback() -> None:
    assert render_text('Hi {{ last_name | default: "there" }}', ANN) == "Hi there"


def test_a_missing_value_without_fallback_names_itself() -> None:
    with pytest.raises(TemplateError) as caught:
        render_text("Hi {{ last_name }}", ANN)
    assert caught.value.rule == "template_value_missing"
    assert caught.value.inputs == {"value": "last_name"}


def test_a_blank_value_is_a_missing_value() -> None:
    with pytest.raises(TemplateError, match="template_value_missing"):
        render_text("Hi {{ first_name }}", allowed({"first_name": " \t"}))


@pytest.mark.parametrize(
    "fallback", ["' '", "'\t'", "'\u200b'", "' ' | upcase", "' ' | append: ' '", "region"]
)
def test_a_fallback_that_nobody_sees_is_none(fallback: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render_text(f"Hi {{{{ last_name | default: {fallback} }}}}!", ANN)
    assert caught.value.rule == "template_value_missing"


def test_an_empty_fallback_leaves_a_value_out() -> None:
    assert render_text("Hi Ann {{ last_name | default: '' }}!", ANN) == "Hi Ann !"


def test_a_second_fallback_takes_the_place_of_a_blank_one() -> None:
    assert render_text("Hi {{ last_name | default: ' ' | default: 'you' }}", ANN) == "Hi you"
    assert render_text("Hi {{ last_name | default: region | default: city }}", ANN) == "Hi Austin"


def test_a_missing_value_is_false_in_a_condition() -> None:
    assert render_text("{% if last_name %}a{% else %}b{% endif %}", ANN) == "b"


def test_a_value_off_the_allow_list_does_not_exist() -> None:
    with pytest.raises(TemplateError, match="template_variable_unknown"):
        render_text("{{ password }}", allowed({"password": "x"}))


def test_a_value_is_never_read_as_a_template() -> None:
    values = allowed({"first_name": "{{ city }}{% if %}"})
    assert render_text("Hi {{ first_name }}", values) == "Hi {{ city }}{% if %}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ first_name",
        "{% if first_name %}",
        "{% nosuchtag %}",
        "{{ first_name | nosuchfilter }}",
        "{% for i in (1..1000000000) %}{{ i }}{% endfor %}",
        "{% tablerow i in (1..9) %}{{ i }}{% endtablerow %}",
        "{% include 'settings' %}",
        "{% render 'settings' %}",
        "{% liquid echo first_name %}",
        "{% increment a %}",
        "{{ first_name.__class__.__mro__ }}",
        "{{ first_name.upper }}",
        "{{ first_name['__class__'] }}",
        "{{ first_name | times: 1000000000 }}",
        "{{ 'x' | base64_decode }}",
        "{{ first_name | append: last_name }}",
        "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 40 + "{{ a }}",
        "{{ '" + "x" * 30_000 + "' }}",
        "{% if a %}" * 40 + "{% endif %}" * 40,
        "{{ " + "(" * 2_000,
    ],
)
def test_a_hostile_template_is_refused(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render_text(template, ANN)
    assert caught.value.rule.startswith("template_")


def test_output_has_a_limit() -> None:
    values = allowed({"first_name": "x" * 1_999})
    with pytest.raises(TemplateError, match="template_limit"):
        render_text("{{ first_name }}" * 100, values)


@pytest.mark.parametrize(("passes", "comes_out"), [(4, True), (9, False)])
def test_what_filters_do_all_in_all_has_a_limit(passes: int, comes_out: bool) -> None:
    """6,400 characters, 20 times a pass: a million of them is near no other limit."""
    grown = "{% assign a = '" + "x" * 400 + "' %}" + "{% assign a = a | append: a %}" * 4
    template = grown + ("{{ a" + "|upcase" * 20 + "|truncate:5}}") * passes
    if comes_out:
        assert render_text(template, ANN) == "XX..." * passes
        return
    with pytest.raises(TemplateError) as caught:
        render_text(template, ANN)
    assert caught.value.sentence == "it is over a limit: 1000000 characters of filter work"


@pytest.mark.parametrize(
    "template",
    [
        "{{ first_name }}" * 70,
        "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 40 + "{{ a }}",
        "{% if city contains 1 %}a{% endif %}", "{% if city < 1 %}a{% endif %}",
        "{% if 1 contains city %}a{% endif %}", "{{ city | truncate: 'x' }}",
        "{{ city | truncate: 1e309 }}", "{{ 1e999999999 }}", "{{ city | append }}",
        "{{ city | upcase: 1, 2 }}", "{{ city | replace }}",
        "{% if city %}" * 40 + "{% endif %}" * 40,
        "{{ city | default: 'a', b: 1 }}", "{{ city | truncatewords: -1e400 }}",
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_words_and_not_in_names_of_classes(template: str) -> None:
    values = allowed({"first_name": "x" * 1_999, "city": "Austin"})
    try:
        said = render_text(template, values)
    except TemplateError as error:
        said = error.sentence
    assert (
        re.search(r"[a-z](Error|Exception)\b|liquid|NoneType|decimal|\bstr\b|<class", said) is None
    )


def test_a_value_has_a_limit() -> None:
    with pytest.raises(TemplateError, match="template_limit"):
        allowed({"first_name": "x" * 2_001})


@pytest.mark.parametrize(
    "name",
    ["Ann\r\nBcc: all", "Ann\nX: y", "Ann\x0bX", "Ann\u2028X", "Ann\x85X", "Ann\x00X"],
)
def test_a_subject_is_one_line_whatever_the_value(name: str) -> None:
    line = render_line("Hello {{ first_name }}", allowed({"first_name": name}))
    assert line.isprintable()
    assert line.startswith("Hello Ann")


def test_a_template_cannot_break_the_subject_either() -> None:
    assert render_line("Hello\r\nBcc: {{ city }}", ANN) == "Hello Bcc: Austin"


def test_marks_that_turn_text_around_are_taken_out() -> None:
    """U+202E shows "gpj.exe" as "exe.jpg"; Unicode Standard Annex 9."""
    assert cleaned("a\u202egpj.exe\u2066b\u200f") == "agpj.exeb"


def test_letters_of_every_script_stay() -> None:
    for name in ("Zoë", "Łukasz", "李雷", "محمد", "👩‍🚀"):
        assert cleaned(name) == name


@given(st.text(max_size=200))
def test_a_rendered_value_never_holds_a_control_character(value: str) -> None:
    try:
        text = render_text("{{ first_name | default: 'x' }}", allowed({"first_name": value}))
    except TemplateError:
        return
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)


@given(st.text(alphabet="{}%|'\" abc.:[]()-1\n", max_size=80))
def test_any_template_renders_or_says_why_not(template: str) -> None:
    rule = "template_"
    try:
        render_text(template, ANN)
    except TemplateError as error:
        rule = error.rule
    assert rule.startswith("template_")


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize(
    "template",
    [
        "", "Hi", "{{ first_name }}", "Hi {{first_name}},\r\n\n{{- city -}} .",
        "{{ city }}{{city}}", "{{ first_name }} {{ last_name }}", "{{ city | upcase }}",
        "{{ 'x' }}", "x" * 20_000, "{{ agent }}" * 60,
    ],
)  # fmt: skip
def test_words_and_names_are_joined_to_what_the_library_makes_of_them(
    template: str, escape: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = allowed({"first_name": "R&D <b>'\"\u00fc", "city": "Bath", "agent": "\u20ac" * 2_000})
    made = []
    for joined in (True, False):
        if not joined:
            monkeypatch.setattr(templates, "_joined", lambda *_, **__: None)
        try:
            made.append((render_html if escape else render_text)(template, values))
        except TemplateError as error:
            made.append(f"{error.rule} {error.inputs}")
    assert made[0] == made[1]
