"""A receiver of signed webhooks as a CRM: each is taken once."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.http_webhook import SECRET

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def send(
    client: httpx.AsyncClient, webhook_id: str, kind: str, data: dict[str, Any]
) -> httpx.Response:
    body = json.dumps({"type": kind, "data": data}).encode()
    at = str(int(NOW.timestamp()))
    secret = b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.digest(secret, f"{webhook_id}.{at}.".encode() + body, hashlib.sha256)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + b64encode(digest).decode(),
    }
    return await client.post("/webhook-crm/acme", content=body, headers=headers)


async def test_a_contact_is_replaced_and_a_repeat_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    for webhook_id, stage in (("1", "new"), ("2", "won"), ("1", "new")):
        data = {"external_id": "l-1", "contact": {"stage": stage}}
        answer = await send(client, webhook_id, "contact.upserted", data)
        assert answer.status_code == 200
    assert answer.headers["idempotent-replayed"] == "true"
    (record,) = (await client.get("/accounts/webhook/acme/contacts")).json()["items"]
    assert record["values"]["contact"] == {"stage": "won"}
    assert len(record["history"]) == 2


async def test_notes_and_tasks_need_their_contact(client: httpx.AsyncClient) -> None:
    note = {"external_id": "l-1", "note_id": "n-1", "text": "Called"}
    assert (await send(client, "1", "note.added", note)).status_code == 404


async def test_a_ping_leaves_nothing_behind(client: httpx.AsyncClient) -> None:
    assert (await send(client, "1", "ping", {})).status_code == 200
    shown = (await client.get("/accounts/webhook/acme")).json()
    assert (shown["records"], shown["writes"], shown["calls"]) == ({}, 0, 1)


async def test_what_is_not_signed_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/webhook-crm/acme", content=b"{}")).status_code == 401
