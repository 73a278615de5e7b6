"""What becomes of mails, as mail programs and mail servers write them, and as attackers do."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadflow.records import RawEvent
from leadflow.tokens import Sealer
from portal_api.inbound.events import event_of, reply_event
from portal_api.inbound.markup import text_of
from portal_api.inbound.mime import MOST_BYTES, BadMail, read
from portal_api.inbound.reports import Ignored, bounce_type

MAILS = Path(__file__).parent / "mails"
MESSAGE = "15536a5b-7d7e-52e3-b8fb-d332e1b3acc7"
LINKS = Sealer("a secret")
TOKEN = LINKS.seal_id("reply", "acme", MESSAGE)
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def mail(name: str) -> bytes:
    data = (MAILS / f"{name}.eml").read_bytes()
    return data.replace(b"UPPERTOKEN", TOKEN.upper().encode()).replace(b"TOKEN", TOKEN.encode())


def told(data: bytes, tenant_id: str = "acme") -> RawEvent:
    event = event_of(read(data), tenant_id=tenant_id, links=LINKS, now=NOW)
    assert isinstance(event, RawEvent)
    return event


def payload(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(told(mail(name)).payload)
    return said


REPLIES = {
    "gmail": {
        "from": "Maria Lopez <maria@example.com>",
        "subject": "Re: Your roof – next steps",
        "mail_id": "<CAF3x8w=Yes+1@mail.gmail.com>",
        "message_id": MESSAGE,
    },
    "outlook_html_only": {"message_id": MESSAGE, "subject": "AW: Ihr Dach"},
    "apple_references_only": {"message_id": MESSAGE, "text": "Here is the plan.\n\nAnd call me."},
    "colleague": {"message_id": MESSAGE, "from": "Bob Brown <bob@example.net>"},
    "out_of_office": {"message_id": MESSAGE, "text": "I am away until December 1."},
    "broken_charset": {"message_id": MESSAGE, "text": "Hallo, bitte melden!"},
    "latin1_unmarked": {"message_id": MESSAGE, "text": "Gr��e"},
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_mail_is_a_reply_to_the_message_that_it_answers(name: str) -> None:
    said = payload(name)
    assert told(mail(name)).kind == "reply"
    assert said["channel"] == "email"
    assert {field: said[field] for field in REPLIES[name]} == REPLIES[name]


def test_text_and_quotation_are_kept_as_they_came() -> None:
    assert payload("gmail")["text"] == (
        "Yes, Friday works 👍\n\n"
        "On Fri, Nov 20, 2026 at 9:14\u202fAM Acme Roofing <us@mail.leadflow.example> wrote:\n\n"
        "> Is Friday good?"
    )


def test_html_becomes_the_text_that_one_sees_of_it() -> None:
    assert payload("outlook_html_only")["text"] == (
        "Grüße, bitte rufen Sie an.\n\nMaria López\n\n"
        "Von: Acme <us@mail.leadflow.example>\nGesendet: Freitag, 20. November 2026 09:14\n"
        "An: Maria\n\nHallo Maria"
    )


def test_quotations_in_html_are_marked_as_in_text() -> None:
    html = '<div>Yes</div><div class="gmail_quote">On 1.1.2026 x@y.z wrote:<blockquote>Is <b>it'
    assert text_of(f"{html}</b>?<br>Bye</blockquote></div>") == (
        "Yes\nOn 1.1.2026 x@y.z wrote:\n> Is it?\n> Bye"
    )


def test_attachments_are_named_and_not_kept() -> None:
    assert payload("apple_references_only")["attachments"] == [
        {"name": "Dachplan ä.pdf", "type": "application/pdf", "bytes": 9}
    ]


def test_header_fields_that_tell_machines_apart_are_kept() -> None:
    headers = payload("out_of_office")["headers"]
    assert headers["auto-submitted"] == "auto-generated"
    assert headers["x-auto-response-suppress"] == "All"
    assert headers["return-path"] == "<>"


def test_a_mail_of_our_own_says_so() -> None:
    assert payload("our_own")["headers"]["x-leadflow-message-id"] == MESSAGE


REPORTS = {
    "bounce_hard": ("bounced", "hard"),
    "bounce_full": ("bounced", "soft"),
    "bounce_blocked": ("bounced", "soft"),
    "exim_bounce": ("bounced", "hard"),
    "complaint": ("complained", None),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_no_reply_and_names_its_message(name: str) -> None:
    kind, bounce = REPORTS[name]
    assert told(mail(name)).kind == kind
    assert payload(name).get("bounce_type") == bounce
    assert payload(name)["message_id"] == MESSAGE


def test_a_bounce_says_what_the_server_said() -> None:
    said = payload("bounce_hard")
    assert said["diagnostic"] == (
        "5.1.1 smtp; 550 5.1.1 <maria@example.com>: Recipient address rejected: User unknown"
    )
    assert said["recipient"] == "maria@example.com"


@pytest.mark.parametrize(
    ("name", "reason"), [("delayed", "delivery_delayed"), ("read_receipt", "read_receipt")]
)
def test_what_says_nothing_is_passed_over_with_a_reason(name: str, reason: str) -> None:
    found = event_of(read(mail(name)), tenant_id="acme", links=LINKS, now=NOW)
    assert found == Ignored(reason)


@pytest.mark.parametrize(
    ("status", "diagnostic", "wanted"),
    [
        ("5.1.1", None, "hard"),
        ("5.1.2", None, "hard"),
        ("5.2.1", None, "hard"),
        ("5.0.0", None, "hard"),
        ("5.2.2", None, "soft"),
        ("5.7.1", None, "soft"),
        ("4.1.1", None, "soft"),
        ("4.4.7", "smtp; 550 5.1.1 no such user", "soft"),
        (None, "smtp; 550 5.1.1 no such user", "hard"),
        (None, "550 no such user", "hard"),
        (None, "452 come again", "soft"),
        (None, None, "soft"),
    ],
)
def test_a_bounce_is_hard_where_the_address_is_dead(
    status: str | None, diagnostic: str | None, wanted: str
) -> None:
    assert bounce_type(status, diagnostic) == wanted


def test_the_same_mail_is_the_same_event_and_another_text_is_another() -> None:
    assert told(mail("gmail")).event_id == told(mail("gmail")).event_id
    other = mail("gmail").replace(b"Yes, Friday", b"No, Friday")
    assert told(other).event_id != told(mail("gmail")).event_id
    assert told(mail("gmail"), "other").event_id != told(mail("gmail")).event_id


def test_mails_without_an_id_are_told_by_what_they_say_and_when() -> None:
    first = b"From: ann@example.com\nDate: Fri, 20 Nov 2026 09:00:00 +0000\n\nSTOP\n"
    later = first.replace(b"09:00", b"10:30")
    other = first.replace(b"STOP", b"Yes")
    assert told(first).event_id == told(first).event_id
    assert len({told(each).event_id for each in (first, later, other)}) == 3


def test_of_mails_without_id_and_date_those_of_one_day_are_one() -> None:
    data = b"From: ann@example.com\n\nSTOP\n"

    def on(day: int) -> str:
        now = NOW.replace(day=day)
        event = event_of(read(data), tenant_id="acme", links=LINKS, now=now)
        assert isinstance(event, RawEvent)
        return event.event_id

    assert on(20) == on(20) != on(21)


def test_reports_without_an_id_are_told_by_their_date() -> None:
    report = (
        b"From: MAILER-DAEMON@mx.example.com\nDate: Fri, 20 Nov 2026 09:00:00 +0000\n"
        b"X-Failed-Recipients: ann@example.com\n\nThe mailbox is full.\n"
    )
    again = report.replace(b"20 Nov", b"21 Nov")
    assert told(report).kind == "bounced"
    assert told(report).event_id == told(report).event_id != told(again).event_id


def test_a_token_counts_for_its_own_tenant_alone() -> None:
    said = json.loads(told(mail("colleague"), "other").payload)
    assert "message_id" not in said


def test_the_token_counts_before_the_headers() -> None:
    other = "0b9fa6f4-0c5e-5a3f-8a51-2f5a5a1b7c1d"
    data = mail("gmail").replace(MESSAGE.encode(), other.encode())
    assert json.loads(told(data).payload)["message_id"] == MESSAGE


def test_a_webhooks_parts_make_the_event_that_the_mail_makes() -> None:
    of_mail = read(mail("gmail"))
    made = reply_event(
        tenant_id="acme",
        sender=of_mail.sender,
        recipients=[f"Acme <reply+{TOKEN}@mail.leadflow.example>"],
        subject=of_mail.subject,
        text=of_mail.text,
        headers={},
        mail_id=of_mail.mail_id,
        links=LINKS,
        now=NOW,
    )
    assert made.event_id == told(mail("gmail")).event_id
    assert json.loads(made.payload)["message_id"] == MESSAGE


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-2022-jp", "了解しました"),
        ("gb18030", "好的，谢谢"),
        ("koi8-r", "Да, спасибо"),
        ("windows-1252", "C’est “bon” – 5 €"),
        ("utf-16", "Ja, gern"),
        ("macroman", "Größe"),
    ],
)
@pytest.mark.parametrize("encoding", ["base64", "8bit"])
def test_a_text_is_read_in_its_charset(charset: str, text: str, encoding: str) -> None:
    body = text.encode(charset)
    if encoding == "base64":
        body = b64encode(body)
    elif charset == "utf-16":
        return  # has no line ends that a mail could be cut at (RFC 2046, 4.1.1)
    data = (
        f"From: a@example.com\nContent-Type: text/plain; charset={charset}\n"
        f"Content-Transfer-Encoding: {encoding}\n\n"
    ).encode() + body
    assert read(data).text == text


def test_a_forwarded_mail_inside_is_an_attachment_and_a_signature_around_is_not() -> None:
    data = (
        b"From: a@example.com\nContent-Type: multipart/signed; boundary=s; micalg=sha-256\n\n"
        b"--s\nContent-Type: multipart/mixed; boundary=m\n\n"
        b"--m\nContent-Type: text/plain\n\nSee below.\n"
        b"--m\nContent-Type: message/rfc822\n\nFrom: b@example.com\nSubject: Old\n\nSTOP\n"
        b"--m--\n"
        b"--s\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nxx\n--s--\n"
    )
    found = read(data)
    assert found.text == "See below."
    assert [(each["name"], each["type"]) for each in found.attachments] == [
        ("", "message/rfc822"),
        ("smime.p7s", "application/pkcs7-signature"),
    ]


def test_the_names_of_attachments_are_read_however_they_are_written() -> None:
    parts = (
        b"Content-Type: image/png (a picture); name=plain.png",
        b"Content-Type: image/png; name*=utf-8''Gr%C3%BC%C3%9Fe.png",
        b'Content-Type: image/png; name*0="long"; name*1=".png"',
        b'Content-Disposition: attachment; filename="=?utf-8?B?R3LDvMOfZS5wbmc=?="',
    )
    data = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n"
    for each in parts:
        data += b"--b\n" + each + b"\n\nx\n"
    found = read(data + b"--b--\n")
    names = [each["name"] for each in found.attachments]
    assert names == ["plain.png", "Grüße.png", "long.png", "Grüße.png"]
    assert (found.text, found.attachments[0]["type"]) == ("hi", "image/png")


HEAD = b"From: a@example.com\nTo: b@example.com\nSubject: x\n"


def nested(depth: int) -> bytes:
    data = HEAD
    for level in range(depth):
        data += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
    return data + b"\nhello"


def test_a_field_with_very_many_parameters_keeps_those_that_are_needed() -> None:
    data = HEAD + b"Content-Type: multipart/mixed; " + b"a=b; " * 500 + b"boundary=b\n\n"
    data += (
        b"--b\nContent-Type: text/plain; " + b"a=b; " * 500 + b"charset=latin-1\n\nGr\xfc\xdfe\n"
    )
    assert read(data + b"--b--\n").text == "Grüße"


BOMBS = {
    "too large": HEAD + b"\n" + b"x" * MOST_BYTES,
    "too many lines": HEAD + b"\n" * 500_000,
    "too many lines of the old kind": HEAD + b"\n" + b"\r" * 900_000,
    "nested": nested(5_000),
    "nested a little less": nested(101),
    "too many fields": HEAD + b"X-A: b\n" * 2_000 + b"\nhi",
    "a long header": HEAD + b"X-A: " + b"b" * 300_000 + b"\n\nhi",
    "many parts": HEAD
    + b"Content-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\n\nx\n" * 1_000
    + b"--b--",
    "no header": b"hello",
    "nothing": b"",
    "no sender": b"Subject: x\n\nhello",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_mail_that_is_built_to_do_harm_is_refused_at_once(name: str) -> None:
    started = perf_counter()
    with pytest.raises(BadMail):
        read(BOMBS[name])
    assert perf_counter() - started < 10


SLOW = {
    "addresses": b"From: " + b"a@example.com, " * 15_000,
    "nested_comments": b"From: " + b"(" * 100_000,
    "encoded_words": b"From: x@example.com\nSubject: " + b"=?utf-8?q?a?= " * 15_000,
    "references": b"From: x@example.com\nReferences: " + b"<a@b> " * 30_000,
    "deep": nested(90),
    "parameters": b"From: x@example.com\nContent-Type: text/plain; " + b"a*0=b; " * 20_000,
    "parameters_of_parts": b"From: x@example.com\nContent-Type: multipart/mixed; boundary=b\n\n"
    + (b"--b\nContent-Type: text/plain; " + b"a=b; " * 650 + b"\n\nhi\n") * 290
    + b"--b--\n",
    "comments_of_parts": b"From: x@example.com\nContent-Type: multipart/mixed; boundary=b\n\n"
    + (b"--b\nContent-Type: text/plain; x=" + b"(" * 3_000 + b"\n\nhi\n") * 290
    + b"--b--\n",
    "digits": b"From: x@example.com\nContent-Type: text/html\n\n" + b"&#" + b"9" * 900_000,
    "html": b"From: x@example.com\nContent-Type: text/html\n\n" + b"<p><blockquote>" * 200_000,
    "open_tags": b"From: x@example.com\nContent-Type: text/html\n\n" + b"<a " * 1_000_000,
    "entities": b"From: x@example.com\nContent-Type: text/html\n\n" + b"&" * 2_000_000,
    "html_comments": b"From: x@example.com\nContent-Type: text/html\n\n" + b"<!--" * 500_000,
    "punycode": b"From: x@example.com\nContent-Type: text/plain; charset=punycode\n\n"
    + b"a-b" * 400_000,
    "base64": b"From: x@example.com\nContent-Transfer-Encoding: base64\n\n" + b"QUJD" * 2_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_no_mail_takes_long(name: str) -> None:
    started = perf_counter()
    read_or_refused(SLOW[name])
    assert perf_counter() - started < 10


def read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except BadMail:
        return
    event = event_of(found, tenant_id="acme", links=LINKS, now=NOW)
    assert isinstance(event, Ignored) or json.loads(event.payload) is not None
    if isinstance(event, RawEvent):
        event.payload.encode()


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refused(b"From: a@example.com\n" + data)


@given(st.sampled_from(sorted(MAILS.glob("*.eml"))), st.data())
def test_a_damaged_mail_is_read_or_refused(path: Path, data: st.DataObject) -> None:
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(0, len(whole) - 1))
        damage = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"\n", b"=?", b"--"])))
        whole[place : place + data.draw(st.integers(0, 20))] = damage
    read_or_refused(bytes(whole))
