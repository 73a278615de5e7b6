"""From a queued message to the bytes that are sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from dispatcher.content import Writer
from dispatcher.model import Arrival
from dispatcher.threads import Mail, Thread
from leadflow.errors import RecordRefused
from leadflow.records import MessageQueued
from leadflow.tenants import Tenant

Make = Callable[..., MessageQueued]
ADDRESS = "Acme Roofing, 400 Congress Ave, Austin, TX 78701"


def sent(arrival: Arrival) -> dict[str, Any]:
    assert arrival.content is not None, (arrival.rule, arrival.inputs)
    return arrival.content.send()


def with_tenant(writer: Writer, **settings: Any) -> Writer:
    """The writer, for an acme that decided otherwise."""
    return replace(writer, tenants={"acme": Tenant(tenant_id="acme", **settings)})


class Links(HTMLParser):
    """What an HTML part leads to and loads, as a mail program would see it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.images: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href":
                self.hrefs.append(value or "")
            elif name == "src":
                self.images.append(value or "")


def test_an_email_is_rendered_with_its_envelope(make_queued: Make, writer: Writer) -> None:
    queued = make_queued()
    content = writer.arrive(queued).content
    assert content is not None
    token = writer.links.seal("unsubscribe", "acme", "lead-1", "email", queued.message_id)
    url = f"https://leads.example.com/unsubscribe/{token}"
    reply = writer.links.seal_id("reply", "acme", queued.message_id)
    assert content.send() == {
        "to": "ann@example.com",
        "from": '"Acme Roofing" <acme@mail.example.com>',
        "subject": "Hello Ann",
        "text": f"Hi Ann,\n\nsee https://book.example.com/acme.\n\n{url}\n\n{ADDRESS}",
        "html": (
            "<p>Hi Ann,</p>\n"
            '<p>see <a href="https://book.example.com/acme">https://book.example.com/acme</a>.</p>\n'
            f'<p><a href="{url}">{url}</a></p>\n'
            f"<p>{ADDRESS}</p>\n"
        ),
        "headers": {
            "Message-ID": "<5f0c7a3e-0000-5000-8000-000000000001@mail.example.com>",
            "List-Unsubscribe": f"<{url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "X-Leadflow-Message-Id": "5f0c7a3e-0000-5000-8000-000000000001",
            "Reply-To": f'"Acme Roofing" <reply+{reply}@mail.example.com>',
        },
    }
    assert content.sha256 == hashlib.sha256(content.payload).hexdigest()


def test_a_follow_up_continues_its_thread(make_queued: Make, writer: Writer) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    first = Mail(mail_id="<m-1@mail.example.com>", subject="Your roof", at=at, by_lead=False)
    theirs = Mail(mail_id="<1@example.com>", subject="{{ secret }}", at=at, by_lead=True)
    for mails, template, subject in (
        ((first,), "Re: Hello", "Hello"),
        ((first,), "", "Your roof"),
        ((first, theirs), "Hello", "Re: {{ secret }}"),
    ):
        content = writer.arrive(make_queued(subject=template), Thread(mails)).content
        assert content is not None
        send = content.send()
        assert send["subject"] == subject
        assert send["headers"]["In-Reply-To"] == mails[-1].mail_id
        assert send["headers"]["References"] == " ".join(mail.mail_id for mail in mails)
    assert writer.arrive(make_queued(subject="")).rule == "template_empty"


def test_the_same_message_gives_the_same_bytes(make_queued: Make, writer: Writer) -> None:
    tracking = with_tenant(writer, postal_address=ADDRESS)
    first, second = tracking.arrive(make_queued()), tracking.arrive(make_queued())
    assert first.content == second.content


