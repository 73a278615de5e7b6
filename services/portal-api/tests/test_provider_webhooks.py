"""The endpoint that providers report to: what it lets in, and what it tells those it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from leadflow.errors import BrokerError
from portal_api.api import signed as door
from portal_api.api.room import Room
from portal_api.api.signed import LARGEST_BODY, MOST_AT_ONCE
from portal_api.webhooks.signatures import standard_key, standard_signature, twilio_signature

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NORTHS = "whsec_" + "A" * 32
TOKEN = "the auth token of the account"
OUTSIDE = "https://portal.acme.example"
FORM = {"content-type": "application/x-www-form-urlencoded"}
DELIVERED = json.dumps(
    {"type": "email.delivered", "created_at": "2026-11-21T08:59:30Z", "data": {"email_id": "p-1"}}
).encode()


@pytest.fixture
async def outside(portal_outside: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    secrets = {
        ("resend", "acme"): (SECRET,),
        ("resend", "north"): (NORTHS,),
        ("standard", "acme"): (SECRET,),
        ("twilio", "acme"): (TOKEN,),
    }
    async with portal_outside(NOW, OUTSIDE, secrets) as client:
        yield client


def signed(
    body: bytes, *, secret: str = SECRET, at: datetime = NOW, webhook_id: str = "msg_1"
) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signature = standard_signature(standard_key(secret), webhook_id, timestamp, body)
    return {
        "svix-id": webhook_id,
        "svix-timestamp": timestamp,
        "svix-signature": signature,
    }


def from_twilio(form: dict[str, str], path: str, token: str = TOKEN) -> dict[str, Any]:
    signature = twilio_signature(token, OUTSIDE + path, form.items())
    return {
        "content": urlencode(form).encode(),
        "headers": {**FORM, "X-Twilio-Signature": signature},
    }


RESEND = "/webhooks/providers/resend/acme"
TWILIO = "/webhooks/providers/twilio/acme"


async def test_a_signed_report_is_in_the_log_when_it_is_answered(
    outside: httpx.AsyncClient, log: Any
) -> None:
    answer = await outside.post(RESEND, content=DELIVERED, headers=signed(DELIVERED))
    assert (answer.status_code, answer.content) == (204, b"")
    (event,) = log.records
    assert (event.tenant_id, event.source, event.kind) == ("acme", "resend", "delivered")
    assert json.loads(event.payload) == {"provider_id": "p-1"}
    assert event.occurred_at == datetime(2026, 11, 21, 8, 59, 30, tzinfo=UTC)
    assert log.keys == [b"acme:resend:p-1"]


async def test_a_repeat_is_the_same_event(outside: httpx.AsyncClient, log: Any) -> None:
    for seconds in (0, 60):
        headers = signed(DELIVERED, at=NOW - timedelta(seconds=seconds))
        assert (await outside.post(RESEND, content=DELIVERED, headers=headers)).status_code == 204
    first, again = log.records
    assert first == again


async def test_twilio_signs_the_url_as_it_is_called_from_outside(
    outside: httpx.AsyncClient, log: Any
) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+1 555", "Odd": "ä&=%"}
    for path in (TWILIO, f"{TWILIO}?message_id=m%2D1&x=a%20b"):
        assert (await outside.post(path, **from_twilio(form, path))).status_code == 204
    assert [json.loads(event.payload) for event in log.records] == [
        {"provider_id": "SM1"},
        {"provider_id": "SM1", "message_id": "m-1"},
    ]
    assert log.records[0].event_id == log.records[1].event_id
    inside = twilio_signature(TOKEN, f"http://10.0.0.7:8080{TWILIO}", form.items())
    headers = {**FORM, "X-Twilio-Signature": inside}
    refused = await outside.post(TWILIO, content=urlencode(form), headers=headers)
    assert refused.status_code == 403


async def test_what_is_no_news_is_taken_and_not_written_down(
    outside: httpx.AsyncClient, log: Any
) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "sent"}
    assert (await outside.post(TWILIO, **from_twilio(form, TWILIO))).status_code == 204
    assert log.records == []


async def test_all_forgers_are_told_the_same(outside: httpx.AsyncClient, log: Any) -> None:
    path = "/webhooks/providers/{}/{}"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    window = timedelta(minutes=5, seconds=1)
    attempts: list[tuple[str, dict[str, Any]]] = [
        (RESEND, {"content": DELIVERED}),
        (RESEND, {"content": b"nonsense"}),
        (RESEND, {"content": DELIVERED, "headers": signed(DELIVERED, secret=NORTHS)}),
        (RESEND, {"content": DELIVERED + b" ", "headers": signed(DELIVERED)}),
        (RESEND, {"content": DELIVERED, "headers": signed(DELIVERED, at=NOW - window)}),
        (RESEND, {"content": DELIVERED, "headers": signed(DELIVERED, at=NOW + window)}),
        # A tenant without a secret, and one that does not exist.
        (path.format("standard", "north"), {"content": DELIVERED, "headers": signed(DELIVERED)}),
        (path.format("resend", "nobody"), {"content": DELIVERED, "headers": signed(DELIVERED)}),
        # Another tenant's webhook, sent on to this one.
        (path.format("resend", "north"), {"content": DELIVERED, "headers": signed(DELIVERED)}),
        (TWILIO, from_twilio(form, TWILIO, token="")),
        (TWILIO, from_twilio(form, TWILIO.replace("acme", "north"))),
        (TWILIO, {**from_twilio(form, TWILIO), "content": b"MessageSid=SM2"}),
        (TWILIO, {**from_twilio(form, TWILIO), "content": b"\xff\xfe"}),
        (TWILIO, {**from_twilio(form, TWILIO), "content": b"a=1&" * 500}),
        (TWILIO, {"content": b"", "headers": {"X-Twilio-Signature": "x" * 5_000}}),
    ]  # fmt: skip
    told = set()
    for where, request in attempts:
        answer = await outside.post(where, **request)
        assert answer.headers["content-type"] == "application/problem+json"
        told.add((answer.status_code, answer.text))
    assert len(told) == 1
    ((status, text),) = told
    assert status == 403
    assert json.loads(text)["detail"] == "The signature does not hold."
    assert log.records == []


async def test_a_signed_webhook_that_cannot_be_read_is_told_what_is_missing(
    outside: httpx.AsyncClient, log: Any
) -> None:
    for body in (b"nonsense", b'{"type": "email.delivered", "data": {}}'):
        answer = await outside.post(RESEND, content=body, headers=signed(body))
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("Signed, but ")
    assert log.records == []


async def test_a_body_beyond_the_limit_is_not_read_to_its_end(
    outside: httpx.AsyncClient, log: Any
) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1_000):
            given += 1
            yield b"x" * 65_536

    answer = await outside.post(RESEND, content=endless(), headers=signed(b"x"))
    assert answer.status_code == 413
    assert str(LARGEST_BODY) in answer.json()["detail"]


async def test_without_a_broker_the_provider_is_asked_to_come_again(
    outside: httpx.AsyncClient, log: Any
) -> None:
    log.error = BrokerError("no broker")
    answer = await outside.post(RESEND, content=DELIVERED, headers=signed(DELIVERED))
    assert answer.status_code == 503
    log.error = None
    answer = await outside.post(RESEND, content=DELIVERED, headers=signed(DELIVERED))
    assert answer.status_code == 204
    assert len(log.records) == 1


async def test_more_at_once_than_there_is_room_for_are_sent_away(
    outside: httpx.AsyncClient, log: Any
) -> None:
    log.answers.clear()
    inside = [
        asyncio.create_task(outside.post(RESEND, content=DELIVERED, headers=signed(DELIVERED)))
        for _ in range(MOST_AT_ONCE + 1)
    ]
    (sent_away,), _ = await asyncio.wait(inside, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert sent_away.result().status_code == 503
    log.answers.set()
    statuses = sorted([(await each).status_code for each in inside])
    assert statuses == [204] * MOST_AT_ONCE + [503]
    assert (await outside.post(RESEND, content=DELIVERED)).status_code == 403


async def test_strangers_who_send_slowly_keep_no_signed_stop_out(
    outside: httpx.AsyncClient, log: Any
) -> None:
    come_in, waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        waiting.release()
        await come_in.wait()

    strangers = [
        asyncio.create_task(outside.post(RESEND, content=slow(), headers=signed(b"else")))
        for _ in range(2 * MOST_AT_ONCE)
    ]
    async with asyncio.timeout(10):
        for _ in strangers:
            await waiting.acquire()
    form = {"MessageSid": "SM1", "Body": "STOP", "From": "+15125550163", "SmsStatus": "received"}
    assert (await outside.post(TWILIO, **from_twilio(form, TWILIO))).status_code == 204
    assert [event.kind for event in log.records] == ["reply"]
    come_in.set()
    assert {(await each).status_code for each in strangers} == {403}


async def test_of_a_request_without_a_signature_no_body_is_read(outside: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    for path in (RESEND, TWILIO, "/webhooks/providers/standard/acme"):
        assert (await outside.post(path, content=body())).status_code == 403


async def test_what_strangers_send_at_once_is_bounded_and_its_room_comes_back(
    outside: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "unproved", Room(1_000))
    for _ in range(3):
        answer = await outside.post(RESEND, content=b"x" * 900, headers=signed(b"else"))
        assert answer.status_code == 403
    answer = await outside.post(RESEND, content=b"x" * 1_001, headers=signed(b"else"))
    assert answer.status_code == 503


async def test_there_are_no_webhooks_of_others(outside: httpx.AsyncClient) -> None:
    for provider in ("mailgun", "hubspot"):
        answer = await outside.post(f"/webhooks/providers/{provider}/acme", content=b"{}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "There are webhooks of twilio, resend, standard."
