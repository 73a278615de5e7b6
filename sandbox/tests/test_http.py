"""The endpoints: what they take, what they answer, and how faults show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient, Response

from sandbox.errors import ConnectionDropped
from sandbox.wire import MAX_BODY_BYTES

SEND = {"to": "ada@example.com", "subject": "Hello", "text": "Hi", "html": "<p>Hi</p>"}


async def send(client: AsyncClient, key: str | None = "k", **change: Any) -> Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post("/providers/email", json={**SEND, **change}, headers=headers)


async def add_fault(client: AsyncClient, **rule: Any) -> None:
    response = await client.post("/faults", json=rule)
    assert response.status_code == 201, response.text


async def total(client: AsyncClient) -> int:
    counts: dict[str, int] = (await client.get("/accepted/counts")).json()
    return counts["total"]


async def test_a_replay_is_the_first_answer_byte_for_byte(client: AsyncClient) -> None:
    first, again = await send(client), await send(client)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["key"] == "k"
    assert await total(client) == 1


async def test_another_body_under_a_used_key_is_a_409_problem(client: AsyncClient) -> None:
    await send(client)
    response = await send(client, text="Bye")
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 409
    assert response.json()["retryable"] is False


@pytest.mark.parametrize("body", ["", "{", "[]", '{"text":"x"}', '{"to":""}', '{"to":"\\ud800"}'])
async def test_a_malformed_send_is_a_422_problem(client: AsyncClient, body: str) -> None:
    response = await client.post("/providers/sms", content=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert await total(client) == 0


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_an_empty_or_long_key_is_refused_rather_than_ignored(
    client: AsyncClient, key: str
) -> None:
    assert (await send(client, key=key)).status_code == 422


async def test_a_body_that_is_too_large_is_a_413(client: AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(MAX_BODY_BYTES // 2**20 + 1):
            yield b" " * 2**20

    response = await client.post("/providers/email", content=chunks())
    assert response.status_code == 413


async def test_a_batch_has_a_result_for_each_item_by_its_own_key(client: AsyncClient) -> None:
    first = (await send(client, key="a")).json()["id"]
    items = [
        {"key": "a", **SEND},
        {"key": "a", **SEND, "text": "Bye"},
        {"key": "b"},
        {"key": "c", **SEND},
        SEND,
        7,
    ]
    response = await client.post("/providers/email/batch", json=items)
    results = response.json()["results"]
    assert [result["status"] for result in results] == [200, 409, 422, 200, 200, 422]
    assert results[0]["id"] == first
    assert results[0]["replayed"] is True
    assert "replayed" not in results[3]
    assert "`to`" in results[2]["error"]
    assert await total(client) == 3
    assert (await send(client, key="c")).json()["id"] == results[3]["id"]


async def test_a_batch_of_more_than_a_hundred_is_refused_whole(client: AsyncClient) -> None:
    response = await client.post("/providers/email/batch", json=[SEND] * 101)
    assert response.status_code == 422
    assert await total(client) == 0


async def test_the_listing_shows_and_filters_and_the_detail_is_whole(client: AsyncClient) -> None:
    await send(client, key="a")
    await client.post("/providers/sms", json={"to": "+15550100", "text": "Hi"})
    listing = (await client.get("/accepted")).json()
    assert listing["total"] == 2
    email, sms = listing["items"]
    assert email == {
        "seq": 1,
        "channel": "email",
        "key": "a",
        "id": email["id"],
        "to": "ada@example.com",
        "subject": "Hello",
        "body_sha256": email["body_sha256"],
        "accepted_at": "2026-03-01T12:00:00Z",
        "attempts": 1,
    }
    assert (sms["key"], sms["subject"]) == (None, None)
    assert (await client.get("/accepted?channel=sms")).json()["items"] == [sms]
    assert (await client.get("/accepted?key=a")).json()["items"] == [email]
    assert (await client.get("/accepted?offset=1&limit=1")).json()["items"] == [sms]
    detail = (await client.get(f"/accepted/{email['id']}")).json()
    assert detail == {**SEND, **email}
    assert (await client.get("/accepted/none")).status_code == 404


@pytest.mark.parametrize("query", ["offset=-1", "limit=x", "limit=10001", "channel=fax"])
async def test_a_wrong_query_is_a_422_that_names_it(client: AsyncClient, query: str) -> None:
    response = await client.get(f"/accepted?{query}")
    assert response.status_code == 422
    assert f"`{query.partition('=')[0]}`" in response.json()["detail"]


async def test_clearing_forgets_sends_crm_and_faults_and_never_reuses_an_id(
    client: AsyncClient,
) -> None:
    before = (await send(client)).json()["id"]
    await client.put("/crm/contacts/lead-1", json={})
    await add_fault(client, target="crm", mode="fail")
    assert (await client.delete("/accepted")).status_code == 204
    assert await total(client) == 0
    assert (await client.get("/crm/counts")).json()["contacts"] == 0
    assert (await client.get("/faults")).json()["items"] == []
    assert (await send(client)).json()["id"] != before


async def test_a_contact_is_upserted_read_listed_and_keeps_its_history(client: AsyncClient) -> None:
    path = "/crm/contacts/lead-1"
    created = await client.put(path, json={"stage": "new"}, headers={"Idempotency-Key": "a"})
    updated = await client.put(path, json={"stage": "won"}, headers={"Idempotency-Key": "b"})
    again = await client.put(path, json={"stage": "new"}, headers={"Idempotency-Key": "a"})
    assert created.json()["created"] is True
    assert updated.json() == {"id": created.json()["id"], "created": False}
    assert again.content == created.content
    assert again.headers["idempotent-replayed"] == "true"
    contact = (await client.get(path)).json()
    assert contact["contact"] == {"stage": "won"}
    assert contact["writes"] == 2
    assert (await client.get("/crm/contacts?limit=1")).json() == {"total": 1, "items": [contact]}
    history = (await client.get(path + "/history")).json()["items"]
    assert [row["contact"]["stage"] for row in history] == ["new", "won"]
    assert (await client.get("/crm/counts")).json() == {
        "contacts": 1,
        "notes": 0,
        "tasks": 0,
        "writes": 2,
    }


async def test_contacts_are_written_in_a_batch_with_a_result_each(client: AsyncClient) -> None:
    items = [
        {"external_id": "lead-1", "key": "a", "contact": {"stage": "new"}},
        {"external_id": "lead-1", "key": "a", "contact": {"stage": "new"}},
        {"external_id": "lead-1", "key": "a", "contact": {"stage": "won"}},
        {"external_id": "lead-2", "contact": 7},
        {"contact": {}},
        {"external_id": "lead-2", "contact": {}, "kez": "typo"},
    ]
    response = await client.post("/crm/contacts/batch", json=items)
    results = response.json()["results"]
    assert [result["status"] for result in results] == [200, 200, 409, 422, 422, 422]
    assert results[0]["created"] is True
    assert results[1] == {**results[0], "replayed": True}
    assert (await client.get("/crm/counts")).json()["writes"] == 1


async def test_a_note_is_kept_once_and_needs_its_contact(client: AsyncClient) -> None:
    path, note = "/crm/contacts/lead-1/notes", {"note_id": "n", "text": "Called", "at": "10:00"}
    assert (await client.post(path, json=note)).status_code == 404
    assert (await client.get(path)).status_code == 404
    await client.put("/crm/contacts/lead-1", json={})
    assert (await client.post(path, json=note)).json() == {"note_id": "n", "created": True}
    assert (await client.post(path, json=note)).json() == {"note_id": "n", "created": False}
    (kept,) = (await client.get(path)).json()["items"]
    assert (kept["note_id"], kept["text"], kept["at"]) == ("n", "Called", "10:00")


async def test_fail_and_rate_limit_accept_nothing_and_say_when_to_come_back(
    client: AsyncClient,
) -> None:
    await add_fault(client, target="email", mode="fail", status=503, times=1)
    await add_fault(client, target="email", mode="rate_limit", retry_after_seconds=7, times=1)
    failed, limited, accepted = [await send(client) for _ in range(3)]
    assert (failed.status_code, failed.json()["retryable"]) == (503, True)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert accepted.status_code == 200
    assert "idempotent-replayed" not in accepted.headers
    (entry,) = (await client.get("/accepted")).json()["items"]
    assert entry["attempts"] == 3


async def test_reject_hits_only_whom_it_matches(client: AsyncClient) -> None:
    await add_fault(client, target="*", mode="reject", match={"to": "ada@"})
    rejected = await send(client)
    assert (rejected.status_code, rejected.json()["retryable"]) == (422, False)
    assert (await send(client, key="b", to="bob@example.com")).status_code == 200


async def test_a_dropped_answer_leaves_the_send_accepted(client: AsyncClient) -> None:
    await add_fault(client, target="providers", mode="drop_after_accept", times=1)
    with pytest.raises(ConnectionDropped):
        await send(client)
    assert await total(client) == 1
    assert (await send(client)).headers["idempotent-replayed"] == "true"


async def test_a_stalled_send_is_accepted_when_the_stall_is_over(client: AsyncClient) -> None:
    await add_fault(client, target="email", mode="stall", stall_seconds=0.2, times=1)
    stalled = asyncio.create_task(send(client))
    async with asyncio.timeout(5):
        # The rule is drawn just before the stall begins.
        while not (await client.get("/faults")).json()["items"][0]["hits"]:
            await asyncio.wait([stalled], timeout=0.001)
    assert await total(client) == 0
    assert (await stalled).status_code == 200
    assert await total(client) == 1


async def test_stopping_ends_a_stall_without_accepting(client: AsyncClient, bench: Any) -> None:
    await add_fault(client, target="email", mode="stall")
    bench.injector.stop()
    with pytest.raises(ConnectionDropped):
        await send(client)
    assert await total(client) == 0


async def test_in_a_batch_a_matching_rule_hits_its_items_alone(client: AsyncClient) -> None:
    await add_fault(client, target="email", mode="rate_limit", match={"to": "ada@"})
    items = [{"key": "a", **SEND}, {"key": "b", **SEND, "to": "bob@example.com"}]
    results = (await client.post("/providers/email/batch", json=items)).json()["results"]
    assert [result["status"] for result in results] == [429, 200]
    assert results[0]["retry_after_seconds"] == 1


async def test_in_a_batch_a_general_rule_hits_the_whole_request(client: AsyncClient) -> None:
    items = [{"key": "a", **SEND}, {"key": "b", **SEND}]
    await add_fault(client, target="email", mode="fail", times=1)
    assert (await client.post("/providers/email/batch", json=items)).status_code == 500
    assert await total(client) == 0
    await add_fault(client, target="email", mode="drop_after_accept", times=1)
    with pytest.raises(ConnectionDropped):
        await client.post("/providers/email/batch", json=items)
    assert await total(client) == 2


async def test_a_crm_fault_hits_writes_of_its_contact_but_never_reads(client: AsyncClient) -> None:
    await client.put("/crm/contacts/lead-1", json={})
    await add_fault(client, target="crm", mode="fail", match={"to": "lead-1"})
    assert (await client.put("/crm/contacts/lead-1", json={"a": 1})).status_code == 500
    note = {"note_id": "n", "text": "Called"}
    assert (await client.post("/crm/contacts/lead-1/notes", json=note)).status_code == 500
    items = [{"external_id": "lead-1", "contact": {}}, {"external_id": "lead-2", "contact": {}}]
    results = (await client.post("/crm/contacts/batch", json=items)).json()["results"]
    assert [result["status"] for result in results] == [500, 200]
    assert (await client.get("/crm/contacts/lead-1")).json()["writes"] == 1


async def test_a_wrong_rule_is_a_422_that_lists_what_is_wrong(client: AsyncClient) -> None:
    response = await client.post("/faults", json={"target": "fax", "mode": "fail", "rate": 2})
    assert response.status_code == 422
    assert len(response.json()["errors"]) == 2


async def test_rules_are_listed_with_their_hits_and_removed(client: AsyncClient) -> None:
    await add_fault(client, target="email", mode="fail")
    await send(client)
    (rule,) = (await client.get("/faults")).json()["items"]
    assert (rule["target"], rule["seen"], rule["hits"]) == ("email", 1, 1)
    assert (await client.delete(f"/faults/{rule['id']}")).status_code == 204
    assert (await client.delete(f"/faults/{rule['id']}")).status_code == 404
    assert (await client.delete("/faults")).status_code == 204


async def test_health_unknown_paths_and_methods_are_answered_as_such(client: AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/nowhere")).json()["status"] == 404
    assert (await client.post("/providers/fax", json=SEND)).status_code == 404
    assert (await client.patch("/faults")).json()["status"] == 405