def test_a_hole_in_the_text_holds_the_message(make_queued: Make, writer: Writer) -> None:
    arrival = writer.arrive(make_queued(body="Hi {{ last_name }}"))
    assert arrival.content is None
    assert arrival.rule == "template_value_missing"
    assert arrival.inputs == {"value": "last_name"}


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        ("email", "not an address"),
        ("email", "a@b.example, c@d.example"),
        ("email", "ann@example.com\r\nBcc: all@example.com"),
        ("email", "ann@example.com\n"),
        ("email", "Ann <ann@example.com>"),
        ("email", "ann@exam\u202eple.com"),
        ("email", "a\u200bnn@example.com"),
        ("email", "a\u202enn@example.com"),
        ("email", "a\x00nn@example.com"),
        ("email", "a\x7fnn@example.com"),
        ("email", "a\u00adnn@example.com"),
        ("email", "a\U000e0100nn@example.com"),
        ("email", "a" + "\u0301" * 9 + "@example.com"),
        ("email", "\ud800@example.com"),
        ("email", "a@.."),
        ("email", "a@-"),
        ("email", "a@example..com"),
        ("email", "a@-example.com"),
        ("email", "a@example.com."),
        ("email", "a@" + "b" * 64 + ".example"),
        ("whatsapp", "+15125550100\u200b"),
        ("sms", "5125550100"),
        ("whatsapp", "+1512555010x"),
    ],
)
def test_a_recipient_that_is_none_holds_the_message(
    make_queued: Make, writer: Writer, channel: str, recipient: str
) -> None:
    arrival = writer.arrive(make_queued(channel=channel, recipient=recipient))
    assert arrival.rule == "recipient_malformed"


@pytest.mark.parametrize(
    "recipient",
    [
        "ann@example.com",
        "a.b+c@mail.b-c.example.co.uk",
        "o'neil@xn--bcher-kva.example",
        "a@1.example",
    ],
)
def test_the_recipient_that_is_looked_up_is_the_one_that_is_written_to(
    make_queued: Make, writer: Writer, recipient: str
) -> None:
    arrival = writer.arrive(make_queued(recipient=recipient))
    assert arrival.recipient == sent(arrival)["to"] == recipient


def test_an_empty_text_holds_the_message(make_queued: Make, writer: Writer) -> None:
    assert writer.arrive(make_queued(body=" \n")).rule == "template_empty"


def test_an_email_without_a_subject_is_held(make_queued: Make, writer: Writer) -> None:
    arrival = writer.arrive(make_queued(subject=""))
    assert (arrival.rule, arrival.inputs) == ("template_empty", {"part": "subject"})


def test_a_text_message_carries_text_alone(make_queued: Make, writer: Writer) -> None:
    queued = make_queued(channel="sms", recipient="+15125550100", body="Hi", subject="")
    assert sent(writer.arrive(queued)) == {"to": "+15125550100", "text": "Hi"}


def test_an_unknown_channel_is_refused(make_queued: Make, writer: Writer) -> None:
    with pytest.raises(RecordRefused, match="unknown_channel"):
        writer.arrive(make_queued(channel="fax"))


@pytest.mark.parametrize("name", ["tenant_id", "lead_id", "message_id"])
def test_an_id_that_no_link_can_carry_is_refused(
    make_queued: Make, writer: Writer, name: str
) -> None:
    for tail in ("\x1f", "\ud800", "\n"):
        with pytest.raises(RecordRefused, match="malformed_id"):
            writer.arrive(make_queued(**{name: f"id{tail}"}))


def test_a_tenant_name_cannot_break_the_from_header(make_queued: Make, writer: Writer) -> None:
    variables = {
        "first_name": "Ann",
        "tenant_name": 'Acme" <evil@example.com>\r\nBcc: x',
        "postal_address": ADDRESS,
    }
    send = sent(writer.arrive(make_queued(body="Hi", variables=variables)))
    assert send["from"] == '"Acme evilexample.com Bcc x" <acme@mail.example.com>'


# --- what the law wants ---------------------------------------------------------------------


def test_an_email_that_does_not_say_how_to_stop_it_is_made_to(
    make_queued: Make, writer: Writer
) -> None:
    queued = make_queued(body="Hi {{ first_name }}")
    send, url = sent(writer.arrive(queued)), writer.unsubscribe_url(queued)
    assert send["text"] == f"Hi Ann\n\n{ADDRESS}\nUnsubscribe: {url}"
    assert send["html"] == f'<p>Hi Ann</p>\n<p>{ADDRESS}<br><a href="{url}">Unsubscribe</a></p>\n'


def test_a_footer_that_the_template_has_is_not_repeated(make_queued: Make, writer: Writer) -> None:
    queued = make_queued(body="Hi.\n\n{{ postal_address }}\nStop: {{ unsubscribe_url }}")
    send, url = sent(writer.arrive(queued)), writer.unsubscribe_url(queued)
    assert send["text"] == f"Hi.\n\n{ADDRESS}\nStop: {url}"
    assert send["html"].count(ADDRESS) == 1
    assert Links(send["html"]).hrefs == [url]


