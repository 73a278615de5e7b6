"""The postal address is there to be read and the way out to be clicked, whatever the template."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from rendering.parts import Template, render
from rendering.templates import allowed

Shown = Callable[[str], Any]
LINK = "https://leads.example.com/unsubscribe/abc"
ADDRESS = "O'Neil & Sons, 400 Congress Ave, Austin, TX 78701"
SENDER = {"unsubscribe_url": LINK, "postal_address": ADDRESS, "booking_link": "https://b.example/x"}
GOOD_HTML = '<p>{{ postal_address }}</p><a href="{{ unsubscribe_url }}">Stop these</a>'


@pytest.mark.parametrize(
    "html",
    [
        "<p>Buy</p>",
        '<img alt="{{ postal_address }}" src="https://a.example/x"><p>Buy now!'
        '<a href="{{ unsubscribe_url }}"></a></p>',
        '<a title="{{ postal_address }}" href="{{ unsubscribe_url }}">.</a><p>Buy</p>',
        '<p>Buy</p><!-- {{ postal_address }} <a href="{{ unsubscribe_url }}">Stop</a> -->',
        '<p>Buy 1{{ postal_address }}9</p><a href="{{ unsubscribe_url }}?x">Stop</a>',
        '<p>Buy</p><a href="{{ unsubscribe_url }}">&#8203;&#8288;&nbsp;</a>',
        '<p>Buy</p><a href="{{ unsubscribe_url }}"><img src="https://a.example/x" alt="Stop"></a>',
        "<p>Buy &lt;a href=&quot;{{ unsubscribe_url }}&quot;&gt;Stop&lt;/a&gt;</p>",
        '<style>{{ postal_address }}<a href="{{ unsubscribe_url }}">Stop</a></style><p>Buy</p>',
        GOOD_HTML,
    ],
)
def test_html_shows_the_address_and_a_link_with_words(html: str, shown: Shown) -> None:
    template = Template(channel="email", subject="Hi", body="", body_html=html)
    page = shown(render(template, allowed(SENDER), footer=True).html)
    assert re.search(rf"(?<!\w){re.escape(ADDRESS)}(?!\w)", page.text)
    assert [said for href, said in page.clicks if href == LINK and re.search("[a-z]{2}", said)]
    assert "Stop" in page.text or "Unsubscribe" in page.text


@pytest.mark.parametrize(
    "body",
    [
        "Buy",
        "{{ unsubscribe_url }}AAAA",
        "x{{ unsubscribe_url }} 1{{ postal_address }}0",
        "https://evil.example/?to={{ unsubscribe_url }}",
        "Stop: {{ unsubscribe_url }}. {{ postal_address }}",
    ],
)
def test_a_text_has_the_address_and_the_link_by_itself(body: str, shown: Shown) -> None:
    template = Template(channel="email", subject="Hi", body=body)
    parts = render(template, allowed(SENDER), footer=True)
    assert re.search(rf"(?<!\w){re.escape(ADDRESS)}(?!\w)", parts.text)
    assert re.search(rf"(?:^|\s){re.escape(LINK)}\.?(?:\s|$)", parts.text)
    page = shown(parts.html)
    assert re.search(rf"(?<!\w){re.escape(ADDRESS)}(?!\w)", page.text)
    assert [said for href, said in page.clicks if href == LINK and said]


def test_a_footer_that_is_seen_is_not_repeated(shown: Shown) -> None:
    template = Template(channel="email", subject="Hi", body="", body_html=GOOD_HTML)
    parts = render(template, allowed(SENDER), footer=True)
    assert parts.text.count(ADDRESS) == parts.text.count(LINK) == 1
    page = shown(parts.html)
    assert page.text.count(ADDRESS) == len(page.clicks) == 1
