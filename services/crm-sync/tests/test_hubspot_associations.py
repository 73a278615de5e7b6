"""What becomes of HubSpot's contacts and deals that do not come to belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crm_sync.crm.base import ContactWrite, CrmConflict, CrmError, CrmNever, CrmUnavailable
from crm_sync.crm.defaults import HUBSPOT
from crm_sync.crm.hubspot import HubSpotCrm


@pytest.fixture
def crm(recorded: Any) -> HubSpotCrm:
    mapping = replace(HUBSPOT, contact={"email": "email"}, deal={})
    return HubSpotCrm(
        "pat-na1-secret",
        url="http://hubspot.test",
        mapping=mapping,
        transport=recorded.transport,
    )


async def answers(crm: HubSpotCrm, *names: str) -> dict[str, str | CrmError]:
    fields = {"email": "ada@example.com", "stage": "new"}
    found = await crm.upsert([ContactWrite(name, f"{name}:0", fields) for name in names])
    return dict(zip(names, found, strict=True))


TWO = ("hubspot.crm-contacts-v3.batch-upsert", "hubspot.crm-deals-v3.batch-upsert")
ASSOCIATED = {"from": {"id": "901"}, "to": {"id": "501"}}


def left_apart(
    category: str, context: dict[str, list[str]], *results: dict[str, Any]
) -> dict[str, Any]:
    error = {"status": "error", "category": category, "message": "x", "context": context}
    return {"status": "COMPLETE", "results": [*results], "numErrors": 1, "errors": [error]}


@pytest.mark.parametrize(
    "context",
    [{"fromObjectId": ["902"]}, {"toObjectId": ["502"]}, {"objectId": ["502"]}, {"ids": ["902"]}],
)
async def test_an_association_that_is_refused_is_of_the_pair_that_the_answer_names(
    crm: HubSpotCrm, recorded: Any, context: dict[str, list[str]]
) -> None:
    recorded.answer(*TWO)
    recorded.respond(207, left_apart("VALIDATION_ERROR", context, ASSOCIATED))
    found = await answers(crm, "lead-1", "lead-2")
    assert found["lead-1"] == "501"
    assert type(found["lead-2"]) is CrmNever
    assert len(recorded.requests) == 3


async def test_of_a_pair_that_an_answer_with_errors_does_not_name_nothing_is_assumed(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(*TWO)
    recorded.respond(207, left_apart("VALIDATION_ERROR", {"toObjectId": ["502"]}))
    found = await answers(crm, "lead-1", "lead-2")
    assert type(found["lead-1"]) is CrmUnavailable
    assert type(found["lead-2"]) is CrmNever


async def test_a_contact_that_goes_before_it_is_associated_is_written_again(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(*TWO)
    recorded.respond(207, left_apart("OBJECT_NOT_FOUND", {"toObjectId": ["502"]}, ASSOCIATED))
    found = await answers(crm, "lead-1", "lead-2")
    assert found["lead-1"] == "501"
    assert type(found["lead-2"]) is CrmConflict


REFUSED = {"status": "error", "category": "VALIDATION_ERROR", "message": "one id is no number"}


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, REFUSED), (200, REFUSED), (207, left_apart("VALIDATION_ERROR", {}))],
)
async def test_who_is_to_blame_for_refused_associations_is_looked_for_by_halves(
    crm: HubSpotCrm, recorded: Any, status: int, body: dict[str, Any]
) -> None:
    recorded.answer(*TWO)
    recorded.respond(status, body)
    recorded.respond(200, {"status": "COMPLETE", "results": [ASSOCIATED]})
    recorded.respond(status, body)
    found = await answers(crm, "lead-1", "lead-2")
    assert [len(recorded.body(index)["inputs"]) for index in range(2, 5)] == [2, 1, 1]
    assert found["lead-1"] == "501"
    assert type(found["lead-2"]) is CrmNever


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, None),
        (200, {"status": "error", "message": "internal"}),
        (207, left_apart("INTERNAL", {}, ASSOCIATED)),
        (207, {"results": [ASSOCIATED], "errors": ["?"]}),
    ],
)
async def test_associations_of_which_nothing_is_told_are_asked_for_again(
    crm: HubSpotCrm, recorded: Any, status: int, body: dict[str, Any] | None
) -> None:
    recorded.answer(*TWO)
    recorded.respond(status, body)
    found = await answers(crm, "lead-1", "lead-2")
    assert [type(each) for each in found.values()] == [CrmUnavailable, CrmUnavailable]
    assert len(recorded.requests) == 3


async def test_a_number_of_one_pairs_deal_and_anothers_contact_names_neither(
    crm: HubSpotCrm, recorded: Any
) -> None:
    recorded.answer(TWO[0])
    deals = [
        {"id": number, "properties": {"leadflow_lead_id": name}}
        for name, number in (("lead-1", "502"), ("lead-2", "902"))
    ]
    recorded.respond(200, {"status": "COMPLETE", "results": deals})
    recorded.respond(207, left_apart("INTERNAL", {"objectId": ["502"]}))
    found = await answers(crm, "lead-1", "lead-2")
    assert [type(each) for each in found.values()] == [CrmUnavailable, CrmUnavailable]
