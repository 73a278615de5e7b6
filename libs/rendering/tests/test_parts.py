"""What templates may name, and the parts of a message that they become."""

from __future__ import annotations

import pytest

from rendering.errors import TemplateError
from rendering.links import ours, web_address
from rendering.parts import Template, render
from rendering.plain import html_of, text_of
from rendering.preview import preview
from rendering.sanitizing import rewrite_links, sanitize
from rendering.templates import allowed, check
from rendering.variables import LEAD_VARIABLES, VARIABLES, lead_values, texts_of_lead

SENDER = {
    "unsubscribe_url": "https://leads.example.com/unsubscribe/abc",
    "postal_address": "Acme Roofing, 400 Congress Ave, Austin, TX 78701",
}


# --- the allow-list ---------------------------------------------------------------------------


def test_variables_are_what_the_schema_lets_a_lead_leave_out() -> None:
    """Seed 003 names first_name, street and agent."""
    assert set(LEAD_VARIABLES) == {
        "first_name", "last_name", "email", "phone", "company", "title", "service", "language",
        "street", "city", "region", "postal_code", "country",
    }  # fmt: skip
    assert {"first_name", "street", "agent"} <= set(VARIABLES)


def test_a_text_that_the_schema_gains_is_a_variable_and_the_leads_own_words_are_none() -> None:
    optional = ["null", "string"]
    part = {"type": "record", "name": "Pet", "fields": [{"name": "pet", "type": optional}]}
    schema = {
        "fields": [
            {"name": "nickname", "type": optional, "privacy": "pii"},
            {"name": "message", "type": optional, "privacy": "pii"},
            {"name": "owner", "type": optional},
            {"name": "stage", "type": "string"},
            {"name": "animal", "type": ["null", part], "privacy": "pii"},
            {"name": "campaign", "type": ["null", part]},
        ]
    }
    assert list(texts_of_lead(schema)) == [("nickname",), ("animal", "pet")]


def test_values_of_a_lead_are_found_where_the_schema_has_them() -> None:
    lead = {"first_name": "Ann", "last_name": None, "address": {"city": "Austin"}, "stage": "new"}
    assert lead_values(lead) == {"first_name": "Ann", "city": "Austin"}


@pytest.mark.parametrize(
    ("template", "rule", "named"),
    [
        ("{{ frist_name }}", "template_variable_unknown", "frist_name"),
        ("{{ first_name | upper }}", "template_filter_unknown", "upper"),
        ("{% for a in b %}{% endfor %}", "template_tag_unknown", "for"),
        ("{{ first_name.size }}", "template_error", "first_name"),
        ("Hi\n{{ first_name", "template_error", "line 2"),
    ],
)
def test_whoever_writes_a_template_is_told_what_is_wrong(
    template: str, rule: str, named: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        check(template)
    assert caught.value.rule == rule
    assert named in caught.value.sentence


def test_a_name_that_the_template_gave_itself_is_known() -> None:
    check("{% assign who = first_name | default: 'you' %}Hi {{ who }}")


# --- links ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "//evil.example", "/x", "https:evil.example", "https://",
        "https://ours.example@evil.example/", "https://ours.example\\@evil.example",
        "https://a b.example", "https://a.example/\r\nSet-Cookie: a=b", "ftp://a.example", "",
        "https://a.example:99999/", "https://a.example/" + "x" * 2_000,
    ],
)  # fmt: skip
def test_no_address_that_programs_read_in_two_ways_is_one(url: str) -> None:
    assert web_address(url) is None


def test_a_host_that_the_lead_named_is_not_ours() -> None:
    values = {"company": "Evil.example", "first_name": "Al", "tenant_name": "Acme"}
    is_ours = ours(values, "https://al.example/{{ company }} https://acme.example")
    assert not is_ours("https://evil.example/x")
    assert not is_ours("https://www.evil.example/x")
    assert is_ours("https://al.example/evil.example")
    assert is_ours("https://acme.example/")


def test_html_of_text_escapes_what_a_lead_typed_and_links_only_what_is_ours() -> None:
    html = html_of(
        "<b>Ann</b> http://evil.example\nhttps://ours.example.",
        lambda url: url == "https://ours.example",
    )
    assert html == (
        "<p>&lt;b&gt;Ann&lt;/b&gt; http://evil.example<br>\n"
        '<a href="https://ours.example">https://ours.example</a>.</p>\n'
    )


def test_an_address_with_an_ampersand_leads_where_it_says() -> None:
    seen: list[str] = []
    html = html_of("https://ours.example/?a=1&b=2", lambda url: bool(seen.append(url)) or True)
    assert seen == ["https://ours.example/?a=1&b=2"]
    assert 'href="https://ours.example/?a=1&amp;b=2"' in html


