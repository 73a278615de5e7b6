"""From a queued message to the bytes that are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from dispatcher.content import Identity, arrive, html_of
from dispatcher.model import Arrival
from leadflow.errors import RecordRefused
from leadflow.records import MessageQueued

Make = Callable[..., MessageQueued]
IDENTITY = Identity(public_url="https://leads.example.com", mail_domain="mail.example.com")


def arrived(queued: MessageQueued) -> Arrival:
    return arrive(queued, IDENTITY)


def test_an_email_is_rendered_with_its_envelope(make_queued: Make) -> None:
    content = arrived(make_queued()).content
    assert content is not None
    url = "https://leads.example.com/unsubscribe/5f0c7a3e-0000-5000-8000-000000000001"
    assert content.send() == {
        "to": "ann@example.com",
        "from": '"Acme Roofing" <acme@mail.example.com>',
        "subject": "Hello Ann",
        "text": f"Hi Ann,\n\nsee https://book.example.com/acme.\n\n{url}",
        "html": (
            "<p>Hi Ann,</p>\n"
            '<p>see <a href="https://book.example.com/acme">https://book.example.com/acme</a>.</p>\n'
            f'<p><a href="{url}">{url}</a></p>\n'
        ),
        "headers": {
            "Message-ID": "<5f0c7a3e-0000-5000-8000-000000000001@mail.example.com>",
            "List-Unsubscribe": f"<{url}>",
            "X-Leadflow-Message-Id": "5f0c7a3e-0000-5000-8000-000000000001",
        },
    }
    assert content.sha256 == hashlib.sha256(content.payload).hexdigest()


def test_the_same_message_gives_the_same_bytes(make_queued: Make) -> None:
    first, second = arrived(make_queued()), arrived(make_queued())
    assert first.content == second.content


def test_a_hole_in_the_text_holds_the_message(make_queued: Make) -> None:
    arrival = arrived(make_queued(body="Hi {{ last_name }}"))
    assert arrival.content is None
    assert arrival.rule == "template_value_missing"
    assert arrival.inputs == {"value": "last_name"}


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        ("email", "not an address"),
        ("email", "a@b.example, c@d.example"),
        ("email", "ann@example.com\r\nBcc: all@example.com"),
        ("email", "Ann <ann@example.com>"),
        ("sms", "5125550100"),
        ("whatsapp", "+1512555010x"),
    ],
)
def test_a_recipient_that_is_none_holds_the_message(
    make_queued: Make, channel: str, recipient: str
) -> None:
    arrival = arrived(make_queued(channel=channel, recipient=recipient))
    assert arrival.rule == "recipient_malformed"


def test_an_empty_text_holds_the_message(make_queued: Make) -> None:
    assert arrived(make_queued(body=" \n")).rule == "template_empty"


def test_an_email_without_a_subject_is_held(make_queued: Make) -> None:
    arrival = arrived(make_queued(subject=""))
    assert (arrival.rule, arrival.inputs) == ("template_empty", {"part": "subject"})


def test_a_text_message_carries_text_alone(make_queued: Make) -> None:
    arrival = arrived(make_queued(channel="sms", recipient="+15125550100", body="Hi", subject=""))
    assert arrival.content is not None
    assert arrival.content.send() == {"to": "+15125550100", "text": "Hi"}


def test_an_unknown_channel_is_refused(make_queued: Make) -> None:
    with pytest.raises(RecordRefused, match="unknown_channel"):
        arrived(make_queued(channel="fax"))


def test_a_tenant_name_cannot_break_the_from_header(make_queued: Make) -> None:
    variables = {"first_name": "Ann", "tenant_name": 'Acme" <evil@example.com>\r\nBcc: x'}
    arrival = arrived(make_queued(body="Hi", variables=variables))
    assert arrival.content is not None
    assert arrival.content.send()["from"] == '"Acme evilexample.com Bcc x" <acme@mail.example.com>'


def test_html_escapes_what_a_lead_typed_and_links_only_our_links() -> None:
    html = html_of(
        "<b>Ann</b> http://evil.example\nhttps://ours.example.", {"link": "https://ours.example"}
    )
    assert html == (
        "<p>&lt;b&gt;Ann&lt;/b&gt; http://evil.example<br>\n"
        '<a href="https://ours.example">https://ours.example</a>.</p>\n'
    )


def test_a_link_that_only_begins_like_ours_stays_text() -> None:
    html = html_of("https://ours.example.evil.example", {"link": "https://ours.example"})
    assert "<a " not in html


def test_a_link_that_would_run_is_never_made() -> None:
    assert "<a " not in html_of("javascript:alert(1)", {"link": "javascript:alert(1)"})
