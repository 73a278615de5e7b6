"""What lead-events tell the dispatcher."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dispatcher.facts import Consent, Stop, Suppression, Zone, address_key, facts_of
from leadflow.records import (
    AccountReplied,
    BookingMade,
    ConsentChanged,
    LeadCreated,
    ReplyReceived,
    StageChanged,
    SuppressionChanged,
)
from leadflow.records.common import ConsentGrant

OCCURRED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
RECORDED = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
COMMON: dict[str, Any] = {
    "event_id": "x-1",
    "tenant_id": "acme",
    "occurred_at": OCCURRED,
    "recorded_at": RECORDED,
    "source": "web",
    "lead_id": "lead-1",
    "cause_id": "raw-1",
}


def created(status: str, *consent: ConsentGrant) -> LeadCreated:
    return LeadCreated(
        **COMMON,
        revision=1,
        external_id="1",
        status=status,
        urgency="normal",
        timezone="UTC",
        timezone_from="tenant",
        stage="new",
        received="{}",
        extra="{}",
        consent=consent,
    )


def stage(to: str) -> StageChanged:
    return StageChanged(**COMMON, revision=2, from_stage="new", to_stage=to)


def test_a_reply_by_a_person_stops_from_the_time_it_was_recorded() -> None:
    reply = ReplyReceived(**COMMON, channel="email", automatic=False)
    assert facts_of([reply]) == [Stop(lead_id="lead-1", stop="reply", at=RECORDED)]


def test_an_automatic_reply_stops_nothing() -> None:
    assert facts_of([ReplyReceived(**COMMON, channel="email", automatic=True)]) == []


def test_a_booking_stops() -> None:
    assert facts_of([BookingMade(**COMMON)]) == [
        Stop(lead_id="lead-1", stop="booking", at=RECORDED)
    ]


@pytest.mark.parametrize(("to", "stops"), [("won", ["won"]), ("lost", ["lost"]), ("contacted", [])])
def test_won_and_lost_stop_and_other_stages_do_not(to: str, stops: list[str]) -> None:
    assert [fact.stop for fact in facts_of([stage(to)]) if isinstance(fact, Stop)] == stops


def test_an_opt_out_stops_refuses_the_channel_and_lists_the_address() -> None:
    facts = facts_of(
        [ConsentChanged(**COMMON, channel="email", granted=False, address=" Ann@Example.com")]
    )
    assert facts == [
        Stop(lead_id="lead-1", stop="opt_out", at=RECORDED),
        Consent(lead_id="lead-1", channel="email", granted=False, explicit=True, at=RECORDED),
        Suppression(
            tenant_id="acme",
            channel="email",
            address="ann@example.com",
            reason="opt_out",
            active=True,
            cause_id="raw-1",
            at=RECORDED,
            source="web",
        ),
    ]


def test_an_opt_in_lifts_the_opt_out_and_stops_nothing() -> None:
    facts = facts_of(
        [
            ConsentChanged(
                **COMMON, channel="sms", granted=True, address="+15125550100", basis="opt-in"
            )
        ]
    )
    assert [type(fact).__name__ for fact in facts] == ["Consent", "Suppression", "Suppression"]
    # What a provider heard is lifted with it, where it stands on the list.
    assert [
        (fact.reason, fact.active, fact.lifts) for fact in facts if isinstance(fact, Suppression)
    ] == [("opt_out", False, False), ("provider_opt_out", False, True)]


def test_a_missed_call_allows_a_text_and_takes_no_opt_out_of_its_number_back() -> None:
    facts = facts_of(
        [
            ConsentChanged(
                **COMMON, channel="sms", granted=True, address="+15125550100", basis="inbound call"
            )
        ]
    )
    assert facts == [
        Consent(lead_id="lead-1", channel="sms", granted=True, explicit=False, at=RECORDED)
    ]


def test_a_consent_dated_ahead_counts_from_when_it_was_recorded() -> None:
    ahead = datetime(2030, 1, 1, tzinfo=UTC)
    facts = facts_of([created("active", ConsentGrant(channel="sms", granted=True, at=ahead))])
    assert [fact.at for fact in facts if isinstance(fact, Consent)] == [RECORDED]


def test_an_opt_out_of_all_lists_a_number_on_every_channel_of_numbers() -> None:
    facts = facts_of(
        [ConsentChanged(**COMMON, channel="all", granted=False, address="+15125550100")]
    )
    listed = {fact.channel for fact in facts if isinstance(fact, Suppression)}
    refused = {fact.channel for fact in facts if isinstance(fact, Consent)}
    assert listed == {"sms", "whatsapp", "call"}
    assert refused == {"email", "sms", "whatsapp", "call"}


def test_a_lead_brings_its_consents() -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    facts = facts_of(
        [
            created(
                "active",
                ConsentGrant(channel="sms", granted=True, at=at),
                ConsentGrant(channel="email", granted=False),
            )
        ]
    )
    assert [fact for fact in facts if isinstance(fact, Consent)] == [
        Consent(lead_id="lead-1", channel="sms", granted=True, explicit=False, at=at),
        Consent(lead_id="lead-1", channel="email", granted=False, explicit=False, at=RECORDED),
    ]


def test_of_a_quarantined_lead_only_where_it_is_counts() -> None:
    facts = facts_of([created("quarantined", ConsentGrant(channel="sms", granted=True))])
    assert facts == [Zone(lead_id="lead-1", timezone="UTC", revision=1)]


def test_what_stands_on_a_list_is_a_fact_that_nobody_has_to_be_told_of() -> None:
    changed = SuppressionChanged(
        event_id="s-1",
        tenant_id="acme",
        occurred_at=OCCURRED,
        recorded_at=RECORDED,
        source="import",
        suppression_id="x",
        channel="email",
        address="Ann@Example.com",
        reason="opt_out",
        active=True,
        changed_by="priya",
        note="old tool",
    )
    assert facts_of([changed]) == [
        Suppression(
            tenant_id="acme",
            channel="email",
            address="ann@example.com",
            reason="opt_out",
            active=True,
            cause_id="s-1",
            # When it happened, not when it was imported: a later opt-in counts.
            at=OCCURRED,
            source="import",
            note="old tool",
            told=True,
        )
    ]


def test_addresses_are_compared_without_case() -> None:
    assert address_key("email", " Ann@Example.COM ") == "ann@example.com"
    assert address_key("sms", "+15125550100 ") == "+15125550100"


def test_a_reply_of_another_contact_of_the_account_stops() -> None:
    replied = AccountReplied(**COMMON, replied_lead_id="lead-2", channel="email")
    assert facts_of([replied]) == [Stop(lead_id="lead-1", stop="account_reply", at=RECORDED)]


@pytest.mark.parametrize(
    ("listed", "written"),
    [
        ("\u200bvic@example.com", "Vic@example.com"),
        ("nb\u00ad@example.com", "nb@example.com"),
        ("a@exämple.com", "a@xn--exmple-cua.com"),
        ("a@xn--exmple-cua.com", "a@EXÄMPLE.com"),
    ],
)
def test_an_entry_holds_for_the_address_that_people_see(listed: str, written: str) -> None:
    changed = SuppressionChanged(
        event_id="s-1",
        tenant_id="acme",
        occurred_at=OCCURRED,
        recorded_at=RECORDED,
        source="import",
        suppression_id="x",
        channel="email",
        address=listed,
        reason="manual",
        active=True,
    )
    (fact,) = facts_of([changed])
    assert isinstance(fact, Suppression)
    assert fact.address == address_key("email", written)
