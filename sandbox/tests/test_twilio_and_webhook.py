"""The Twilio and the receiver of webhooks that are played."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest
from httpx import AsyncClient, Response

from sandbox.http_twilio import ACCOUNT_SID, AUTH_TOKEN
from sandbox.http_webhook import SECRET

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
FORM = {"To": "+15551234567", "From": "+15005550006", "Body": "Hi"}


async def text(
    client: AsyncClient, token: str = AUTH_TOKEN, sid: str = ACCOUNT_SID, **form: str
) -> Response:
    path = f"/twilio/2010-04-01/Accounts/{sid}/Messages.json"
    return await client.post(path, data={**FORM, **form}, auth=(sid, token))


async def test_a_message_is_made_each_time_and_told_by_the_id_in_its_callback(
    client: AsyncClient,
) -> None:
    callback = "https://portal.example/webhooks?message_id=m-1"
    first = await text(client, StatusCallback=callback)
    again = await text(client, StatusCallback=callback)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["sid"] != again.json()["sid"]
    assert len(first.json()["sid"]) == 34
    assert (first.json()["status"], first.json()["error_code"]) == ("queued", None)
    counts = (await client.get("/accepted/counts")).json()
    assert (counts["by_channel"]["twilio"], counts["duplicate_acceptances"]) == (2, 1)


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"To": "5551234567"}, 400, 21211),
        ({"To": "+15005550004"}, 400, 21610),
        ({"To": "+15005550009"}, 400, 21614),
        ({"From": "+15005550007"}, 400, 21606),
        ({"To": "whatsapp:+15551234567"}, 400, 63007),
        ({"To": "whatsapp:+15005550016", "From": "whatsapp:+15005550006"}, 400, 63016),
        ({"Body": "x" * 1_601}, 400, 21617),
        ({"token": "wrong"}, 401, 20003),
        ({"sid": "AC" + "1" * 32}, 401, 20003),
    ],
)
async def test_a_refusal_is_in_twilios_words(
    client: AsyncClient, form: dict[str, str], status: int, code: int
) -> None:
    answer = await text(client, **form)
    assert answer.status_code == status
    assert answer.json().keys() == {"code", "message", "more_info", "status"}
    assert answer.json()["code"] == code
    assert (await client.get("/accepted/counts")).json()["total"] == 0


async def hook(client: AsyncClient, at: int = NOW, secret: str = SECRET, **data: str) -> Response:
    body = json.dumps({"type": "message.sms", "data": {"to": "+15551234567", **data}})
    key = b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, f"m-1.{at}.{body}".encode(), hashlib.sha256)
    headers = {
        "webhook-id": "m-1",
        "webhook-timestamp": str(at),
        "webhook-signature": "v1,AAAA v1," + b64encode(signature).decode(),
    }
    return await client.post("/webhook", content=body, headers=headers)


async def test_a_signed_webhook_is_taken_once(client: AsyncClient) -> None:
    first, again = await hook(client), await hook(client, at=NOW + 60)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (await hook(client, text="other")).status_code == 409
    items = (await client.get("/accepted?channel=webhook")).json()["items"]
    assert [(item["key"], item["to"]) for item in items] == [("m-1", "+15551234567")]


async def test_a_webhook_by_another_secret_or_from_another_time_is_refused(
    client: AsyncClient,
) -> None:
    assert (await hook(client, secret="whsec_" + "A" * 32)).status_code == 401
    assert (await hook(client, at=NOW - 301)).status_code == 401
    assert (await hook(client, at=NOW + 301)).status_code == 401
    assert (await client.post("/webhook", json={"data": {"to": "x"}})).status_code == 401
    assert (await client.get("/accepted/counts")).json()["total"] == 0
