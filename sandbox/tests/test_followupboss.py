"""Follow Up Boss as it is played: people found again, lists replaced, limits by context."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

ROOT = "/followupboss/v1"
AUTH = httpx.BasicAuth("fka_acme", "")
ADA = {
    "firstName": "Ada",
    "emails": [{"value": "ada@x.example"}],
    "phones": [{"value": "+15551230000"}],
}


@pytest.fixture
def boss(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.auth = AUTH
    return client


async def event(boss: httpx.AsyncClient, **person: Any) -> httpx.Response:
    body = {"source": "web", "type": "Registration", "person": person}
    return await boss.post(f"{ROOT}/events", json=body)


async def test_an_event_finds_the_person_by_address_and_then_by_number(
    boss: httpx.AsyncClient,
) -> None:
    made = await event(boss, **ADA)
    by_address = await event(boss, emails=[{"value": "ADA@x.example"}])
    by_number = await event(boss, phones=[{"value": "(555) 123-0000"}])
    assert [made.status_code, by_address.status_code, by_number.status_code] == [201, 200, 200]
    assert made.json()["id"] == by_address.json()["id"] == by_number.json()["id"]


async def test_an_event_leaves_a_persons_stage_alone(boss: httpx.AsyncClient) -> None:
    await event(boss, **ADA, stage="Pending")
    again = await event(boss, **ADA, stage="Lead")
    assert again.json()["stage"] == "Pending"


async def test_people_who_are_created_are_not_looked_for_before(boss: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await boss.post(f"{ROOT}/people", json=ADA)).status_code == 201
    found = (await boss.get(f"{ROOT}/people?email=ada@x.example")).json()
    assert found["_metadata"]["total"] == 2


async def test_an_update_replaces_lists_and_leaves_the_rest(boss: httpx.AsyncClient) -> None:
    made = (await event(boss, **ADA)).json()["id"]
    changes = {"phones": [{"value": "+15559990000"}]}
    person = (await boss.put(f"{ROOT}/people/{made}", json=changes)).json()
    assert person["phones"] == [{"value": "+15559990000"}]
    assert person["firstName"] == "Ada"


async def test_people_are_found_by_a_custom_field_in_the_trash_too(
    boss: httpx.AsyncClient,
) -> None:
    await event(boss, customLeadflowLeadId="l-1", stage="Trash")
    found = f"{ROOT}/people?customLeadflowLeadId=l-1"
    assert (await boss.get(found)).json()["people"] == []
    assert len((await boss.get(found + "&includeTrash=true")).json()["people"]) == 1


async def test_each_note_that_is_posted_is_a_note(boss: httpx.AsyncClient) -> None:
    person = (await event(boss, **ADA)).json()["id"]
    for _ in range(2):
        await boss.post(f"{ROOT}/notes", json={"personId": person, "body": "Called"})
    assert (await boss.get(f"{ROOT}/notes?personId={person}")).json()["_metadata"]["total"] == 2
    shown = await boss.get("/accounts/followupboss/acme/notes/duplicates?by=body")
    assert shown.json()["items"] == [{"value": "Called", "ids": ["103", "104"]}]


async def test_limits_are_those_of_the_context(boss: httpx.AsyncClient) -> None:
    await boss.post("/accounts/followupboss/acme", json={"limits": {"notes": 1}})
    person = (await event(boss, **ADA)).json()["id"]
    note = {"personId": person, "body": "Called"}
    first = await boss.post(f"{ROOT}/notes", json=note)
    assert first.headers["x-ratelimit-context"] == "notes"
    assert first.headers["x-ratelimit-remaining"] == "0"
    over = await boss.post(f"{ROOT}/notes", json=note)
    assert (over.status_code, over.headers["retry-after"]) == (429, "10")
    assert (await boss.get(f"{ROOT}/people")).headers["x-ratelimit-limit"] == "250"


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ({"shoeSize": 41}, "Invalid fields in the request body: shoeSize."),
        ({"stage": "Somewhere"}, "The stage does not exist."),
        ({"emails": [{"value": "nobody"}]}, "The email address is not valid."),
    ],
)
async def test_what_is_wrong_with_a_person_is_said(
    boss: httpx.AsyncClient, person: dict[str, Any], words: str
) -> None:
    answer = await event(boss, **person)
    assert (answer.status_code, answer.json()) == (400, {"errorMessage": words})


async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{ROOT}/customFields")).status_code == 401


async def test_a_custom_field_is_named_after_its_label(boss: httpx.AsyncClient) -> None:
    missing = "customLeadflowLeadId"
    await boss.post("/accounts/followupboss/acme", json={"without": [missing]})
    assert (await event(boss, customLeadflowLeadId="l-1")).status_code == 400
    made = await boss.post(
        f"{ROOT}/customFields", json={"label": "Leadflow Lead Id", "type": "text"}
    )
    assert (made.status_code, made.json()["name"]) == (201, missing)
    assert (await event(boss, customLeadflowLeadId="l-1")).status_code == 201
