"""One item's odd answer is that item's trouble alone: what stands in a batch with it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from crm_sync.crm.base import ContactWrite, Crm, CrmUnavailable
from crm_sync.crm.followupboss import LEAD as PERSON_LEAD
from crm_sync.crm.followupboss import FollowUpBossCrm
from crm_sync.crm.guarded import GuardedCrm
from crm_sync.crm.hubspot import LEAD, HubSpotCrm
from crm_sync.crm.sandbox import SandboxCrm

ODD = "lead-5"
LEADS = [f"lead-{n}" for n in range(120)]
Odd = Callable[[dict[str, Any]], Any]
# What one well-made answer, of its own lead alone, is made into.
MADE_INTO: dict[str, Odd] = {
    "without an id": lambda well: {k: v for k, v in well.items() if k != "id"},
    "id null": lambda well: {**well, "id": None},
    "id an object": lambda well: {**well, "id": {}},
    "id empty": lambda well: {**well, "id": ""},
    "id true": lambda well: {**well, "id": True},
    "id of no letters": lambda well: {**well, "id": "1\x00"},
    "id without end": lambda well: {**well, "id": "1" * 256},
    "a word": lambda _: "odd",
    "a list": lambda _: [],
}


def hubspot(odd: Odd) -> Crm:
    def handle(request: httpx.Request) -> httpx.Response:
        if "associations" in request.url.path:
            return httpx.Response(200, json={"status": "COMPLETE", "results": []})
        results = []
        for each in json.loads(request.content)["inputs"]:
            well = {"id": f"crm of {each['id']}", "properties": {LEAD: each["id"]}}
            results.append(odd(well) if each["id"] == ODD else well)
        return httpx.Response(200, json={"results": results})

    return HubSpotCrm("token", transport=httpx.MockTransport(handle))


def follow_up_boss(odd: Odd) -> Crm:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return httpx.Response(200, json={})
        lead = request.url.params[PERSON_LEAD]
        well = {"id": int(lead.removeprefix("lead-")), PERSON_LEAD: lead}
        return httpx.Response(200, json={"people": [odd(well) if lead == ODD else well]})

    return FollowUpBossCrm("key", transport=httpx.MockTransport(handle))


def event_of_follow_up_boss(odd: Odd) -> Crm:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"people": []})
        if request.method == "PUT":
            return httpx.Response(200, json={})
        person = {"id": 7, **json.loads(request.content)["person"]}
        return httpx.Response(200, json=odd(person) if person[PERSON_LEAD] == ODD else person)

    return FollowUpBossCrm("key", transport=httpx.MockTransport(handle))


def sandbox(odd: Odd) -> Crm:
    def handle(request: httpx.Request) -> httpx.Response:
        results = []
        for each in json.loads(request.content):
            well = {"status": 200, "id": f"crm of {each['external_id']}"}
            results.append(odd(well) if each["external_id"] == ODD else well)
        return httpx.Response(200, json={"results": results})

    return SandboxCrm("http://crm.test", 5, httpx.MockTransport(handle))


def sandbox_one_by_one(odd: Odd) -> Crm:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/batch"):
            return httpx.Response(422)
        well = {"id": "crm_1", "created": True}
        return httpx.Response(200, json=odd(well) if request.url.path.endswith(ODD) else well)

    return SandboxCrm("http://crm.test", 5, httpx.MockTransport(handle))


@pytest.mark.parametrize("made_into", MADE_INTO)
@pytest.mark.parametrize(
    "account", [hubspot, follow_up_boss, event_of_follow_up_boss, sandbox, sandbox_one_by_one]
)
async def test_one_odd_answer_leaves_all_others_written(
    account: Callable[[Odd], Crm], made_into: str
) -> None:
    crm = GuardedCrm(account(MADE_INTO[made_into]))
    answers = await crm.upsert(
        [ContactWrite(lead, f"k of {lead}", {"first_name": "Ada"}) for lead in LEADS]
    )
    by_lead = dict(zip(LEADS, answers, strict=True))
    odd = by_lead.pop(ODD)
    assert isinstance(odd, CrmUnavailable)
    assert all(isinstance(each, str) for each in by_lead.values())


async def test_one_odd_batch_leaves_other_batches_written() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)
        if any(each["external_id"] == ODD for each in items):
            return httpx.Response(200, json={"results": [{"status": 200, "id": "crm_1"}]})
        return httpx.Response(200, json={"results": [{"status": 200, "id": "crm_1"}] * len(items)})

    crm = GuardedCrm(SandboxCrm("http://crm.test", 5, httpx.MockTransport(handle)))
    answers = await crm.upsert([ContactWrite(lead, "k", {}) for lead in LEADS])
    assert all(isinstance(each, CrmUnavailable) for each in answers[:100])
    assert answers[100:] == ["crm_1"] * 20
