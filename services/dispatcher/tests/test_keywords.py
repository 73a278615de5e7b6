"""STOP, START and HELP: who is answered, with what, and what no answer may get round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher import keywords
from dispatcher.content import Writer
from dispatcher.decide import Decision, before_sending
from dispatcher.hours import Closed
from dispatcher.model import Entry, Known, Paused, State
from leadflow.records import ReplyReceived
from leadflow.tenants import Tenant

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TENANT = Tenant(
    tenant_id="acme",
    name="Acme Roofing",
    agent_phone="+15125550100",
    answers_keywords=("sms",),
)
Make = Callable[..., Entry]


def reply(**values: Any) -> ReplyReceived:
    fields: dict[str, Any] = {
        "event_id": "e-1",
        "tenant_id": "acme",
        "occurred_at": NOW,
        "recorded_at": NOW,
        "source": "twilio",
        "lead_id": "lead-1",
        "owner": "dana",
        "cause_id": "raw-1",
        "channel": "sms",
        "from_address": "+15125550163",
        "automatic": False,
        "keyword": "HELP",
    }
    return ReplyReceived(**(fields | values))


def asked(*records: ReplyReceived, tenant: Tenant = TENANT) -> list[keywords.Asked]:
    return keywords.asked(records, {"acme": tenant})


def test_a_keyword_is_answered_where_the_tenant_wants_it() -> None:
    [each] = asked(reply())
    assert (each.keyword, each.recipient, each.lead_id) == ("HELP", "+15125550163", "lead-1")


def test_by_itself_leadflow_answers_nothing_for_the_provider_does() -> None:
    assert asked(reply(), tenant=Tenant(tenant_id="acme")) == []
    assert keywords.asked([reply()], {}) == []


@pytest.mark.parametrize(
    "values",
    [
        {"automatic": True},
        {"keyword": None},
        {"channel": "email"},
        {"channel": "whatsapp"},
        {"from_address": None},
    ],
)
def test_nothing_else_is_answered(values: dict[str, Any]) -> None:
    assert asked(reply(**values)) == []


def test_an_answer_is_as_old_as_the_word_that_it_answers(writer: Writer) -> None:
    [each] = asked(reply(occurred_at=NOW - timedelta(hours=2)))
    assert keywords.arrival(each, TENANT, writer, again=False).due_at == NOW - timedelta(hours=2)
    [ahead] = asked(reply(occurred_at=NOW + timedelta(hours=2)))
    assert keywords.arrival(ahead, TENANT, writer, again=False).due_at == NOW


def test_leads_that_share_a_number_get_one_answer_together() -> None:
    first, second = reply(), reply(event_id="e-2", lead_id="lead-2")
    assert len(asked(first, second)) == 1
    assert asked(first)[0].message_id == asked(second)[0].message_id
    assert asked(reply(cause_id="raw-2"))[0].message_id != asked(first)[0].message_id


def test_help_names_the_sender_a_contact_and_the_way_out() -> None:
    text = keywords.text_of("HELP", TENANT)
    for words in ("Acme Roofing", "+15125550100", "STOP", "Msg & data rates may apply"):
        assert words in text
    own = replace(TENANT, help_text="Acme: ask us at acme.example. STOP to end.")
    assert keywords.text_of("HELP", own) == own.help_text


def test_the_confirmation_of_a_stop_says_no_more_than_that() -> None:
    assert keywords.text_of("STOP", TENANT) == (
        "Acme Roofing: You are unsubscribed and will receive no more messages. "
        "Reply START to subscribe again."
    )


@pytest.fixture
def answer(make_entry: Make) -> Callable[..., Decision]:
    """What becomes of an answer to `keyword`, of which this is known when it is claimed."""

    def judged(keyword: str, *, paused: Paused | None = None, **known: Any) -> Decision:
        entry = make_entry(
            channel="sms",
            recipient="+15125550163",
            enrollment_id=None,
            enrolled_at=None,
            answers=keyword,
            known=Known(**known),
        )
        closed = Closed(
            zone="UTC", hours="08:00-21:00", until=NOW + timedelta(hours=9), seconds=32_400.0
        )
        return before_sending(
            entry, paused or Paused(), provider="sms-api", keyed=True, closed=closed
        )

    return judged


@pytest.mark.parametrize("keyword", ["STOP", "HELP"])
def test_stop_and_help_are_answered_though_the_person_opted_out_and_at_night(
    answer: Callable[..., Decision], keyword: str
) -> None:
    assert answer(keyword, suppressed_by="opt_out", consent=False).state is State.CLAIMED
    assert answer(keyword, consent=None).state is State.CLAIMED


@pytest.mark.parametrize("keyword", ["STOP", "START", "HELP"])
@pytest.mark.parametrize("reason", ["complaint", "hard_bounce", "manual"])
def test_no_keyword_gets_round_another_reason_on_the_list(
    answer: Callable[..., Decision], keyword: str, reason: str
) -> None:
    decision = answer(keyword, suppressed_by=reason)
    assert (decision.state, decision.rule) == (State.SUPPRESSED, "suppression_list")
    assert decision.inputs == {"keyword": keyword, "reason": reason, "channel": "sms"}


def test_a_second_stop_gets_no_second_confirmation(answer: Callable[..., Decision]) -> None:
    decision = answer(keywords.AGAIN, suppressed_by="opt_out", consent=False)
    assert (decision.state, decision.rule) == (State.SUPPRESSED, "stop_confirmed_before")


@pytest.mark.parametrize(
    ("keyword", "age", "state"),
    [
        ("STOP", 299.0, State.CLAIMED),
        ("STOP", 301.0, State.SUPPRESSED),
        ("HELP", 3_599.0, State.CLAIMED),
        ("HELP", 3_601.0, State.SUPPRESSED),
    ],
)
def test_an_answer_comes_soon_or_never(
    answer: Callable[..., Decision], keyword: str, age: float, state: State
) -> None:
    decision = answer(keyword, suppressed_by="opt_out", consent=False, age_seconds=age)
    assert decision.state is state
    assert decision.rule in ("", "answer_too_late")


@pytest.mark.parametrize(("answered", "state"), [(4, State.CLAIMED), (5, State.SUPPRESSED)])
def test_an_address_gets_five_answers_a_day(
    answer: Callable[..., Decision], answered: int, state: State
) -> None:
    decision = answer("HELP", answered=answered)
    assert decision.state is state
    if state is State.SUPPRESSED:
        assert (decision.rule, decision.inputs["most_a_day"]) == ("too_many_answers", "5")


def test_start_waits_for_the_consent_that_it_gives_and_then_is_answered(
    answer: Callable[..., Decision],
) -> None:
    early = answer("START", suppressed_by="opt_out", consent=False, waited_seconds=1.0)
    assert (early.state, early.rule) == (State.QUEUED, "consent_awaited")
    assert answer("START", consent=True, waited_seconds=3.0).state is State.CLAIMED
    late = answer("START", suppressed_by="opt_out", consent=False, waited_seconds=90.0)
    assert (late.state, late.rule) == (State.SUPPRESSED, "suppression_list")


def test_a_pause_holds_answers_too(answer: Callable[..., Decision]) -> None:
    decision = answer("HELP", paused=Paused(frozenset({"tenant:acme"})))
    assert (decision.state, decision.rule) == (State.HELD, "paused")


def test_keywords_of_one_address_are_answered_one_after_the_other() -> None:
    said = [("STOP", "+1"), ("STOP", "+2"), ("STOP", "+1"), ("HELP", "+1"), ("STOP", "+2")]
    records = [
        reply(keyword=keyword, from_address=address, cause_id=f"raw-{number}")
        for number, (keyword, address) in enumerate(said)
    ]
    found = [[each.event_id for each in some] for some in keywords.in_turn(asked(*records))]
    assert found == [["raw-0", "raw-1"], ["raw-2", "raw-4"], ["raw-3"]]
    assert list(keywords.in_turn([])) == []
