from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow.errors import RecordRefused
from leadflow.records import LeadUpdated

PERSON = {
    "name": "Maria Delgado",
    "email": "Maria@Example.com",
    "phone": "5125550163",
    "consent": {"email": True, "sms": True, "call": True, "whatsapp": True},
}
REFERENCE = {"source": "form", "external_id": "wf-1"}


@pytest.fixture
def lead_id(desk: Any) -> str:
    return str(desk.take("lead", PERSON, external_id="wf-1")[0].lead_id)


def granted(desk: Any) -> dict[str, bool]:
    return {grant.channel: grant.granted for grant in desk.leads()[-1].consent}


@pytest.mark.parametrize(
    "person",
    [
        {"lead": REFERENCE},
        {"email": "MARIA@EXAMPLE.COM"},
        {"phone": "(512) 555-0163"},
        {"lead": {"source": "x", "external_id": "unknown"}, "email": "maria@example.com"},
    ],
)
def test_a_person_is_found_by_reference_email_or_phone(
    desk: Any, lead_id: str, person: dict[str, Any]
) -> None:
    (booked,) = desk.take(
        "booking", {**person, "at": "2026-11-24T16:00:00+01:00", "title": "Visit"}
    )
    assert booked.TYPE == "BookingMade"
    assert booked.lead_id == lead_id
    assert booked.starts_at == datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
    (done,) = desk.take("job_completed", {**person, "outcome": "completed"})
    assert (done.TYPE, done.outcome) == ("JobCompleted", "completed")


def test_a_person_is_found_by_lead_id_of_the_own_tenant_only(desk: Any, lead_id: str) -> None:
    assert desk.take("booking", {"lead": lead_id})[0].lead_id == lead_id
    with pytest.raises(RecordRefused, match="unknown_lead"):
        desk.take("booking", {"lead": "00000000-0000-0000-0000-000000000000"})


def test_a_stage_changes_along_the_list_and_the_revision_grows(desk: Any, lead_id: str) -> None:
    for number, (before, to) in enumerate(
        [("new", "contacted"), ("contacted", "qualified"), ("qualified", "proposal-sent")], 2
    ):
        (changed,) = desk.take("stage_change", {"lead": REFERENCE, "to": to, "by": "sam"})
        assert (changed.from_stage, changed.to_stage) == (before, to)
        assert changed.revision == number
        assert changed.changed_by == "sam"


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        ({"to": "won"}, "stage_transition"),
        ({"to": "sold"}, "unknown_stage"),
        ({"to": "lost"}, "lost_without_reason"),
        ({"to": "lost", "reason": " "}, "lost_without_reason"),
    ],
)
def test_a_stage_change_off_the_list_is_refused(
    desk: Any, lead_id: str, payload: dict[str, Any], rule: str
) -> None:
    with pytest.raises(RecordRefused) as refused:
        desk.take("stage_change", {"lead": REFERENCE, **payload})
    assert refused.value.rule == rule
    assert desk.leads()[-1].stage == "new"


def test_a_lead_is_lost_for_a_reason(desk: Any, lead_id: str) -> None:
    (changed,) = desk.take("stage_change", {"lead": REFERENCE, "to": "Lost", "reason": "price"})
    assert (changed.to_stage, changed.reason) == ("lost", "price")


def test_a_stage_told_twice_is_accounted_for_and_triggers_nothing(desk: Any, lead_id: str) -> None:
    (updated,) = desk.take("stage_change", {"lead": REFERENCE, "to": "new"})
    assert isinstance(updated, LeadUpdated)
    assert updated.changed == ()
    assert updated.duplicate_rule is None


def test_a_reply_stops_being_one_when_a_machine_wrote_it(desk: Any, lead_id: str) -> None:
    (reply,) = desk.take("reply", {"from": "Maria <MARIA@example.com>", "text": "Friday works."})
    assert (reply.channel, reply.automatic) == ("email", False)
    assert reply.from_address == "maria@example.com"
    (reply,) = desk.take(
        "reply",
        {
            "from": "maria@example.com",
            "in_reply_to": "m-1",
            "headers": {"Auto-Submitted": "auto-replied"},
        },
    )
    assert reply.automatic
    assert reply.message_id == "m-1"


def test_a_reply_of_a_shared_phone_is_one_of_every_lead_behind_it(desk: Any, lead_id: str) -> None:
    other = desk.take("lead", {"name": "Leila Brandt", "phone": "5125550163"})[0]
    replies = desk.take("reply", {"from": "+15125550163", "text": "yes"})
    assert {reply.lead_id for reply in replies} == {lead_id, other.lead_id}
    assert len({reply.event_id for reply in replies}) == 2


@pytest.mark.parametrize(
    ("channel", "sender", "text"),
    [
        ("sms", "+15125550163", "Stop"),
        ("whatsapp", "+15125550163", "stop all"),
        ("email", "maria@example.com", "Stop\n\n> We have your message about the roof"),
    ],
)
def test_whoever_says_stop_is_left_alone_on_every_channel(
    desk: Any, lead_id: str, channel: str, sender: str, text: str
) -> None:
    said = {"lead": lead_id, "from": sender, "channel": channel, "text": text}
    reply, *changes = desk.take("reply", said)
    assert reply.TYPE == "ReplyReceived"
    assert {each.channel for each in changes} == {"email", "sms", "call", "whatsapp"}
    assert not any(each.granted for each in changes)
    addresses = {each.channel: each.address.casefold() for each in changes}
    assert (addresses["email"], addresses["sms"]) == ("maria@example.com", "+15125550163")
    assert not any(granted(desk).values())


