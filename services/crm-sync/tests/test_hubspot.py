"""Calls to HubSpot and what its answers mean, by examples recorded after its documentation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crm_sync.crm.base import (
    ContactWrite,
    CrmConflict,
    CrmError,
    CrmLimited,
    CrmMissing,
    CrmNever,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.crm.defaults import HUBSPOT
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.crm.mapping import read_mapping
from crm_sync.model import Note, Task

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NOTE = Note("s-1", "Wants a roof,\n< 20 m²", AT)
TASK = Task("m-1", "call", "Call Ada", "About the roof", AT)
MISSING = "hubspot.crm-deals-v3.batch-read-none"


@pytest.fixture
def crm(recorded: Any) -> HubSpotCrm:
    # As few fields as the examples have.
    contact = {"email": "email", "stage": "leadflow_stage"}
    mapping = replace(HUBSPOT, contact=contact, deal={})
    return HubSpotCrm(
        "pat-na1-secret",
        url="http://hubspot.test",
        mapping=mapping,
        transport=recorded.transport,
    )


def write(name: str, **fields: Any) -> ContactWrite:
    return ContactWrite(
        name, f"{name}:0", {"email": f"{name}@example.com", "stage": "new"} | fields
    )


async def answers(crm: HubSpotCrm, *names: str) -> dict[str, str | CrmError]:
    found = await crm.upsert([write(name) for name in names])
    return dict(zip(names, found, strict=True))


async def test_contacts_then_deals_then_that_they_belong_together(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(
        "hubspot.crm-contacts-v3.batch-upsert",
        "hubspot.crm-deals-v3.batch-upsert",
        "hubspot.crm-associations-v4.batch-default",
    )
    found = await answers(crm, "lead-1", "lead-2")
    # HubSpot answers in an order of its own.
    assert found == {"lead-1": "501", "lead-2": "502"}
    recorded.assert_is(0, "hubspot.crm-contacts-v3.batch-upsert")
    assert recorded.body(1)["inputs"][0]["properties"] == {
        "dealname": "Lead lead-1",
        "dealstage": "appointmentscheduled",
        "pipeline": "default",
        "leadflow_lead_id": "lead-1",
    }
    recorded.assert_is(2, "hubspot.crm-associations-v4.batch-default")
    assert {each.headers["Authorization"] for each in recorded.requests} == {
        "Bearer pat-na1-secret"
    }


async def test_each_item_of_a_207_has_its_own_answer(crm: HubSpotCrm, recorded: Any) -> None:
    recorded.answer(
        "hubspot.error-handling.multi-status",
        "hubspot.crm-deals-v3.batch-upsert",
        "hubspot.crm-associations-v4.batch-default",
    )
    found = await answers(crm, "lead-1", "lead-2", "lead-3", "lead-4")
    assert found["lead-1"] == "501"
    assert isinstance(found["lead-2"], CrmNever)
    assert isinstance(found["lead-3"], CrmLimited)
    # The answer says nothing of the fourth: it may or may not have been written.
    assert isinstance(found["lead-4"], CrmUnavailable)
    # Deals only for contacts that are there.
    assert [each["id"] for each in recorded.body(1)["inputs"]] == ["lead-1"]


@pytest.mark.parametrize(
    "errors", [5, ["boom"], {"a": 1}, [{"category": "VALIDATION_ERROR", "context": {"ids": None}}]]
)
async def test_an_error_in_no_form_that_we_know_spoils_no_other_answer(
    crm: HubSpotCrm, recorded: Any, errors: Any
) -> None:
    written = {"id": "501", "properties": {"leadflow_lead_id": "lead-1"}}
    recorded.respond(207, {"status": "COMPLETE", "results": [written], "errors": errors})
    recorded.answer(
        "hubspot.crm-deals-v3.batch-upsert", "hubspot.crm-associations-v4.batch-default"
    )
    found = await answers(crm, "lead-1", "lead-2")
    assert found["lead-1"] == "501"
    assert type(found["lead-2"]) is CrmUnavailable


@pytest.mark.parametrize("errors", [5, [{"context": {"propertyName": None}, "code": 1}]])
async def test_a_refusal_whose_details_say_nothing_is_a_refusal_all_the_same(
    crm: HubSpotCrm, recorded: Any, errors: Any
) -> None:
    recorded.respond(400, {"status": "error", "message": None, "errors": errors})
    (refused,) = (await answers(crm, "lead-1")).values()
    assert type(refused) is CrmNever


async def test_a_refusal_names_the_property_and_not_its_value(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer("hubspot.error-handling.validation")
    (refused,) = (await answers(crm, "lead-1")).values()
    assert isinstance(refused, CrmNever)
    assert str(refused) == "upsert of contacts: HTTP 400 INVALID_EMAIL email"


async def test_who_is_to_blame_for_a_refused_batch_is_looked_for_by_halves(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(
        "hubspot.error-handling.validation",
        "hubspot.crm-contacts-v3.batch-upsert",
        "hubspot.error-handling.validation",
        "hubspot.crm-deals-v3.batch-upsert",
        "hubspot.crm-associations-v4.batch-default",
    )
    found = await answers(crm, "lead-1", "lead-2")
    assert [len(recorded.body(index)["inputs"]) for index in range(3)] == [2, 1, 1]
    assert found["lead-1"] == "501"
    assert isinstance(found["lead-2"], CrmNever)


@pytest.mark.parametrize(
    ("example", "kind", "wait"),
    [
        ("usage-guidelines.daily", CrmLimited, timedelta(hours=1)),
        ("usage-guidelines.burst", CrmLimited, timedelta(seconds=10)),
        ("error-handling.migration", CrmLimited, timedelta(hours=2)),
        ("error-handling.unauthorized", CrmSignIn, timedelta(0)),
        ("error-handling.missing-scopes", CrmSignIn, timedelta(0)),
        ("error-handling.no-such-property", CrmSignIn, timedelta(0)),
    ],
)
async def test_what_is_about_the_account_is_asked_once_for_all(
    crm: HubSpotCrm, recorded: Any, example: str, kind: type[CrmError], wait: timedelta
) -> None:
    recorded.answer(f"hubspot.{example}")
    for error in (await answers(crm, "lead-1", "lead-2")).values():
        assert isinstance(error, kind)
        assert error.retryable
        assert error.retry_after == wait
    assert len(recorded.requests) == 1


@pytest.mark.parametrize("body", [None, {"message": "Not Found"}])
@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 405, 406, 410, 415, 421, 426])
async def test_an_address_that_is_gone_or_moved_is_about_the_account(
    crm: HubSpotCrm, recorded: Any, status: int, body: Any
) -> None:
    recorded.respond(status, body, {"Location": "http://elsewhere.test/"})
    for error in (await answers(crm, "lead-1", "lead-2")).values():
        assert type(error) is CrmSignIn
    assert len(recorded.requests) == 1


@pytest.mark.parametrize("status", [200, 204])
async def test_whoever_answers_nothing_is_not_hubspot(
    crm: HubSpotCrm, recorded: Any, status: int
) -> None:
    recorded.respond(status, None)
    with pytest.raises(CrmSignIn):
        await crm.read(["lead-1"])
    recorded.respond(status, None)
    (error,) = (await answers(crm, "lead-1")).values()
    assert type(error) is CrmSignIn


async def test_a_note_that_is_gone_before_it_is_associated_is_missing(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer("hubspot.crm-deals-v3.batch-read", "hubspot.crm-notes-v3.batch-upsert")
    recorded.respond(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Gone"})
    with pytest.raises(CrmMissing):
        await crm.add_note("lead-1", NOTE)


async def test_a_lost_answer_may_be_asked_for_again(crm: HubSpotCrm, recorded: Any) -> None:
    recorded.answer(httpx.RemoteProtocolError("closed, of ada@example.com"))
    (lost,) = (await answers(crm, "lead-1")).values()
    assert isinstance(lost, CrmUnavailable)
    assert str(lost) == "upsert of contacts: RemoteProtocolError"


async def test_a_deal_that_fails_is_the_leads_failure(crm: HubSpotCrm, recorded: Any) -> None:
    recorded.answer("hubspot.crm-contacts-v3.batch-upsert", "hubspot.usage-guidelines.burst")
    for error in (await answers(crm, "lead-1", "lead-2")).values():
        assert isinstance(error, CrmLimited)


def played(recorded: Any, holder: str | None) -> None:
    """Somebody else has the address; `holder` is the lead that this contact is of."""
    recorded.answer("hubspot.error-handling.contact-exists")
    recorded.respond(200, {"results": [{"id": "777", "properties": {"leadflow_lead_id": holder}}]})
    record_id = "777" if holder is None else "778"
    recorded.respond(
        200, {"results": [{"id": record_id, "properties": {"leadflow_lead_id": "lead-1"}}]}
    )
    recorded.answer(
        "hubspot.crm-deals-v3.batch-upsert", "hubspot.crm-associations-v4.batch-default"
    )


async def test_a_contact_with_the_address_becomes_the_leads(crm: HubSpotCrm, recorded: Any) -> None:
    played(recorded, None)
    assert await answers(crm, "lead-1") == {"lead-1": "777"}
    assert recorded.asked()[2] == "POST /crm/v3/objects/contacts/batch/update"
    (adopted,) = recorded.body(2)["inputs"]
    assert (adopted["id"], adopted["properties"]["leadflow_lead_id"]) == ("777", "lead-1")


async def test_a_contact_that_goes_while_it_becomes_the_leads_is_asked_for_again(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer("hubspot.error-handling.contact-exists")
    recorded.respond(200, {"results": [{"id": "777", "properties": {"leadflow_lead_id": None}}]})
    recorded.respond(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Gone"})
    (error,) = (await answers(crm, "lead-1")).values()
    assert isinstance(error, CrmConflict)


async def test_a_contact_of_another_lead_keeps_its_address(crm: HubSpotCrm, recorded: Any) -> None:
    played(recorded, "lead-9")
    assert await answers(crm, "lead-1") == {"lead-1": "778"}
    assert recorded.asked()[2] == "POST /crm/v3/objects/contacts/batch/upsert"
    assert "email" not in recorded.body(2)["inputs"][0]["properties"]


async def test_a_stage_without_a_counterpart_is_refused_without_a_call(
    crm: HubSpotCrm, recorded: Any
) -> None:
    (refused,) = await crm.upsert([write("lead-1", stage="limbo")])
    assert isinstance(refused, CrmNever)
    assert recorded.requests == []


async def test_a_note_is_written_on_the_deal_under_its_own_id(
    crm: HubSpotCrm, recorded: Any
) -> None:
    steps = (
        "hubspot.crm-deals-v3.batch-read",
        "hubspot.crm-notes-v3.batch-upsert",
        "hubspot.crm-associations-v4.default",
    )
    recorded.answer(*steps)
    await crm.add_note("lead-1", NOTE)
    for index, name in enumerate(steps):
        recorded.assert_is(index, name)


async def test_a_note_without_its_deal_says_so(crm: HubSpotCrm, recorded: Any) -> None:
    recorded.answer(MISSING)
    with pytest.raises(CrmMissing):
        await crm.add_note("lead-1", NOTE)


async def test_a_task_that_is_written_again_is_not_opened_again(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(
        "hubspot.crm-deals-v3.batch-read",
        "hubspot.crm-tasks-v3.batch-upsert",
        "hubspot.crm-associations-v4.default",
    )
    await crm.add_task("lead-1", TASK)
    recorded.assert_is(1, "hubspot.crm-tasks-v3.batch-upsert")
    assert "hs_task_status" not in recorded.body(1)["inputs"][0]["properties"]


async def test_contacts_that_the_crm_lacks_are_left_out_of_what_is_read(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(MISSING)
    assert await crm.read(["lead-1"]) == {}


def test_what_is_kept_is_in_hubspots_words() -> None:
    mapping = read_mapping({"owners": {"rita": "41"}}, HUBSPOT)
    fields = {
        "tenant_id": "acme",
        "first_name": "Ada",
        "stage": "won",
        "owner": "rita",
        "budget": {"amount_minor": 1250050, "currency": "EUR"},
        "address": {"city": "Graz"},
        "revision": 3,
    }
    kept = HubSpotCrm("t", mapping=mapping).kept(fields)
    assert {name: value for name, value in kept.items() if value} == {
        "contact.firstname": "Ada",
        "contact.city": "Graz",
        "contact.leadflow_stage": "won",
        "contact.leadflow_owner": "rita",
        "contact.leadflow_revision": "3",
        "contact.hubspot_owner_id": "41",
        "deal.dealstage": "closedwon",
        "deal.pipeline": "default",
        "deal.amount": "12500.5",
        "deal.hubspot_owner_id": "41",
    }
    assert kept["contact.leadflow_fit"] == ""
    assert "contact.phone" not in kept


READS = [
    f"hubspot.crm-properties-v3.batch-read-{k}" for k in ("contacts", "deals", "notes", "tasks")
]


async def test_the_canary_asks_for_the_properties_that_writes_need(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(*READS)
    await crm.canary()
    for index, name in enumerate(READS):
        recorded.assert_is(index, name)


async def test_the_canary_fails_as_a_write_would(crm: HubSpotCrm, recorded: Any) -> None:
    recorded.answer("hubspot.error-handling.unauthorized")
    with pytest.raises(CrmSignIn):
        await crm.canary()
    recorded.answer("hubspot.crm-properties-v3.batch-read-partly", *READS[1:])
    with pytest.raises(CrmSignIn, match=r"contacts\.leadflow_lead_id, contacts\.leadflow_stage"):
        await crm.canary()


async def test_an_account_is_given_the_properties_that_are_ours(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer("hubspot.crm-properties-v3.batch-read-partly", *READS[1:])
    made = ("hubspot.crm-properties-v3.groups-exists", "hubspot.crm-properties-v3.batch-create")
    recorded.answer(*made)
    await crm.prepare()
    for index, name in enumerate(made, 4):
        recorded.assert_is(index, name)


async def test_without_room_for_a_call_none_is_made(recorded: Any) -> None:
    async def full() -> None:
        raise CrmLimited("no room", timedelta(seconds=3))

    crm = HubSpotCrm("t", url="http://hubspot.test", gate=full, transport=recorded.transport)
    (limited,) = (await answers(crm, "lead-1")).values()
    assert isinstance(limited, CrmLimited)
    assert recorded.requests == []


async def test_a_conflict_that_is_not_about_an_address_may_pass(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.respond(423, {"status": "error", "message": "Locked"})
    (error,) = (await answers(crm, "lead-1")).values()
    assert isinstance(error, CrmConflict)
