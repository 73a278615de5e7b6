"""Since when each field has its value, whatever kind of event set it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from intake import field_times, snapshots
from leadflow.codec import Codec

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
MARIA = {"first_name": "Maria", "email": "maria@example.com", "title": "Owner", "owner": "dana"}


def set_at(desk: Any) -> dict[str, int]:
    """Hours after START; the desk's first event is at hour 1."""
    (lead,) = desk.leads()
    return {name: round((at - START) / timedelta(hours=1)) for name, at in lead.set_at.items()}


def test_what_a_first_sighting_brings_is_set_by_it(desk: Any) -> None:
    desk.take("lead", MARIA)
    assert set_at(desk) == {"stage": 1, "owner": 1, "first_name": 1, "email": 1, "title": 1}


def test_a_further_sighting_sets_what_it_changes_and_fills(desk: Any) -> None:
    desk.take("lead", MARIA, external_id="wf-1")
    desk.take("lead", {**MARIA, "title": "Boss", "company": "Acme"}, external_id="wf-1")
    expected = {"stage": 1, "owner": 1, "first_name": 1, "email": 1, "title": 2, "company": 2}
    assert set_at(desk) == expected


def test_a_stage_change_sets_the_stage_and_a_repeat_of_it_does_not(desk: Any) -> None:
    lead = desk.take("lead", MARIA)[0]
    for _ in range(2):
        desk.take("stage_change", {"lead": lead.lead_id, "to": "contacted"})
    assert set_at(desk) == {"stage": 2, "owner": 1, "first_name": 1, "email": 1, "title": 1}


def test_a_change_in_a_crm_sets_what_is_taken_of_it_at_its_own_time(desk: Any) -> None:
    lead = desk.take("lead", MARIA)[0]
    desk.take("opt_out", {"lead": lead.lead_id})
    desk.take("reply", {"from": "maria@example.com", "text": "hi"})
    fields = {
        "title": {"value": "Boss", "was": "Owner", "at": (START + timedelta(hours=2)).isoformat()},
        "stage": {"value": "won", "was": "new", "at": (START + timedelta(hours=3)).isoformat()},
    }
    change = {"lead": lead.lead_id, "provider": "hubspot", "account_id": "a", "fields": fields}
    desk.take("crm_change", change)
    assert set_at(desk) == {"stage": 1, "owner": 1, "first_name": 1, "email": 1, "title": 2}
    told = desk.leads()[0].told_at
    assert told == {"title": START + timedelta(hours=2), "stage": START + timedelta(hours=3)}


def test_a_crm_that_has_the_same_has_set_it_as_well(desk: Any) -> None:
    lead = desk.take("lead", MARIA)[0]
    at = (START + timedelta(hours=2)).isoformat()
    change = {"lead": lead.lead_id, "provider": "hubspot", "account_id": "a"}
    desk.take("crm_change", change | {"fields": {"title": {"value": "Owner", "at": at}}})
    assert set_at(desk)["title"] == 2


def test_an_event_of_a_clock_that_is_ahead_counts_as_of_when_it_came(desk: Any) -> None:
    ahead = desk.raw("lead", MARIA)
    desk.decide(replace(ahead, occurred_at=START + timedelta(days=400)))
    assert set(set_at(desk).values()) == {1}


def test_a_lead_is_read_back_as_it_was_saved(desk: Any) -> None:
    desk.take("lead", MARIA)
    (lead,) = desk.leads()
    lead = snapshots.from_row(snapshots.to_row(lead, Codec(), START), Codec())
    assert lead.set_at == desk.leads()[0].set_at
    assert lead == desk.leads()[0]


def test_of_a_lead_that_was_saved_before_nothing_is_known() -> None:
    assert field_times.from_json("{}") == ({}, {})
