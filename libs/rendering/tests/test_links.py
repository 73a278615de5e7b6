"""Whose a web address is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from rendering.errors import TemplateError
from rendering.links import ours, written_out_in
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
        ("https://{{ company }}.example/", "evil"),
        ("https://{{ company }}/", "evil"),
        ("https://www.{{ company }}.example/", "evil"),
        # Text that a filter made of it is as much the lead's.
        ("https://{{ company | replace: '(dot)', '.' }}/", "evil(dot)example"),
        ("https://{{ company | downcase }}.example/", "EVIL"),
        ("https://bathhomes.example{{ company }}", "-evil"),
        ("https://bathhomes.example.{{ company }}/", "evil"),
        ("https://b.ex{{ company }}ample/", "/"),
        ("{% assign where = company %}https://{{ where }}.example/", "evil"),
        ("{{ company | append: '.example' | prepend: 'https://' }}/", "evil"),
        ("{{ company | replace: '+', '/' | replace: '_', ':' }}", "https_++evil"),
    ],
)
def test_what_a_lead_typed_is_never_ours(body: str, typed: str) -> None:
    assert linked(body, company=typed, booking_link="https://book.acme.example/x") == []


def test_a_host_is_written_out_where_it_comes_to_an_end() -> None:
    template = (
        'See https://One.example. <a href="https://two.example:8443/x">(https://three.example)</a>'
        "https://four.example{{ city }} {% assign at = 'https://five.example' %} https://six.example"
    )
    assert written_out_in(template) == {
        "one.example", "two.example", "three.example", "five.example", "six.example"
    }  # fmt: skip


# --- mailboxes and numbers ------------------------------------------------------------------------

SENDER = {"agent_phone": "+1 (512) 555-0100", "first_name": "Ann", "city": "Bath"}


@pytest.mark.parametrize(
    ("href", "typed"),
    [
        ("{{ company }}", {"company": "mailto:evil@x.y"}),
        ("mailto:{{ email }}", {"email": "x?bcc=y@example.com"}),
        ("mailto:{{ email }}", {"email": "ann@example.com"}),
        ("mailto:{{ company }}@b.example", {"company": "evil"}),
        ("mailto:office@b.example{{ company }}", {"company": ",evil(at)x"}),
        ("mailto:office@{{ company }}.example", {"company": "evil"}),
        ("mailto:office@b.example?subject={{ company }}", {"company": "a&bcc=evil"}),
        ("mailto:office@b.example?subject={{ company }}", {"company": "a&%62cc=evil"}),
        ("mailto:{{ company | replace: '(at)', '@' }}", {"company": "evil(at)b"}),
        ("MAILTO:{{ email }}", {"email": "ann@example.com"}),
        ("tel:{{ phone }}", {"phone": "+15125550199"}),
        ("tel:+1512555{{ city }}", {"city": "0199"}),
        ("tel:{{ agent_phone }}{{ city }}", {"city": "9"}),
    ],
)
def test_no_mailbox_or_number_that_a_lead_typed_can_be_clicked(
    href: str, typed: dict[str, str], shown: Callable[[str], Any]
) -> None:
    template = Template(
        channel="email", subject="Hi", body="", body_html=f'<p>Hi <a href="{href}">write</a></p>'
    )
    try:
        html = render(template, allowed({**SENDER, **typed}), footer=False).html
    except TemplateError:
        return  # the value counts as missing: nothing goes out
    assert [each for each, _ in shown(html).clicks if each] == []


@pytest.mark.parametrize(
    ("href", "leads_to"),
    [
        ("mailto:Office@b.example", "mailto:Office@b.example"),
        (
            "mailto:office@b.example?subject=From+{{ city | url_encode }}",
            "mailto:office@b.example?subject=From+Bath",
        ),
        ("tel:+15125550100", "tel:+15125550100"),
        ("tel:+1 512 555-0100", "tel:+1 512 555-0100"),
        ("tel:{{ agent_phone }}", "tel:+1 (512) 555-0100"),
        ("tel:{{ agent_phone | remove: ' ' }}", "tel:+1(512)555-0100"),
    ],
)
def test_a_mailbox_or_number_of_the_sender_can_be_clicked(
    href: str, leads_to: str, shown: Callable[[str], Any]
) -> None:
    template = Template(
        channel="email", subject="Hi", body="", body_html=f'<p>Hi <a href="{href}">write</a></p>'
    )
    html = render(template, allowed(SENDER), footer=False).html
    assert shown(html).clicks == [(leads_to, "write")]
