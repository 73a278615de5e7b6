"""Whose a web address is."""

from __future__ import annotations

import re

import pytest

from rendering.links import hosts_written_in, ours
from rendering.parts import Template, render
from rendering.templates import allowed


def linked(body: str, **values: str) -> list[str]:
    """The links of an e-mail, from its text and from HTML with the same address in it."""
    found = []
    for template in (
        Template(channel="email", subject="Hi", body=body),
        Template(channel="email", subject="Hi", body="", body_html=f'<a href="{body}">x</a>'),
    ):
        html = render(template, allowed(values), footer=False).html
        found.append(re.findall(r'href="([^"]*)"', html))
    assert found[0] == found[1]
    return found[0]


def test_the_senders_own_hosts_are_ours_whatever_the_lead_typed() -> None:
    is_ours = ours({"city": "Austin", "booking_link": "https://book.austinroofing.com/x"})
    assert is_ours("https://book.austinroofing.com/x")


@pytest.mark.parametrize("city", ["Bath", "bathhomes", "https://bathhomes.example/", "example"])
def test_a_host_that_the_template_writes_out_is_ours_whatever_the_lead_typed(city: str) -> None:
    assert linked("https://bathhomes.example/guide", city=city) == [
        "https://bathhomes.example/guide"
    ]


def test_a_lead_may_stand_behind_a_host_that_is_written_out() -> None:
    body = "https://bathhomes.example/?c={{ city | url_encode }}"
    assert linked(body, city="Bath & Wells") == ["https://bathhomes.example/?c=Bath+%26+Wells"]


@pytest.mark.parametrize(
    ("body", "typed"),
    [
        ("https://{{ company }}/", "evil.example"),
        ("{{ company }}", "https://evil.example/"),
        ("https://www.{{ company }}/", "evil.example"),
        # Text that a filter made of it is as much the lead's.
        ("https://{{ company | replace: '(dot)', '.' }}/", "evil(dot)example"),
        ("https://{{ company | downcase }}/", "EVIL.EXAMPLE"),
        ("https://bathhomes.example{{ company }}", ".evil.example/"),
        ("https://bathhomes.example{{ company }}", "@evil.example/"),
        ("https://b.ex{{ company }}ample/", "/"),
        ("{% assign where = company %}https://{{ where }}/", "evil.example"),
        ("{{ company | prepend: 'https://' }}/", "evil.example"),
    ],
)
def test_what_a_lead_typed_is_never_ours(body: str, typed: str) -> None:
    assert linked(body, company=typed, booking_link="https://book.acme.example/x") == []


def test_a_host_is_written_out_where_it_comes_to_an_end() -> None:
    template = (
        'See https://One.example. <a href="https://two.example:8443/x">(https://three.example)</a>'
        "https://four.example{{ city }} {% assign at = 'https://five.example' %} https://six.example"
    )
    assert hosts_written_in(template) == {
        "one.example", "two.example", "three.example", "five.example", "six.example"
    }  # fmt: skip
