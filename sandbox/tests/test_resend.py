"""The Resend that is played: one key for a request, for 24 hours, and its words for refusals."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient, Response

from sandbox.errors import Shaped
from sandbox.http_resend import API_KEY
from sandbox.resend_keys import ResendKeys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def email(name: str = "ada", **changes: Any) -> dict[str, Any]:
    return {
        "from": "Acme <acme@example.com>",
        "to": [f"{name}@example.com"],
        "subject": "Hello",
        "text": "Hi",
        "headers": {"X-Leadflow-Message-Id": f"m-{name}"},
        **changes,
    }


async def post(
    client: AsyncClient, body: Any, key: str | None = "k", path: str = "", **headers: str
) -> Response:
    named = {} if key is None else {"Idempotency-Key": key}
    signed = {"Authorization": f"Bearer {API_KEY}", **named, **headers}
    return await client.post(f"/resend/emails{path}", json=body, headers=signed)


async def listed(client: AsyncClient) -> list[tuple[str, list[str]]]:
    page = (await client.get("/accepted?channel=resend")).json()
    return [(item["key"], item["to"]) for item in page["items"]]


async def test_the_same_request_under_a_key_is_answered_again_and_another_is_a_conflict(
    client: AsyncClient,
) -> None:
    first, again = await post(client, email()), await post(client, email())
    assert first.status_code == 200
    assert first.json().keys() == {"id"}
    assert again.json() == first.json()
    other = await post(client, email("bob"))
    assert other.status_code == 409
    assert other.json()["name"] == "invalid_idempotent_request"
    assert other.json()["statusCode"] == 409
    assert await listed(client) == [("m-ada", ["ada@example.com"])]


async def test_the_key_of_a_batch_is_that_of_all_of_it_in_its_order(client: AsyncClient) -> None:
    both = [email("ada"), email("bob")]
    first = await post(client, both, path="/batch")
    assert [item.keys() for item in first.json()["data"]] == [{"id"}] * 2
    assert (await post(client, both, path="/batch")).json() == first.json()
    for other in (both[::-1], both[:1]):
        answer = await post(client, other, path="/batch")
        assert answer.json()["name"] == "invalid_idempotent_request"
    assert [key for key, _ in await listed(client)] == ["m-ada", "m-bob"]


async def test_a_strict_batch_is_refused_whole_and_a_permissive_one_in_part(
    client: AsyncClient,
) -> None:
    batch = [email("ada"), email("bob", to=["nobody"]), email("cid")]
    strict = await post(client, batch, path="/batch")
    assert (strict.status_code, strict.json()["name"]) == (422, "validation_error")
    assert await listed(client) == []
    permissive = {"x-batch-validation": "permissive"}
    partly = (await post(client, batch, path="/batch", **permissive)).json()
    assert len(partly["data"]) == 2
    assert [error["index"] for error in partly["errors"]] == [1]
    assert [key for key, _ in await listed(client)] == ["m-ada", "m-cid"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "name"),
    [
        ({"Authorization": ""}, email(), 401, "missing_api_key"),
        ({"Authorization": "Bearer re_other"}, email(), 403, "invalid_api_key"),
        ({"Idempotency-Key": "x" * 257}, email(), 400, "invalid_idempotency_key"),
        ({}, email(subject=""), 422, "missing_required_field"),
        ({}, email(text=None), 422, "missing_required_field"),
        ({}, email(to=["a@b.example"] * 51), 422, "validation_error"),
    ],
)
async def test_a_refusal_is_in_resends_words(
    client: AsyncClient, headers: dict[str, str], body: Any, status: int, name: str
) -> None:
    answer = await post(client, body, **headers)
    assert answer.status_code == status
    assert answer.json().keys() == {"statusCode", "name", "message"}
    assert answer.json()["name"] == name


async def test_a_fault_is_in_resends_words_and_leaves_the_key_free(client: AsyncClient) -> None:
    rule = {"target": "resend", "mode": "rate_limit", "retry_after_seconds": 2, "times": 1}
    await client.post("/faults", json=rule)
    limited = await post(client, email())
    assert (limited.status_code, limited.json()["name"]) == (429, "rate_limit_exceeded")
    assert (limited.headers["retry-after"], limited.headers["ratelimit-remaining"]) == ("2", "0")
    assert (await post(client, email("bob"))).status_code == 200


async def test_a_key_that_is_worked_on_is_told_so(client: AsyncClient) -> None:
    rule = {"target": "resend", "mode": "stall", "stall_seconds": 0.2, "times": 1}
    await client.post("/faults", json=rule)
    first, second = await asyncio.gather(post(client, email()), post(client, email()))
    answers = {first.status_code: first, second.status_code: second}
    assert answers.keys() == {200, 409}
    assert answers[409].json()["name"] == "concurrent_idempotent_requests"


def test_a_key_is_forgotten_after_24_hours_and_not_before() -> None:
    keys = ResendKeys()
    assert keys.begin("k", b"a", NOW) is None
    keys.finish("k", {"id": "1"})
    with pytest.raises(Shaped):
        keys.begin("k", b"b", NOW + timedelta(hours=24))
    assert keys.begin("k", b"b", NOW + timedelta(hours=24, seconds=1)) is None
