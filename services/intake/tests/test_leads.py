from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import (
    CallMissed,
    ConsentChanged,
    LeadCreated,
    LeadQualified,
    LeadUpdated,
    Money,
    QuoteRequested,
    SummaryCreated,
)
from leadflow.tenants import Tenant

MARIA = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "maria@example.com",
    "phone": "5125550163",
    "service": "roof leak repair",
    "message": "Water is coming in over the nursery since last night.",
    "urgency": "emergency",
    "budget": {"amount": 6500, "currency": "USD"},
    "consent": {"email": True, "sms": True, "basis": "consent"},
}


def types(records: tuple[Any, ...]) -> list[type]:
    return [type(record) for record in records]


def test_a_first_sighting_creates_qualifies_and_summarizes_a_lead(desk: Any) -> None:
    records = desk.take("lead", {**MARIA, "form_id": "v3"}, external_id="wf-1")
    assert types(records) == [LeadCreated, LeadQualified, SummaryCreated]
    created, qualified, summary = records
    assert created.lead_id == ids.lead_id("acme", "form", "wf-1")
    assert {record.lead_id for record in records} == {created.lead_id}
    assert {record.cause_id for record in records} == {"e1"}
    assert created.status == "active"
    assert created.revision == 1
    assert created.stage == "new"
    assert created.phone == "+15125550163"
    assert (created.timezone, created.timezone_from) == ("America/Chicago", "phone")
    assert created.budget == Money(amount_minor=650_000, currency="USD")
    assert created.owner in ("dana", "luis")
    assert created.language == "en"
    assert {grant.channel: grant.granted for grant in created.consent} == {
        "email": True,
        "sms": True,
    }
    assert qualified.temperature == "hot"
    assert summary.approval_state == "pending"
    assert summary.project_id == "acme"


def test_what_was_received_stays_next_to_what_was_made_of_it(desk: Any) -> None:
    payload = {**MARIA, "form_id": "v3", "nested": {"a": [1]}}
    created = desk.take("lead", payload)[0]
    assert json.loads(created.received) == payload
    assert json.loads(created.extra) == {"form_id": "v3", "nested": {"a": [1]}}


def test_the_same_raw_event_always_gives_the_same_ids(desk: Any, desk_of: Any) -> None:
    other = desk_of(desk.tenant)
    ours = desk.take("quote_request", MARIA)
    theirs = other.take("quote_request", MARIA)
    assert [record.event_id for record in ours] == [record.event_id for record in theirs]
    assert len({record.event_id for record in ours}) == len(ours)


@pytest.mark.parametrize(
    ("payload", "where", "rule"),
    [
        ({"name": "Somebody Else"}, {"external_id": "wf-1"}, "external_id"),
        ({"name": "M. Delgado", "email": "MARIA@EXAMPLE.COM"}, {"source": "angi"}, "email"),
        ({"name": "maria delgado", "phone": "+1 512-555-0163"}, {"source": "angi"}, "phone_name"),
        ({"phone": "+1 512-555-0163"}, {"source": "angi"}, "phone_name"),
    ],
)
def test_a_duplicate_is_folded_into_the_lead_that_is_known(
    desk: Any, payload: dict[str, Any], where: dict[str, str], rule: str
) -> None:
    created = desk.take("lead", MARIA, external_id="wf-1")[0]
    records = desk.take("lead", payload, **where)
    assert types(records) == [LeadUpdated]
    assert records[0].lead_id == created.lead_id
    assert records[0].duplicate_rule == rule
    assert records[0].revision == 2
    assert len(desk.leads()) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {"name": "Leila Brandt", "phone": "5125550163", "email": "leila@example.com"},
        {"name": "Maria Delgado", "phone": "5125550164", "email": "md@example.com"},
    ],
)
def test_another_person_is_another_lead(desk: Any, payload: dict[str, Any]) -> None:
    desk.take("lead", MARIA)
    assert desk.take("lead", payload)[0].TYPE == "LeadCreated"
    assert len(desk.leads()) == 2


def test_tenants_do_not_share_leads(desk: Any, desk_of: Any) -> None:
    desk.take("lead", MARIA)
    other = desk_of(replace(desk.tenant, tenant_id="other"))
    other.book = desk.book
    assert other.take("lead", MARIA)[0].TYPE == "LeadCreated"


