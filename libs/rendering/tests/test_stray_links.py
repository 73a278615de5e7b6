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
