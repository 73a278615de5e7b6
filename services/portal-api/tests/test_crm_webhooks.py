"""The endpoint that CRMs tell changes to: what it lets in, and what it tells those it does not."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from leadflow.errors import BrokerError
from portal_api.api import signed as door
from portal_api.api.room import Room
from portal_api.api.signed import LARGEST_BODY, MOST_AT_ONCE
from portal_api.webhooks.signatures import (
    follow_up_boss_signature,
    hubspot_signature,
    standard_key,
    standard_signature,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OUTSIDE = "https://portal.acme.example"
CLIENT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
NORTHS = "zzzzzzzz-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
SYSTEM_KEY = "560270f7914b5b4a5f4dc1793ebc2796"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HUBSPOT = "/webhooks/crm/hubspot/acme"
FOLLOW_UP_BOSS = "/webhooks/crm/followupboss/acme"
GENERIC = "/webhooks/crm/webhook/acme"
SANDBOX = "/webhooks/crm/sandbox/acme"
CHANGED = json.dumps(
    [
        {
            "eventId": 100,
            "subscriptionType": "deal.propertyChange",
            "objectId": 18233410021,
            "propertyName": "dealstage",
            "propertyValue": "qualifiedtobuy",
            "occurredAt": int((NOW - timedelta(seconds=5)).timestamp() * 1_000),
        }
    ]
).encode()
PEOPLE = json.dumps(
    {
        "eventId": "152d60c0",
        "eventCreated": "2026-11-22T08:59:50+00:00",
        "event": "peopleUpdated",
        "resourceIds": [7, 8],
    }
).encode()
CONTACT = json.dumps(
    {
        "type": "contact.changed",
        "timestamp": "2026-11-22T08:59:40Z",
        "data": {"external_id": "lead-1", "changes": [{"name": "stage", "value": "won"}]},
    }
).encode()


@pytest.fixture
async def outside(portal_outside: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    secrets = {
        ("hubspot", "acme"): ("an-older-client-secret", CLIENT_SECRET),
        ("hubspot", "north"): (NORTHS,),
        ("followupboss", "acme"): (SYSTEM_KEY,),
        ("standard", "acme"): (STANDARD,),
    }
    async with portal_outside(NOW, OUTSIDE, secrets) as client:
        yield client


def by_hubspot(
    body: bytes = CHANGED,
    *,
    url: str = OUTSIDE + HUBSPOT,
    secret: str = CLIENT_SECRET,
    at: datetime = NOW,
) -> dict[str, str]:
    timestamp = str(int(at.timestamp() * 1_000))
    return {
        "X-HubSpot-Signature-v3": hubspot_signature(secret, "POST", url, body, timestamp),
        "X-HubSpot-Request-Timestamp": timestamp,
    }


def by_follow_up_boss(body: bytes = PEOPLE, key: str = SYSTEM_KEY) -> dict[str, str]:
    return {"FUB-Signature": follow_up_boss_signature(key, body)}


def by_standard(body: bytes = CONTACT, webhook_id: str = "msg_1") -> dict[str, str]:
    timestamp = str(int(NOW.timestamp()))
    signature = standard_signature(standard_key(STANDARD), webhook_id, timestamp, body)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }


ALL: list[tuple[str, bytes, dict[str, str]]] = [
    (HUBSPOT, CHANGED, by_hubspot()),
    (FOLLOW_UP_BOSS, PEOPLE, by_follow_up_boss()),
    (GENERIC, CONTACT, by_standard()),
    (SANDBOX, CONTACT, by_standard()),
]


async def test_what_hubspot_signs_is_told_to_crm_sync(outside: httpx.AsyncClient, log: Any) -> None:
    answer = await outside.post(HUBSPOT, content=CHANGED, headers=by_hubspot())
    assert answer.status_code == 204
    (notice,) = log.records
    assert (notice.tenant_id, notice.provider, notice.source) == ("acme", "hubspot", "hubspot")
    assert (notice.object, notice.crm_id) == ("deal", "18233410021")
    assert notice.occurred_at == NOW - timedelta(seconds=5)
    assert notice.recorded_at == NOW
    assert [(each.name, each.value) for each in notice.changes] == [("dealstage", "qualifiedtobuy")]
    assert log.keys == [b"acme:hubspot:18233410021"]


async def test_what_follow_up_boss_signs_is_one_notice_a_person(
    outside: httpx.AsyncClient, log: Any
) -> None:
    answer = await outside.post(FOLLOW_UP_BOSS, content=PEOPLE, headers=by_follow_up_boss())
    assert answer.status_code == 204
    assert log.keys == [b"acme:followupboss:7", b"acme:followupboss:8"]
    assert len({each.event_id for each in log.records}) == 2
    assert {each.occurred_at for each in log.records} == {NOW - timedelta(seconds=10)}


async def test_the_standard_is_for_the_generic_webhook_and_the_sandbox(
    outside: httpx.AsyncClient, log: Any
) -> None:
    for path in (GENERIC, SANDBOX):
        answer = await outside.post(path, content=CONTACT, headers=by_standard())
        assert answer.status_code == 204
    assert log.keys == [b"acme:webhook:lead-1", b"acme:sandbox:lead-1"]


async def test_a_repeat_is_the_same_notice(outside: httpx.AsyncClient, log: Any) -> None:
    for path, body, headers in ALL:
        log.records.clear()
        for _ in range(2):
            answer = await outside.post(path, content=body, headers=headers)
            assert answer.status_code == 204
        half = len(log.records) // 2
        assert log.records[:half] == log.records[half:]


async def test_hubspot_signs_the_url_as_it_is_called_from_outside_some_of_it_decoded(
    outside: httpx.AsyncClient, log: Any
) -> None:
    query = "?from=a%3Ab%20c"
    headers = by_hubspot(url=f"{OUTSIDE}{HUBSPOT}?from=a:b%20c")
    answer = await outside.post(HUBSPOT + query, content=CHANGED, headers=headers)
    assert answer.status_code == 204
    inside = by_hubspot(url=f"http://10.0.0.7:8080{HUBSPOT}")
    assert (await outside.post(HUBSPOT, content=CHANGED, headers=inside)).status_code == 403


async def test_all_forgers_are_told_the_same(outside: httpx.AsyncClient, log: Any) -> None:
    window = timedelta(minutes=5, seconds=1)
    path = "/webhooks/crm/{}/{}"
    hubspot, people, standard = by_hubspot(), by_follow_up_boss(), by_standard()
    attempts: list[tuple[str, bytes, dict[str, str]]] = [
        *((where, body, {}) for where, body, _ in ALL),
        *((where, body + b" ", headers) for where, body, headers in ALL),
        # A tenant without a secret, one that does not exist, and another's webhook sent on.
        *((where.replace("acme", "nobody"), body, headers) for where, body, headers in ALL),
        (path.format("hubspot", "north"), CHANGED, hubspot),
        (HUBSPOT, CHANGED, by_hubspot(secret=NORTHS)),
        (HUBSPOT, CHANGED, by_hubspot(at=NOW - window)),
        (HUBSPOT, CHANGED, by_hubspot(at=NOW + window)),
        (HUBSPOT + "?x=1", CHANGED, hubspot),
        (HUBSPOT, CHANGED, {**hubspot, "X-HubSpot-Request-Timestamp": "soon"}),
        (HUBSPOT, CHANGED, {"X-HubSpot-Signature-v3": hubspot["X-HubSpot-Signature-v3"]}),
        # HubSpot's older signature, which has no time: SHA-256 of the secret and the body.
        (HUBSPOT, CHANGED, {"X-HubSpot-Signature": "0" * 64, "X-HubSpot-Signature-Version": "v1"}),
        # One provider's signature where another's is asked for.
        (FOLLOW_UP_BOSS, PEOPLE, {"webhook-signature": "v1,x"}),
        (HUBSPOT, PEOPLE, people),
        (GENERIC, CHANGED, hubspot),
        (GENERIC, CONTACT, {**standard, "webhook-id": "msg_2"}),
        (FOLLOW_UP_BOSS, PEOPLE, by_follow_up_boss(key="")),
        (FOLLOW_UP_BOSS, base64.b64encode(PEOPLE), people),
    ]
    told = set()
    for where, body, headers in attempts:
        answer = await outside.post(where, content=body, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        told.add((answer.status_code, answer.text))
    assert len(told) == 1
    ((status, text),) = told
    assert status == 403
    assert json.loads(text)["detail"] == "The signature does not hold."
    assert log.records == []


async def test_what_is_no_news_is_taken_and_not_written_down(
    outside: httpx.AsyncClient, log: Any
) -> None:
    created = CHANGED.replace(b"propertyChange", b"creation")
    noted = PEOPLE.replace(b"peopleUpdated", b"notesCreated")
    # What is signed for /webhooks/providers/standard says nothing here.
    delivered = CONTACT.replace(b"contact.changed", b"delivered")
    for path, body, headers in (
        (HUBSPOT, created, by_hubspot(created)),
        (FOLLOW_UP_BOSS, noted, by_follow_up_boss(noted)),
        (GENERIC, delivered, by_standard(delivered)),
        (HUBSPOT, b"[]", by_hubspot(b"[]")),
    ):
        answer = await outside.post(path, content=body, headers=headers)
        assert answer.status_code == 204
    assert log.records == []


async def test_a_signed_webhook_that_cannot_be_read_is_told_what_is_missing(
    outside: httpx.AsyncClient, log: Any
) -> None:
    for path, sign in (
        (HUBSPOT, by_hubspot),
        (FOLLOW_UP_BOSS, by_follow_up_boss),
        (GENERIC, by_standard),
    ):
        for body in (b"nonsense", b"\xff\xfe", b'"text"'):
            answer = await outside.post(path, content=body, headers=cast(Any, sign)(body))
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith("Signed, but the body is ")
    assert log.records == []


async def test_without_a_broker_the_crm_is_asked_to_come_again(
    outside: httpx.AsyncClient, log: Any
) -> None:
    log.error = BrokerError("no broker")
    for path, body, headers in ALL:
        assert (await outside.post(path, content=body, headers=headers)).status_code == 503
    log.error = None
    for path, body, headers in ALL:
        assert (await outside.post(path, content=body, headers=headers)).status_code == 204


async def test_many_people_of_one_webhook_are_all_told(
    outside: httpx.AsyncClient, log: Any
) -> None:
    body = PEOPLE.replace(b"[7, 8]", json.dumps(list(range(1, 1_202))).encode())
    answer = await outside.post(FOLLOW_UP_BOSS, content=body, headers=by_follow_up_boss(body))
    assert answer.status_code == 204
    assert len(set(log.keys)) == 1_201


async def test_more_at_once_than_there_is_room_for_are_sent_away(
    outside: httpx.AsyncClient, log: Any
) -> None:
    log.answers.clear()
    inside = [
        asyncio.create_task(outside.post(HUBSPOT, content=CHANGED, headers=by_hubspot()))
        for _ in range(MOST_AT_ONCE + 1)
    ]
    (sent_away,), _ = await asyncio.wait(inside, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert sent_away.result().status_code == 503
    log.answers.set()
    statuses = sorted([(await each).status_code for each in inside])
    assert statuses == [204] * MOST_AT_ONCE + [503]


async def test_of_a_request_without_a_signature_no_body_is_read(outside: httpx.AsyncClient) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    for path, _, _ in ALL:
        assert (await outside.post(path, content=body())).status_code == 403
    assert not read


async def test_what_strangers_send_is_bounded_with_what_they_send_as_other_providers(
    outside: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_large = b"x" * (LARGEST_BODY + 1)
    answer = await outside.post(HUBSPOT, content=too_large, headers=by_hubspot(b"else"))
    assert answer.status_code == 413
    monkeypatch.setattr(door, "unproved", Room(1_000))
    for size, status in ((900, 403), (900, 403), (1_001, 503), (900, 403)):
        body = b"x" * size
        answer = await outside.post(HUBSPOT, content=body, headers=by_hubspot(b"else"))
        assert answer.status_code == status


async def test_there_are_no_webhooks_of_other_crms(outside: httpx.AsyncClient) -> None:
    for provider in ("salesforce", "resend", "standard"):
        answer = await outside.post(f"/webhooks/crm/{provider}/acme", content=b"{}")
        assert answer.status_code == 404
        assert "hubspot, followupboss, webhook, sandbox" in answer.json()["detail"]


async def test_of_many_broken_requests_none_is_let_in(outside: httpx.AsyncClient, log: Any) -> None:
    """One place of a request that held is changed: a byte of the body, of a header, of the path."""
    chance = random.Random(29)
    for _ in range(200):
        path, body, headers = chance.choice(ALL)
        headers = dict(headers)
        match chance.randrange(3):
            case 0:
                place = chance.randrange(len(body))
                changed = bytes([body[place] ^ 1 << chance.randrange(7)])
                body = body[:place] + changed + body[place + 1 :]
            case 1:
                name = chance.choice(list(headers))
                value = headers[name]
                place = chance.randrange(value.startswith("v1,") and 3, len(value))
                other = chance.choice([each for each in "0aZ9b" if each != value[place]])
                headers[name] = value[:place] + other + value[place + 1 :]
            case _:
                path = path.replace("acme", chance.choice(("acmd", "north", "ACME")))
        answer = await outside.post(path, content=body, headers=headers)
        assert answer.status_code == 403, (path, body, headers)
    assert log.records == []