def test_a_link_to_stop_that_html_hides_does_not_count(make_queued: Make, writer: Writer) -> None:
    hidden = '<!-- {{ unsubscribe_url }} --><p title="{{ unsubscribe_url }}">Hi</p>'
    queued = make_queued(body_html=hidden)
    html = sent(writer.arrive(queued))["html"]
    assert Links(html).hrefs == [writer.unsubscribe_url(queued)]


def test_without_a_postal_address_an_email_of_a_sequence_is_held(
    make_queued: Make, writer: Writer
) -> None:
    arrival = with_tenant(writer).arrive(make_queued(variables={"first_name": "Ann"}, body="Hi"))
    assert arrival.rule == "compliance_footer_missing"
    assert arrival.inputs == {"missing": "the postal address of the sender"}


def test_an_answer_to_what_somebody_wrote_is_no_advertisement(
    make_queued: Make, writer: Writer
) -> None:
    """RFC 3834, section 5: a machine's answer says so, and no list is offered to be left."""
    send = sent(writer.arrive(make_queued(purpose="reply", variables={}, body="Hi", subject="Re")))
    assert send["text"] == "Hi"
    assert send["headers"]["Auto-Submitted"] == "auto-replied"
    assert "List-Unsubscribe" not in send["headers"]


def test_an_unsubscribe_link_tells_nobody_whose_it_is(make_queued: Make, writer: Writer) -> None:
    queued = make_queued()
    url = writer.unsubscribe_url(queued)
    assert re.fullmatch(r"https://leads\.example\.com/unsubscribe/[A-Za-z0-9_-]{60,300}", url)
    opened = writer.links.open("unsubscribe", url.rsplit("/", 1)[1])
    assert opened == ("acme", "lead-1", "email", queued.message_id)


# --- HTML parts -----------------------------------------------------------------------------

HTML = (
    '<h1>Hi {{ first_name }}</h1><p onclick="x()">Pick <a href="{{ booking_link }}">a time</a></p>'
    '<p><a href="{{ unsubscribe_url }}">Stop these</a></p><script>alert(1)</script>'
)


def test_html_of_a_template_is_sanitized_and_read_out_as_text(
    make_queued: Make, writer: Writer
) -> None:
    queued = make_queued(body="", body_html=HTML)
    send, url = sent(writer.arrive(queued)), writer.unsubscribe_url(queued)
    assert send["html"] == (
        '<h1>Hi Ann</h1><p>Pick <a href="https://book.example.com/acme">a time</a></p>'
        f'<p><a href="{url}">Stop these</a></p><p>{ADDRESS}</p>\n'
    )
    assert send["text"] == (
        f"Hi Ann\n\nPick a time (https://book.example.com/acme)\n\nStop these ({url})\n\n{ADDRESS}"
    )


def test_a_template_may_have_a_text_of_its_own_beside_its_html(
    make_queued: Make, writer: Writer
) -> None:
    send = sent(writer.arrive(make_queued(body="Hello {{ first_name }}", body_html=HTML)))
    assert send["text"].startswith("Hello Ann\n\n")
    assert send["html"].startswith("<h1>Hi Ann</h1>")


# --- clicks and openings --------------------------------------------------------------------


def test_links_and_a_picture_tell_of_clicks_and_openings(make_queued: Make, writer: Writer) -> None:
    tracking = with_tenant(writer, postal_address=ADDRESS)
    queued = make_queued()
    send = sent(tracking.arrive(queued))
    links = Links(send["html"])
    clicks, stop = links.hrefs
    assert clicks.startswith("https://leads.example.com/c/")
    assert writer.links.open("click", clicks.removeprefix("https://leads.example.com/c/")) == (
        "acme",
        queued.message_id,
        "https://book.example.com/acme",
    )
    assert stop == writer.unsubscribe_url(queued), "who wants to leave is not watched at it"
    (pixel,) = links.images
    token = re.fullmatch(r"https://leads\.example\.com/o/([A-Za-z0-9_-]+)\.gif", pixel)
    assert token is not None
    assert writer.links.open("open", token[1]) == ("acme", queued.message_id)
    assert "/c/" not in send["text"]


