"""HubSpot as it is played: one object for each unique value, 207s, quotas, history."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

SIGNED = {"Authorization": "Bearer pat-na1-acme"}
CONTACTS = "/hubspot/crm/v3/objects/contacts/batch"


def lead(name: str, **properties: str) -> dict[str, Any]:
    return {
        "idProperty": "leadflow_lead_id",
        "id": name,
        "properties": properties,
        "objectWriteTraceId": name,
    }


async def upsert(client: httpx.AsyncClient, *inputs: dict[str, Any]) -> httpx.Response:
    return await client.post(CONTACTS + "/upsert", json={"inputs": inputs}, headers=SIGNED)


async def records(client: httpx.AsyncClient, kind: str = "contacts") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(f"/accounts/hubspot/acme/{kind}")).json()[
        "items"
    ]
    return items


async def test_a_repeated_upsert_writes_the_same_contact(client: httpx.AsyncClient) -> None:
    first = (await upsert(client, lead("l-1", firstname="Ada"))).json()["results"][0]
    again = (await upsert(client, lead("l-1", firstname="Eda"))).json()["results"][0]
    assert (first["new"], again["new"], first["id"] == again["id"]) == (True, False, True)
    (record,) = await records(client)
    assert [change["values"]["firstname"] for change in record["history"]] == ["Ada", "Eda"]


async def test_inputs_that_can_be_told_apart_are_answered_one_by_one(
    client: httpx.AsyncClient,
) -> None:
    answer = await upsert(client, lead("l-1", email="ada@x.example"), lead("l-2", email="nobody"))
    assert answer.status_code == 207
    assert [each["objectWriteTraceId"] for each in answer.json()["results"]] == ["l-1"]
    (error,) = answer.json()["errors"]
    assert error["context"] == {"objectWriteTraceId": ["l-2"]}
    assert error["errors"][0]["code"] == "INVALID_EMAIL"


async def test_without_traces_one_wrong_input_refuses_the_whole(client: httpx.AsyncClient) -> None:
    inputs = [lead("l-1", email="nobody")]
    del inputs[0]["objectWriteTraceId"]
    assert (await upsert(client, *inputs)).status_code == 400


async def test_an_address_belongs_to_one_contact(client: httpx.AsyncClient) -> None:
    first = (await upsert(client, lead("l-1", email="ada@x.example"))).json()["results"][0]["id"]
    (error,) = (await upsert(client, lead("l-2", email="Ada@X.example"))).json()["errors"]
    assert error["category"] == "CONFLICT"
    assert error["message"] == f"Contact already exists. Existing ID: {first}"


async def test_a_batch_is_read_by_the_unique_property(client: httpx.AsyncClient) -> None:
    await upsert(client, lead("l-1", firstname="Ada"))
    body = {
        "idProperty": "leadflow_lead_id",
        "inputs": [{"id": "l-1"}, {"id": "l-2"}],
        "properties": ["firstname", "phone"],
    }
    answer = await client.post(CONTACTS + "/read", json=body, headers=SIGNED)
    assert answer.status_code == 207
    (found,) = answer.json()["results"]
    assert found["properties"] == {"firstname": "Ada", "phone": None, "hs_object_id": found["id"]}
    assert answer.json()["errors"][0]["context"] == {"ids": ["l-2"]}


async def test_the_burst_limit_is_told_and_says_when_to_come_back(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/accounts/hubspot/acme", json={"limits": {"burst": 1}})
    first = await upsert(client, lead("l-1"))
    assert first.headers["x-hubspot-ratelimit-remaining"] == "0"
    over = await upsert(client, lead("l-1"))
    assert over.status_code == 429
    assert over.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert over.headers["retry-after"] == "10"


async def test_the_daily_limit_does_not_say_when_to_come_back(client: httpx.AsyncClient) -> None:
    await client.post("/accounts/hubspot/acme", json={"limits": {"daily": 0}})
    over = await upsert(client, lead("l-1"))
    assert (over.status_code, over.json()["policyName"]) == (429, "DAILY")
    assert "retry-after" not in over.headers


async def test_accounts_have_their_own_contacts_and_credentials(client: httpx.AsyncClient) -> None:
    await upsert(client, lead("l-1"))
    await client.post("/accounts/hubspot/acme", json={"revoked": True})
    assert (await upsert(client, lead("l-1"))).status_code == 401
    shown = (await client.get("/accounts/hubspot/other")).json()
    assert (shown["records"], shown["revoked"]) == ({}, False)


async def test_a_property_that_the_account_lacks_is_missed_until_it_is_created(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/accounts/hubspot/acme", json={"without": ["leadflow_stage"]})
    (error,) = (await upsert(client, lead("l-1", leadflow_stage="new"))).json()["errors"]
    assert error["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    path = "/hubspot/crm/v3/properties/contacts/batch/"
    asked = {"inputs": [{"name": "leadflow_stage"}, {"name": "email"}]}
    missed = await client.post(path + "read", json=asked, headers=SIGNED)
    assert missed.status_code == 207
    assert [each["name"] for each in missed.json()["results"]] == ["email"]
    await client.post(path + "create", json=asked, headers=SIGNED)
    assert (await client.post(path + "read", json=asked, headers=SIGNED)).status_code == 200


@pytest.mark.parametrize(
    ("rule", "status", "category"),
    [
        ({"mode": "fail", "status": 503}, 503, "INTERNAL_ERROR"),
        ({"mode": "reject", "status": 400}, 400, "VALIDATION_ERROR"),
        ({"mode": "rate_limit", "retry_after_seconds": 7}, 429, "RATE_LIMITS"),
    ],
)
async def test_a_fault_is_worded_as_hubspot_would(
    client: httpx.AsyncClient, rule: dict[str, Any], status: int, category: str
) -> None:
    await client.post("/faults", json={"target": "hubspot", **rule})
    answer = await upsert(client, lead("l-1"))
    assert (answer.status_code, answer.json()["category"]) == (status, category)
    assert await records(client) == []


async def test_a_fault_with_a_match_hits_an_item(client: httpx.AsyncClient) -> None:
    rule = {"target": "hubspot", "mode": "fail", "match": {"to": "l-2"}}
    await client.post("/faults", json=rule)
    answer = await upsert(client, lead("l-1"), lead("l-2"))
    assert answer.status_code == 207
    assert answer.json()["errors"][0]["category"] == "INTERNAL_ERROR"
    assert [each["values"]["leadflow_lead_id"] for each in await records(client)] == ["l-1"]


async def test_what_a_person_changes_is_told_from_what_the_api_wrote(
    client: httpx.AsyncClient,
) -> None:
    written = (await upsert(client, lead("l-1", firstname="Ada"))).json()["results"][0]["id"]
    await client.put(f"/accounts/hubspot/acme/contacts/{written}", json={"firstname": "Eda"})
    (record,) = await records(client)
    assert [change["by"] for change in record["history"]] == ["api", "person"]
    assert record["values"]["firstname"] == "Eda"
