"""What people may change in a CRM: where it is read, whose it is, and what it means to us."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crm_sync.crm.base import Crm
from crm_sync.crm.defaults import FOLLOW_UP_BOSS, HUBSPOT
from crm_sync.crm.followupboss import FollowUpBossCrm
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.crm.mapping import read_mapping
from crm_sync.crm.sandbox import SandboxCrm
from crm_sync.decide import item_of, remembered
from crm_sync.model import BOTH_WAYS, PROFILE, Contact, Earlier, Order, Origin, Register, Upsert
from leadflow.records import CrmChangeSettled, FieldSettled

OWNERS = {"owners": {"rita": "41"}}
ADA = {
    "first_name": "Ada",
    "last_name": "Byron",
    "email": "ada@x.example",
    "phone": "+15125550100",
    "company": "Engines",
    "title": "Owner",
    "stage": "qualified",
    "owner": "rita",
}
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def crms(recorded: Any) -> list[Crm]:
    return [
        HubSpotCrm("t", mapping=read_mapping(OWNERS, HUBSPOT), transport=recorded.transport),
        FollowUpBossCrm(
            "k", mapping=read_mapping(OWNERS, FOLLOW_UP_BOSS), transport=recorded.transport
        ),
        SandboxCrm("http://crm.test", 1, transport=recorded.transport),
    ]


def test_what_was_written_is_read_back_in_our_words(recorded: Any) -> None:
    for crm in crms(recorded):
        kept = crm.kept(ADA)
        told = {ours: crm.told(kept, place)[0] for place, ours in crm.both_ways.items()}
        assert told == {**ADA, "phone": told["phone"]}
        assert "+15125550100".endswith(told["phone"])
        assert set(told) == set(BOTH_WAYS)


def test_a_notices_name_is_a_place_that_is_read(recorded: Any) -> None:
    hubspot, boss, sandbox = crms(recorded)
    assert hubspot.both_ways[hubspot.place("deal", "dealstage")] == "stage"
    assert hubspot.both_ways[hubspot.place("contact", "jobtitle")] == "title"
    assert boss.both_ways[boss.place("contact", "assignedUserId")] == "owner"
    assert sandbox.both_ways[sandbox.place("contact", "stage")] == "stage"


async def test_hubspots_objects_are_known_by_our_id_in_them(recorded: Any) -> None:
    hubspot, _, _ = crms(recorded)
    recorded.respond(
        207,
        {
            "results": [
                {"id": "201", "properties": {"leadflow_lead_id": "lead-1", "hs_object_id": "201"}},
                {"id": "202", "properties": {"leadflow_lead_id": None, "hs_object_id": "202"}},
            ],
            "errors": [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["203"]}}],
        },
    )
    assert await hubspot.whose("deal", ["201", "202", "203"]) == {"201": "lead-1"}
    assert recorded.asked() == ["POST /crm/v3/objects/deals/batch/read"]
    assert recorded.body(0)["inputs"] == [{"id": "201"}, {"id": "202"}, {"id": "203"}]


async def test_a_person_is_known_by_our_id_in_the_custom_field(recorded: Any) -> None:
    _, boss, _ = crms(recorded)
    recorded.respond(200, {"id": 7, "customLeadflowLeadId": "lead-1"})
    assert await boss.whose("contact", ["7"]) == {"7": "lead-1"}
    recorded.respond(404, {"errorMessage": "gone"})
    assert await boss.whose("contact", ["8", "../notes"]) == {}
    assert recorded.asked() == ["GET /v1/people/7", "GET /v1/people/8"]


async def test_a_number_is_told_as_the_agent_wrote_it(recorded: Any) -> None:
    _, boss, _ = crms(recorded)
    person = {
        "id": 7,
        "customLeadflowLeadId": "lead-1",
        "phones": [{"value": "+44 20 7946 0958", "type": "mobile"}],
    }
    recorded.respond(200, {"people": [person]})
    kept = (await boss.read(["lead-1"]))["lead-1"]
    assert boss.told(kept, "phone") == ("+44 20 7946 0958",)


def settled(**field: Any) -> CrmChangeSettled:
    given = {"field": "stage", "outcome": "kept", "rule": "stage_transition", "conflict": True}
    return CrmChangeSettled(
        event_id="e-9",
        tenant_id="acme",
        occurred_at=NOW,
        recorded_at=NOW,
        source="crm:hubspot",
        lead_id="lead-1",
        cause_id="raw-1",
        revision=4,
        account_id="a-1",
        provider="hubspot",
        fields=(FieldSettled(**(given | field)),),
    )


def test_what_the_crm_cannot_have_is_written_over() -> None:
    for rule in ("stage_transition", "unusable", "newest_wins"):
        item = item_of(settled(rule=rule), Origin("lead-events", 1, 2))
        assert item is not None
        assert item.change == Upsert({}, again=True)


def test_a_column_of_theirs_and_what_they_have_settled_themselves_are_left_alone() -> None:
    for outcome, rule, conflict in (
        ("kept", "unknown_stage", True),
        ("kept", "newest_wins", False),
        ("taken", "only_crm_changed", False),
        ("taken", "newest_wins", True),
        ("same", "equal", False),
    ):
        record = settled(outcome=outcome, rule=rule, conflict=conflict)
        assert item_of(record, Origin("lead-events", 1, 2)) is None


def test_a_value_that_is_about_to_be_replaced_is_remembered() -> None:
    def state(revision: int, title: str) -> dict[str, Register]:
        fields = {"first_name": "Ada", "title": title}
        return {PROFILE: Register(Order(revision, f"e{revision}"), fields)}

    contact = Contact("lead-1", "acme", 1, state(1, "t1"), "101", state(2, "t2"))
    assert remembered(contact, NOW) == (Earlier("title", "t1", NOW),)
    earlier: tuple[Earlier, ...] = ()
    for number in range(2, 30):
        contact = Contact(
            "lead-1", "acme", 1, state(1, f"t{number}"), "101", state(2, "x"), earlier=earlier
        )
        earlier = remembered(contact, NOW)
    assert [each.value for each in earlier] == [f"t{number}" for number in range(22, 30)]
    unchanged = Contact("lead-1", "acme", 1, state(1, "x"), "101", state(2, "x"), earlier=earlier)
    assert remembered(unchanged, NOW) == earlier