def test_rewriting_touches_links_alone() -> None:
    html = sanitize(
        '<p>https://a.example <a href="https://a.example/?x=1&amp;y=2">a</a>'
        '<a href="mailto:b@a.example">b</a><img src="https://a.example/c.png" alt="c"></p>',
        lambda _: True,
    )
    seen: list[str] = []
    rewritten = rewrite_links(html, lambda url: seen.append(url) or "https://t.example/1")
    assert seen == ["https://a.example/?x=1&y=2"]
    assert rewritten == html.replace("https://a.example/?x=1&amp;y=2", "https://t.example/1")


# --- parts ------------------------------------------------------------------------------------


def test_html_is_read_out_as_text() -> None:
    html = sanitize(
        "<h1>Dates</h1><p>We   come on<br>Monday &amp; <b>Tuesday</b>.</p><ul><li>Roof</li>"
        "<li>Gutter<ol><li>left</li><li>right</li></ol></li></ul><hr>"
        '<p><a href="https://a.example/book">Book</a> or <a href="tel:+15125550100">call</a>, '
        '<a href="https://a.example">https://a.example</a></p>'
        "<table><tr><th>Day</th><td>Mon</td></tr><tr><td>Hour</td><td>9</td></tr></table>"
        '<p><img src="https://a.example/x.png" alt="Our van"></p><pre>  a\n  b</pre>',
        lambda _: True,
    )
    assert text_of(html) == (
        "Dates\n\nWe come on\nMonday & Tuesday.\n\n- Roof\n- Gutter\n1. left\n2. right\n\n"
        "--------------------\n\n"
        "Book (https://a.example/book) or call (+15125550100), https://a.example\n\n"
        "Day Mon\nHour 9\n\nOur van\n\na\nb"
    )


def test_a_value_in_html_is_text() -> None:
    template = Template(
        channel="email",
        subject="Hi",
        body="",
        body_html="<p>{{ first_name }} {{ first_name | upcase }}</p>",
    )
    values = allowed({"first_name": '<i>R&D</i> "O\'Neil"'})
    parts = render(template, values, footer=False)
    assert parts.text == '<i>R&D</i> "O\'Neil" <I>R&D</I> "O\'NEIL"'


def test_the_same_template_and_values_give_the_same_parts() -> None:
    template = Template(channel="email", subject="Hi", body="", body_html="<p>{{ city }}</p>")
    values = allowed({"city": "Austin", **SENDER})
    assert render(template, values, footer=True) == render(template, values, footer=True)


def test_a_preview_shows_holes_by_name_and_says_that_they_would_hold_the_message() -> None:
    template = Template(
        channel="email", subject="Hi {{ first_name }}", body="{{ street }} {{ first_name }}"
    )
    found = preview(template, allowed(SENDER), footer=True)
    assert found.missing == ("first_name", "street")
    assert found.parts is not None
    assert found.parts.subject == "Hi [first_name]"
    assert found.parts.text.startswith("[street] [first_name]\n\n")
    assert found.refused is None


@pytest.mark.parametrize("channel", ["email", "sms"])
@pytest.mark.parametrize(
    "filters",
    [
        "truncate: 5",
        "truncatewords: 1, ''",
        "replace: 't', 'x'",
        "remove: '['",
        "upcase",
        "capitalize | strip | truncate: 4",
        "strip_html | downcase | squish",
    ],
)
def test_a_preview_shows_a_hole_whole_whatever_a_filter_makes_of_a_value(
    filters: str, channel: str
) -> None:
    html = f"<p>{{{{ city | {filters} }}}}</p>" if channel == "email" else ""
    template = Template(
        channel=channel, subject="Hi", body=f"In {{{{ city | {filters} }}}}.", body_html=html
    )
    found = preview(template, allowed({}), footer=False)
    assert found.parts is not None
    assert (found.parts.text, found.missing) == ("In [city].", ("city",))
    assert found.parts.html == ("<p>[city]</p>" if html else "")


def test_what_a_filter_puts_to_a_hole_is_shown_too() -> None:
    template = Template(channel="sms", subject="", body="{{ city | append: '!' | prepend: 'In ' }}")
    found = preview(template, allowed({}), footer=False)
    assert found.parts is not None
    assert found.parts.text == "In [city]!"


def test_a_preview_says_why_nothing_comes_out() -> None:
    template = Template(channel="email", subject="Hi", body="{% for %}")
    found = preview(template, allowed(SENDER), footer=True)
    assert found.parts is None
    assert found.refused is not None
    assert found.refused.rule == "template_tag_unknown"


def test_a_preview_warns_of_a_text_that_goes_out_as_several() -> None:
    template = Template(channel="sms", subject="", body="x" * 161)
    found = preview(template, allowed({}), footer=False)
    assert found.warnings == ("The text has 161 characters: it goes out as several messages.",)


def test_what_a_character_reference_stands_for_is_cleaned_too() -> None:
    """In a text and in an attribute: HTML is read after the template was cleaned."""
    own = ours(allowed({}), "https://acme.example")
    html = sanitize(
        '<p>a&#x202e;b&#8203;c&#x2800;d</p><a href="https://acme.example" title="x&#x202e;y">z</a>',
        own,
    )
    assert html == ('<p>abc d</p><a href="https://acme.example" title="xy">z</a>')