def test_another_source_fills_gaps_and_tells_news_but_corrects_no_name(desk: Any) -> None:
    desk.take("lead", {**MARIA, "urgency": "researching", "budget": None})
    (updated, *_) = desk.take(
        "lead",
        {
            "name": "Mary Delgado",
            "email": "MARIA@example.com",
            "company": "Delgado & Sons",
            "urgency": "asap",
            "service": "gutters",
        },
        source="angi",
    )
    assert updated.first_name == "Maria"
    assert updated.email == "maria@example.com"
    assert updated.company == "Delgado & Sons"
    assert updated.urgency == "urgent"
    assert updated.service == "gutters"
    assert updated.message == MARIA["message"]
    assert set(updated.changed) == {"company", "urgency", "service"}


def test_the_same_record_of_the_same_source_corrects(desk: Any) -> None:
    desk.take("lead", MARIA, external_id="crm-7")
    (updated, *_) = desk.take(
        "lead",
        {"first_name": "Mary", "email": "mary@example.com", "owner": "sam"},
        external_id="crm-7",
    )
    assert (updated.first_name, updated.last_name) == ("Mary", "Delgado")
    assert updated.email == "mary@example.com"
    assert updated.owner == "sam"
    # The lead is found by both addresses from now on.
    for address in ("maria@example.com", "mary@example.com"):
        assert desk.take("reply", {"from": address, "text": "hi"})[0].lead_id == updated.lead_id


def test_a_sighting_that_comes_late_fills_gaps_and_overwrites_nothing(desk: Any) -> None:
    late = desk.raw("lead", {**MARIA, "service": "gutters", "company": "Delgado & Sons"})
    desk.take("lead", MARIA, external_id="wf-2")
    updated = desk.decide(late).records[0]
    assert updated.service == "roof leak repair"
    assert updated.company == "Delgado & Sons"


def test_a_repeat_without_news_changes_nothing(desk: Any) -> None:
    desk.take("lead", MARIA, external_id="wf-1")
    records = desk.take("lead", MARIA, external_id="wf-1")
    assert types(records) == [LeadUpdated]
    assert records[0].changed == ()


def test_a_lead_does_not_change_its_stage_by_being_seen_again(desk: Any) -> None:
    created = desk.take("lead", {**MARIA, "stage": "contacted"}, external_id="wf-1")[0]
    assert created.stage == "contacted"
    assert desk.take("lead", {**MARIA, "stage": "won"}, external_id="wf-1")[0].stage == "contacted"


def test_a_stage_that_the_pipeline_does_not_have_is_not_taken(desk: Any) -> None:
    assert desk.take("lead", {**MARIA, "stage": "salesqualifiedlead"})[0].stage == "new"


def test_a_lead_that_becomes_warmer_is_qualified_again(desk: Any) -> None:
    cold = {"name": "Maria Delgado", "email": "maria@example.com", "urgency": "researching"}
    assert types(desk.take("lead", cold)) == [LeadCreated, LeadQualified]
    records = desk.take("lead", MARIA)
    assert types(records) == [LeadUpdated, LeadQualified, SummaryCreated]
    assert records[1].temperature == "hot"
    assert types(desk.take("lead", cold)) == [LeadUpdated], "and not again when it says less"


def test_spam_in_a_known_persons_name_teaches_nothing(desk: Any) -> None:
    created = desk.take("lead", MARIA)[0]
    (updated,) = desk.take("lead", {**MARIA, "message": "buy", "website_hp": "x"})
    assert updated.duplicate_rule == "email"
    assert updated.status == "active"
    assert updated.message == created.message
    assert updated.changed == ()


def test_spam_that_named_an_address_does_not_swallow_its_owner(desk: Any) -> None:
    desk.take("lead", {**MARIA, "website_hp": "x"})
    created = desk.take("lead", MARIA)[0]
    assert created.TYPE == "LeadCreated"
    assert created.status == "active"
    assert desk.take("lead", {**MARIA, "website_hp": "x"})[0].lead_id == created.lead_id


def test_a_quarantined_record_that_comes_clean_is_released(desk: Any) -> None:
    desk.take("lead", {**MARIA, "website_hp": "x"}, external_id="wf-1")
    records = desk.take("lead", MARIA, external_id="wf-1")
    assert types(records) == [LeadUpdated, LeadQualified, SummaryCreated]
    assert records[0].status == "active"
    assert records[0].quarantine_reasons == ()
    assert "status" in records[0].changed


def test_a_tenant_that_rejects_duplicates_gets_none(
    tenant: Tenant, desk_of: Callable[[Tenant], Any]
) -> None:
    desk = desk_of(replace(tenant, duplicate_policy="reject"))
    desk.take("lead", MARIA, external_id="wf-1")
    with pytest.raises(RecordRefused, match="duplicate"):
        desk.take("lead", MARIA)
    assert desk.take("lead", MARIA, external_id="wf-1")[0].duplicate_rule == "external_id"