def test_start_takes_a_stop_back_on_its_own_channel(desk: Any, lead_id: str) -> None:
    desk.take("reply", {"from": "+15125550163", "text": "STOP"})
    _, changed = desk.take("reply", {"from": "+15125550163", "text": "START"})
    assert changed.granted
    assert granted(desk) == {"email": False, "sms": True, "call": False, "whatsapp": False}


@pytest.mark.parametrize(
    ("payload", "channels"),
    [
        ({"email": "maria@example.com", "channel": "email"}, ["email"]),
        ({"email": "maria@example.com"}, ["email"]),
        ({"phone": "+15125550163", "channel": "sms"}, ["sms"]),
        ({"phone": "+15125550163"}, ["sms", "call", "whatsapp"]),
        ({"lead": REFERENCE}, ["email", "sms", "call", "whatsapp"]),
        ({"lead": REFERENCE, "channel": "all"}, ["email", "sms", "call", "whatsapp"]),
    ],
)
def test_an_opt_out_is_read_widely(
    desk: Any, lead_id: str, payload: dict[str, Any], channels: list[str]
) -> None:
    records = desk.take("opt_out", {**payload, "keyword": "STOP", "evidence": "said so"})
    assert [record.channel for record in records] == channels
    assert not any(record.granted for record in records)
    for record in records:
        # As the lead's profile writes it: the local part keeps its case.
        own = "Maria@example.com" if record.channel == "email" else "+15125550163"
        assert record.address == own


def test_an_opt_in_is_read_narrowly(desk: Any, lead_id: str) -> None:
    desk.take("opt_out", {"lead": REFERENCE})
    (changed,) = desk.take("opt_in", {"phone": "+15125550163", "evidence": "ticked"})
    assert (changed.channel, changed.granted) == ("sms", True)
    assert granted(desk) == {"email": False, "sms": True, "call": False, "whatsapp": False}
    with pytest.raises(RecordRefused, match="missing_field"):
        desk.take("opt_in", {"lead": REFERENCE})
    with pytest.raises(RecordRefused, match="unknown_channel"):
        desk.take("opt_out", {"lead": REFERENCE, "channel": "fax"})


def test_an_opt_out_wins_over_later_forms_and_imports(desk: Any, lead_id: str) -> None:
    desk.take("opt_out", {"email": "maria@example.com"})
    for where in ({"external_id": "wf-1"}, {"source": "csv-import"}):
        updated = desk.take("lead", PERSON, **where)[0]
        assert not {grant.channel: grant.granted for grant in updated.consent}["email"]
    (changed,) = desk.take("opt_in", {"email": "maria@example.com"})
    assert changed.granted
    assert granted(desk)["email"]


def test_an_opt_out_of_a_lead_holds_for_a_number_that_it_brings_later(desk: Any) -> None:
    desk.take("lead", {"email": "maria@example.com"}, external_id="wf-1")
    desk.take("opt_out", {"lead": REFERENCE})
    updated = desk.take("lead", PERSON, external_id="wf-1")[0]
    assert updated.phone == "+15125550163"
    assert not any(grant.granted for grant in updated.consent)


def test_a_no_in_a_form_may_become_a_yes_in_the_next(desk: Any) -> None:
    desk.take("lead", {**PERSON, "consent": {"email": False}}, external_id="wf-1")
    updated = desk.take("lead", PERSON, external_id="wf-1")[0]
    assert {grant.channel: grant.granted for grant in updated.consent}["email"]


def test_an_opt_out_of_an_address_holds_for_whoever_brings_it_later(desk: Any) -> None:
    with pytest.raises(RecordRefused, match="unknown_lead"):
        desk.take("opt_out", {"phone": "+15125550163", "channel": "sms"})
    created = desk.take("lead", PERSON)[0]
    consent = {grant.channel: grant.granted for grant in created.consent}
    assert consent == {"email": True, "sms": False, "call": True, "whatsapp": True}


def test_an_opt_in_from_before_the_opt_out_changes_nothing(desk: Any, lead_id: str) -> None:
    early = desk.raw("opt_in", {"email": "maria@example.com"})
    desk.take("opt_out", {"email": "maria@example.com"})
    decision = desk.decide(early)
    assert [record.TYPE for record in decision.records] == ["LeadUpdated"]
    assert decision.allowed == ()
    assert not granted(desk)["email"]


def test_enrichment_is_about_a_lead_or_the_tenant(desk: Any, lead_id: str) -> None:
    payload = {
        "provider": "search-console",
        "batch_id": "b-1",
        "fresh_at": "2026-11-20T00:00:00Z",
        "metrics": [{"name": "clicks", "value": 12, "unit": "count"}, {"name": "bad"}, "x"],
    }
    (enriched,) = desk.take("enrichment", {**payload, "lead": REFERENCE})
    assert (enriched.lead_id, enriched.mapping_state, enriched.stale) == (lead_id, "mapped", False)
    assert [(metric.name, metric.value) for metric in enriched.metrics] == [("clicks", 12.0)]
    (enriched,) = desk.take("enrichment", {**payload, "fresh_at": "2026-11-01T00:00:00Z"})
    assert (enriched.lead_id, enriched.mapping_state, enriched.stale) == ("acme", "unmapped", True)
