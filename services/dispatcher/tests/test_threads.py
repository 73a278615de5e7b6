"""Mails that answer mails: ids, subjects, and the address that finds its message again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.threads import (
    MOST_REFERENCES,
    NO_THREAD,
    Mail,
    Thread,
    is_mail_id,
    received,
    reply_to,
)
from leadflow.records import ReplyReceived
from leadflow.tokens import Sealer

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def ours(number: int, subject: str = "Your roof") -> Mail:
    at = NOW + timedelta(days=number)
    return Mail(mail_id=f"<m-{number}@mail.example>", subject=subject, at=at, by_lead=False)


def theirs(number: int, subject: str = "Re: Your roof") -> Mail:
    at = NOW + timedelta(days=number)
    return Mail(mail_id=f"<{number}@example.com>", subject=subject, at=at, by_lead=True)


def test_the_first_mail_refers_to_nothing() -> None:
    assert NO_THREAD.headers() == {}
    assert NO_THREAD.subject("Your roof") == "Your roof"


def test_a_follow_up_refers_to_all_before_it_and_answers_the_last() -> None:
    assert Thread((ours(1), ours(2))).headers() == {
        "In-Reply-To": "<m-2@mail.example>",
        "References": "<m-1@mail.example> <m-2@mail.example>",
    }


def test_what_is_written_after_the_leads_own_mail_answers_that() -> None:
    thread = Thread((ours(1), theirs(2)))
    assert thread.headers() == {
        "In-Reply-To": "<2@example.com>",
        "References": "<m-1@mail.example> <2@example.com>",
    }
    assert thread.subject("Still interested?") == "Re: Your roof"


def test_a_long_thread_keeps_its_first_and_its_last_mails() -> None:
    references = Thread(tuple(ours(number) for number in range(40))).headers()["References"]
    ids = references.split()
    assert len(ids) == MOST_REFERENCES
    assert (ids[0], ids[1], ids[-1]) == (
        "<m-0@mail.example>",
        "<m-31@mail.example>",
        "<m-39@mail.example>",
    )
    assert len(f"References: {references}") < 998


@pytest.mark.parametrize("pretended", ["Re: Your roof", "RE: FW: Your roof", "Aw: Your roof"])
def test_a_follow_up_that_answers_nobody_does_not_pretend_to(pretended: str) -> None:
    assert NO_THREAD.subject(pretended) == "Your roof"
    assert Thread((ours(1),)).subject(pretended) == "Your roof"


def test_a_template_without_a_subject_goes_on_under_the_last_one() -> None:
    assert Thread((ours(1, "Your roof"), ours(2, "Friday?"))).subject("") == "Friday?"
    assert NO_THREAD.subject("") == ""


@pytest.mark.parametrize(
    ("theirs_says", "wanted"),
    [
        ("Re: Your roof", "Re: Your roof"),
        ("AW: Re: Your roof", "Re: Your roof"),
        ("Re[2]: Your roof", "Re: Your roof"),
        ("A question", "Re: A question"),
        ("Re: ", "Re: Hello"),
        ("x\r\nBcc: evil@example.com", "Re: x Bcc: evil@example.com"),
        ("\u202eevil", "Re: evil"),
    ],
)
def test_an_answer_has_re_once_and_the_leads_subject_harmless(
    theirs_says: str, wanted: str
) -> None:
    assert Thread((ours(1), theirs(2, theirs_says))).subject("Hello") == wanted


def reply(**values: object) -> ReplyReceived:
    fields: dict[str, object] = {
        "event_id": "e-1",
        "tenant_id": "acme",
        "occurred_at": NOW,
        "recorded_at": NOW,
        "source": "mail",
        "lead_id": "lead-1",
        "cause_id": "raw-1",
        "channel": "email",
        "message_id": "m-1",
        "automatic": False,
        "mail_id": "<1@example.com>",
        "mail_subject": "Re: Your roof",
    }
    return ReplyReceived(**(fields | values))  # type: ignore[arg-type]


def test_the_leads_last_mail_to_a_message_is_kept() -> None:
    later = reply(mail_id="<2@example.com>", recorded_at=NOW + timedelta(hours=1))
    assert [mail.mail_id for mail in received([reply(), later])] == ["<2@example.com>"]
    assert received([reply()])[0].subject == "Your roof"


@pytest.mark.parametrize(
    "values",
    [
        {"automatic": True},
        {"channel": "sms"},
        {"mail_id": None},
        {"mail_id": "<a@b>\r\nBcc: evil@example.com"},
        {"mail_id": "no brackets"},
    ],
)
def test_nothing_else_becomes_part_of_a_thread(values: dict[str, object]) -> None:
    assert received([reply(**values)]) == []


@pytest.mark.parametrize("given", ["<a@b>", "<CAF+x=1@mail.gmail.com>"])
def test_a_message_id_is_one(given: str) -> None:
    assert is_mail_id(given)


@pytest.mark.parametrize("given", ["", "<>", "<a>", "<a b@c>", "<a@b>\n", "<a@b> <c@d>", None])
def test_what_could_break_a_header_is_none(given: str | None) -> None:
    assert not is_mail_id(given)


def test_the_reply_address_fits_and_opens_for_its_tenant() -> None:
    links = Sealer("a secret")
    message = "15536a5b-7d7e-52e3-b8fb-d332e1b3acc7"
    address = reply_to(links, "acme", message, "mail.example") or ""
    local, _, domain = address.partition("@")
    assert domain == "mail.example"
    assert len(local) <= 64
    assert local == local.lower()
    assert links.open_id("reply", "acme", local.removeprefix("reply+")) == message


def test_an_id_that_is_no_uuid_has_no_reply_address() -> None:
    assert reply_to(Sealer("a secret"), "acme", "m-1", "mail.example") is None