def test_a_tenant_that_links_duplicates_gets_a_lead_each(
    tenant: Tenant, desk_of: Callable[[Tenant], Any]
) -> None:
    desk = desk_of(replace(tenant, duplicate_policy="link"))
    first = desk.take("lead", MARIA)[0]
    second = desk.take("lead", MARIA)[0]
    assert second.TYPE == "LeadCreated"
    assert second.lead_id != first.lead_id


def test_a_quote_request_is_a_lead_and_what_a_price_is_wanted_for(desk: Any) -> None:
    payload = {
        **MARIA,
        "scope": "Full tear-off",
        "location": "Austin, TX",
        "timeline": "this month",
        "photos": ["https://example.com/1.jpg", 7],
    }
    records = desk.take("quote_request", payload)
    assert types(records) == [LeadCreated, LeadQualified, SummaryCreated, QuoteRequested]
    quote = records[-1]
    assert quote.scope == "Full tear-off"
    assert quote.photos == ("https://example.com/1.jpg",)
    assert quote.budget == Money(amount_minor=650_000, currency="USD")
    assert quote.routing_owner == records[0].owner
    assert json.loads(records[0].extra) == {}
    again = desk.take("quote_request", payload)
    assert types(again) == [LeadUpdated, QuoteRequested]


def test_a_missed_call_of_an_unknown_number_is_a_lead_that_may_be_texted(desk: Any) -> None:
    records = desk.take(
        "call_missed",
        {"caller": "512-555-0184", "tracking_number": "+15125550100", "duration_seconds": 14},
    )
    assert types(records) == [LeadCreated, LeadQualified, SummaryCreated, CallMissed]
    created, missed = records[0], records[-1]
    assert created.phone == missed.caller == "+15125550184"
    (grant,) = created.consent
    assert (grant.channel, grant.granted, grant.basis) == ("sms", True, "inbound call")
    assert missed.duration_seconds == 14


def test_a_missed_call_of_a_known_number_is_an_event_of_that_lead(desk: Any) -> None:
    created = desk.take("lead", {**MARIA, "consent": {"email": True}})[0]
    missed, allowed = desk.take("call_missed", {"caller": "+15125550163"})
    assert missed.lead_id == created.lead_id
    assert isinstance(allowed, ConsentChanged)
    assert (allowed.channel, allowed.granted, allowed.basis) == ("sms", True, "inbound call")
    assert types(desk.take("call_missed", {"caller": "+15125550163"})) == [CallMissed]


def test_a_call_does_not_take_a_refusal_back(desk: Any) -> None:
    desk.take("lead", {**MARIA, "consent": {"sms": False}})
    assert types(desk.take("call_missed", {"caller": "+15125550163"})) == [CallMissed]


def test_a_caller_without_a_name_is_the_lead_that_then_fills_in_the_form(desk: Any) -> None:
    call = desk.take("call_missed", {"caller": "+15125550163"})[0]
    updated = desk.take("lead", MARIA)[0]
    assert updated.lead_id == call.lead_id
    assert (updated.first_name, updated.email) == ("Maria", "maria@example.com")


@pytest.mark.parametrize(
    ("kind", "payload", "rule"),
    [
        ("newsletter_signup", {}, "unknown_kind"),
        ("call_missed", {}, "missing_field"),
        ("call_missed", {"caller": "anonymous"}, "caller"),
        ("stage_change", {"lead": {"source": "form", "external_id": "x"}}, "missing_field"),
        ("stage_change", {"to": "won"}, "missing_field"),
        ("reply", {"text": "hi"}, "missing_field"),
        ("reply", {"message_id": "m-1"}, "unknown_lead"),
        ("reply", {"from": "nobody@example.com"}, "unknown_lead"),
        ("opt_out", {"channel": "email"}, "missing_field"),
        ("opt_out", {"email": "nobody@example.com"}, "unknown_lead"),
        ("booking", {"email": "nobody@example.com"}, "unknown_lead"),
        ("job_completed", {}, "missing_field"),
        ("enrichment", {}, "missing_field"),
    ],
)
def test_what_can_never_be_processed_is_refused_by_a_rule_with_a_name(
    desk: Any, kind: str, payload: dict[str, Any], rule: str
) -> None:
    with pytest.raises(RecordRefused) as refused:
        desk.take(kind, payload)
    assert refused.value.rule == rule
    assert "nobody@example.com" not in str(refused.value)