@pytest.mark.parametrize(("clicks", "opens"), [(False, True), (True, False), (False, False)])
def test_a_tenant_can_have_either_off(
    make_queued: Make, writer: Writer, clicks: bool, opens: bool
) -> None:
    chosen = with_tenant(writer, postal_address=ADDRESS, track_clicks=clicks, track_opens=opens)
    html = sent(chosen.arrive(make_queued()))["html"]
    assert ("/c/" in html, "/o/" in html) == (clicks, opens)


@pytest.mark.parametrize("purpose", ["reply", "test"])
def test_only_messages_of_sequences_are_counted(
    make_queued: Make, writer: Writer, purpose: str
) -> None:
    tracking = with_tenant(writer, postal_address=ADDRESS)
    html = sent(tracking.arrive(make_queued(purpose=purpose)))["html"]
    assert ("/c/" in html, "/o/" in html) == (False, False)


def test_what_a_lead_typed_never_becomes_a_link(make_queued: Make, writer: Writer) -> None:
    """The portal would lead there in the tenant's name."""
    variables = {
        "first_name": "https_++evil+x",
        "company": "evil",
        "postal_address": ADDRESS,
    }
    html = (
        "<a href=\"{{ first_name | replace: '_', ':' | replace: '+', '/' }}\">a</a>"
        '<a href="https://{{ company }}.example/">b</a>'
        '<a href="https://ours.example/?q={{ company | url_encode }}">c</a>'
    )
    tracking = with_tenant(writer, postal_address=ADDRESS)
    queued = make_queued(variables=variables, body="See", body_html=html)
    found = Links(sent(tracking.arrive(queued))["html"]).hrefs
    clicks = [each.rsplit("/", 1)[1] for each in found if "/c/" in each]
    opened = [writer.links.open("click", token)[2] for token in clicks]
    assert opened == ["https://ours.example/?q=evil"]
    assert len(found) == 2
    body = "See https://{{ company }}.example/ or https://{{ company }}/"
    of_text = make_queued(variables=variables, body=body)
    assert "evil" not in " ".join(Links(sent(writer.arrive(of_text))["html"]).hrefs)


def test_a_name_that_would_be_a_link_counts_as_missing(make_queued: Make, writer: Writer) -> None:
    variables = {"first_name": "www.evil.example", "postal_address": ADDRESS}
    held = writer.arrive(make_queued(variables=variables, body="Hi {{ first_name }}"))
    assert (held.rule, held.inputs) == ("template_value_missing", {"value": "first_name"})
    body = "Hi {{ first_name | default: 'you' }}"
    send = sent(writer.arrive(make_queued(variables=variables, body=body, subject=body)))
    assert send["subject"] == "Hi you"
    assert "evil" not in str(send)


# --- what nobody has heard of -----------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["newsletter", "Sequence", "", "reply "])
def test_a_purpose_that_nobody_knows_is_an_advertisement(
    make_queued: Make, writer: Writer, purpose: str
) -> None:
    """15 U.S.C. 7704(a)(5) asks for address and opt-out where a mail might be commercial."""
    queued = make_queued(purpose=purpose, body="Hi")
    send, url = sent(writer.arrive(queued)), writer.unsubscribe_url(queued)
    assert send["text"] == f"Hi\n\n{ADDRESS}\nUnsubscribe: {url}"
    assert send["headers"]["List-Unsubscribe"] == f"<{url}>"
    edited = writer.edited(
        queued, "ann@example.com", subject="Hi", text="Yes", made_of={"purpose": purpose}
    )
    assert ADDRESS in edited.send()["text"]


def test_what_wants_a_postal_address_keeps_its_bytes_and_gets_the_footer_later(
    make_queued: Make, writer: Writer
) -> None:
    queued = make_queued(variables={"first_name": "Ann"}, body="Hi")
    nowhere = with_tenant(writer, track_clicks=False, track_opens=False)
    held = nowhere.arrive(queued)
    assert held.rule == "compliance_footer_missing"
    assert held.content is not None
    assert nowhere.with_address(queued, held.content) is None
    at_once = writer.arrive(queued).content
    assert writer.with_address(queued, held.content) == at_once
