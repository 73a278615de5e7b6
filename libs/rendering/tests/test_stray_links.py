"""What strangers type into a form is mailed to strangers: nothing in it may be clicked."""

from __future__ import annotations

import pytest

from rendering.errors import TemplateError
from rendering.parts import Template, render
from rendering.templates import allowed
from rendering.variables import LEAD_VARIABLES

TYPED = [
    "http://evil.example/win", "HTTPS://EVIL.EXAMPLE", "www.evil.example", "evil.com", "Evil.Com",
    "x.co", "win at evil.xyz now", "evil.com/win", "evil\u3002com", "evil\uff0ecom", "evil.com.",
    "\u24d4vil.com", "e\u0301vil.co", "xn--e1awd7f.xn--p1ai",
    "\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
    "\u0909\u0926\u093e.\u092d\u093e\u0930\u0924", "mailto:win@evil", "tel:90055", "sms: 90055",
    "javascript:alert(1)", "ftp://evil", "ann@evil.example", "10.1.2.3", "evil.\u200dcom",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted({*LEAD_VARIABLES} - {"email", "phone"}))
@pytest.mark.parametrize("typed", TYPED)
def test_a_fallback_takes_the_place_of_what_would_be_a_link(name: str, typed: str) -> None:
    put_in = f"Hi {{{{ {name} | default: 'you' }}}}!"
    template = Template(channel="email", subject=put_in, body=put_in)
    parts = render(template, allowed({name: typed}), footer=False)
    assert (parts.subject, parts.text, parts.html) == ("Hi you!", "Hi you!", "<p>Hi you!</p>\n")


def test_without_a_fallback_the_message_is_held() -> None:
    template = Template(channel="sms", subject="", body="Hi {{ first_name }}")
    with pytest.raises(TemplateError, match="template_value_missing"):
        render(template, allowed({"first_name": "evil.com"}), footer=False)


@pytest.mark.parametrize("name", ["first_name", "last_name", "company", "title", "city"])
@pytest.mark.parametrize("typed", ["Win! Text YES to 90055", "Call 512-555-0100", "9 0 0 5 5"])
def test_a_name_holds_no_number_to_call(name: str, typed: str) -> None:
    assert name not in allowed({name: typed})


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("email", "x?bcc=y@example.com"), ("email", "x&bcc=y@example.com"), ("email", "x"),
        ("email", "x%3Fbcc@example.com"), ("email", "a@b@c.example"), ("phone", "www.evil.example"),
    ],
)  # fmt: skip
def test_a_mailbox_and_a_number_are_nothing_else(name: str, typed: str) -> None:
    assert name not in allowed({name: typed})


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("first_name", "J. R."), ("first_name", "Zo\u00eb"), ("city", "\u674e\u96f7"),
        ("last_name", "O'Neil Jr."),
        ("last_name", "A.B."), ("company", "Acme Inc."), ("company", "Smith & Co. KG"),
        ("company", "S.p.A. Roma"), ("company", "3M"), ("company", "Studio 54"),
        ("city", "St. Louis"),
        ("city", "Washington, D.C."), ("street", "12345 Main St. Apt. 4"),
        ("street", "12.5 Mile Rd"),
        ("postal_code", "78701-1234"), ("phone", "+15125550100"), ("phone", "(512) 555-0100 ext 4"),
        ("email", "o'neil+roof@example.co.uk"), ("service", "Roof: repair/replacement"),
        ("title", "Ph.D."), ("company", "data center"),
    ],
)  # fmt: skip
def test_what_people_are_called_and_where_they_live_stays(name: str, typed: str) -> None:
    assert allowed({name: typed}) == {name: typed}


def test_what_the_sender_says_of_itself_may_be_a_link() -> None:
    own = {"tenant_name": "Acme.example", "booking_link": "https://book.example.com/acme"}
    assert allowed(own) == own


JOINED = [
    ({"first_name": "evil.", "last_name": "com"}, "{0}{1}"),
    ({"first_name": "evil", "last_name": ".com"}, "{0}{1}"),
    ({"first_name": "Evil", "last_name": "com"}, "{0}.{1}"),
    ({"first_name": "evil", "last_name": "com"}, "{0}\u3002{1}"),
    ({"first_name": "evil", "last_name": "x"}, "{0}.com, {1}"),
    ({"first_name": "win", "last_name": "evil"}, "{0}@{1}"),
    ({"first_name": "\uff45vil", "last_name": "com"}, "{0}.{1}"),
    ({"first_name": "ev", "last_name": "il.", "company": "com"}, "{0}{1}{2}"),
]
NAMES = ["{{ " + each + " | default: 'you' }}" for each in ("first_name", "last_name", "company")]


@pytest.mark.parametrize(("typed", "written"), JOINED)
def test_a_fallback_takes_the_place_of_values_that_are_a_link_together(
    typed: dict[str, str], written: str
) -> None:
    body = f"Hi {written.format(*NAMES)}!"
    template = Template(channel="email", subject=body, body=body)
    parts = render(template, allowed({"company": "Acme", **typed}), footer=False)
    for said in (parts.subject, parts.text, parts.html):
        assert "evil" not in said.casefold().replace("\uff45", "e")


def test_what_stands_in_other_tags_stands_together_and_in_another_paragraph_it_does_not() -> None:
    together = "<p>{{ first_name | default: 'you' }}<b>{{ last_name | default: 'you' }}</b></p>"
    apart = "<p>Hi {{ first_name }}.</p><p>{{ last_name }}<br>it is</p>"
    values = allowed({"first_name": "evil.", "last_name": "com"})
    html = render(
        Template(channel="email", subject="s", body="b", body_html=together), values, footer=False
    ).html
    assert html == "<p>you<b>you</b></p>"
    html = render(
        Template(channel="email", subject="s", body="b", body_html=apart), values, footer=False
    ).html
    assert "evil" in html


def test_values_that_are_a_link_together_hold_the_message_where_nothing_takes_their_place() -> None:
    template = Template(channel="sms", subject="", body="Hi {{ first_name }}{{ last_name }}")
    with pytest.raises(TemplateError, match="template_value_missing"):
        render(template, allowed({"first_name": "evil.", "last_name": "com"}), footer=False)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Hi {{ first_name }}. See acme.example/{{ first_name }}", "Hi Ann. See acme.example/Ann"),
        ("{{ booking_link }}?n={{ first_name }}", "https://acme.example/book?n=Ann"),
        ("{{ booking_link }}?e={{ email | url_encode }}", "acme.example/book?e=Ann%40ann.example"),
        ("Write from {{ email }}, {{ first_name }}.", "Write from Ann@ann.example, Ann."),
        ("{{ tenant_name }}.com is ours, {{ first_name }}", "Acme.com is ours, Ann"),
        ("At {{ company }}. You are", "At Ann Inc.. You are"),
        ("ANN.EXAMPLE, {{ first_name }}", "ANN.EXAMPLE, Ann"),
    ],
)
def test_a_host_that_the_template_or_a_value_has_stays(body: str, said: str) -> None:
    lead = {"first_name": "Ann", "email": "Ann@ann.example", "company": "Ann Inc."}
    own = {"tenant_name": "Acme", "booking_link": "https://acme.example/book"}
    template = Template(channel="sms", subject="", body=body)
    assert said in render(template, allowed({**lead, **own}), footer=False).text
