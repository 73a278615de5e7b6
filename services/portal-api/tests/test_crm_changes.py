"""What people changed in CRMs: as rows, as words, and nothing of it as a source of leads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.kafka.loop import Received
from leadflow.records import CrmChangeSettled, FieldSettled, LeadUpdated, RawEvent, StageChanged
from portal_api import settled, story
from portal_api.live import changes_of
from portal_api.projections import project
from portal_api.projections.crm_changes import CRM_CHANGES
from portal_api.projections.tables import LEADS, RAW_EVENTS
from portal_api.projections.timeline import line

Make = Callable[..., Received]
THERE = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
HERE = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)


def field(name: str = "stage", **more: Any) -> FieldSettled:
    told: dict[str, Any] = {
        "field": name,
        "outcome": "taken",
        "rule": "only_crm_changed",
        "conflict": False,
        "crm_value": "qualified",
        "log_value": "contacted",
        "crm_at": THERE,
        "log_at": HERE,
    }
    return FieldSettled(**{**told, **more})


def change(about: dict[str, Any], *fields: FieldSettled, **more: Any) -> CrmChangeSettled:
    return CrmChangeSettled(
        **about,
        cause_id="raw-9",
        revision=7,
        account_id="hubspot-1",
        fields=fields,
        **{"provider": "hubspot", **more},
    )


def said(each: FieldSettled, provider: str = "hubspot", *, personal: bool = True) -> str:
    data = {"provider": provider, "fields": [each.to_avro()]}
    return settled.sentences(data, lambda at: f"{at:%d %H:%M}", personal=personal)


def test_a_settled_change_is_a_row_with_its_fields_and_says_whether_it_is_a_conflict(
    about: Callable[..., dict[str, Any]], received: Make
) -> None:
    plain = change(about(), field())
    both = change(about(), field(), field("phone", rule="newest_wins", conflict=True))
    rows = project([received("lead-events", each) for each in (plain, both, plain)])
    found = {row["event_id"]: row for row in rows.of(CRM_CHANGES)}
    assert {event: row["conflict"] for event, row in found.items()} == {
        plain.event_id: False,
        both.event_id: True,
    }
    assert [each["field"] for each in found[both.event_id]["fields"]] == ["stage", "phone"]
    assert found[both.event_id]["settled_at"] == both.recorded_at
    (lead,) = rows.of(LEADS)
    assert lead["owner"] == "dana"
    assert changes_of(rows)["acme"].kinds >= {"crm_changes", "leads"}


def test_what_crm_sync_found_is_no_source_that_may_fall_silent(
    about: Callable[..., dict[str, Any]], received: Make
) -> None:
    shared = {name: value for name, value in about().items() if name not in ("lead_id", "owner")}
    raw = RawEvent(
        **{**shared, "source": "crm:hubspot"}, kind="crm_change", external_id="7", payload="{}"
    )
    assert project([received("raw-events", raw)]).of(RAW_EVENTS) == []


def test_the_words_say_who_changed_what_when_and_why_it_stands() -> None:
    assert said(field()) == (
        "Stage: HubSpot's “qualified” was taken, changed there at 20 08:00; the log had "
        "“contacted” since 19 17:30: nobody had changed it here since HubSpot was told."
    )
    assert said(field("owner", rule="crm_wins_for_owner", log_at=None), "followupboss") == (
        "Owner: Follow Up Boss's “qualified” was taken, changed there at 20 08:00; the log had "
        "“contacted”: who owns a lead is said in Follow Up Boss."
    )
    kept = field("phone", outcome="kept", rule="newest_wins", conflict=True)
    assert said(kept, "webhook") == (
        "Phone: the log's “contacted” of 19 17:30 was kept over the CRM's “qualified” of 20 08:00: "
        "both sides had changed it, and the CRM not later."
    )
    blank = field("first_name", log_value=None, log_at=None, crm_at=None)
    assert said(blank) == (
        "First name: HubSpot's “qualified” was taken, changed there since it was told; the log had "
        "none: nobody had changed it here since HubSpot was told."
    )


@pytest.mark.parametrize(
    ("outcome", "rule", "conflict", "words"),
    [
        ("taken", "newest_wins", True, "both sides had changed it, HubSpot later"),
        ("kept", "newest_wins", False, "HubSpot has told of a later change of it since"),
        ("kept", "unknown_stage", True, "HubSpot's stage has no counterpart"),
        ("kept", "stage_transition", True, "a lead does not go from the one to the other"),
        ("kept", "unusable", True, "HubSpot's is no e-mail that can be used"),
        ("kept", "quarantined", True, "the lead is in quarantine"),
        ("same", "equal", False, "changed nothing: both sides had the same already"),
        ("kept", "a_rule_of_tomorrow", True, "by the rule a_rule_of_tomorrow"),
        ("taken", "equal", False, "by the rule equal"),
    ],
)
def test_every_rule_has_its_words(outcome: str, rule: str, conflict: bool, words: str) -> None:
    told = said(field("email", outcome=outcome, rule=rule, conflict=conflict))
    assert words in told
    assert told.startswith("E-mail: ")


@pytest.mark.parametrize("outcome", ["taken", "kept", "same"])
def test_no_address_is_told_to_whoever_may_not_see_leads(outcome: str) -> None:
    for name in ("first_name", "last_name", "email", "phone", "company", "title"):
        told = said(field(name, outcome=outcome, rule="newest_wins"), personal=False)
        assert "qualified" not in told
        assert "contacted" not in told
    for name in ("stage", "owner"):
        assert "“qualified”" in said(field(name, outcome=outcome), personal=False)


def test_the_timeline_tells_it_from_what_was_stored(
    about: Callable[..., dict[str, Any]],
) -> None:
    row = line(change(about(), field()), "lead-events")
    for each in row["data"]["fields"]:  # as it comes back from jsonb
        each |= {name: at.isoformat() for name, at in each.items() if isinstance(at, datetime)}
    told = story.text(row["type"], row["source"], row["data"])
    assert "changed there at 2026-11-20 08:00 UTC" in told
    assert "the log had “contacted” since 2026-11-19 17:30 UTC" in told


def test_what_a_crm_changed_is_no_new_sighting_of_the_lead() -> None:
    data = {"changed": ["phone", "first_name"], "duplicate_rule": "email"}
    told = story.text(LeadUpdated.TYPE, "crm:hubspot", data)
    assert told == "Was changed in HubSpot: phone, first name"
    assert story.text(LeadUpdated.TYPE, "crm:webhook", {}) == "Was changed in the CRM"
    moved = {"from_stage": "new", "to_stage": "won", "changed_by": "crm:followupboss"}
    told = story.text(StageChanged.TYPE, "crm:followupboss", moved)
    assert told == "Moved from new to won in Follow Up Boss"
    told = story.text(StageChanged.TYPE, "web", {**moved, "changed_by": "dana"})
    assert told == "Moved from new to won"


def test_a_change_that_is_told_again_is_the_same_row(
    about: Callable[..., dict[str, Any]], received: Make
) -> None:
    first = change(about(), field())
    batch = [received("lead-events", first), received("lead-events", first)]
    (row,) = project(batch).of(CRM_CHANGES)
    assert row["changed_at"] == first.occurred_at
    assert row["settled_at"] - first.recorded_at == timedelta(0)
