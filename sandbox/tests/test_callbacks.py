"""Reports about sends, signed as the providers sign. The signatures are checked as they say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from sandbox.callbacks import report_on
from sandbox.errors import Malformed
from sandbox.http_resend import API_KEY
from sandbox.http_twilio import ACCOUNT_SID, AUTH_TOKEN

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
# The key of the examples of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CALLBACK = "http://portal.test/webhooks/providers/twilio/acme?message_id=m-1"
PORTAL = "http://portal.test/webhooks/providers/resend/acme"


def is_signed(name: str, headers: Any, body: bytes) -> bool:
    signed = f"{headers[f'{name}-id']}.{headers[f'{name}-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return bool(headers[f"{name}-signature"] == f"v1,{wanted}")


async def entry_of(bench: Any, answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    _, (entry,) = bench.state.providers.page(None, None, 0, 10)
    return entry


async def test_resends_report_names_the_email_and_its_tags(
    bench: Any, client: httpx.AsyncClient
) -> None:
    email = {
        "from": "a@example.com",
        "to": "ada@example.com",
        "subject": "Hi",
        "text": "Hello",
        "tags": [{"name": "message_id", "value": "m-1"}],
    }
    headers = {"Authorization": f"Bearer {API_KEY}"}
    entry = await entry_of(bench, await client.post("/resend/emails", json=email, headers=headers))
    asked = {
        "event": "bounced",
        "secret": SECRET,
        "url": PORTAL,
        "details": {"bounce": {"type": "Permanent"}},
    }
    report = report_on(entry, asked, "msg_1", NOW)
    assert report.url == PORTAL
    assert is_signed("svix", report.headers, report.body)
    told = json.loads(report.body)
    assert (told["type"], told["created_at"]) == ("email.bounced", "2026-03-01T12:00:00+00:00")
    assert told["data"]["email_id"] == entry.id
    assert told["data"]["tags"] == {"message_id": "m-1"}
    assert told["data"]["bounce"] == {"type": "Permanent"}


async def test_twilios_report_goes_where_the_send_asked_for(
    bench: Any, client: httpx.AsyncClient
) -> None:
    form = {
        "To": "+15558675310",
        "From": "+15005550006",
        "Body": "Hi",
        "StatusCallback": CALLBACK,
    }
    answer = await client.post(
        f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        data=form,
        auth=(ACCOUNT_SID, AUTH_TOKEN),
    )
    entry = await entry_of(bench, answer)
    asked = {"event": "undelivered", "secret": "token", "details": {"ErrorCode": 30005}}
    report = report_on(entry, asked, "msg_1", NOW)
    assert report.url == CALLBACK
    told = dict(parse_qsl(report.body.decode()))
    sid = answer.json()["sid"]
    assert told == {
        "MessageSid": sid,
        "MessageStatus": "undelivered",
        "To": "+15558675310",
        "ErrorCode": "30005",
    }
    signed = f"{CALLBACK}ErrorCode30005MessageSid{sid}MessageStatusundeliveredTo+15558675310"
    wanted = base64.b64encode(hmac.digest(b"token", signed.encode(), "sha1")).decode()
    assert report.headers["X-Twilio-Signature"] == wanted


async def test_the_sandboxs_own_apis_report_by_standard_webhooks(
    bench: Any, client: httpx.AsyncClient
) -> None:
    send = {"to": "ada@example.com", "text": "Hi"}
    entry = await entry_of(
        bench, await client.post("/providers/email", json=send, headers={"Idempotency-Key": "m-1"})
    )
    asked = {"event": "opened", "secret": SECRET, "url": PORTAL, "details": {"ip": "203.0.113.9"}}
    report = report_on(entry, asked, "msg_1", NOW)
    assert is_signed("webhook", report.headers, report.body)
    told = json.loads(report.body)
    assert told["type"] == "opened"
    assert told["data"] == {"message_id": "m-1", "ip": "203.0.113.9"}


@pytest.mark.parametrize(
    "changes",
    [{"event": ""}, {"secret": None}, {"secret": "no base64!"}, {"url": None}, {"details": []}],
)
async def test_what_is_missing_is_named(
    bench: Any, client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    send = {"to": "ada@example.com", "text": "Hi"}
    entry = await entry_of(bench, await client.post("/providers/email", json=send))
    asked = {"event": "opened", "secret": SECRET, "url": PORTAL, **changes}
    with pytest.raises(Malformed, match=f"`{next(iter(changes))}`"):
        report_on(entry, asked, "msg_1", NOW)


async def test_nothing_is_reported_of_what_was_not_accepted(client: httpx.AsyncClient) -> None:
    asked = {"id": "nobody", "event": "opened", "secret": SECRET, "url": PORTAL}
    assert (await client.post("/callbacks", json=asked)).status_code == 404


async def test_a_report_goes_to_the_web_and_nowhere_else(
    bench: Any, client: httpx.AsyncClient
) -> None:
    send = {"to": "ada@example.com", "text": "Hi"}
    entry = await entry_of(bench, await client.post("/providers/email", json=send))
    asked = {"id": entry.id, "event": "opened", "secret": SECRET, "url": "file:///etc/passwd"}
    assert (await client.post("/callbacks", json=asked)).status_code == 422
