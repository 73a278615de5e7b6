"""Mails: whatever is in a send, a reader gets it back, and every server on the way can carry it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.providers.mime import mime_of

TOKEN = "t" * 300
# What a person can have typed; no half of a surrogate pair, which is no character.
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=400)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=3_000)
LINES = re.compile(r"\r\n|\r|\n")


def send(**changes: Any) -> dict[str, Any]:
    return {
        "from": "Acme <acme@mail.example>",
        "to": "ann@example.com",
        "subject": "Hello",
        "text": "Hi",
        "html": "<p>Hi</p>",
        "headers": {"X-Leadflow-Message-Id": "m-1"},
        **changes,
    }


def read(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def sender_of(content: bytes) -> tuple[list[str], str]:
    """The words of the name, and the address.

    Not by the modern parser: up to Python 3.12 it reads a blank between two encoded words.
    """
    name, address = parseaddr(message_from_bytes(content)["From"])
    parts = (
        part if isinstance(part, str) else part.decode(charset or "ascii")
        for part, charset in decode_header(name)
    )
    return "".join(parts).split(), address


def assert_carried(content: bytes) -> None:
    """Seven bits, no line over 998 characters, no line end but CRLF (RFC 5321, 4.5.3.1.6)."""
    assert content.isascii()
    assert b"\0" not in content
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))


@given(subject=WORDS, name=WORDS, text=TEXTS, html=TEXTS)
def test_what_was_written_is_what_is_read(subject: str, name: str, text: str, html: str) -> None:
    quoted = name.replace("\\", "").replace('"', "").strip()
    mail = mime_of(
        send(subject=subject, **{"from": f'"{quoted}" <acme@mail.example>'}, text=text, html=html)
    )
    assert_carried(mail.content)
    message = read(mail.content)
    assert str(message["Subject"]).split() == subject.split()
    assert sender_of(mail.content) == (quoted.split(), "acme@mail.example")
    plain, rich = (part.get_content() for part in message.iter_parts())
    assert LINES.split(plain) == LINES.split(text)
    assert LINES.split(rich) == LINES.split(html)


@given(text=TEXTS)
def test_a_mail_without_html_is_its_text(text: str) -> None:
    mail = mime_of({**send(text=text), "html": None})
    assert_carried(mail.content)
    message = read(mail.content)
    assert message.get_content_type() == "text/plain"
    assert LINES.split(message.get_content()) == LINES.split(text)


def test_addresses_of_pages_and_lists_of_ids_are_folded_and_never_encoded() -> None:
    """A reader takes List-Unsubscribe and References by the letter: RFC 2047 has no place there."""
    references = " ".join(f"<{number:032x}.{number}@mail.example.com>" for number in range(20))
    headers = {
        "Message-ID": f"<{'m' * 120}@mail.example.com>",
        "In-Reply-To": "<0@mail.example.com>",
        "References": references,
        "Reply-To": "Über uns <reply+0123456789abcdef@mail.example.com>",
        "List-Unsubscribe": f"<https://portal.example/unsubscribe/{TOKEN}>, <mailto:u@x.example>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    mail = mime_of(send(headers=headers))
    assert_carried(mail.content)
    head = mail.content.partition(b"\r\n\r\n")[0].decode()
    unfolded = dict(
        line.partition(": ")[::2] for line in re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")
    )
    for name in headers.keys() - {"Reply-To"}:
        assert unfolded[name] == headers[name]
    assert unfolded["Reply-To"].endswith(" <reply+0123456789abcdef@mail.example.com>")
    assert read(mail.content)["Reply-To"].addresses[0].display_name == "Über uns"
    assert max(len(line) for line in head.split("\r\n") if TOKEN not in line) <= 160


def test_a_long_name_is_folded_without_leaving_a_line_empty() -> None:
    name = "Großer Name mit vielen Wörtern " * 6
    mail = mime_of(send(**{"from": f'"{name}" <acme@mail.example>'}))
    assert sender_of(mail.content) == (name.split(), "acme@mail.example")
    message = message_from_bytes(mail.content)
    assert message["Subject"] == "Hello"
    assert all(line for line in mail.content.partition(b"\r\n\r\n")[0].split(b"\r\n"))


def test_the_same_send_is_the_same_bytes_and_has_the_date_that_it_is_given() -> None:
    at = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    assert mime_of(send()) == mime_of(send())
    assert b"\r\nDate:" not in mime_of(send()).content
    assert read(mime_of(send(), at).content)["Date"].datetime == at


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "jürgen@example.com"},
        {"to": "ann@example.com\r\nBcc: all@example.com"},
        {"to": "ann"},
        {"to": "ann@example.com, bob@example.com"},
        {"to": "ann@example.com>"},
        {"from": "Acme"},
        {"from": "Acme <acme@mäil.example>"},
        {"subject": "Hello\r\nBcc: all@example.com"},
        {"headers": {"X-A": "b\r\nBcc: all@example.com"}},
        {"headers": {"X-A\r\nBcc": "all@example.com"}},
        {"headers": {"From": "somebody@example.com"}},
        {"headers": {"content-type": "text/html"}},
        {"headers": {"X-A": "b" * 1_000}},
        {"headers": {"Reply-To": "<a@b.example>\r\nBcc: <all@example.com>"}},
        {"text": "\ud800"},
    ],
)
def test_what_no_mail_can_carry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"address|header|surrogates"):
        mime_of(send(**changes))


def test_a_boundary_cannot_be_written_into_a_part() -> None:
    boundary = read(mime_of(send()).content).get_boundary()
    for words in (
        f"--{boundary}\r\n\r\nout",
        "--=_\r\n",
        "From me",
        ".",
        "\r\n.\r\n",
        "trailing  ",
    ):
        mail = mime_of(send(text=words))
        parts = list(read(mail.content).iter_parts())
        assert len(parts) == 2
        assert LINES.split(parts[0].get_content()) == LINES.split(words)


def test_a_long_part_of_a_single_line_has_no_bare_line_feed() -> None:
    """RFC 5321, 2.3.8; servers that guard against smuggling refuse such a mail."""
    send = {
        "from": '"Acme" <acme@mail.example.com>',
        "to": "ann@example.com",
        "subject": "Hello",
        "text": "Zoë, " + "a word or two more " * 20,
        "html": "<p>" + "ein Wörtchen mehr " * 20 + "</p>",
        "headers": {"X-Leadflow-Message-Id": "m-1", "Message-ID": "<m-1@mail.example.com>"},
    }
    content = mime_of(send).content
    assert b"quoted-printable" in content
    assert re.search(rb"(?<!\r)\n", content) is None
