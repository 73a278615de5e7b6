"""Whose an answer is, and what it asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intake.model import message_key
from leadflow.errors import RecordRefused
from leadflow.records import AccountReplied, ConsentChanged, ReplyReceived

MESSAGE = "15536a5b-7d7e-52e3-b8fb-d332e1b3acc7"
MAIL = f"<{MESSAGE}@mail.leadflow.example>"


@pytest.fixture
def lead_id(desk: Any) -> str:
    """Maria, who was sent a message."""
    lead = desk.take("lead", {"name": "Maria Lopez", "email": "maria@example.com"})[0]
    desk.book = type(desk.book)(
        desk.leads(),
        {
            **{key: [found] for key, found in desk.book.changes.keys},
            message_key("acme", MESSAGE): [lead.lead_id],
        },
    )
    return str(lead.lead_id)


def reply(desk: Any, **payload: Any) -> ReplyReceived:
    records = desk.take("reply", {"channel": "email", "text": "Yes please", **payload})
    [found] = [each for each in records if isinstance(each, ReplyReceived)]
    return found


@pytest.mark.parametrize(
    "payload",
    [
        {"message_id": MESSAGE},
        {"in_reply_to": MAIL},
        {"references": f"<other@example.org> {MAIL}"},
        {"references": ["<other@example.org>", MAIL]},
        {"message_id": "unknown", "in_reply_to": MAIL},
    ],
)
def test_an_answer_finds_its_lead_by_the_message_that_it_names(
    desk: Any, lead_id: str, payload: dict[str, Any]
) -> None:
    found = reply(desk, **payload)
    assert (found.lead_id, found.message_id) == (lead_id, MESSAGE)
    assert not found.by_other  # nobody says who wrote it


def test_a_colleagues_answer_to_a_forwarded_mail_is_the_leads_and_marked(
    desk: Any, lead_id: str
) -> None:
    found = reply(desk, message_id=MESSAGE, **{"from": "Bob <bob@example.net>"})
    assert (found.lead_id, found.by_other) == (lead_id, True)
    assert found.from_address == "bob@example.net"


def test_the_leads_own_answer_is_not_marked(desk: Any, lead_id: str) -> None:
    found = reply(desk, message_id=MESSAGE, **{"from": "Maria Lopez <Maria@Example.com>"})
    assert (found.lead_id, found.by_other) == (lead_id, False)


def test_an_answer_by_another_lead_is_one_of_both(desk: Any, lead_id: str) -> None:
    other = desk.take("lead", {"name": "Bob Brown", "email": "bob@example.net"})[0]
    records = desk.take(
        "reply", {"message_id": MESSAGE, "from": "bob@example.net", "text": "We are in"}
    )
    replies = {each.lead_id: each for each in records if isinstance(each, ReplyReceived)}
    assert set(replies) == {lead_id, other.lead_id}
    assert replies[lead_id].by_other
    assert not replies[other.lead_id].by_other


def test_a_message_of_another_tenant_is_nobodys(desk: Any, lead_id: str) -> None:
    raw = desk.raw("reply", {"message_id": MESSAGE, "text": "Yes"})
    decision = desk.decide(replace(raw, tenant_id="other"))
    assert decision.error is not None
    assert decision.error.rule == "unknown_lead"


def test_the_quoted_part_is_left_out_and_asks_for_nothing(desk: Any, lead_id: str) -> None:
    text = "Friday is fine\n\nOn Nov 20, 2026, Acme <us@mail.example> wrote:\n> STOP\n"
    records = desk.take("reply", {"message_id": MESSAGE, "text": text, "channel": "email"})
    assert [type(each) for each in records] == [ReplyReceived]
    assert records[0].text == "Friday is fine"


def test_a_stop_that_is_all_quoted_is_no_stop(desk: Any, lead_id: str) -> None:
    records = desk.take("reply", {"message_id": MESSAGE, "text": "> STOP", "channel": "email"})
    assert [type(each) for each in records] == [ReplyReceived]
    assert (records[0].text, records[0].keyword) == ("> STOP", None)


def test_stop_above_a_quotation_stops(desk: Any, lead_id: str) -> None:
    text = "Stop\n\nOn Nov 20, 2026, Acme <us@mail.example> wrote:\n> Hi\n"
    found, *changes = desk.take("reply", {"message_id": MESSAGE, "text": text, "channel": "email"})
    assert found.keyword == "STOP"
    assert {each.granted for each in changes} == {False}


@pytest.mark.parametrize("text", [None, "-- \nMaria Lopez", "Sent from my iPhone", "> Hi Maria"])
def test_unsubscribe_as_the_subject_of_a_mail_in_which_nothing_is_written_stops(
    desk: Any, lead_id: str, text: str | None
) -> None:
    payload = {"message_id": MESSAGE, "channel": "email", "subject": "unsubscribe", "text": text}
    records = desk.take("reply", payload)
    assert any(isinstance(each, ConsentChanged) and not each.granted for each in records)


def test_a_subject_says_nothing_where_something_is_written(desk: Any, lead_id: str) -> None:
    payload = {"message_id": MESSAGE, "channel": "email", "subject": "stop", "text": "Call me"}
    assert [type(each) for each in desk.take("reply", payload)] == [ReplyReceived]


@pytest.mark.parametrize("word", ["HELP", "info", "Help!"])
def test_help_changes_no_consent_and_is_no_news_for_others(desk: Any, word: str) -> None:
    desk.take("lead", {"name": "Leila Brandt", "phone": "5125550163", "company": "Brandt Oak"})
    desk.take("lead", {"name": "Tom Oak", "phone": "5125550164", "company": "Brandt Oak"})
    records = desk.take("reply", {"from": "+15125550163", "text": word})
    assert [type(each) for each in records] == [ReplyReceived]
    assert records[0].keyword == "HELP"
    told = desk.take("reply", {"from": "+15125550163", "text": "Friday is fine"})
    assert any(isinstance(each, AccountReplied) for each in told)


def test_a_keyword_that_the_provider_has_answered_is_not_answered_again(desk: Any) -> None:
    desk.take("lead", {"name": "Leila Brandt", "phone": "5125550163"})
    payload = {"from": "+15125550163", "text": "HELP", "opt_out_type": "HELP"}
    assert desk.take("reply", payload)[0].keyword is None


@pytest.mark.parametrize(
    "payload",
    [
        {"headers": {"X-Leadflow-Message-Id": MESSAGE}, "from": "maria@example.com"},
        {"mail_id": MAIL, "from": "maria@example.com"},
    ],
)
def test_a_mail_of_our_own_that_comes_back_is_no_answer(
    desk: Any, lead_id: str, payload: dict[str, Any]
) -> None:
    with pytest.raises(RecordRefused) as refused:
        desk.take("reply", payload)
    assert refused.value.rule == "own_message"


def test_an_answer_keeps_its_mails_id_and_subject_for_the_next_mail(
    desk: Any, lead_id: str
) -> None:
    found = reply(desk, message_id=MESSAGE, mail_id=" <a1@example.com> ", subject="Re:  Your roof")
    assert (found.mail_id, found.mail_subject) == ("<a1@example.com>", "Re: Your roof")


@pytest.mark.parametrize("given", ["", "a1@example.com", "<a b@example.com>", "<a@b>\r\nBcc: x"])
def test_what_is_no_message_id_is_not_kept(desk: Any, lead_id: str, given: str) -> None:
    found = reply(desk, message_id=MESSAGE, mail_id=given)
    assert found.mail_id in (None, "<a@b>")


def test_an_automatic_answer_says_by_what_it_is_one(desk: Any, lead_id: str) -> None:
    found = reply(
        desk,
        message_id=MESSAGE,
        subject="Automatic reply: Your roof",
        text="I am away until December 1.",
    )
    assert (found.automatic, found.automatic_rule) == (True, "subject")
    assert found.returns_on == "2026-12-01"


def test_a_stop_from_an_alias_is_about_both_addresses(desk: Any, lead_id: str) -> None:
    records = desk.take(
        "reply",
        {"message_id": MESSAGE, "from": "alias@elsewhere.example", "text": "STOP",
         "channel": "email"},
    )  # fmt: skip
    said = [
        (each.address, each.event_id)
        for each in records
        if isinstance(each, ConsentChanged) and each.channel == "email"
    ]
    assert [address for address, _ in said] == ["maria@example.com", "alias@elsewhere.example"]
    assert len({event_id for _, event_id in said}) == 2
